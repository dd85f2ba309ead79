"""What a part does when it cannot begin, and when it is told to stop in the middle of its work."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalspan import evaluate
from evalspan.model import SPANS
from evalspan.pipeline import Settings, _parts
from evalspan.pipeline._parts import EXIT_AGAIN
from evalspan.pipeline._trial import StoppedError


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the handlers of signals back that a part sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("checks", ["{}", "{status: {inline: true}}"])
def test_a_receiver_with_a_new_log_beside_a_damaged_table_says_so_in_one_line(
    checks: str, tmp_path: Path
) -> None:
    log = tmp_path / "data" / "tables" / SPANS.name / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020d}.json").write_bytes(b"garbage{")
    config = tmp_path / "evalspan.yaml"
    config.write_text(f"data: {tmp_path / 'data'}\nchecks: {checks}\n", encoding="utf-8")
    command = ["-m", "evalspan", "serve", "--config", str(config), "--only", "receive"]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == EXIT_AGAIN
    (line,) = done.stderr.splitlines()
    assert str(log.parent) in line
    assert "from a backup" in line


class Behind:
    """A write side with one segment, whose step is told to stop."""

    def __init__(self) -> None:
        self.steps = 0

    def waiting(self) -> list[Any]:
        return [object()]

    def step(self, _segment: object) -> None:
        self.steps += 1
        raise StoppedError

    def forget(self) -> None:
        pytest.fail("the segment is not done")


def test_a_search_that_is_told_to_stop_ends_the_loop(handlers: None) -> None:  # noqa: ARG001
    from evalspan.processes import Stop  # noqa: PLC0415 - it sets handlers of signals

    write = Behind()
    _parts._loop(write, Stop(None), lambda: None)  # type: ignore[arg-type]
    assert write.steps == 1


def test_the_pipeline_makes_its_checklists_and_prices_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    build, prices = evaluate.build_checklists, evaluate.Prices.__init__

    def counted(*given: Any, **more: Any) -> Any:  # noqa: ANN401
        made.append("checklists")
        return build(*given, **more)

    def priced(self: evaluate.Prices, *given: Any) -> None:  # noqa: ANN401
        made.append("prices")
        prices(self, *given)

    monkeypatch.setattr(evaluate, "build_checklists", counted)
    monkeypatch.setattr(evaluate.Prices, "__init__", priced)
    monkeypatch.setattr(_parts, "_loop", lambda *_: None)
    asked = {"manners": {"questions": {"thanks": "Does it thank?"}}}
    settings = Settings.model_validate(
        {
            "data": str(tmp_path),
            "checklists": asked,
            "checks": {"cost": {"max_usd": 1}},
            "metrics": {"listen": "127.0.0.1:0"},
        }
    )
    stop: Any = False
    assert _parts._pipeline(settings, stop) == 0
    assert sorted(made) == ["checklists", "prices"]
