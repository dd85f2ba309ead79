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
from typing import Any, BinaryIO, Final

import polars as pl

from evalspan import plugin
from evalspan.evaluate._check import BUILT_IN
from evalspan.evaluate._run import one_by_one, whole

Write = Callable[[dict[str, Any]], None]
# Four bytes for the length of the head and eight for that of the frame.
_SIZES: Final = 12


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
        line = json.dumps(answer).encode() + b"\n"
        try:
            answers.write(line)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # who asked is gone, and nobody misses the answer

    write({"ready": True})
    while asked := _request(sys.stdin.buffer):
        _answer(setup, *asked, write)


def _request(source: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return the next head and frame; None where they are not whole: who asks is gone."""
    sizes = source.read(_SIZES)
    if len(sizes) < _SIZES:
        return None
    lengths = int.from_bytes(sizes[:4], "big"), int.from_bytes(sizes[4:], "big")
    head, frame = source.read(lengths[0]), source.read(lengths[1])
    return (head, frame) if (len(head), len(frame)) == lengths else None


def _answer(setup: dict[str, Any], head: bytes, body: bytes, write: Write) -> None:
    frame = pl.read_ipc(BytesIO(body))
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
