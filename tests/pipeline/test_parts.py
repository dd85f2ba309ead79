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
from evalspan.processes import _supervisor


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


class Backlog:
    """A write side with many segments that take some time each; told to stop during one."""

    def __init__(self, segments: int, *, seconds: float, told_at: int) -> None:
        self.now = self.told = 0.0
        self._left = list(range(segments))
        self._seconds, self._told_at = seconds, told_at

    def waiting(self) -> list[Any]:
        return [*self._left] if self._begun else []

    def step(self, segment: int) -> None:
        self._left.remove(segment)
        if segment == self._told_at:
            self.told = self.now + 1e-3
        self.now += self._seconds

    def forget(self) -> None:
        """Nothing is kept."""

    def __bool__(self) -> bool:
        """Whether it is time to stop."""
        return bool(self.told)

    def wait(self, _seconds: float) -> bool:
        """Be idle for an hour before the first segment comes."""
        self.now += 3600
        return bool(self)

    @property
    def _begun(self) -> bool:
        return self.now >= 3600

    @property
    def left(self) -> int:
        return len(self._left)


def _gone_through(backlog: Backlog) -> float:
    """Return for how long it goes on after it was told to stop."""
    stop: Any = backlog
    write: Any = backlog
    _parts._loop(write, stop, lambda: None, lambda: backlog.now)
    return backlog.now - backlog.told


def test_a_stop_takes_what_was_accepted_to_its_end() -> None:
    backlog = Backlog(100, seconds=0.1, told_at=5)
    _gone_through(backlog)
    assert backlog.left == 0


@pytest.mark.parametrize("seconds", [1, 4, 14, 100])
def test_a_stop_ends_in_time_and_leaves_the_rest_in_the_log(seconds: float) -> None:
    backlog = Backlog(100, seconds=seconds, told_at=5)
    assert _gone_through(backlog) < max(_supervisor.STOP_SECONDS, seconds)
    assert 100 - 6 - _parts.DRAIN_SECONDS / seconds <= backlog.left


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
