"""A schema whose choices lead back to themselves: its mistakes grow without bound."""

from typing import Any

import polars as pl
import pytest

from evalspan.evaluate.checks._recursive import branches_into_itself
from evalspan.evaluate.checks.json_schema import json_schema

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "oneOf": [
                {
                    "type": "object",
                    "required": [word],
                    "properties": {word: {"type": "array", "items": {"$ref": "#/$defs/node"}}},
                }
                for word in ("and", "or", "not")
            ]
            + [{"type": "object", "required": ["leaf"], "properties": {"leaf": {"type": "string"}}}]
        }
    },
}
OPTIONAL = {
    "properties": {"price": {"anyOf": [{"$ref": "#/$defs/money"}, {"type": "null"}]}},
    "$defs": {"money": {"type": "number"}},
}
NESTED = {"properties": {"child": {"$ref": "#"}, "name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TREE, True),
        (OPTIONAL, False),
        (NESTED, False),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, True),
        ({"anyOf": [{"$ref": "other.json"}, {"type": "null"}]}, True),
        ({"anyOf": [{"$ref": "#/$defs/nowhere"}]}, True),
        (True, False),
    ],
)
def test_a_choice_that_leads_back_to_itself_is_seen(schema: object, expected: bool) -> None:  # noqa: FBT001
    assert branches_into_itself(schema) is expected


def judged(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return json_schema(pl.DataFrame({"output_text": [text]}), schema=schema).row(0, named=True)


def test_a_deep_answer_that_breaks_a_recursive_schema_fails_without_its_mistakes() -> None:
    depth = 60  # to list the mistakes of 15 took half a minute
    text = '{"and": [' * depth + '{"leaf": 3}' + "]}" * depth
    found = judged(TREE, text)
    assert (found["passed"], found["value"]) == (False, None)
    assert "does not fit the schema" in found["reason"]
    assert judged(TREE, text.replace("3", '"x"'))["passed"] is True


def test_a_schema_with_choices_that_end_says_where_it_fails() -> None:
    found = judged(OPTIONAL, '{"price": "3"}')
    assert (found["passed"], found["value"]) == (False, 1)
    assert found["reason"].startswith("$.price: ")
