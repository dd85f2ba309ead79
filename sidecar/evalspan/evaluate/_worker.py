"""The child process that runs the user's checks: requests on stdin, a JSON line per answer.

Started by `_process`. A request is a JSON head and a frame in Arrow IPC; both are
read to their end before any code of the user runs.
"""

import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from evalspan import plugin
from evalspan.evaluate._check import BUILT_IN
from evalspan.evaluate._run import one_by_one, whole

Write = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer until stdin ends."""
    # Ctrl-C reaches the whole group; the parent decides when the work is finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = json.loads(sys.argv[1])
    sys.path.insert(0, setup["folder"])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the user's code prints must not stand among the answers
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()

    def write(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    write({"ready": True})
    while (sizes := sys.stdin.buffer.read(12)) and len(sizes) == 12:  # noqa: PLR2004 - 4 + 8 bytes
        _answer(setup, sys.stdin.buffer, sizes, write)


def _answer(setup: dict[str, Any], source: BinaryIO, sizes: bytes, write: Write) -> None:
    head = source.read(int.from_bytes(sizes[:4], "big"))
    frame = pl.read_ipc(BytesIO(source.read(int.from_bytes(sizes[4:], "big"))))
    folder = Path(setup["folder"])
    try:
        use, shape, arguments, start = pickle.loads(head)  # noqa: S301 - our parent wrote it
        function = plugin.load(BUILT_IN, use, folder).function
    except Exception as error:  # noqa: BLE001 - the user's module may do anything
        write({"error": f"{type(error).__name__}: {error}"})
        return
    write({"loaded": True})
    if shape == "spans":
        write({"columns": whole(function, arguments, frame).to_dict(as_series=False)})
        return
    for row, lines in one_by_one(shape, function, arguments, frame, setup["dimensions"], start):
        write({"row": row, "lines": lines})


def _end_with_parent(parent: int) -> None:
    """Leave when the parent is gone, even while the user's code hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
