"""When traces settle, what comes with them, and that replay gives the same."""

from types import SimpleNamespace

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evalspan import model
from evalspan.config import ConfigError, Dimension
from evalspan.settle import Settlement, Settler, SettleSettings

NO_EVENTS = model.EVENTS.empty()
NO_SPANS = model.SPANS.empty()


def nothing(events: pl.DataFrame) -> pl.DataFrame:
    return events.select("trace_id", "span_id")


def settler(**given: object) -> Settler:
    return Settler(SettleSettings.model_validate(given), {}, nothing)


def ids(settlement: Settlement) -> list[str]:
    return [f"{t[0]}{s[0]}" for t, s in settlement.spans.select("trace_id", "span_id").rows()]


def test_a_trace_settles_when_no_span_came_for_idle(make: SimpleNamespace) -> None:
    s = settler(idle="10s")
    assert ids(s.push(make.spans(make.span("a", "1", received=0)), NO_EVENTS, make.us(1), 1)) == []
    late = make.spans(make.span("a", "2", "1", received=8), make.span("b", "1", received=8))
    assert ids(s.push(late, NO_EVENTS, make.us(9), 2)) == []
    assert ids(s.push(NO_SPANS, NO_EVENTS, make.us(17.9), 3)) == []
    done = s.push(NO_SPANS, NO_EVENTS, make.us(18), 4)
    assert ids(done) == ["a1", "a2", "b1"]
    assert s.waiting == 0
    rows = done.settled.to_pylist()
    assert [(r["trace_id"][0], r["attempt"], r["reason"], r["spans"]) for r in rows] == [
        ("a", 1, "idle", 2),
        ("b", 1, "idle", 1),
    ]
    assert all(r["late_spans"] == 0 and r["duplicates"] == [] and r["segment"] == 4 for r in rows)
    assert done.settled.schema == model.SETTLED.schema


def test_a_trace_that_never_rests_settles_at_max_age(make: SimpleNamespace) -> None:
    s = settler(idle="10s", max_age="30s")
    for second in range(0, 30, 5):
        span = make.span("a", f"{second:02}", received=second)
        assert s.push(make.spans(span), NO_EVENTS, make.us(second), 1).spans.is_empty()
    done = s.push(make.spans(make.span("a", "ff", received=30)), NO_EVENTS, make.us(30), 2)
    assert done.spans.height == 7
    assert done.settled["reason"].to_pylist() == ["age"]


def test_too_many_waiting_spans_settle_the_oldest_traces(make: SimpleNamespace) -> None:
    s = settler(idle="10s", max_spans=3)
    rows = [make.span(t, n, received=i) for i, (t, n) in enumerate(["a1", "a2", "b1", "c1", "d1"])]
    done = s.push(make.spans(*rows), NO_EVENTS, make.us(5), 1)
    assert ids(done) == ["a1", "a2"]
    assert done.settled["reason"].to_pylist() == ["overflow"]
    assert s.waiting == 3


def test_flush_settles_everything(make: SimpleNamespace) -> None:
    s = settler()
    s.push(make.spans(make.span("a", "1"), make.span("b", "1")), NO_EVENTS, make.us(1), 1)
    done = s.flush(make.us(2), 1)
    assert ids(done) == ["a1", "b1"]
    assert set(done.settled["reason"].to_pylist()) == {"shutdown"}
    assert s.flush(make.us(3), 1).spans.is_empty()


