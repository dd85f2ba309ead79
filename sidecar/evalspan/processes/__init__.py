"""The processes of a sidecar: how each is started, is alone on its data, hears stop, and ends.

In: the settings of the receiver, the folders, and for another part the function that is its
work. Out: the exit code of the process.

This folder is what runs where a process must stay small, so nothing here imports a library of
tables. `_supervisor.py` is a program of its own, of the standard library only: `supervise` turns
the process that checked the config into it. `python -m evalspan.processes` is the receiver:
`receive_in_its_own` turns a process that has read the config into it.
"""

from evalspan.processes._alone import AlreadyRunsError, alone
from evalspan.processes._become import receive_in_its_own, supervise
from evalspan.processes._part import Stop, run
from evalspan.processes._receive import Job, receive
from evalspan.processes._supervisor import EXIT_FATAL

__all__ = [
    "EXIT_FATAL",
    "AlreadyRunsError",
    "Job",
    "Stop",
    "alone",
    "receive",
    "receive_in_its_own",
    "run",
    "supervise",
]
