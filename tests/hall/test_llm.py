"""The one place that asks a model: a structured answer, or an error of one kind."""

import asyncio
from types import SimpleNamespace

import pytest

from evalspan.llm import Anthropic, LLMError, LLMSettings
from evalspan.testing import Fault, ModelServer, Scenario

TOOL = {
    "name": "record_answers",
    "description": "Record the answers.",
    "input_schema": {"type": "object", "properties": {"answers": {"type": "array"}}},
}
USER = (
    '<questions><question id="polite">Does the answer thank the customer?</question></questions>'
    "<span><output>Thank you for asking.</output></span>"
)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")


def ask(server: ModelServer, **settings: object) -> object:
    asked = Anthropic(LLMSettings(base_url=server.url, **settings), price=lambda _m, i, o: i + o)
    return asyncio.run(
        asked(system="Judge.", user=USER, tool=TOOL, model="claude-haiku-4-5", max_tokens=500),
    )


@pytest.mark.usefixtures("key")
def test_the_answer_is_the_input_of_the_forced_tool() -> None:
    with ModelServer() as server:
        answer = ask(server)
    assert answer.input["answers"][0]["question"] == "polite"
    assert answer.cost_usd == answer.input_tokens + answer.output_tokens


@pytest.mark.usefixtures("key")
def test_one_client_serves_several_event_loops() -> None:
    with ModelServer() as server:
        asked = Anthropic(LLMSettings(base_url=server.url))
        for _ in range(3):
            said = {"system": "", "user": USER, "tool": TOOL, "model": "m", "max_tokens": 99}
            assert asyncio.run(asked(**said)).input["answers"]


def test_a_missing_key_is_told_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTHER_KEY", raising=False)
    asked = Anthropic(LLMSettings(api_key_env="OTHER_KEY"))
    with pytest.raises(LLMError, match="OTHER_KEY"):
        asyncio.run(asked(system="", user="", tool=TOOL, model="m", max_tokens=9))


@pytest.mark.usefixtures("key")
def test_an_api_that_fails_for_good_is_an_error_in_words() -> None:
    broken = Scenario(faults=(Fault(status=529, attempts=99),))
    with ModelServer(broken) as server, pytest.raises(LLMError, match="claude-haiku-4-5"):
        ask(server, max_retries=0)


def test_a_tool_that_was_not_used_is_an_error_in_words() -> None:
    cut = SimpleNamespace(content=[SimpleNamespace(type="text")], stop_reason="max_tokens")
    with pytest.raises(LLMError, match=r"did not answer with the tool t .*max_tokens"):
        Anthropic(LLMSettings())._read(cut, "t", "m")
