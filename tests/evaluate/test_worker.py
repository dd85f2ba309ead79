"""The worker of the user's checks when whoever asked it is gone."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from evalspan.evaluate import _process


def _request() -> bytes:
    head = pickle.dumps(("mine:always", "spans", {}, 0))
    body = pl.DataFrame({"output_text": ["hello"]}).write_ipc(None).getvalue()
    return len(head).to_bytes(4, "big") + len(body).to_bytes(8, "big") + head + body


@pytest.mark.parametrize("asked", [_request(), _request()[:40], _request()[:-40], b"\0"])
def test_a_worker_whose_parent_is_gone_ends_without_a_word(asked: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def always(spans):\n    return True\n", encoding="utf-8")
    setup = json.dumps({"folder": str(tmp_path), "dimensions": []})
    with subprocess.Popen(
        [sys.executable, "-m", "evalspan.evaluate._worker", setup],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _process._SOURCE_ROOT},
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        assert worker.stderr
        assert json.loads(worker.stdout.readline()) == {"ready": True}
        worker.stdout.close()
        worker.stdin.write(asked)
        worker.stdin.close()
        assert worker.stderr.read() == b""
        assert worker.wait(60) == 0
