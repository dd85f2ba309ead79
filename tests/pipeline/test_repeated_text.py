"""A text that came once and that thousands of spans and verdicts repeat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from replay_world import QUIET, Lives, Requests, settings_of, write_log

from evalspan import evaluate
from evalspan.model import SCORES, SPANS
from evalspan.pipeline import read_ledger
from evalspan.pipeline._poison import CRASHES, Poison
from evalspan.pipeline._word import read_word
from evalspan.testing import plain_span, request, span, trace_id

CHILDREN = 1_000
LONG = "P" * 50_000
BAD_TRACE = trace_id(7).hex()


class DiedError(BaseException):
    """The process ends here; it is no Exception."""


def _story() -> Sequence[Requests]:
    root = plain_span("answer", number=1, trace=7, attributes={"gen_ai.prompt.name": LONG})
    calls = (span(number=2 + n, trace=7, parent=1, system=None) for n in range(CHILDREN))
    other = request(span(number=9_001, trace=8))
    return [(("traces", request(root, *calls)), ("traces", other)), *QUIET]


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    write_log(tmp_path / "log", _story())
    return Lives.of(tmp_path / "log", tmp_path / "data")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[pa.Table]:
    """The SCORES of each segment, as they are in memory."""
    found: list[pa.Table] = []
    for name in ("evaluate", "refuse"):
        whole = getattr(evaluate.Evaluator, name)

        def noted(*given: Any, _whole: Any = whole, **more: Any) -> Any:  # noqa: ANN401 - as it is
            evaluated = _whole(*given, **more)
            found.append(evaluated.scores)
            return evaluated

        monkeypatch.setattr(evaluate.Evaluator, name, noted)
    return found


def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let evaluation have been given up for the trace with the long name."""
    why = {BAD_TRACE: "stage evaluate ended the process (SIGABRT)"}

    def unevaluated(
        _self: Poison, _segment: object, spans: pl.DataFrame, _context: pl.DataFrame
    ) -> dict[str, str]:
        return why if BAD_TRACE in spans["trace_id"].to_list() else {}

    monkeypatch.setattr(Poison, "unevaluated", unevaluated)


@pytest.mark.parametrize("refused", [False, True], ids=["evaluated", "refused"])
def test_scores_stay_small_however_often_a_long_name_is_inherited(
    refused: bool,  # noqa: FBT001 - a parameter
    lives: Lives,
    written: list[pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if refused:
        _poisoned(monkeypatch)
    lives.run()
    assert sum(scores.nbytes for scores in written) < 5 * CHILDREN * 1_000
    scores = lives.frame(SCORES).filter(trace_id=BAD_TRACE)
    assert scores.filter(check="latency").height == CHILDREN + refused
    assert set(scores.filter(check="latency")["prompt_name"]) == {LONG[:200]}
    assert set(scores["error"].is_null()) == {not refused}
    names = lives.frame(SPANS).filter(trace_id=BAD_TRACE)["prompt_name"]
    assert names.drop_nulls().to_list() == [LONG], "the table of spans keeps what came"
    book = read_ledger(settings_of(lives.data))
    assert book.balanced
    assert book.pending == 0


def test_a_process_that_dies_of_refusing_is_noted_as_well(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    _poisoned(monkeypatch)

    def dies(*_given: object, **_more: object) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(evaluate.Evaluator, "refuse", dies)
        for _ in range(CRASHES):
            with pytest.raises(DiedError):
                lives.run()
    crashes = read_word(lives.data / "run" / "crashes.json")
    assert crashes is not None
    (stage,) = crashes["segments"]
    assert (stage.partition(":")[2], crashes["segments"][stage]) == ("refuse", CRASHES)
    lives.run()
    assert lives.frame(SCORES).filter(trace_id=BAD_TRACE)["error"].is_not_null().all()
    crashes = read_word(lives.data / "run" / "crashes.json")
    assert crashes is not None
    assert crashes["segments"] == {}
