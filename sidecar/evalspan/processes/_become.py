"""Turn this process into another program: the same process id, none of the memory."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from evalspan.processes._alone import hold
from evalspan.processes._part import log_as
from evalspan.processes._receive import Job

# Long enough for one that is ending: a sidecar that goes on running is not waited for.
WAIT_SECONDS: Final = 5.0
_SUPERVISOR: Final = Path(__file__).with_name("_supervisor.py")


def supervise(options: Sequence[str], run_folder: Path) -> NoReturn:
    """Become the parent of all parts; `options` are those of `evalspan serve`.

    Raises AlreadyRunsError where another parent has the data folder, and OSError.
    """
    log_as("serve")
    hold(run_folder, "serve", wait_seconds=WAIT_SECONDS)
    _become(["-P", str(_SUPERVISOR), *options])


def receive_in_its_own(job: Job) -> NoReturn:
    """Become the receiver and nothing else. Raises OSError."""
    _become(["-m", "evalspan.processes", "--only", "receive", job.model_dump_json()])


def _become(arguments: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - our own program
