"""The past as text: what a scrape at each step would have shown."""

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from metric_pages import START, Clock, customers, metrics_with, scores
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from evalspan.metrics import OTHER, History, Metrics

STEP = 60
VALUE = "evalspan_check_value"
TOTAL = "evalspan_verdicts_total"
EXPIRE = timedelta(hours=1)
HOURS = 6
UNTIL = START + HOURS * 3600
Key = tuple[str, frozenset[tuple[str, str]]]
Row = dict[str, Any]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def written(
    rows: Sequence[Row],
    folder: Path,
    *,
    budgets: dict[str, int] | None = None,
    until: float = UNTIL,
    step: int = STEP,
    **more: Any,  # noqa: ANN401 - whatever metrics take
) -> str:
    """Return the text of these verdicts, added an hour at a time."""
    metrics = metrics_with(budgets or {"customer": 50}, Clock(), **more)
    history = History(
        metrics,
        folder,
        until=moment(until),
        step=timedelta(seconds=step),
        expire_after=EXPIRE,
    )
    for hour in range(HOURS):
        first, last = (moment(START + 3600 * (hour + n)) for n in (0, 1))
        frame = scores(*(row for row in rows if first <= row["time"] < last))
        history.add(frame)
    text = io.StringIO()
    for _ in history.write(text, {}):
        pass
    return text.getvalue()


