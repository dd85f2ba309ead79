"""serve on a data folder that another sidecar has: a moment of patience, then a clear refusal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_SECONDS = 120.0
CONFIG = 'receive: {listen: "127.0.0.1:0"}\nmetrics: {listen: "127.0.0.1:0"}\n'
# Holds the place of a parent for a moment, as one does that is ending.
ENDING = """\
import sys, time
from pathlib import Path
from evalspan.processes import alone
with alone(Path(sys.argv[1]), "serve"):
    print("up", flush=True)
    sys.stdin.readline()
    time.sleep(0.5)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "evalspan.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def start(place: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "evalspan", "serve"]
    return subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def first(place: Path) -> Iterator[subprocess.Popen[str]]:
    """A sidecar that has the data folder."""
    with start(place) as process:
        lock = place / "evalspan-data" / "run" / "serve.lock"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (lock.exists() and lock.read_text() == str(process.pid)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)


def test_a_second_sidecar_on_the_same_data_is_refused(
    place: Path, first: subprocess.Popen[str]
) -> None:
    with start(place) as second:
        _, told = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 2
    waits, refused = told.splitlines()
    assert "event=waiting_for_the_one_before" in waits
    assert f"process={first.pid}" in waits
    assert refused == (
        f"evalspan: evalspan-data/run/serve.lock: process {first.pid} does this work on the same "
        "data; stop it, or give this sidecar a data folder of its own"
    )
    assert first.poll() is None


def test_who_starts_while_the_one_before_ends_waits_for_it(place: Path) -> None:
    run_folder = place / "evalspan-data" / "run"
    command = [sys.executable, "-c", ENDING, str(run_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ending:
        assert ending.stdout is not None
        assert ending.stdin is not None
        assert ending.stdout.readline() == b"up\n"
        with start(place) as second:
            assert second.stderr is not None
            assert "waiting_for_the_one_before" in second.stderr.readline()
            ending.stdin.write(b"\n")
            ending.stdin.flush()
            heard = second.stderr.readline()
            second.send_signal(signal.SIGTERM)
            second.communicate(timeout=PATIENCE_SECONDS)
    assert "does this work on the same data" not in heard
    assert second.returncode == 0
    assert (run_folder / "serve.lock").read_text() == str(second.pid)


@pytest.mark.parametrize(("key", "only"), [("", ()), ("", ("--only", "analyse")), ("a key", ())])
def test_serve_says_that_judges_have_no_key(place: Path, key: str, only: tuple[str, ...]) -> None:
    checklist = "checklists: {tone: {questions: {good: 'Is it good?'}}}\n"
    (place / "evalspan.yaml").write_text(CONFIG + checklist, encoding="utf-8")
    command = [sys.executable, "-m", "evalspan", "serve", *only]
    environment = {**os.environ, "ANTHROPIC_API_KEY": key}
    log = place / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=place, stderr=file, env=environment)
    lock = place / "evalspan-data" / "run" / "analyse.lock"
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while not (lock.exists() if key else "judges_without_a_key" in log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_SECONDS)
    told = [line for line in log.read_text().splitlines() if "judges_without_a_key" in line]
    if key:
        assert told == []
        return
    (line,) = told
    assert "level=warning" in line
    assert "variable=ANTHROPIC_API_KEY" in line
    assert "judges=tone" in line
