"""The stand-in as a rewriter and as a judge, asked with the real anthropic SDK."""

from collections.abc import Iterator
from html import escape
from typing import Any

import anthropic
import pytest
from anthropic.types import ToolUseBlock

from evalspan.testing import Judge, ModelServer, Question, Rewriter, Scenario, load_scenario

PROMPT = """Answer with schema.org JSON.

- Answer with the JSON object only.
- Write dates as YYYY-MM-DD."""
PRICE_FAILED = '/offers/price: "1,50 EUR" is not of type "number"'
PRICE_SENTENCE = "Write every price as a JSON number"


@pytest.fixture(scope="module")
def default() -> Scenario:
    return load_scenario().model_copy(update={"latency": Scenario().latency})


def forced(scenario: Scenario, tool: str, text: str) -> dict[str, Any]:
    with ModelServer(scenario) as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="none")
        reply = client.messages.create(
            model="claude-haiku-4-5",
            max_tokens=2000,
            messages=[{"role": "user", "content": text}],
            tools=[{"name": tool, "input_schema": {"type": "object"}}],
            tool_choice={"type": "tool", "name": tool},
        )
    block = reply.content[0]
    assert isinstance(block, ToolUseBlock)
    return dict(block.input)


def proposals(scenario: Scenario, reason: str, prompt: str = PROMPT) -> list[str]:
    case = f"<case><input>x</input><output>y</output><failed>{escape(reason)}</failed></case>"
    text = (
        f"<current_prompt>{escape(prompt)}</current_prompt><finding>it fell</finding>"
        f"<failing_cases>{case}</failing_cases>"
    )
    found = forced(scenario, "propose_prompts", text)["proposals"]
    assert all(one["rationale"] for one in found)
    return [one["prompt"] for one in found]


def rewriter(scenario: Scenario, **settings: float) -> Scenario:
    given = Rewriter.model_validate({"proposals": 6} | settings)
    return scenario.model_copy(update={"rewriter": given})


def test_a_rewriter_adds_the_rule_that_the_failures_show(default: Scenario) -> None:
    found = proposals(rewriter(default), f"json_schema: {PRICE_FAILED}")
    assert len(found) == 6
    for prompt in found:
        assert prompt.startswith(PROMPT)
        assert PRICE_SENTENCE in prompt
        assert prompt.splitlines()[-1].startswith("- ")


def test_a_rewriter_knows_nothing_that_the_request_does_not_show(default: Scenario) -> None:
    for prompt in proposals(rewriter(default), "latency: 3.2 s is more than 2 s"):
        assert PRICE_SENTENCE not in prompt


def test_a_rule_that_stands_already_is_not_added_again(default: Scenario) -> None:
    prompt = f"{PROMPT}\n- Prices are numbers: a price is a number."
    assert all(PRICE_SENTENCE not in p for p in proposals(rewriter(default), PRICE_FAILED, prompt))


def test_a_useless_proposal_adds_no_rule(default: Scenario) -> None:
    for prompt in proposals(rewriter(default, useless=1), PRICE_FAILED):
        assert prompt.startswith(PROMPT)
        assert PRICE_SENTENCE not in prompt


def test_a_harmful_proposal_mends_one_thing_and_breaks_another(default: Scenario) -> None:
    found = proposals(rewriter(default, harmful=1), PRICE_FAILED)
    for prompt in found:
        assert PRICE_SENTENCE in prompt
        dropped = "JSON object only" not in prompt or "YYYY-MM-DD" not in prompt
        trapped = "Leave out every field" in prompt or "Copy every value" in prompt
        assert dropped or trapped
    assert len(set(found)) > 1


def test_stated_shares_are_kept_over_many_prompts(default: Scenario) -> None:
    scenario = rewriter(default, useless=0.2, harmful=0.3, proposals=100)
    found = proposals(scenario, PRICE_FAILED)
    useless = sum(PRICE_SENTENCE not in prompt for prompt in found)
    assert useless == pytest.approx(20, abs=12)


SPAN = (
    'input: Where is my order?\noutput: Thank you for waiting. Order A-1042 is shipped & "ok", <b>.'
)
QUESTIONS = {
    "polite": "Is the answer polite?",
    "order": "Does it name the order?",
    "sorry": "Did it refuse?",
    "weather": "Is it raining?",
}


def verdicts(scenario: Scenario, span: str = SPAN) -> dict[str, tuple[str, str]]:
    asked = "".join(
        f'<question id="{escape(key)}">{escape(text)}</question>' for key, text in QUESTIONS.items()
    )
    text = f"<questions>{asked}</questions><span>{escape(span)}</span>"
    found = forced(scenario, "record_answers", text)["answers"]
    return {one["question"]: (one["answer"], one["quote"]) for one in found}


def judge(scenario: Scenario, **rates: float) -> Scenario:
    return scenario.model_copy(update={"judge": scenario.judge.model_copy(update=rates)})


def test_a_judge_decides_by_rule_and_quotes_what_stands_there(default: Scenario) -> None:
    found = verdicts(judge(default, misjudged=0, invented_quotes=0))
    assert {key: answer for key, (answer, _) in found.items()} == {
        "polite": "yes",
        "order": "yes",
        "sorry": "no",
        "weather": "unknown",
    }
    assert all(quote in SPAN for _, quote in found.values())
    assert all(quote for key, (_, quote) in found.items() if key != "weather")


def test_a_judge_that_misjudges_says_the_opposite(default: Scenario) -> None:
    found = verdicts(judge(default, misjudged=1, invented_quotes=0))
    assert [found[key][0] for key in ("polite", "order", "sorry")] == ["no", "no", "yes"]


def test_an_invented_quote_does_not_stand_in_the_span(default: Scenario) -> None:
    found = verdicts(judge(default, misjudged=0, invented_quotes=1))
    assert all(found[key][1] not in SPAN for key in ("polite", "order", "sorry"))


@pytest.fixture(scope="module")
def many_verdicts() -> Iterator[list[tuple[str, str]]]:
    question = Question.model_validate({"asks": "polite", "yes_when": "Thank you"})
    rates = Judge(questions=(question,), misjudged=0.1, invented_quotes=0.05)
    with ModelServer(Scenario(judge=rates)) as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="none")
        found = []
        for number in range(400):
            span = f"<span>Thank you. {number}</span>"
            asked = '<questions><question id="q">polite?</question></questions>'
            reply = client.messages.create(
                model="claude-haiku-4-5",
                max_tokens=500,
                messages=[{"role": "user", "content": asked + span}],
                tools=[{"name": "record_answers", "input_schema": {"type": "object"}}],
                tool_choice={"type": "tool", "name": "record_answers"},
            )
            block = reply.content[0]
            assert isinstance(block, ToolUseBlock)
            answers: Any = block.input["answers"]
            found.append((answers[0]["answer"], answers[0]["quote"]))
        assert server.requests["judge"] == 400
        yield found


def test_a_judge_errs_at_the_stated_rates(many_verdicts: list[tuple[str, str]]) -> None:
    wrong = sum(answer == "no" for answer, _ in many_verdicts)
    invented = sum(quote != "Thank you" for _, quote in many_verdicts)
    assert wrong == pytest.approx(40, abs=18)
    assert invented == pytest.approx(20, abs=13)