def test_late_spans_make_a_new_attempt_and_bring_the_earlier_ones(make: SimpleNamespace) -> None:
    s = settler(idle="10s")
    s.push(make.spans(make.span("a", "1"), make.span("b", "1")), NO_EVENTS, make.us(1), 1)
    assert s.push(NO_SPANS, NO_EVENTS, make.us(12), 2).settled.num_rows == 2
    late = make.span("a", "2", "1", received=13, conversation_id=None)
    s.push(make.spans(late), NO_EVENTS, make.us(13), 3)
    done = s.push(NO_SPANS, NO_EVENTS, make.us(23), 4)
    assert ids(done) == ["a2"]
    assert done.spans["attempt"].to_list() == [2]
    assert done.context["span_id"].str.slice(0, 1).to_list() == ["1"]
    assert done.context["root"].to_list() == [True]
    assert done.spans["root"].to_list() == [False]
    (row,) = done.settled.to_pylist()
    assert (row["attempt"], row["spans"], row["late_spans"]) == (2, 2, 1)


def test_late_spans_inherit_from_the_earlier_ones(make: SimpleNamespace) -> None:
    dimensions = {"customer": Dimension(attribute="customer")}
    s = Settler(SettleSettings(), dimensions, nothing)
    root = make.span("a", "1", attributes={"customer": "acme"}, prompt_name="triage")
    s.push(make.spans(root), NO_EVENTS, make.us(1), 1)
    s.push(NO_SPANS, NO_EVENTS, make.us(12), 2)
    s.push(make.spans(make.span("a", "2", "1", received=13)), NO_EVENTS, make.us(13), 3)
    late = s.push(NO_SPANS, NO_EVENTS, make.us(23), 4).spans
    assert late.select("customer", "prompt_name").rows() == [("acme", "triage")]


def test_attempts_go_on_after_a_restart(make: SimpleNamespace) -> None:
    first = settler()
    first.push(make.spans(make.span("a", "1")), NO_EVENTS, make.us(1), 1)
    settled = first.flush(make.us(2), 1).settled
    again = Settler(SettleSettings(), {}, nothing, earlier=settled)
    again.push(make.spans(make.span("a", "2", "1")), NO_EVENTS, make.us(3), 2)
    assert again.flush(make.us(4), 2).spans["attempt"].to_list() == [2]


def test_kept_spans_and_remembered_traces_are_bounded(make: SimpleNamespace) -> None:
    s = settler(max_kept_spans=2, max_remembered_traces=2)
    spans = [make.span(t, "1") for t in "abcd"]
    for number, span in enumerate(spans):
        s.push(make.spans(span), NO_EVENTS, make.us(number), number)
        s.flush(make.us(number), number)
    for trace, attempt, context in (("d", 2, 1), ("a", 1, 0)):
        s.push(make.spans(make.span(trace, "2", "1")), NO_EVENTS, make.us(9), 9)
        done = s.flush(make.us(9), 9)
        assert (done.spans["attempt"].to_list(), done.context.height) == ([attempt], context)


def test_kept_spans_go_after_max_age(make: SimpleNamespace) -> None:
    s = settler(max_age="60s")
    s.push(make.spans(make.span("a", "1")), NO_EVENTS, make.us(1), 1)
    s.flush(make.us(1), 1)
    assert s.oldest_segment == 1
    s.push(NO_SPANS, NO_EVENTS, make.us(62), 2)
    assert s.oldest_segment is None


def test_oldest_segment_is_where_a_restart_must_begin(make: SimpleNamespace) -> None:
    s = settler(idle="10s", max_kept_spans=0)
    s.push(make.spans(make.span("a", "1", received=0, segment=4)), NO_EVENTS, make.us(1), 4)
    s.push(make.spans(make.span("b", "1", received=5, segment=5)), NO_EVENTS, make.us(6), 5)
    assert s.oldest_segment == 4
    s.push(NO_SPANS, NO_EVENTS, make.us(11), 6)
    assert s.oldest_segment == 5


