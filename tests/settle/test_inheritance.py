"""Dimensions and prompt names come down from above."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan import model
from evalspan.config import Dimension
from evalspan.settle import Settler, SettleSettings

RESOURCE = json.dumps(
    {
        "attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "region", "value": {"stringValue": "eu"}},
            {"key": "shard", "value": {"intValue": "7"}},
            {"key": "canary", "value": {"boolValue": True}},
            {"key": "tags", "value": {"arrayValue": {"values": []}}},
        ],
        "schemaUrl": "x",
    }
)


def settle(make: SimpleNamespace, *rows: object, **dimensions: Dimension) -> pl.DataFrame:
    s = Settler(SettleSettings(), dimensions, lambda e: e.select("trace_id", "span_id"))
    s.push(make.spans(*rows), model.EVENTS.empty(), make.us(1), 1)
    return s.flush(make.us(1), 1).spans


def test_own_value_then_nearest_ancestor_then_root_then_resource(make: SimpleNamespace) -> None:
    region = Dimension(attribute="region")
    rows = [
        make.span("a", "1", attributes={"region": "root"}, resource=RESOURCE),
        make.span("a", "2", "1", attributes={"region": "middle"}, resource=RESOURCE),
        make.span("a", "3", "2", resource=RESOURCE),
        make.span("a", "4", "3", attributes={"region": "own"}, resource=RESOURCE),
        make.span("a", "5", "missing", resource=RESOURCE),
        make.span("b", "6", resource=RESOURCE),
        make.span("c", "7"),
    ]
    found = settle(make, *rows, region=region)["region"].to_list()
    assert found == ["root", "middle", "middle", "own", "root", "eu", None]


@pytest.mark.parametrize(
    ("key", "value"),
    [("service.name", "shop"), ("shard", "7"), ("canary", "true"), ("tags", None), ("no", None)],
)
def test_values_of_the_resource_become_text(
    make: SimpleNamespace, key: str, value: str | None
) -> None:
    rows = [make.span("a", "1", resource=RESOURCE), make.span("b", "1", resource='{"x": 1}')]
    found = settle(make, *rows, d=Dimension(attribute=key))["d"].to_list()
    assert found == [value, None]


def test_a_resource_nested_too_deep_to_read_has_no_value(make: SimpleNamespace) -> None:
    deep = '{"attributes":' + "[" * 100_000 + "]" * 100_000 + "}"
    rows = [make.span("a", "1", resource=deep)]
    assert settle(make, *rows, d=Dimension(attribute="x"))["d"].to_list() == [None]


def test_attributes_of_every_plain_type_become_text(make: SimpleNamespace) -> None:
    values = {"text": "é", "number": 3, "real": 0.5, "flag": True, "nested": b"\x00"}
    rows = [make.span("a", "1", attributes=values)]
    found = settle(make, *rows, **{f"d_{k}": Dimension(attribute=k) for k in values})
    assert [found[f"d_{k}"][0] for k in values] == ["é", "3", "0.5", "true", None]


def test_an_attribute_that_fills_a_column_is_found_there(make: SimpleNamespace) -> None:
    rows = [
        make.span("a", "1", user_id="u1", promoted="name=span.name;user_id=enduser.id"),
        make.span("a", "2", "1", user_id="u2", promoted="user_id=user.id"),
        make.span("a", "3", "1", attributes={"enduser.id": "u3"}),
    ]
    found = settle(make, *rows, who=Dimension(attribute="enduser.id"))["who"].to_list()
    assert found == ["u1", "u1", "u3"]


def test_a_column_can_be_a_dimension(make: SimpleNamespace) -> None:
    rows = [make.span("a", "1", agent_name="planner"), make.span("a", "2", "1")]
    found = settle(make, *rows, agent=Dimension(column="agent_name"))["agent"].to_list()
    assert found == ["planner", "planner"]


def test_conversation_and_user_come_from_above_or_from_a_trace_that_agrees(
    make: SimpleNamespace,
) -> None:
    rows = [
        make.span("a", "1", user_id="u"),
        make.span("a", "2", "1", conversation_id="c"),
        make.span("b", "1"),
        make.span("b", "2", "1", conversation_id="c1"),
        make.span("b", "3", "1", conversation_id="c2"),
        make.span("b", "4", "3"),
    ]
    found = settle(make, *rows)
    assert found["user_id"].to_list() == ["u", "u", None, None, None, None]
    assert found["conversation_id"].to_list() == ["c", "c", None, "c1", "c2", "c2"]


def test_a_prompt_version_is_never_taken_from_another_prompt(make: SimpleNamespace) -> None:
    rows = [
        make.span("a", "1", prompt_name="triage", prompt_version="3"),
        make.span("a", "2", "1"),
        make.span("a", "3", "1", prompt_name="triage"),
        make.span("a", "4", "1", prompt_name="reply"),
    ]
    found = settle(make, *rows).select("prompt_name", "prompt_version").rows()
    assert found == [("triage", "3"), ("triage", "3"), ("triage", "3"), ("reply", None)]


def test_parents_in_a_circle_end(make: SimpleNamespace) -> None:
    rows = [
        make.span("a", "1", "2"),
        make.span("a", "2", "1"),
        make.span("a", "3", "3"),
        make.span("a", "4", "2", attributes={"x": "v"}),
    ]
    found = settle(make, *rows, d=Dimension(attribute="x"))
    assert found["d"].to_list() == [None, None, None, "v"]
    assert found["root"].sum() == 1


def test_the_root_is_the_earliest_span_without_a_parent(make: SimpleNamespace) -> None:
    rows = [
        make.span("a", "1", "gone", at=0),
        make.span("a", "2", at=2),
        make.span("a", "3", at=1),
        make.span("b", "4", "gone", at=3),
        make.span("b", "5", "4", at=1),
    ]
    assert settle(make, *rows)["root"].to_list() == [False, False, True, True, False]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.one_of(st.none(), st.text(max_size=3))),
        min_size=1,
        max_size=10,
    )
)
def test_inheritance_is_what_walking_up_finds(
    make: SimpleNamespace, tree: list[tuple[int, str | None]]
) -> None:
    """The parent of span i is an earlier span, so there are no circles."""
    parents = [None if i == 0 else parent % i for i, (parent, _) in enumerate(tree)]
    rows = [
        make.span(
            "a",
            f"{i}",
            None if parents[i] is None else f"{parents[i]}",
            attributes={} if value is None else {"d": value},
        )
        for i, (_, value) in enumerate(tree)
    ]

    def walk(i: int | None) -> str | None:
        if i is None:
            return None
        return tree[i][1] if tree[i][1] is not None else walk(parents[i])

    found = settle(make, *rows, d=Dimension(attribute="d"))["d"].to_list()
    assert found == [walk(i) for i in range(len(tree))]


def test_a_long_value_is_cut_before_it_stands_on_every_score(make: SimpleNamespace) -> None:
    rows = [make.span("a", "1", attributes={"region": "x" * 1_000_000})]
    assert settle(make, *rows, region=Dimension(attribute="region"))["region"].to_list() == [
        "x" * 200
    ]


def test_what_many_spans_inherit_is_cut_before_they_do(make: SimpleNamespace) -> None:
    names = ("prompt_name", "prompt_version", "conversation_id", "user_id")
    long = {name: name + "é" * 20_000 for name in names}
    rows = [
        make.span("a", "1", **long),
        *(make.span("a", f"{n:04}", "1") for n in range(2, 1_000)),
        make.span("a", "ffff", "missing"),  # takes what the others agree on
        make.span("b", "1", prompt_name="x" * 201, user_id="é" * 200),
    ]
    by_name = {f"d_{name}": Dimension(column=name) for name in names}
    found = settle(make, *rows, **by_name)
    for name in names:
        for column in (name, f"d_{name}"):
            assert set(found[column].head(1_000)) == {long[name][:200]}
            assert found[column].to_arrow().cast("string").nbytes < 1_000_000
    assert found.row(-1, named=True)["prompt_name"] == "x" * 200
    assert found.row(-1, named=True)["user_id"] == "é" * 200
