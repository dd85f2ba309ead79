"""A crash and a replay as the real Prometheus sees them: a counter reset, and nothing twice."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))

from processes import wait_for
from replay_world import QUIET, Killed, MortalStore, settings_of, write_log
from servers import Prometheus, Stack

from evalspan.metrics import Metrics, serve
from evalspan.model import SCORES, SPANS
from evalspan.pipeline import Settings, WriteSide, evaluator_of, metrics_of, write_side_of
from evalspan.store import Store
from evalspan.testing import request, span

pytestmark = pytest.mark.stack

# Traces settle some segments later: when it is killed, most of them are counted, not all.
SPANS_EACH, SEGMENTS, KILLED_AT = 20, 8, 8
COUNTERS = ("evalspan_verdicts_total", "evalspan_evaluations_total", "evalspan_spans_total")
CALLS = "gen_ai_client_operation_duration_seconds_count"


@contextmanager
def life(
    settings: Settings, port: int, happens: Callable[[str], None]
) -> Iterator[tuple[WriteSide, Metrics, int]]:
    """Run a pipeline with its page until the end of the block; nothing of it stays."""
    evaluator, shown = evaluator_of(settings), metrics_of(settings)
    page = serve(f"127.0.0.1:{port}", shown, {})
    try:
        tables = MortalStore(settings.tables_folder, happens)
        yield write_side_of(settings, tables, evaluator, shown), shown, page.server_port
    finally:
        page.shutdown()
        page.server_close()
        evaluator.close()


def take(write: WriteSide) -> None:
    """Take the log to its end."""
    for segment in write.waiting():
        write.step(segment)


def total(shown: Metrics) -> float:
    """Return what the page has of the counters that are looked at."""
    samples = (s for metric in shown.collect() for s in metric.samples)
    return sum(s.value for s in samples if s.name in (*COUNTERS, CALLS))


def scraped(server: Prometheus, shown: Metrics, job: str) -> None:
    """Wait until Prometheus has all that the page shows."""
    names = "|".join((*COUNTERS, CALLS))
    newest = f'sum({{__name__=~"{names}",job="{job}"}})'

    def same() -> bool:
        return server.value(newest) == total(shown)

    wait_for(same, "the page as it is now is scraped", seconds=60)


def rises(server: Prometheus, series: str) -> float:
    """Add up what the series counted, restarts taken into account."""
    found = server._api("query", query=f"{series}[1h]")["result"]
    values = ([0.0, *(float(value) for _, value in one["values"])] for one in found)
    return sum(b if b < a else b - a for one in values for a, b in pairwise(one))


def kill_before_ledger_of(segment: int) -> Callable[[str], None]:
    """Kill when everything of a segment is written but the row that says so."""

    def happens(place: str) -> None:
        if place == f"before ledger of {segment}":
            raise Killed

    return happens


def test_a_crash_is_a_counter_reset_and_a_replay_counts_nothing_twice(
    tmp_path: Path, stack: Stack
) -> None:
    settings = settings_of(tmp_path / "data")
    segments = [
        [("traces", request(*(span(number=1000 * s + n, trace=1000 * s + n) for n in numbers)))]
        for s in range(1, SEGMENTS + 1)
        for numbers in [range(1, SPANS_EACH + 1)]
    ]
    write_log(settings.log_folder, [*segments, *QUIET])
    with life(settings, 0, kill_before_ledger_of(KILLED_AT)) as (write, shown, port):
        server = stack.prometheus({"evalspan": f"http://127.0.0.1:{port}/metrics"})
        scraped(server, shown, "evalspan")  # the zeros it begins with
        with pytest.raises(Killed):
            take(write)
        before = total(shown)
        scraped(server, shown, "evalspan")
    with life(settings, port, lambda _: None) as (write, shown, _):
        scraped(server, shown, "evalspan")
        take(write)
        after = total(shown)
        scraped(server, shown, "evalspan")

    # Less than before, or Prometheus could not tell: a label first shown has no 0 before it.
    assert before > after > 0
    stored = Store(settings.tables_folder)
    spans = stored.scan(SPANS).collect().height
    verdicts = stored.scan(SCORES).filter(pl.col("skipped").is_null()).collect().height
    assert spans == SPANS_EACH * SEGMENTS
    assert verdicts >= spans
    outcome = 'evalspan_spans_total{outcome="stored"}'
    assert rises(server, outcome) == spans
    assert rises(server, "evalspan_verdicts_total") == verdicts
    assert rises(server, 'evalspan_evaluations_total{outcome="done"}') == verdicts
    assert rises(server, CALLS) == spans
    # Prometheus's own function extrapolates to the edges of its window, by a step or so.
    assert server.value(f"increase({outcome}[10m])") == pytest.approx(spans, rel=0.3)
    assert server.value(f"resets({outcome}[10m])") == 1