def test_a_restart_begins_where_the_context_of_what_is_kept_came(make: SimpleNamespace) -> None:
    """Beside the twin that settled first, and is forgotten by now, the second does not count."""
    twins = [make.span("a", "1", content=n, received=5 * n, segment=1 + 2 * n) for n in (0, 1)]
    third = make.span("a", "2", "1", received=10, segment=6)
    plan = [([twins[0]], 1), ([], 3), ([twins[1]], 5), ([], 8), ([], 9.5), ([third], 10), ([], 13)]
    pushes = [
        (make.spans(*rows), NO_EVENTS, make.us(closed), number)
        for number, (rows, closed) in enumerate(plan, start=1)
    ]
    first = settler(idle="2s", max_age="6s")
    done = [first.push(*push) for push in pushes[:6]]
    assert first.oldest_segment == 1
    earlier = pa.concat_tables([each.settled for each in done])
    again = Settler(
        SettleSettings.model_validate({"idle": "2s", "max_age": "6s"}), {}, nothing, earlier, 6
    )
    for push in pushes[:6]:
        again.push(*push)
    last = first.push(*pushes[6])
    assert last.context["counts"].to_list() == [False]
    replayed = again.push(*pushes[6])
    assert replayed.context.equals(last.context)
    assert replayed.settled.equals(last.settled)


def test_a_clock_that_jumps_back_does_not_undo_time(make: SimpleNamespace) -> None:
    s = settler(idle="10s")
    s.push(make.spans(make.span("a", "1", received=0)), NO_EVENTS, make.us(9), 1)
    assert s.push(NO_SPANS, NO_EVENTS, make.us(-50), 2).spans.is_empty()
    assert ids(s.push(NO_SPANS, NO_EVENTS, make.us(10), 3)) == ["a1"]


def test_equal_ids_with_other_content_are_both_kept(make: SimpleNamespace) -> None:
    s = settler()
    twins = [make.span("a", "1", content=1), make.span("a", "1", content=2)]
    child = make.span("a", "2", "1")
    s.push(make.spans(*twins, child), NO_EVENTS, make.us(1), 1)
    done = s.flush(make.us(1), 1)
    assert done.spans["content"].to_list()[:2] == [1, 2]
    assert done.spans["root"].sum() == 1


def test_the_frame_has_the_columns_of_the_contract(make: SimpleNamespace) -> None:
    s = Settler(SettleSettings(), {"region": Dimension(attribute="region")}, nothing)
    columns = [*model.SPANS.schema.names, "region", "attempt", "counts", "root"]
    empty = s.push(NO_SPANS, NO_EVENTS, make.us(1), 1)
    assert empty.spans.columns == empty.context.columns == columns
    s.push(make.spans(make.span("a", "1")), NO_EVENTS, make.us(1), 1)
    full = s.flush(make.us(1), 1)
    assert full.spans.schema == empty.spans.schema == full.context.schema


def test_what_came_in_several_pushes_settles_in_one_piece(make: SimpleNamespace) -> None:
    s = Settler(SettleSettings(), {"region": Dimension(attribute="region")}, nothing)
    for push in range(1, 4):
        s.push(make.spans(make.span("a", str(push))), NO_EVENTS, make.us(push), push)
    assert {column.n_chunks() for column in s.flush(make.us(4), 4).spans} == {1}


def test_a_dimension_must_not_have_the_name_of_a_column() -> None:
    with pytest.raises(ConfigError, match="'service_name'"):
        Settler(SettleSettings(), {"service_name": Dimension(attribute="x")}, nothing)


def test_content_that_came_as_log_records_fills_only_what_is_empty(make: SimpleNamespace) -> None:
    def messages(events: pl.DataFrame) -> pl.DataFrame:
        return events.select(
            "trace_id", "span_id", output_text=pl.col("body"), input_text=pl.lit("from the log")
        )

    s = Settler(SettleSettings(), {}, messages)
    log = make.events(
        make.event("a", "1", "gen_ai.choice", body="hello"),
        make.event("a", "2", "gen_ai.choice", body="of a span", source="span"),
    )
    s.push(NO_SPANS, log, make.us(1), 1)
    spans = make.spans(make.span("a", "1", input_text="own"), make.span("a", "2", "1"))
    s.push(spans, NO_EVENTS, make.us(2), 2)
    done = s.flush(make.us(2), 2).spans
    assert done.select("input_text", "output_text").rows() == [("own", "hello"), (None, None)]


