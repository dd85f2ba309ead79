"""Of the LLM spans that report one call, one counts."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan import model
from evalspan.settle import Settlement, Settler, SettleSettings
from evalspan.settle._duplicates import _groups

NATIVE = "com.anthropic.sdk.python"
CALL = {"role": "llm", "request_model": "m", "input_tokens": 10, "output_tokens": 5}


def settle(make: SimpleNamespace, *rows: object) -> Settlement:
    s = Settler(SettleSettings(), {}, lambda e: e.select("trace_id", "span_id"))
    s.push(make.spans(*rows), model.EVENTS.empty(), make.us(1), 1)
    return s.flush(make.us(1), 1)


def counts(make: SimpleNamespace, *rows: object) -> list[bool]:
    return settle(make, *rows).spans["counts"].to_list()


def test_a_native_span_inside_an_instrumentors_span_does_not_count(make: SimpleNamespace) -> None:
    outer = make.span("a", "1", **CALL, response_id="r1", scope_name="instrumentor")
    inner = make.span("a", "2", "1", **CALL, response_id="r1", scope_name=NATIVE)
    done = settle(make, outer, inner)
    assert done.spans["counts"].to_list() == [True, False]
    assert done.settled["duplicates"].to_pylist() == [["2".ljust(16, "0")]]


def test_the_span_with_more_content_counts(make: SimpleNamespace) -> None:
    outer = make.span("a", "1", **CALL, response_id="r1")
    inner = make.span("a", "2", "1", **CALL, response_id="r1", scope_name=NATIVE)
    inner["output_messages"] = "[]"
    assert counts(make, outer, inner) == [False, True]


def test_copies_beside_each_other_are_found_by_response_id(make: SimpleNamespace) -> None:
    first = make.span("a", "1", at=0, lasts=2, **CALL, response_id="r1")
    second = make.span("a", "2", at=0.5, lasts=1, **CALL, response_id="r1")
    other = make.span("a", "3", at=0.5, lasts=1, **CALL, response_id="r2")
    assert counts(make, first, second, other) == [True, False, True]


def test_a_copy_in_its_own_trace_is_found_within_one_settlement(make: SimpleNamespace) -> None:
    first = make.span("a", "1", **CALL, response_id="r1", input_messages="[]")
    second = make.span("b", "1", **CALL, response_id="r1")
    assert counts(make, first, second) == [True, False]


def test_an_id_that_comes_again_later_is_another_call(make: SimpleNamespace) -> None:
    """A test server, or a cache, answers with the same id twice."""
    first = make.span("a", "1", at=0, lasts=1, **CALL, response_id="r1")
    second = make.span("a", "2", at=2, lasts=1, **CALL, response_id="r1")
    empty = [make.span("b", n, **CALL, response_id="") for n in "12"]
    assert counts(make, first, second, *empty) == [True, True, True, True]


def test_parent_and_child_with_equal_model_and_tokens_are_one_call(make: SimpleNamespace) -> None:
    outer = make.span("a", "1", **CALL, lasts=2)
    inner = make.span("a", "2", "1", **CALL)
    assert counts(make, outer, inner) == [True, False]
    between = [
        make.span("b", "1", **CALL, lasts=2),
        make.span("b", "2", "1"),
        make.span("b", "3", "2", **CALL),
    ]
    assert counts(make, *between) == [True, True, False]


def test_another_model_or_other_tokens_are_another_call(make: SimpleNamespace) -> None:
    outer = make.span("a", "1", **CALL, lasts=2)
    model_differs = make.span("a", "2", "1", **{**CALL, "request_model": "n"})
    tokens_differ = make.span("a", "3", "1", **{**CALL, "output_tokens": 6})
    later = make.span("a", "4", "1", at=5, **CALL)
    assert counts(make, outer, model_differs, tokens_differ, later) == [True] * 4


def test_spans_that_are_no_llm_calls_always_count(make: SimpleNamespace) -> None:
    rows = [make.span("a", n, response_id="r1", role="agent") for n in "12"]
    assert counts(make, *rows) == [True, True]


def test_three_reports_of_one_call_count_once(make: SimpleNamespace) -> None:
    rows = [
        make.span("a", "1", **CALL, lasts=3, response_id="r1"),
        make.span("a", "2", "1", **CALL, lasts=2),
        make.span("a", "3", "2", **CALL, response_id="r1"),
    ]
    assert sum(counts(make, *rows)) == 1


def test_what_counted_at_first_still_counts_when_a_copy_comes_late(make: SimpleNamespace) -> None:
    s = Settler(SettleSettings(), {}, lambda e: e.select("trace_id", "span_id"))
    inner = make.span("a", "2", "1", **CALL, response_id="r1", scope_name=NATIVE)
    outer = make.span("a", "1", **CALL, response_id="r1", output_messages="[]")
    s.push(make.spans(inner), model.EVENTS.empty(), make.us(1), 1)
    assert s.flush(make.us(1), 1).spans["counts"].to_list() == [True]
    s.push(make.spans(outer), model.EVENTS.empty(), make.us(2), 2)
    late = s.flush(make.us(2), 2)
    assert late.spans["counts"].to_list() == [False]
    assert late.context["counts"].to_list() == [True]


def test_a_late_copy_of_two_calls_takes_neither_away(make: SimpleNamespace) -> None:
    s = Settler(SettleSettings(), {}, lambda e: e.select("trace_id", "span_id"))
    calls = [make.span("a", n, at=at, **CALL, response_id="r1") for n, at in (("1", 0), ("2", 2))]
    s.push(make.spans(*calls), model.EVENTS.empty(), make.us(1), 1)
    assert s.flush(make.us(1), 1).spans["counts"].to_list() == [True, True]
    bridge = make.span("a", "3", lasts=3, **CALL, response_id="r1", output_messages="[]")
    s.push(make.spans(bridge), model.EVENTS.empty(), make.us(2), 2)
    late = s.flush(make.us(2), 2)
    assert late.spans["counts"].to_list() == [False]
    assert late.context["counts"].to_list() == [True, True]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_groups_are_what_joining_pair_by_pair_makes(pairs: list[tuple[int, int]]) -> None:
    slow = {row: {row} for pair in pairs for row in pair}
    for one, other in pairs:
        joined = slow[one] | slow[other]
        slow.update(dict.fromkeys(joined, joined))
    found = _groups(31, np.array(pairs, dtype=np.int64).reshape(-1, 2))
    assert found.tolist() == [min(slow.get(row, {-1})) for row in range(31)]


def test_a_long_chain_of_reports_is_one_group() -> None:
    """One round for each member would take an hour."""
    rows = np.random.default_rng(1).permutation(200_000)
    chain = np.stack([rows[1:], rows[:-1]], axis=1)
    assert not _groups(200_000, chain).any()
