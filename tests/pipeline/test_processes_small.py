"""What stays small: the parent of the processes, and the receiver."""

import ast
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from evalspan import processes
from evalspan.processes import Job
from evalspan.receive import ReceiveSettings
from evalspan.wal import WalSettings

HEAVY = {"numpy", "polars", "pyarrow", "deltalake", "scipy", "anthropic", "typer"}
FOLDER = Path(processes.__file__).parent


def loaded_with(module: str) -> set[str]:
    """Return the packages that a fresh interpreter has after it imported a module."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_receiver_loads_no_library_of_tables() -> None:
    assert not loaded_with("evalspan.processes") & HEAVY


def test_the_write_side_loads_no_statistics_before_they_are_used() -> None:
    program = "import sys, evalspan.pipeline; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"scipy.stats", "scipy.special", "anthropic"} & set(done.stdout.split())


def test_the_parent_is_of_the_standard_library_only() -> None:
    tree = ast.parse((FOLDER / "_supervisor.py").read_text(encoding="utf-8"))
    names = [
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_receiver_is_told_its_settings_word_for_word(tmp_path: Path) -> None:
    job = Job(
        receive=ReceiveSettings(
            listen="127.0.0.1:0",
            retry_after=timedelta(milliseconds=1500),
            tls_certificate=tmp_path / "a b.pem",
            tls_key=tmp_path / "key.pem",
        ),
        wal=WalSettings(segment_age=timedelta(seconds=0.25), segment_size_mib=0.5, fsync=False),
        log_folder=tmp_path / "wal",
        run_folder=tmp_path / "run",
        above=7,
        parent=None,
    )
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert job.last_segment() == 7


def test_a_log_that_vanished_is_not_begun_anew_over_rows_of_an_old_one(tmp_path: Path) -> None:
    job = Job(
        receive=ReceiveSettings(),
        wal=WalSettings(),
        log_folder=tmp_path / "wal",
        run_folder=tmp_path / "run",
        above=None,
        parent=None,
    )
    with pytest.raises(RuntimeError, match="vanished"):
        job.last_segment()
