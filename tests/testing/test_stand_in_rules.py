"""What a prompt changes in the answers: pairs are real pairs, and rates are as stated."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalspan.testing import Break, Rule, Scenario, Task, load_scenario
from evalspan.testing._conversation import Asked, Tool, ToolCall, ToolResult, Turn
from evalspan.testing._reading import as_number
from evalspan.testing._stand_in import answer

DEFAULT = load_scenario()
INPUTS = [f"item {number}\nPrice: {number},50 EUR" for number in range(2000)]
PRICE = Rule.model_validate(
    {
        "id": "price",
        "stands": "number",
        "breaks": {"kind": "raw_value", "field": "price"},
        "broken_when_missing": 0.4,
        "broken_when_standing": 0.03,
    }
)
PROSE = Rule.model_validate(
    {
        "id": "prose",
        "stands": "JSON only",
        "applies_to": r"item \d*7\b",
        "breaks": {"kind": "prose", "text": "Sure: {answer}"},
        "broken_when_missing": 0.5,
    }
)
TASK = Task.model_validate(
    {
        "id": "item",
        "when": "item",
        "fields": [
            {"path": "price", "pattern": "Price: (.+)", "kind": "number"},
            {"path": "name", "pattern": r"item \d+"},
        ],
    }
)
SCENARIO = Scenario(seed=1, rules=(PRICE, PROSE), tasks=(TASK,))


def texts(prompt: str, inputs: Sequence[str] = INPUTS, scenario: Scenario = SCENARIO) -> list[str]:
    asked = (Asked("m", prompt, (Turn("user", text),)) for text in inputs)
    return [answer(scenario, one, "id").text for one in asked]


def price_is_text(text: str) -> bool:
    return '"price": "' in text


def test_the_same_request_has_the_same_answer() -> None:
    assert texts("anything") == texts("anything")


def test_words_that_no_rule_knows_change_nothing() -> None:
    assert texts("Be careful.") == texts("Please be very careful indeed.")


@pytest.mark.parametrize(("prompt", "rate"), [("Extract.", 0.4), ("Write a number.", 0.03)])
def test_a_rule_is_broken_at_the_stated_rate(prompt: str, rate: float) -> None:
    broken = sum(map(price_is_text, texts(prompt)))
    assert broken / len(INPUTS) == pytest.approx(rate, abs=0.02)


def test_a_rule_that_is_added_mends_and_never_breaks() -> None:
    before, after = texts("Extract."), texts("Extract a number.")
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(changed) > 600
    assert all(price_is_text(old) and not price_is_text(new) for old, new in changed)


def test_a_rule_concerns_only_the_inputs_that_it_applies_to() -> None:
    before, after = texts("Extract."), texts("Extract. JSON only.")
    changed = [text for text, old, new in zip(INPUTS, before, after, strict=True) if old != new]
    assert len(changed) == pytest.approx(100, abs=25)
    assert all(text.partition("\n")[0].endswith("7") for text in changed)


def test_another_seed_breaks_other_inputs() -> None:
    other = texts("Extract.", scenario=SCENARIO.model_copy(update={"seed": 2}))
    assert other != texts("Extract.")


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_prompt_and_any_input_has_an_answer(prompt: str, text: str) -> None:
    reply = answer(DEFAULT, Asked("m", prompt, (Turn("user", text),)), "id")
    assert reply.text
    assert reply.output_tokens > 0


@pytest.mark.parametrize(
    ("breaks", "expected"),
    [
        ({"kind": "drop_field", "field": "name"}, '{"price": 1.5}'),
        (
            {"kind": "replace_value", "field": "name", "text": "?"},
            '{"price": 1.5, "name": "?"}',
        ),
        ({"kind": "refusal", "text": "I'm sorry."}, "I'm sorry."),
        ({"kind": "cut"}, '{"price": 1.5, "'),
        ({"kind": "drop_text", "text": '"price": '}, '{1.5, "name": "item 1"}'),
    ],
)
def test_every_break_does_what_it_says(breaks: dict[str, str], expected: str) -> None:
    rule = Rule(id="r", breaks=Break.model_validate(breaks), broken_when_missing=1)
    scenario = Scenario(rules=(rule,), tasks=(TASK,))
    assert texts("", ["item 1\nPrice: 1,50 EUR"], scenario) == [expected]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.299,00 EUR", 1299.0),
        ("USD 1,299.00", 1299.0),
        ("24,50", 24.5),
        ("about 4 people", 4),
        ("GBP 1,299", 1299),
        ("1.299.000 EUR", 1299000),
        ("none", None),
    ],
)
def test_numbers_are_read_in_both_spellings(text: str, number: float | None) -> None:
    assert as_number(text) == number


def test_a_date_that_is_none_stays_as_it_is() -> None:
    reply = texts("JSON only", ["/event/\nWhen: 30 February 2026"], DEFAULT)[0]
    assert '"startDate": "30 February 2026"' in reply


def agent_calls(rule: Rule) -> list[ToolCall]:
    scenario = DEFAULT.model_copy(update={"rules": (rule,)})
    tools = (Tool("lookup_order", {}), Tool("search_refund_policy", {}))
    turns: tuple[Turn, ...] = (Turn("user", "My order A-1042 arrived damaged."),)
    calls: list[ToolCall] = []
    for _ in range(9):
        reply = answer(scenario, Asked("m", "", turns, tools), "id")
        if not reply.calls:
            return calls
        calls += reply.calls
        result = ToolResult(reply.calls[0].call_id, json.dumps({"status": "shipped"}))
        turns += Turn("assistant", calls=reply.calls), Turn("user", results=(result,))
    pytest.fail("the agent never answered")


def test_an_agent_can_loop_and_can_call_with_a_wrong_argument() -> None:
    loop = Break(kind="repeat_tool", field="search_refund_policy")
    wrong = Break(kind="wrong_argument", field="lookup_order", text="order")
    names = [c.name for c in agent_calls(Rule(id="r", breaks=loop, broken_when_missing=1))]
    assert names == ["lookup_order", *["search_refund_policy"] * 4]
    first = agent_calls(Rule(id="r", breaks=wrong, broken_when_missing=1))[0]
    assert first.arguments == {"order_id": "order"}
    sound = agent_calls(Rule(id="r", breaks=loop, broken_when_missing=0))
    assert [call.arguments for call in sound] == [{"order_id": "A-1042"}, {"query": "damaged"}]
    assert len({call.call_id for call in sound}) == 2