def samples(text: str) -> dict[Key, list[tuple[float, float]]]:
    """Return time and value of the samples of each series."""
    found: dict[Key, list[tuple[float, float]]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        head, value, at = line.rsplit(" ", 2)
        name, _, labels = head.partition("{")
        pairs = frozenset(tuple(pair.split("=", 1)) for pair in labels[:-1].split(","))
        found.setdefault((name, pairs), []).append((float(at), float(value)))
    return found


def shown_at(history: list[tuple[float, float]], at: float) -> float | None:
    """Return the value that Prometheus has at a time: the newest of five minutes."""
    near = [value for time, value in history if at - 300 < time <= at]
    return near[-1] if near else None


def live(
    rows: Sequence[Row],
    at: Sequence[float],
    **more: Any,  # noqa: ANN401 - whatever metrics take
) -> list[dict[Key, float]]:
    """Return what the page shows at these times, scraped at each step until then."""
    clock = Clock(START)
    metrics = metrics_with({"customer": 50}, clock, expire_after=EXPIRE, **more)
    waiting, pages = sorted(rows, key=lambda row: row["time"]), []
    while clock.now < max(at):
        clock.forward(STEP)
        due = [row for row in waiting if row["time"].timestamp() < clock.now]
        waiting = waiting[len(due) :]
        if due:
            clock.now -= 1
            metrics.count_scores(scores(*due))
            clock.now += 1
        page = _page(metrics)
        if clock.now in at:
            pages.append(page)
    return pages


def _page(metrics: Metrics) -> dict[Key, float]:
    families = (f for f in metrics.collect() if f.name in ("evalspan_verdicts", VALUE))
    return {
        (s.name, frozenset((k, f'"{v}"') for k, v in s.labels.items() if v)): s.value
        for f in families
        for s in f.samples
    }


ROWS = st.builds(
    lambda seconds, customer, verdict, error, value: {
        "time": moment(START + seconds),
        "customer": customer,
        "verdict": verdict,
        "error": error,
        "value": value,
    },
    st.sampled_from(range(0, HOURS * 3600, 37)),
    st.sampled_from(["acme", "globex", None]),
    st.sampled_from(["pass", "pass", "fail", None]),
    st.sampled_from([None, None, None, "it broke"]),
    st.sampled_from([None, 0.0, 0.05, 7.0, 2000.0, -3.0, -0.5, float("inf"), float("nan")]),
)


IDLE_FOR_AN_HOUR = [
    {"time": moment(START + at), "customer": "acme", "verdict": "pass", "error": None, "value": 1.0}
    for at in (0, 9620, 13283, 16870)  # 61 steps between the second and the third, then 60
]


BOUNDS = st.sampled_from([None, {"latency": (-2.0, 0.0, 50.0)}, {"latency": (0.5,)}])


@example(rows=IDLE_FOR_AN_HOUR, bounds=None)
@given(rows=st.lists(ROWS, max_size=25), bounds=BOUNDS)
@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a story is slow to tell again
    deadline=None,
)
def test_it_is_what_scrapes_would_have_shown(
    rows: list[Row],
    bounds: dict[str, tuple[float, ...]] | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = samples(written(rows, tmp_path_factory.mktemp("history"), bounds=bounds))
    at = [START + STEP * number for number in (1, 2, 30, 59, 60, 61, 119, 150, 200, 300, 359)]
    same_as_live(found, rows, at, bounds=bounds)
    for (name, labels), history in found.items():
        times = [time for time, _ in history]
        assert times == sorted(set(times)), (name, labels)
        assert history[0][1] == 0
        assert history[-1][1] == 0
        assert times[-1] < UNTIL


def same_as_live(
    found: dict[Key, list[tuple[float, float]]],
    rows: Sequence[Row],
    at: Sequence[float],
    **more: Any,  # noqa: ANN401 - whatever metrics take
) -> None:
    """Fail where a page shows what the past does not, or the other way round."""
    for time, page in zip(at, live(rows, at, **more), strict=True):
        past = {key: shown_at(history, time) for key, history in found.items()}
        for key, value in page.items():
            assert past[key] == pytest.approx(value), (key, time)
        assert {key for key, value in past.items() if value} <= page.keys()


def test_what_overflows_the_budget_of_series_is_where_the_page_has_it(tmp_path: Path) -> None:
    early = [(n, f"c{n}") for n in range(14)]
    late = [(200 + n, f"c{n}") for n in range(8, 14)]  # when the early ones have expired
    rows = [
        {"time": moment(START + 60 * n + 5), "customer": customer, "verdict": "pass", "value": 1.0}
        for n, customer in early + late
    ]
    found = samples(written(rows, tmp_path, series_budget=40))
    at = [START + STEP * number for number in (3, 14, 40, 202, 209, 240)]
    same_as_live(found, rows, at, series_budget=40)
    assert _counted_by_customer(found, TOTAL).keys() == {*(f"c{n}" for n in range(14)), OTHER}
    assert _counted_by_customer(found, TOTAL).total() == len(rows)
    values = _counted_by_customer(found, f"{VALUE}_count")
    assert (len(values), values.total()) == (2 * 2 + 1, len(rows))


def _counted_by_customer(found: dict[Key, list[tuple[float, float]]], name: str) -> Counter[str]:
    counted = Counter[str]()
    for (of, labels), history in found.items():
        if of == name:
            counted[dict(labels)["customer"].strip('"')] += int(_rises(history))
    return counted


def test_numbers_below_zero_make_no_sum_of_the_past_fall(tmp_path: Path) -> None:
    rows = [
        {"time": moment(START + 60 * n + 5), "customer": "acme", "value": value}
        for n, value in enumerate((5.0, -3.0, -4.0, 1.5))
    ]
    found = samples(written(rows, tmp_path))
    (total,) = (history for (name, _), history in found.items() if name == f"{VALUE}_sum")
    assert shown_at(total, START + 300) == 6.5
    below = samples(written(rows, tmp_path, bounds={"latency": (-2.0, 0.0)}))
    assert {name for name, _ in below if name.startswith(VALUE)} == {f"{VALUE}_bucket"}


def test_counters_are_grouped_by_series_and_the_text_ends(tmp_path: Path) -> None:
    rows = [
        {"time": moment(START + 1000 * n), "customer": f"c{n % 3}", "verdict": "pass"}
        for n in range(20)
    ]
    text = written(rows, tmp_path)
    assert text.endswith("# EOF\n")
    verdicts, values = text_string_to_metric_families(text)  # refuses what is not grouped
    assert (verdicts.name, verdicts.type) == ("evalspan_verdicts", "counter")
    assert (values.name, values.type, values.samples) == (VALUE, "histogram", [])


def test_nothing_is_an_empty_text(tmp_path: Path) -> None:
    text = written([], tmp_path)
    assert [line for line in text.splitlines() if not line.startswith("#")] == []
    assert text.endswith("# EOF\n")


def test_a_series_that_expired_comes_back_from_zero(tmp_path: Path) -> None:
    rows = [
        {"time": moment(START + seconds), "customer": "acme", "verdict": "pass"}
        for seconds in (10, 20, 4 * 3600)
    ]
    found = samples(written(rows, tmp_path))
    history = next(h for (_, labels), h in found.items() if ("verdict", '"pass"') in labels)
    assert shown_at(history, START + 3000) == 2
    assert shown_at(history, START + 2 * 3600) is None
    assert shown_at(history, START + 4 * 3600 + 60) == 1


def test_budgets_hold_over_time_and_places_are_used_again(tmp_path: Path) -> None:
    rows = [
        {"time": moment(START + seconds), "customer": customer, "verdict": "pass"}
        for seconds, customer in (
            *((n, f"early {n}") for n in range(5)),
            *((4 * 3600 + n, f"late {n}") for n in range(5)),
        )
    ]
    found = samples(written(rows, tmp_path, budgets={"customer": 2}))
    named = {dict(labels)["customer"].strip('"') for _, labels in found}
    assert named == {"early 0", "early 1", "late 0", "late 1", OTHER}
    for at in range(int(START), int(UNTIL), 600):
        alive = {dict(k[1])["customer"] for k, h in found.items() if shown_at(h, at) is not None}
        assert len(alive) <= 3


def test_labels_that_must_be_escaped_come_back_as_they_were(tmp_path: Path) -> None:
    nasty = 'a"b\\c\nd\\n ü # {x="y"} 1'
    rows = [{"time": moment(START + 5), "customer": nasty, "verdict": "pass"}]
    verdicts, _ = text_string_to_metric_families(written(rows, tmp_path))
    assert {sample.labels["customer"] for sample in verdicts.samples} == {nasty}


def test_steps_that_no_hour_has_whole_ones_of_count_nothing_twice(tmp_path: Path) -> None:
    rows = [
        {"time": moment(START + 300 * n), "customer": "acme", "verdict": "pass"} for n in range(60)
    ]
    found = samples(written(rows, tmp_path, step=7 * 60))
    history = next(h for (_, labels), h in found.items() if ("verdict", '"pass"') in labels)
    assert max(value for _, value in history) == 60


def test_more_series_than_are_read_at_once_are_all_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalspan.metrics._history._CELLS_AT_ONCE", 3)
    rows = [
        {"time": moment(START + 600 * n), "customer": f"c{n % 9}", "verdict": "pass", "value": 1.0}
        for n in range(36)
    ]
    found = samples(written(rows, tmp_path))
    passed = {k: h for k, h in found.items() if ("verdict", '"pass"') in k[1]}
    assert len(passed) == 9
    assert sum(_rises(history) for history in passed.values()) == 36
    counts = [h for (name, _), h in found.items() if name == f"{VALUE}_count"]
    assert sum(map(_rises, counts)) == 36


def _rises(history: list[tuple[float, float]]) -> float:
    values = [value for _, value in history]
    return sum(max(0.0, b - a) for a, b in pairwise(values))


def test_the_dimensions_of_a_live_page_and_of_its_past_are_the_same(tmp_path: Path) -> None:
    row = {"time": moment(START + 5), "customer": "acme", "verdict": "fail", "value": 5.0}
    metrics = metrics_with({"customer": 50}, Clock())
    metrics.count_scores(scores(row))
    assert customers(metrics) == {"acme"}
    assert _page(metrics).keys() == samples(written([row], tmp_path)).keys()


def test_scores_that_were_skipped_are_not_in_it(tmp_path: Path) -> None:
    row = {"time": moment(START + 5), "customer": "acme", "skipped": "sampled"}
    assert samples(written([row], tmp_path)) == {}
