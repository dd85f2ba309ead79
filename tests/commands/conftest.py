"""The command line as a user types it, in a folder of its own."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalspan.__main__ import main

CAPTURES = Path(__file__).parents[1] / "golden" / "captures"
CONFIG = """\
dimensions:
  customer: {attribute: app.customer}
checks:
  latency: {max_ms: 2000}
  status:
views:
  slow: {filter: "value > 100"}
"""


@dataclass(frozen=True)
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """The lines on standard error."""
        return [line for line in self.err.splitlines() if line.strip()]


Evalspan = Callable[..., Ran]


@pytest.fixture
def evalspan(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Evalspan:
    """Run the entry point in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALSPAN_CONFIG", raising=False)

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["evalspan", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exited:
            code = exited.code if isinstance(exited.code, int) else int(bool(exited.code))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def filled(evalspan: Evalspan, tmp_path: Path) -> Path:
    """A folder with a config and the data of three captured requests."""
    (tmp_path / "evalspan.yaml").write_text(CONFIG, encoding="utf-8")
    names = ("openinference/tool_loop", "otel-genai-event/chat", "otel-genai-event/chat.logs")
    done = evalspan("ingest", *(CAPTURES / f"{name}.binpb" for name in names))
    assert done.code == 0, done.err
    return tmp_path