def test_log_records_that_filled_nothing_are_counted(make: SimpleNamespace) -> None:
    s = settler(idle="10s", max_age="60s")
    log = make.events(make.event("a", "1", "gen_ai.choice"), make.event("b", "1", "x"))
    assert s.push(NO_SPANS, log, make.us(1), 1).unused_log_records == 0
    assert s.push(NO_SPANS, NO_EVENTS, make.us(71), 2).unused_log_records == 2
    assert s.push(NO_SPANS, NO_EVENTS, make.us(200), 3).unused_log_records == 0


Arrival = tuple[int, int, int]


@settings(max_examples=40, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 60), st.integers(0, 400)), max_size=30
    ),
    max_spans=st.integers(1, 10),
)
def test_every_span_settles_once_and_replay_gives_the_same(
    make: SimpleNamespace, arrivals: list[Arrival], max_spans: int
) -> None:
    pushes: list[tuple[pa.Table, int]] = []
    for number, (trace, wait, received) in enumerate(arrivals):
        span = make.span(f"{trace}", f"{number:03}", received=received)
        pushes.append((make.spans(span), received + wait))

    def run() -> list[Settlement]:
        s = settler(idle="10s", max_age="100s", max_spans=max_spans)
        out = [s.push(t, NO_EVENTS, make.us(closed), n) for n, (t, closed) in enumerate(pushes)]
        return [*out, s.flush(make.us(1_000), len(pushes))]

    first, second = run(), run()
    seen = [span for settlement in first for span in settlement.spans["span_id"]]
    assert sorted(seen) == sorted(f"{n:03}".ljust(16, "0") for n in range(len(arrivals)))
    keys = [(r["trace_id"], r["attempt"]) for s in first for r in s.settled.to_pylist()]
    assert len(keys) == len(set(keys))
    for one, two in zip(first, second, strict=True):
        assert one.spans.equals(two.spans)
        assert one.settled.equals(two.settled)


@settings(max_examples=80, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 30), st.booleans()), min_size=1, max_size=20
    ),
    crash=st.integers(0, 19),
    orderly=st.booleans(),
    most=st.sampled_from([1, 2, 3, 1000]),
    kept=st.sampled_from([0, 2, 50_000]),
)
@example(arrivals=[(0, 0, True), (0, 30, False)], crash=0, orderly=True, most=1000, kept=50_000)
@example(
    arrivals=[(0, 0, True), (0, 12, True), (0, 12, False)],
    crash=1,
    orderly=False,
    most=1000,
    kept=50_000,
)
def test_after_a_restart_it_goes_on_as_if_nothing_had_happened(
    make: SimpleNamespace,
    arrivals: list[tuple[int, int, bool]],
    crash: int,
    orderly: bool,  # noqa: FBT001 - drawn
    most: int,
    kept: int,
) -> None:
    """Segment n is closed some seconds after the one before, with a span or a log record.

    The process ends after segment `crash`; if it does so in good order it settles all.
    """
    pushes, closed = [], 0
    for number, (trace, wait, is_span) in enumerate(arrivals):
        closed += wait
        when = {"received": closed, "segment": number}
        spans = [make.span(f"{trace}", f"{number:03}", **when)] if is_span else []
        # Records over their bound are let go for good: a replay may still have some of them.
        logs = [make.event(f"{trace}", f"{number + 1:03}", "x", body="b", **when)] * (most > 100)
        pushes.append((make.spans(*spans), make.events(*logs), make.us(closed), number))

    def start(earlier: pa.Table | None) -> Settler:
        def messages(events: pl.DataFrame) -> pl.DataFrame:
            return events.select("trace_id", "span_id", output_text="body")

        given = SettleSettings.model_validate(
            {"idle": "10s", "max_age": "40s", "max_spans": most, "max_kept_spans": kept}
        )
        return Settler(given, {}, messages, earlier)

    crash = min(crash, len(pushes) - 1)
    first = start(None)
    whole = []
    for number, push in enumerate(pushes):
        whole.append(first.push(*push))
        if orderly and number == crash:
            first.flush(*push[2:])
    lost = start(None)
    written = [lost.push(*push).settled for push in pushes[: crash + 1]]
    if orderly:
        written.append(lost.flush(*pushes[crash][2:]).settled)
    begin = crash + 1 if lost.oldest_segment is None else lost.oldest_segment
    again = start(pa.concat_tables(written))
    replayed = {number: again.push(*pushes[number]) for number in range(begin, len(pushes))}
    for number in range(crash + 1, len(pushes)):
        assert replayed[number].spans.equals(whole[number].spans)
        assert replayed[number].context.equals(whole[number].context)
        assert replayed[number].settled.equals(whole[number].settled)
    known = {(r["trace_id"], r["attempt"], r["segment"]) for t in written for r in t.to_pylist()}
    for number in range(begin, crash + 1):
        for row in replayed[number].settled.to_pylist():
            assert (row["trace_id"], row["attempt"], row["segment"]) in known


