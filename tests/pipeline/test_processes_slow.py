"""A stage that outlasts the time its parent gives it to stop, and is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from replay_world import QUIET, write_log
from running_sidecar import wait_for

from evalspan import pipeline
from evalspan.model import SCORES
from evalspan.pipeline._word import read_word
from evalspan.testing import request, span

# Harmless, but it knocks and takes until the door is open.
PATIENT = """
import time
from pathlib import Path

def patient(span):
    Path(__file__).with_name("knock").touch()
    while not Path(__file__).with_name("door").exists():
        time.sleep(0.01)
    return True
"""
CONFIG = """
data: {data}
metrics: {{listen: "127.0.0.1:0"}}
settle: {{idle: 1s}}
checks:
  patient: {{use: "mine:patient", time_limit: 1h}}
"""
# The parent as it is, of one part, with less patience.
PARENT = """
import sys
from evalspan.processes import _supervisor

_supervisor.STOP_SECONDS = 2.0
sys.exit(_supervisor.Supervisor(["--config", sys.argv[1]], ["pipeline"]).run())
"""


@pytest.fixture
def settings(tmp_path: Path) -> pipeline.Settings:
    (tmp_path / "mine.py").write_text(PATIENT, encoding="utf-8")
    config = tmp_path / "evalspan.yaml"
    config.write_text(CONFIG.format(data=tmp_path / "data"), encoding="utf-8")
    settings = pipeline.load_settings(config)
    write_log(settings.log_folder, [(("traces", request(span(number=1, trace=1))),), *QUIET])
    return settings


@contextmanager
def _sidecar(settings: pipeline.Settings, told: Path) -> Iterator[None]:
    """Run the pipeline under its parent until the end of the block, and tell it to stop then."""
    with told.open("ab") as log:
        command = [sys.executable, "-c", PARENT, str(settings.file)]
        parent = subprocess.Popen(command, stderr=log)
    try:
        yield
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(60) == 0
    finally:
        parent.kill()
        parent.wait()


def test_a_slow_stage_that_is_killed_at_a_stop_is_not_suspected(
    settings: pipeline.Settings, tmp_path: Path
) -> None:
    def crashes() -> list[str]:
        word = read_word(settings.run_folder / "crashes.json")
        return [key.partition(":")[2] for key in word["segments"]] if word else []

    told = tmp_path / "sidecar.log"
    with _sidecar(settings, told):
        wait_for("the check is asked", (tmp_path / "knock").exists)
        assert crashes() == ["evaluate"]
    assert crashes() == []
    assert "event=part_killed" in told.read_text(encoding="utf-8")
    (tmp_path / "door").touch()
    tables = pipeline.store_of(settings)
    with _sidecar(settings, told):
        (score,) = wait_for("it is scored", lambda: tables.scan(SCORES).collect().to_dicts())
    assert (score["verdict"], score["error"]) == ("pass", None)
    assert "Traceback" not in told.read_text(encoding="utf-8")
