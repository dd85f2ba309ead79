"""The judge beside the pipeline: its cursor, late spans, crashes, and what the metrics show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from read_world import World

from evalspan import llm, pipeline, testing, wal
from evalspan.model import LEDGER, SCORES
from evalspan.pipeline._judge import Judging, judge_app
from evalspan.pipeline._verdicts import JudgeCounts

CHECKLIST = """
checklists:
  tone:
    questions: {good: "Is it an object?"}
"""


class Judges:
    """A world with a checklist, and a judge that says yes."""

    def __init__(self, folder: Path, more: str = CHECKLIST) -> None:
        self.world = World(folder, more=more)
        self.shown = pipeline.metrics_of(self.world.settings)

    def calls(self, *numbers: int, parent: int | None = None) -> None:
        spans = []
        for number in numbers:
            span = self.world.call(number, "v1", good=True, hours=1)
            if parent is not None:
                span.trace_id = testing.trace_id(parent)
                span.span_id = testing.span_id(number)
            spans.append(span)
        self.world.take_in(*spans)

    def judging(self, answers: int | Callable[..., Any]) -> Judging:
        if isinstance(answers, int):
            said = {"question": "good", "answer": "yes", "quote": "Thing"}
            ask: Any = testing.ScriptedAsk([{"answers": [said]}] * answers)
        else:
            ask = answers
        return Judging(self.world.settings, self.world.tables, ask)

    def counts(self) -> JudgeCounts:
        settings = self.world.settings
        names = tuple(settings.checklists)
        folder, dimensions = settings.log_folder, tuple(settings.dimensions)
        return JudgeCounts(folder, self.world.tables, self.shown, names, dimensions)

    def rows(self) -> pl.DataFrame:
        scores = self.world.tables.scan(SCORES).filter(pl.col("evaluator") == "judge")
        return scores.collect()

    def line(self) -> Any:  # noqa: ANN401 - a line of the ledger
        book = pipeline.read_ledger(self.world.settings)
        return next(line for line in book.checks if line.check == "tone")

    def metric(self, name: str, **labels: str) -> float:
        samples = (s for family in self.shown.collect() for s in family.samples)
        fitting = (s for s in samples if s.name == name and labels.items() <= s.labels.items())
        return sum(s.value for s in fitting)


def drain(judging: Judging) -> int:
    steps = 0
    while judging.step():
        steps += 1
    return steps


def test_the_judge_goes_on_where_it_was(tmp_path: Path) -> None:
    judges = Judges(tmp_path)
    judges.calls(1, 2, 3)
    assert (judges.line().expected, judges.line().pending) == (3, 3)
    assert drain(judges.judging(3)) == 1
    assert judges.rows().height == 6
    assert judges.line().pending == 0
    assert drain(judges.judging(0)) == 0
    judges.calls(4)
    judges.calls(5)
    assert judges.line().pending == 2
    assert drain(judges.judging(2)) == 1
    assert judges.rows().filter(pl.col("item") == "good")["trace_id"].n_unique() == 5
    assert pipeline.read_ledger(judges.world.settings).balanced


def test_late_spans_are_judged_and_the_others_not_again(tmp_path: Path) -> None:
    judges = Judges(tmp_path)
    judges.calls(1)
    drain(judges.judging(1))
    judges.calls(7, parent=1)
    assert judges.line().pending == 1
    drain(judges.judging(1))
    whole = judges.rows().filter(pl.col("item") == "")
    assert sorted(whole.select("span_id", "attempt").rows()) == [
        (testing.span_id(1).hex(), 1),
        (testing.span_id(7).hex(), 2),
    ]
    assert judges.line().pending == 0


def test_attempts_that_wait_together_are_told_apart(tmp_path: Path) -> None:
    judges = Judges(tmp_path)
    judges.calls(1)
    judges.calls(7, parent=1)
    drain(judges.judging(2))
    whole = judges.rows().filter(pl.col("item") == "")
    assert sorted(whole["attempt"]) == [1, 2]
    assert judges.line().pending == 0


def test_a_crash_between_ask_and_commit_asks_again_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judges = Judges(tmp_path)
    judges.calls(1, 2)

    class CrashError(Exception):
        pass

    def crash(*_: object) -> bool:
        raise CrashError

    with monkeypatch.context() as broken:
        broken.setattr(judges.world.tables, "commit", crash)
        with pytest.raises(CrashError):
            judges.judging(2).step()
    assert judges.rows().is_empty()
    assert judges.line().pending == 2
    drain(judges.judging(2))
    assert judges.rows().height == 4
    assert drain(judges.judging(0)) == 0
    assert judges.line().pending == 0


def test_a_judge_that_cannot_be_asked_is_an_error_and_not_pending(tmp_path: Path) -> None:
    judges = Judges(tmp_path)
    judges.calls(1)
    counts = judges.counts()
    drain(judges.judging(testing.ScriptedAsk([llm.LLMError("no key")])))
    line = judges.line()
    assert (line.expected, line.done, line.error, line.pending) == (1, 0, 1, 0)
    counts.look()
    assert judges.metric("evalspan_evaluations_total", check="tone", outcome="error") == 1
    assert judges.metric("evalspan_verdicts_total", check="tone", verdict="error") == 2


def test_verdicts_of_judges_are_counted_once_per_commit(tmp_path: Path) -> None:
    judges = Judges(tmp_path)
    judges.calls(1)
    drain(judges.judging(1))
    # Committed before this process began: a restart is a plain counter reset.
    counts = judges.counts()
    counts.look()
    assert judges.metric("evalspan_verdicts_total", check="tone") == 0
    judges.calls(2, 3)
    drain(judges.judging(2))
    for _ in range(2):
        counts._next_look = 0.0
        counts.look()
        assert judges.metric("evalspan_verdicts_total", check="tone", verdict="pass") == 2
        assert judges.metric("evalspan_evaluations_total", check="tone", outcome="done") == 2


def test_a_new_checklist_judges_what_settles_from_now_on(tmp_path: Path) -> None:
    Judges(tmp_path, more="").calls(1, 2)
    judges = Judges(tmp_path)
    assert drain(judges.judging(0)) == 0
    judges.calls(3)
    drain(judges.judging(1))
    assert judges.line().pending == 0
    assert pipeline.read_ledger(judges.world.settings).balanced


def test_more_traces_than_a_step_takes_are_judged_in_whole_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalspan.pipeline._judge.TRACES_PER_STEP", 3)
    judges = Judges(tmp_path)
    judges.calls(1, 2)
    judges.calls(3, 4)
    judges.calls(5, 6, 7, 8, 9)
    assert drain(judges.judging(9)) >= 2
    assert judges.rows().filter(pl.col("item") == "")["trace_id"].n_unique() == 9
    app = wal.log_id(judges.world.settings.log_folder)
    assert app is not None
    tables = judges.world.tables
    assert tables.committed(SCORES, judge_app(app, "tone")) == tables.committed(LEDGER, app)


def test_the_stand_in_judges_over_the_wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a key of the stand-in")
    with testing.ModelServer() as server:
        more = CHECKLIST.replace("Is it an object?", "Is it named?")
        judges = Judges(tmp_path, more + f"llm: {{base_url: '{server.url}'}}\n")
        judges.calls(*range(1, 21))
        drain(Judging(judges.world.settings, judges.world.tables))
    verdicts = judges.rows().filter(pl.col("item") == "good")["verdict"]
    assert len(verdicts) == 20
    assert (verdicts == "pass").sum() >= 16
    assert judges.line().pending == 0