@settings(max_examples=80, deadline=None)
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=1, max_size=20),
    crash=st.integers(0, 19),
    before=st.tuples(st.sampled_from([1, 2, 1000]), st.sampled_from([1, 10, 30])),
    after=st.tuples(st.sampled_from([1, 2, 1000]), st.sampled_from([1, 10, 30])),
)
def test_other_settings_after_a_restart_lose_and_double_nothing(
    make: SimpleNamespace,
    arrivals: list[tuple[int, int]],
    crash: int,
    before: tuple[int, int],
    after: tuple[int, int],
) -> None:
    """What is written stays written: a segment that is done takes no other settlement."""
    pushes, closed = [], 0
    for number, (trace, wait) in enumerate(arrivals, start=1):
        closed += wait
        span = make.span(f"{trace}", f"{number:03}", received=closed, segment=number)
        pushes.append((make.spans(span), NO_EVENTS, make.us(closed), number))
    crash = min(crash, len(pushes) - 1)

    def start(most: int, idle: int, earlier: pa.Table | None = None, done: int = 0) -> Settler:
        given = {"idle": f"{idle}s", "max_age": "40s", "max_spans": most, "max_kept_spans": 0}
        return Settler(SettleSettings.model_validate(given), {}, nothing, earlier, done)

    first = start(*before)
    written = [first.push(*push) for push in pushes[: crash + 1]]
    begin = crash + 2 if first.oldest_segment is None else first.oldest_segment
    settled = pa.concat_tables([each.settled for each in written])
    second = start(*after, settled, crash + 1)
    again = [second.push(*push) for push in pushes[begin - 1 :]]
    for number, settlement in enumerate(again, start=begin):
        if number <= crash + 1:
            known = {(r["trace_id"], r["attempt"]) for r in written[number - 1].settled.to_pylist()}
            found = {(r["trace_id"], r["attempt"]) for r in settlement.settled.to_pylist()}
            assert found <= known
        else:
            written.append(settlement)
    written.append(second.flush(make.us(closed + 99), len(pushes) + 1))
    seen = [span for settlement in written for span in settlement.spans["span_id"]]
    assert sorted(seen) == sorted(f"{n:03}".ljust(16, "0") for n in range(1, len(pushes) + 1))
    rows = [row for settlement in written for row in settlement.settled.to_pylist()]
    assert len({(r["trace_id"], r["attempt"]) for r in rows}) == len(rows)


def test_log_records_without_spans_are_bounded_like_spans(make: SimpleNamespace) -> None:
    s = settler(max_spans=3)
    log = make.events(*(make.event("a", str(n), "x") for n in range(8)))
    assert s.push(NO_SPANS, log, make.us(1), 1).unused_log_records == 5
    assert s.push(NO_SPANS, NO_EVENTS, make.us(2), 2).unused_log_records == 0


