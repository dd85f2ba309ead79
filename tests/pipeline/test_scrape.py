"""What a scrape shows while the pipeline works, and what checks cannot make of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.core import Metric
from replay_world import QUIET, Every, MortalStore, settings_of, take, write_log

from evalspan import model, wal
from evalspan.pipeline import evaluator_of, metrics_of, store_of, write_side_of
from evalspan.pipeline._build import checklists_of
from evalspan.pipeline._gauges import gauges
from evalspan.pipeline._settings import Settings
from evalspan.store import StoreError
from evalspan.testing import request, span

OPERATIONS = "gen_ai_client_operation_duration_seconds"


def test_a_segment_that_is_removed_during_a_scrape_does_not_fail_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write_log(settings.log_folder, [(), ()])
    evaluator = evaluator_of(settings)
    write = write_side_of(settings, store_of(settings), evaluator)
    listed = write.waiting()
    gone = replace(listed[0], path=tmp_path / "removed.wal")

    class Behind:
        pending_spans = 0

        def waiting(self) -> list[wal.Segment]:
            return [gone, *listed[1:]]

    found = {g.name: g.value for g in gauges(settings, Behind(), evaluator)}  # type: ignore[arg-type]
    assert found["evalspan_pending_segments"] == len(listed) - 1
    assert found["evalspan_pipeline_lag_seconds"] > 0
    evaluator.close()


def test_the_revision_in_force_is_shown_of_checks_and_of_checklists(tmp_path: Path) -> None:
    asked = {"manners": {"questions": {"thanks": "Does it thank?"}}}
    given = Settings.model_validate({"checklists": asked}).checklists
    settings = settings_of(tmp_path).model_copy(update={"checklists": given})
    evaluator, checklists = evaluator_of(settings), checklists_of(settings)
    write = write_side_of(settings, store_of(settings), evaluator)
    found = {
        (g.labels["check"], g.labels["evaluator"]): g.labels["revision"]
        for g in gauges(settings, write, evaluator, checklists)
        if g.name == "evalspan_check_info"
    }
    evaluator.close()
    assert found["manners", "judge"] == checklists["manners"].revision
    assert found["latency", "check"] == evaluator.checks["latency"].revision


def test_spans_are_pending_until_their_verdicts_are_counted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    calls = request(*(span(number=100 * n, trace=n) for n in range(1, 6)))
    evaluator, shown = evaluator_of(settings), metrics_of(settings)
    seen: list[tuple[int | None, float]] = []

    def scraped(_stage: str) -> AbstractContextManager[None]:
        measured = next(m for m in shown.collect() if m.name == OPERATIONS)
        calls = sum(s.value for s in measured.samples if s.name == f"{OPERATIONS}_count")
        now = (write.pending_spans, calls)
        if now not in seen[-1:]:
            seen.append(now)
        return nullcontext()

    write = write_side_of(settings, store_of(settings), evaluator, shown, scraped)
    write_log(settings.log_folder, [[("traces", calls)], *QUIET])
    for segment in write.waiting():
        write.step(segment)
    scraped("the end")
    evaluator.close()

    assert seen == [(0, 0.0), (5, 0.0), (0, 5.0)]


def test_what_waits_is_not_told_before_a_start_has_caught_up(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write_log(settings.log_folder, [[("traces", request(span()))], ()])
    evaluator = evaluator_of(settings)
    write = write_side_of(settings, store_of(settings), evaluator)
    told = []
    for segment in write.waiting():
        told.append(write.pending_spans)
        assert "evalspan_pending_spans" not in {g.name for g in gauges(settings, write, evaluator)}
        write.step(segment)
    evaluator.close()
    assert len(told) > 1
    assert set(told) == {None}
    assert write.pending_spans == 1


def test_a_replay_counts_no_call_again_where_no_check_is_configured(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"checks": {}})
    calls = request(*(span(number=100 * n, trace=n) for n in range(1, 6)))
    write_log(settings.log_folder, [[("traces", calls)], *QUIET])

    def live() -> dict[str, float]:
        evaluator, shown = evaluator_of(settings), metrics_of(settings)
        write = write_side_of(settings, store_of(settings), evaluator, shown)
        for segment in write.waiting():
            write.step(segment)
        evaluator.close()
        samples = [s for metric in shown.collect() for s in metric.samples]
        names = (f"{OPERATIONS}_count", "evalspan_traces_settled_total")
        return {name: sum(s.value for s in samples if s.name == name) for name in names}

    assert set(live().values()) == {5.0}
    assert set(live().values()) == {0.0}


def test_a_disk_that_fails_after_any_commit_costs_no_count(tmp_path: Path) -> None:
    calls = request(*(span(number=100 * n, trace=n) for n in range(1, 6)))

    def counted(folder: Path, happens: Callable[[str], None]) -> dict[tuple[str, str], float]:
        settings = settings_of(folder)
        write_log(settings.log_folder, [[("traces", calls)], *QUIET])
        evaluator, shown = evaluator_of(settings), metrics_of(settings)
        tables = MortalStore(settings.tables_folder, happens)
        take(write_side_of(settings, tables, evaluator, shown), None)
        evaluator.close()
        samples = [s for metric in shown.collect() for s in metric.samples]
        return {
            (s.name, str(s.labels)): s.value
            for s in samples
            if s.name.endswith(("_total", "_count"))
        }

    refusals = Every(StoreError)
    undisturbed = counted(tmp_path / "whole", lambda _: None)
    assert sum(undisturbed.values()) > 0
    assert counted(tmp_path / "refused", refusals) == undisturbed
    assert "after ledger of 1" in refusals.places


def _items(settings: Settings, *items: str) -> set[str]:
    """Return the items that the metrics show after verdicts on these."""
    shown = metrics_of(settings)
    names = [*model.SCORES.schema.names, *settings.dimensions]
    empty = pl.DataFrame(model.SCORES.empty()).select(names)
    rows = pl.DataFrame(
        {"check": ["own"] * len(items), "item": items, "trace_id": ["t"] * len(items)}
    )
    shown.count_scores(pl.concat([empty, rows], how="diagonal"))
    verdicts: Metric = next(m for m in shown.collect() if m.name == "evalspan_verdicts")
    return {sample.labels["item"] for sample in verdicts.samples}


@pytest.mark.parametrize("count", [10, 1000])
def test_items_of_a_check_that_are_any_text_stay_within_the_budget(count: int) -> None:
    settings = Settings.model_validate({"metrics": {"budget": 20}})
    found = _items(settings, *(f"path/{number}" for number in range(count)))
    assert len(found) == (10 if count == 10 else 21)
    assert ("__other__" in found) == (count > 20)


def test_the_questions_of_the_config_are_shown_whatever_else_comes_first() -> None:
    questions = {f"question_{number}": "Is it so?" for number in range(30)}
    settings = Settings.model_validate(
        {"metrics": {"budget": 5}, "checklists": {"manners": {"questions": questions}}}
    )
    found = _items(settings, *(f"path/{number}" for number in range(100)), *questions)
    assert set(questions) < found
    assert len(found) == 36
