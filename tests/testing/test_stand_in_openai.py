"""The real openai SDK against the stand-in model server: Chat Completions and Responses."""

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import (
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)
from openai.types.responses import ResponseFunctionToolCall, ResponseInputParam
from pydantic import BaseModel

from evalspan.testing import Fault, ModelServer, Rule, Scenario, load_scenario

MODEL = "gpt-4o-mini"
PAGE = """https://acme.example/product/0001
# Oak teapot
Price: USD 1,299.50"""
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Answer with the JSON object only."},
    {"role": "user", "content": [{"type": "text", "text": PAGE}]},
]
ORDER = "Where is my order A-1042?"
PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}},
}
LOOKUP: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "lookup_order", "parameters": PARAMETERS},
}
ASSISTANT_CALL = {
    "type": "function",
    "function": {"name": "lookup_order", "arguments": '{"order_id": "A-1042"}'},
}
PROSE = Rule.model_validate(
    {
        "id": "prose",
        "breaks": {"kind": "prose", "text": "Here it is: {answer}"},
        "broken_when_missing": 1,
    }
)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    default = load_scenario()
    return default.model_copy(update={"rules": (), "latency": Scenario().latency})


@pytest.fixture(scope="module")
def server(scenario: Scenario) -> Iterator[ModelServer]:
    with ModelServer(scenario) as running:
        yield running


@pytest.fixture
def client(server: ModelServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=2)


def test_a_chat_completion_has_text_usage_and_a_finish_reason(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert json.loads(answer.choices[0].message.content or "")["name"] == "Oak teapot"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("with_usage", [True, False])
def test_a_chat_stream_ends_with_usage_only_if_asked_for(
    client: openai.OpenAI, *, with_usage: bool
) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": with_usage},
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage] * with_usage


def test_a_chat_agent_calls_its_tool_and_answers(client: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": ORDER}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[LOOKUP])
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    call = calls[0]
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert json.loads(call.function.arguments) == {"order_id": "A-1042"}
    messages += [
        {"role": "assistant", "tool_calls": [ASSISTANT_CALL | {"id": call.id}]},  # type: ignore[list-item]
        {"role": "tool", "tool_call_id": call.id, "content": '{"status": "shipped"}'},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[LOOKUP])
    assert "Order A-1042 is shipped" in (answer.choices[0].message.content or "")


def test_a_chat_tool_call_is_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": ORDER}], tools=[LOOKUP]
    ) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"order_id": "A-1042"}


class Product(BaseModel):
    name: str
    sku: str


def test_structured_output_parses_even_where_a_rule_is_broken(scenario: Scenario) -> None:
    with ModelServer(scenario.model_copy(update={"rules": (PROSE,)})) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
        plain = client.chat.completions.create(model=MODEL, messages=MESSAGES)
        json_object = client.chat.completions.create(
            model=MODEL, messages=MESSAGES, response_format={"type": "json_object"}
        )
        parsed = client.chat.completions.parse(
            model=MODEL, messages=MESSAGES, response_format=Product
        )
        response = client.responses.parse(model=MODEL, input=PAGE, text_format=Product)
    assert (plain.choices[0].message.content or "").startswith("Here it is: ")
    assert json.loads(json_object.choices[0].message.content or "")["name"] == "Oak teapot"
    assert parsed.choices[0].message.parsed == Product(name="Oak teapot", sku="")
    assert response.output_parsed == Product(name="Oak teapot", sku="")


def test_a_response_has_text_and_usage(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODEL, instructions="JSON only", input=PAGE)
    assert json.loads(answer.output_text)["offers"] == {"price": 1299.5, "priceCurrency": "USD"}
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_a_response_streams_the_same_text(client: openai.OpenAI) -> None:
    whole = client.responses.create(model=MODEL, input=PAGE)
    with client.responses.stream(model=MODEL, input=PAGE) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text == final.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_response_calls_its_tool_and_answers(client: openai.OpenAI) -> None:
    given: ResponseInputParam = [{"role": "user", "content": ORDER}]
    answer = client.responses.create(
        model=MODEL,
        input=given,
        tools=[
            {
                "type": "function",
                "name": "lookup_order",
                "parameters": PARAMETERS,
                "strict": False,
            }
        ],
    )
    call = answer.output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    given += [
        {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
        },
        {"type": "function_call_output", "call_id": call.call_id, "output": '{"status": "lost"}'},
    ]
    answer = client.responses.create(model=MODEL, input=given)
    assert "Order A-1042 is lost" in answer.output_text


def test_a_cut_response_is_incomplete(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input=PAGE, max_output_tokens=5)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_what_the_stand_in_cannot_do_is_an_error_that_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="keeps no answers"):
        client.responses.create(model=MODEL, input=PAGE, previous_response_id="resp_1")


def test_the_async_client_retries_a_rate_limit(scenario: Scenario) -> None:
    faults = (Fault(status=429, rate=0.5, attempts=1, retry_after_seconds=0.01),)

    async def ten(url: str) -> int:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=1)
        calls = [
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": f"{PAGE} {number}"}]
            )
            for number in range(10)
        ]
        return len(await asyncio.gather(*calls))

    with ModelServer(scenario.model_copy(update={"faults": faults})) as server:
        assert asyncio.run(ten(server.url)) == 10
        assert server.requests["status 200"] == 10
        assert 0 < server.requests["status 429"] < 10


def test_a_lasting_rate_limit_is_openais_error(scenario: Scenario) -> None:
    faults = (Fault(status=429, attempts=9, retry_after_seconds=0.01),)
    with ModelServer(scenario.model_copy(update={"faults": faults})) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert caught.value.code == "rate_limit_exceeded"
