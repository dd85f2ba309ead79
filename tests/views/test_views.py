"""A view: each row once, the last attempt of a verdict, and only what its filter keeps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from evalspan.config import SettingError
from evalspan.model import REGRESSIONS, SCORES, SPANS, Table
from evalspan.views import View, ViewSettings, build

START = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
Row = dict[str, Any]


def table(kind: Table, *rows: Row) -> pl.DataFrame:
    """Return rows of a table with its `day`; what a row does not say is null."""
    schema = pl.DataFrame(kind.empty()).schema
    frame = pl.DataFrame(list(rows), schema_overrides=schema, infer_schema_length=None)
    lacking = [pl.lit(None, t).alias(n) for n, t in schema.items() if n not in frame.columns]
    return frame.with_columns(lacking).with_columns(day=pl.col(kind.time).dt.date())


def score(span: str, verdict: str = "pass", **more: Any) -> Row:  # noqa: ANN401 - columns of SCORES
    customer = more.pop("customer", "acme")
    given = {
        "time": START,
        "trace_id": f"trace of {span}",
        "span_id": span,
        "check": "price",
        "item": "",
        "revision": "r1",
        "attempt": 1,
        "verdict": verdict,
        "dimensions": [{"key": "customer", "value": customer}],
        "segment": 1,
    }
    return given | more


def span(name: str, **more: Any) -> Row:  # noqa: ANN401 - columns of SPANS
    given = {"trace_id": f"trace of {name}", "span_id": name, "content": 1, "start_time": START}
    return given | {"role": "llm", "received_time": START, "segment": 1} | more


def views(*frames: tuple[Table, pl.DataFrame], **filters: str) -> dict[str, View]:
    held = {kind.name: frame for kind, frame in frames}
    settings = {name: ViewSettings(filter=text) for name, text in filters.items()}
    return build(settings, ("customer",), lambda kind: held[kind.name].lazy())


def test_a_verdict_that_was_written_twice_is_read_once() -> None:
    rows = table(SCORES, score("a"), score("a", segment=2), score("b", "fail"))
    found = views((SCORES, rows))["prod"].scores().collect()
    assert sorted(found["span_id"]) == ["a", "b"]


def test_only_the_last_attempt_of_a_verdict_counts() -> None:
    rows = table(SCORES, score("a", "fail"), score("a", "pass", attempt=2), score("b", "fail"))
    found = views((SCORES, rows))["prod"].scores().collect().sort("span_id")
    assert found.select("span_id", "verdict").rows() == [("a", "pass"), ("b", "fail")]


def test_a_filter_keeps_scores_by_columns_and_dimensions() -> None:
    rows = table(SCORES, score("a"), score("b", customer="globex"), score("c", "fail"))
    made = views((SCORES, rows), theirs="customer = 'globex'", failing="verdict = 'fail'")
    assert made["theirs"].scores().collect()["span_id"].to_list() == ["b"]
    assert made["failing"].scores().collect()["span_id"].to_list() == ["c"]
    assert made["prod"].scores().collect().height == 3


def test_a_filtered_view_reads_the_spans_that_it_has_scores_of() -> None:
    spans = table(SPANS, span("a"), span("a", segment=9), span("b"), span("unscored"))
    rows = table(SCORES, score("a"), score("b", customer="globex"))
    made = views((SPANS, spans), (SCORES, rows), theirs="customer = 'globex'")
    assert made["theirs"].spans().collect()["span_id"].to_list() == ["b"]
    assert sorted(made["prod"].spans().collect()["span_id"]) == ["a", "b", "unscored"]


def test_two_spans_with_the_same_ids_and_other_bytes_are_both_read() -> None:
    spans = table(SPANS, span("a", content=1), span("a", content=2))
    assert views((SPANS, spans))["prod"].spans().collect().height == 2


@pytest.mark.parametrize(("since", "until", "kept"), [(1, None, 2), (None, 1, 1), (1, 2, 1)])
def test_a_time_is_from_since_on_and_before_until(
    since: int | None, until: int | None, kept: int
) -> None:
    minute = timedelta(minutes=1)  # the second one is of the next day
    rows = table(SCORES, *(score(str(n), time=START + n * minute) for n in range(3)))
    bounds = [None if n is None else START + n * minute for n in (since, until)]
    assert views((SCORES, rows))["prod"].scores(*bounds).collect().height == kept


def test_the_newest_state_of_a_regression_of_this_view_is_told() -> None:
    times = [START, START + timedelta(hours=1)]
    given = {"id": "x", "check": "price", "view": "prod"}
    rows = table(
        REGRESSIONS,
        *(
            given | {"state": state, "detected_time": time}
            for state, time in zip(["open", "resolved"], times, strict=True)
        ),
        given | {"id": "y", "view": "theirs", "state": "open", "detected_time": START},
    )
    found = views((REGRESSIONS, rows), theirs="true")
    assert found["prod"].regressions().collect().select("id", "state").rows() == [("x", "resolved")]
    assert found["theirs"].regressions().collect()["id"].to_list() == ["y"]


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"prod": "true"}, "stands for everything"),
        ({"eu": "verdct = 'fail'"}, "a score has no column 'verdct'. Did you mean 'verdict'?"),
        ({"eu": "count(*) > 1"}, "asked of one score at a time"),
        ({"eu": "value"}, "must give true or false"),
    ],
)
def test_a_filter_that_is_no_condition_on_one_score_is_refused(
    filters: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingError) as refused:
        views(**filters)
    assert told in str(refused.value)
    assert refused.value.keys[:2] == ("views", next(iter(filters)))


def test_a_trace_whose_root_came_late_has_one_verdict() -> None:
    """Verdicts on a trace stand at its root, which is another span once the real one is there."""
    first = {"trace_id": "t", "check": "tool_loop", "about": "trace"}
    rows = table(
        SCORES,
        score("orphan", "fail", **first),
        score("root", "pass", attempt=2, **first),
        score("orphan", "fail", trace_id="t"),
        score("late", attempt=2, trace_id="t"),
    )
    found = views((SCORES, rows))["prod"].scores().collect().sort("check", "span_id")
    assert found.select("check", "span_id", "verdict").rows() == [
        ("price", "late", "pass"),
        ("price", "orphan", "fail"),
        ("tool_loop", "root", "pass"),
    ]
