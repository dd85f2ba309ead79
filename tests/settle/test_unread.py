"""What nobody reads of a settled span is let go when it comes, and nothing else changes."""

import json
from types import SimpleNamespace

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan import model
from evalspan.config import Dimension
from evalspan.normalize import messages_from_events
from evalspan.settle import NOT_NEEDED, Settlement, Settler, SettleSettings

DIMENSIONS = {
    "customer": Dimension(attribute="customer"),
    "user": Dimension(attribute="enduser.id"),
    "model": Dimension(column="request_model"),
}
NO_EVENTS: pa.Table = model.EVENTS.empty()
RESOURCE = json.dumps({"attributes": [{"key": "customer", "value": {"stringValue": "host's"}}]})


def settler(unread: tuple[str, ...], **given_settings: object) -> Settler:
    chosen = SettleSettings.model_validate(given_settings)
    return Settler(chosen, DIMENSIONS, messages_from_events, unread=unread)


def assert_same_but_for(unread: tuple[str, ...], slim: Settlement, whole: Settlement) -> None:
    assert slim.spans.equals(whole.spans.drop(unread))
    assert slim.context.equals(whole.context.drop(unread))
    assert slim.spans.schema == whole.spans.drop(unread).schema
    assert slim.settled.equals(whole.settled)
    assert slim.unused_log_records == whole.unused_log_records


@pytest.mark.parametrize("unread", [NOT_NEEDED, ("attributes",), ("input_messages", "resource")])
def test_real_requests_settle_the_same(captures: SimpleNamespace, unread: tuple[str, ...]) -> None:
    assert len(captures.names) > 50
    slim, whole = settler(unread), settler(())
    for number, name in enumerate(captures.names):
        rows = captures.rows_of(name, number)
        for each in (slim, whole):
            each.push(rows.spans, rows.events, number, number)
    assert_same_but_for(unread, slim.flush(999, 999), whole.flush(999, 999))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 12),
            st.sampled_from([None, "1", "2"]),
            st.sampled_from([None, "acme", "globex"]),
            st.sampled_from([None, "[]"]),
            st.sampled_from([None, RESOURCE]),
        ),
        min_size=1,
        max_size=16,
    )
)
def test_late_spans_settle_the_same(
    make: SimpleNamespace,
    arrivals: list[tuple[int, int, str | None, str | None, str | None, str | None]],
) -> None:
    slim, whole = (settler(unread, idle="10s", max_age="60s") for unread in (NOT_NEEDED, ()))
    closed = 0
    for number, (trace, wait, parent, customer, said, resource) in enumerate(arrivals):
        closed += wait
        span = make.span(
            f"{trace}",
            f"{number}",
            parent,
            attributes={"customer": customer} if customer else {},
            input_messages=said,
            output_messages=said,
            user_id=customer,
            promoted="user_id=enduser.id",
            resource=resource,
            role="llm",
            response_id=f"r{number % 3}",
            received=closed,
            segment=number,
        )
        log = make.event(f"{trace}", f"{number}", "gen_ai.choice", body="b", received=closed)
        push = (make.spans(span), make.events(log), make.us(closed), number)
        assert_same_but_for(NOT_NEEDED, slim.push(*push), whole.push(*push))
    assert_same_but_for(NOT_NEEDED, slim.flush(make.us(999), 99), whole.flush(make.us(999), 99))


def test_a_column_that_is_a_dimension_is_read(make: SimpleNamespace) -> None:
    dimensions = {"messages": Dimension(column="input_messages")}
    settled = Settler(SettleSettings(), dimensions, messages_from_events, unread=NOT_NEEDED)
    settled.push(make.spans(make.span("a", "1", input_messages="[]")), NO_EVENTS, make.us(1), 1)
    assert settled.flush(make.us(2), 1).spans["messages"].to_list() == ["[]"]


def test_what_waits_takes_a_fraction_of_the_memory(make: SimpleNamespace) -> None:
    """The bound in MiB is of what is kept: a long attribute settles nothing early."""
    long = {"body": "x" * 100_000}
    wide = make.spans(*(make.span(t, "1", attributes=long) for t in "abcdefghijkl"))
    assert wide.nbytes > 2**20
    slim, whole = (settler(unread, max_waiting_mib=1) for unread in (NOT_NEEDED, ()))
    assert slim.push(wide, NO_EVENTS, make.us(1), 1).spans.is_empty()
    assert not whole.push(wide, NO_EVENTS, make.us(1), 1).spans.is_empty()
    assert whole.waiting < slim.waiting == 12


def test_messages_from_log_records_are_let_go_once_they_are_joined(make: SimpleNamespace) -> None:
    """Kept whole they would take the room of other traces' context."""

    def messages(events: pl.DataFrame) -> pl.DataFrame:
        return events.select("trace_id", "span_id", input_messages="body", input_text="body")

    def context(unread: tuple[str, ...]) -> list[str]:
        s = Settler(SettleSettings(max_kept_mib=1), {}, messages, unread=unread)
        for number, trace in enumerate("abc"):
            log = make.event(trace, "1", "gen_ai.choice", body="x" * 300_000)
            s.push(make.spans(make.span(trace, "1")), make.events(log), make.us(number), number)
            s.flush(make.us(number), number)
        late = make.spans(*(make.span(trace, "2", "1") for trace in "abc"))
        s.push(late, NO_EVENTS, make.us(9), 9)
        found = s.flush(make.us(9), 9).context
        assert found["input_text"].str.len_chars().to_list() == [300_000] * found.height
        return [trace[0] for trace in found["trace_id"]]

    assert context(NOT_NEEDED) == ["a", "b", "c"]
    assert context(()) == ["c"]
