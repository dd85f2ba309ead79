"""Read what a sidecar of a test has written: its ledger and its tables."""

import json
import subprocess
import sys
from typing import Any

import polars as pl
from processes import Process

BALANCED, UNBALANCED = 0, 1


def read_ledger(sidecar: Process) -> dict[str, Any]:
    """Return what `evalspan ledger --json` prints for this sidecar."""
    command = [sys.executable, "-m", "evalspan", "ledger", "--json", "--config", "evalspan.yaml"]
    done = subprocess.run(
        command, cwd=sidecar.folder, capture_output=True, check=False, timeout=120, text=True
    )
    assert done.returncode in {BALANCED, UNBALANCED}, done.stderr
    assert done.stdout, done.stderr
    book: dict[str, Any] = json.loads(done.stdout)
    return book


def table(sidecar: Process, name: str) -> pl.DataFrame:
    """Return all rows of a table, as they stand on disk."""
    return pl.read_delta(str(sidecar.folder / "data" / "tables" / name))