def wide(make: SimpleNamespace, traces: str, received: float) -> pa.Table:
    """A span of 100 kB for each letter."""
    text = "x" * 100_000
    return make.spans(*(make.span(t, "1", received=received, input_text=text) for t in traces))


def test_more_bytes_than_may_wait_settle_the_oldest_traces(make: SimpleNamespace) -> None:
    s = settler(max_waiting_mib=1)
    assert ids(s.push(wide(make, "abcde", 1), NO_EVENTS, make.us(1), 1)) == []
    done = s.push(wide(make, "fghijk", 2), NO_EVENTS, make.us(2), 2)
    assert ids(done) == ["a1"]
    assert done.settled["reason"].to_pylist() == ["overflow"]
    assert s.waiting == 10


def test_kept_spans_are_bounded_in_bytes(make: SimpleNamespace) -> None:
    s = settler(idle="1s", max_kept_mib=1)
    s.push(wide(make, "abcdef", 1), NO_EVENTS, make.us(3), 1)
    s.push(wide(make, "ghijkl", 4), NO_EVENTS, make.us(6), 2)
    assert s.oldest_segment == 1, "of the segment that the rows name"
    late = make.spans(make.span("a", "2", received=7), make.span("g", "2", received=7))
    done = s.push(late, NO_EVENTS, make.us(9), 3)
    assert ids(done) == ["a2", "g2"]
    assert done.context["trace_id"].str.slice(0, 1).to_list() == ["g"], "the earlier ones had to go"


def test_log_records_that_wait_are_bounded_in_bytes(make: SimpleNamespace) -> None:
    s = settler(max_waiting_mib=1)
    body = "x" * 100_000
    rows = [make.event("a", str(n), "e", body=body, received=n) for n in range(20)]
    done = s.push(NO_SPANS, make.events(*rows), make.us(20), 1)
    assert 9 <= done.unused_log_records <= 11


def test_the_last_spans_of_a_segment_do_not_hold_its_memory(make: SimpleNamespace) -> None:
    s = settler(idle="5s", max_age="6s", max_kept_spans=0)
    spans = wide(make, "abcdefghijklmnopqrstuvwxyz", 1)
    size = spans.nbytes
    s.push(spans, NO_EVENTS, make.us(1), 1)
    del spans
    before = pa.total_allocated_bytes()
    again = make.spans(make.span("z", "2", received=5))
    done = s.push(again, NO_EVENTS, make.us(6), 2)
    assert len(ids(done)) == 25
    del done
    assert s.waiting == 2
    assert before - pa.total_allocated_bytes() > 0.9 * size
    assert ids(s.push(NO_SPANS, NO_EVENTS, make.us(11), 3)) == ["z1", "z2"]


def test_a_trace_that_is_late_for_ever_takes_no_more_memory(make: SimpleNamespace) -> None:
    s = settler(idle="0s", max_age="5s")
    settled = []
    for second in range(1, 101):
        one = make.spans(make.span("a", f"{second:04}", received=second, segment=second))
        settled.append(s.push(one, NO_EVENTS, make.us(second), second).settled)
        assert len(s._memory._attempts["a".ljust(32, "0")]) <= 2
    written = pa.concat_tables(settled)
    assert written["attempt"].to_pylist() == list(range(1, 101))
    # A restart goes back some segments: each settles as it did, and then it goes on.
    again = Settler(
        SettleSettings.model_validate({"idle": "0s", "max_age": "5s"}), {}, nothing, written
    )
    for second in range(90, 103):
        one = make.spans(make.span("a", f"{second:04}", received=second, segment=second))
        done = again.push(one, NO_EVENTS, make.us(second), second).settled
        assert done["attempt"].to_pylist() == [second]
        left = max(100 - second, 0)
        assert len(again._memory._attempts["a".ljust(32, "0")]) <= 2 + left
