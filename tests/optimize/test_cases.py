"""Cases are picked from a view, and split before anything is looked at."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimize_world import CASES, NOW, SCORES, SPANS, span, verdict

from evalspan.optimize import OptimizeError, OptimizeSettings, build_cases

Rows = list[dict[str, Any]]
EVEN = OptimizeSettings(cases=40)


def build(spans: Rows, scores: Rows, chosen: OptimizeSettings = EVEN) -> pl.DataFrame:
    customer = pl.Series("customer", [row.pop("customer", None) for row in scores], pl.String)
    frame = pl.DataFrame(scores, schema=SCORES).with_columns(customer)
    return build_cases(
        pl.DataFrame(spans, schema=SPANS),
        frame,
        chosen,
        check="form",
        dataset="shop",
        now=NOW,
        dimensions=["customer"],
    )


def many(count: int, fail_every: int = 4) -> tuple[Rows, Rows]:
    spans = [span(number) for number in range(count)]
    scores = [
        verdict(
            number,
            "form",
            "fail" if number % fail_every == 0 else "pass",
            customer=f"c{number % 3}",
        )
        for number in range(count)
    ]
    return spans, scores


def test_cases_are_balanced_spread_and_of_the_schema() -> None:
    found = build(*many(400))
    assert found.schema == CASES
    for split in ("search", "holdout"):
        part = found.filter(pl.col("split") == split)
        assert part.height == 20
        assert part.filter(pl.col("failed").list.contains("form")).height == 10
        assert part["slice"].value_counts()["count"].min() >= 5


def test_few_failing_cases_leave_their_room_to_passing_ones() -> None:
    found = build(*many(400, fail_every=100))
    assert found.height == 40
    assert found.filter(pl.col("failed").list.contains("form")).height == 4


def test_an_input_is_taken_once_and_a_conversation_gives_one_case() -> None:
    spans = [span(n, input_text=f"same {n % 10}") for n in range(50)]
    scores = [verdict(n, "form", "fail" if n == 3 else "pass") for n in range(50)]
    found = build(spans, scores)
    assert found.height == 10
    assert found.filter(pl.col("failed").list.len() > 0)["span_id"].to_list() == [f"{3:016x}"]
    talk = [span(n, conversation_id=f"talk{n % 7}") for n in range(50)]
    assert build(talk, [verdict(n, "form", "pass") for n in range(50)]).height == 7


def test_only_the_last_attempt_counts() -> None:
    spans, scores = [span(n) for n in range(20)], [verdict(n, "form", "fail") for n in range(20)]
    scores += [verdict(n, "form", "pass", attempt=2) for n in range(20)]
    assert build(spans, scores)["failed"].list.len().max() == 0


def test_spans_that_cannot_be_replayed_are_left_out() -> None:
    tool = '[{"role":"user","parts":[{"type":"tool_call_response","response":"x"}]}]'
    spans = [span(n, input_messages=tool) for n in range(20)]
    scores = [verdict(n, "form", "fail") for n in range(20)]
    with pytest.raises(OptimizeError, match=r"of 20 spans 0 are LLM calls"):
        build(spans, scores)


def test_the_system_prompt_is_no_part_of_a_case() -> None:
    text = (
        '[{"role":"system","parts":[{"type":"text","content":"old prompt"}]},'
        '{"role":"user","parts":[{"type":"text","content":"hi %d"}]}]'
    )
    spans = [span(n, input_messages=text % n) for n in range(20)]
    found = build(spans, [verdict(n, "form", "fail") for n in range(20)])
    assert not found["input_messages"].str.contains("old prompt").any()


@settings(max_examples=20, deadline=None)
@given(
    order=st.permutations(range(60)),
    seed=st.integers(0, 5),
    labels=st.lists(st.sampled_from(["pass", "fail"]), min_size=60, max_size=60),
)
def test_the_part_of_a_case_depends_on_its_input_alone(
    order: list[int], seed: int, labels: list[str]
) -> None:
    spans = [span(number) for number in order]
    first = build(spans, [verdict(n, "form", "fail") for n in order])
    chosen = OptimizeSettings(cases=40, seed=seed)
    second = build(spans, [verdict(n, "form", labels[n]) for n in order], chosen)
    parts = dict(zip(first["case_id"], first["split"], strict=True))
    for case_id, split in zip(second["case_id"], second["split"], strict=True):
        assert parts.get(case_id, split) == split


def test_the_same_spans_in_any_order_give_the_same_cases() -> None:
    spans, scores = many(100)
    assert build(spans, [dict(each) for each in scores]).equals(build(spans[::-1], scores[::-1]))
