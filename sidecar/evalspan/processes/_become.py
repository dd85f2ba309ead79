"""Turn this process into another program: the same process id, none of the memory."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from evalspan.processes._receive import Job

_SUPERVISOR: Final = Path(__file__).with_name("_supervisor.py")


def supervise(options: Sequence[str]) -> NoReturn:
    """Become the parent of all parts; `options` are those of `evalspan serve`. Raises OSError."""
    _become(["-P", str(_SUPERVISOR), *options])


def receive_in_its_own(job: Job) -> NoReturn:
    """Become the receiver and nothing else. Raises OSError."""
    _become(["-m", "evalspan.processes", "--only", "receive", job.model_dump_json()])


def _become(arguments: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - our own program
