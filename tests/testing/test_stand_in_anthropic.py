"""The real anthropic SDK against the stand-in model server."""

import asyncio
from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam, ToolUseBlock
from pydantic import BaseModel

from evalspan.testing import Fault, ModelServer, Scenario, load_scenario

MODEL = "claude-haiku-4-5"
PAGE = """https://acme.example/product/0001
# Oak teapot
Article no. AC-0001
Price: USD 1,299.50
About: A teapot of oak."""
PROMPT = "Answer with the JSON object only. Write prices as a number."
LOOKUP: ToolParam = {
    "name": "lookup_order",
    "input_schema": {"type": "object", "properties": {"order_id": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    default = load_scenario()
    return default.model_copy(update={"rules": (), "latency": Scenario().latency})


@pytest.fixture(scope="module")
def server(scenario: Scenario) -> Iterator[ModelServer]:
    with ModelServer(scenario) as running:
        yield running


@pytest.fixture
def client(server: ModelServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=2)


def ask(client: anthropic.Anthropic, text: str = PAGE) -> anthropic.types.Message:
    message: MessageParam = {"role": "user", "content": text}
    return client.messages.create(model=MODEL, max_tokens=500, system=PROMPT, messages=[message])


def test_an_answer_has_text_usage_and_an_id_of_its_own(client: anthropic.Anthropic) -> None:
    first, second = ask(client), ask(client)
    assert first.content[0].type == "text"
    assert '"price": 1299.5' in first.content[0].text
    assert first.stop_reason == "end_turn"
    assert first.usage.input_tokens > 10
    assert first.usage.output_tokens > 10
    assert first.content == second.content
    assert first.id != second.id


def test_a_stream_gives_the_same_text_and_usage(client: anthropic.Anthropic) -> None:
    whole = ask(client)
    with client.messages.stream(
        model=MODEL,
        max_tokens=500,
        system=PROMPT,
        messages=[{"role": "user", "content": PAGE}],
    ) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) == 2
    assert whole.content[0].type == "text"
    assert "".join(pieces) == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.stop_reason == "end_turn"


def test_the_async_client_works_too(server: ModelServer) -> None:
    async def both() -> list[anthropic.types.Message]:
        client = anthropic.AsyncAnthropic(base_url=server.url, api_key="none")
        message: MessageParam = {"role": "user", "content": PAGE}
        calls = [
            client.messages.create(model=MODEL, max_tokens=500, messages=[message])
            for _ in range(5)
        ]
        return await asyncio.gather(*calls)

    assert len({one.id for one in asyncio.run(both())}) == 5


def test_an_agent_calls_its_tool_reads_the_result_and_answers(client: anthropic.Anthropic) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "Where is my order A-1042?"}]
    reply = client.messages.create(
        model=MODEL, max_tokens=500, messages=messages, tools=[LOOKUP], system="Thank them."
    )
    assert reply.stop_reason == "tool_use"
    call = reply.content[0]
    assert isinstance(call, ToolUseBlock)
    assert (call.name, call.input) == ("lookup_order", {"order_id": "A-1042"})
    messages.append({"role": "assistant", "content": list(reply.content)})
    result = '{"order": "A-1042", "status": "shipped"}'
    messages.append(
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": result}],
        }
    )
    reply = client.messages.create(model=MODEL, max_tokens=500, messages=messages, tools=[LOOKUP])
    assert reply.stop_reason == "end_turn"
    assert reply.content[0].type == "text"
    assert "Order A-1042 is shipped" in reply.content[0].text


def test_a_tool_call_is_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model=MODEL,
        max_tokens=500,
        messages=[{"role": "user", "content": "Where is my order A-1042?"}],
        tools=[LOOKUP],
    ) as stream:
        final = stream.get_final_message()
    assert isinstance(final.content[0], ToolUseBlock)
    assert final.content[0].input == {"order_id": "A-1042"}


def test_a_forced_tool_gets_the_answer_in_the_form_of_its_schema(
    client: anthropic.Anthropic,
) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "offers": {"type": "object", "properties": {"price": {"type": "integer"}}},
            "sizes": {"type": "array", "items": {"type": "string"}},
            "kind": {"enum": ["good", "bad"]},
        },
    }
    reply = client.messages.create(
        model=MODEL,
        max_tokens=500,
        messages=[{"role": "user", "content": PAGE}],
        tools=[{"name": "save", "input_schema": schema}],
        tool_choice={"type": "tool", "name": "save"},
    )
    block = reply.content[0]
    assert isinstance(block, ToolUseBlock)
    assert block.input == {
        "name": "Oak teapot",
        "offers": {"price": 1299},
        "sizes": [],
        "kind": "good",
    }


class Offer(BaseModel):
    price: float


class Product(BaseModel):
    name: str
    offers: Offer
    note: str | None


def test_structured_output_parses_into_the_model(client: anthropic.Anthropic) -> None:
    reply = client.messages.parse(
        model=MODEL,
        max_tokens=500,
        messages=[{"role": "user", "content": PAGE}],
        output_format=Product,
    )
    assert reply.parsed_output == Product(name="Oak teapot", offers=Offer(price=1299.5), note="")


def test_an_answer_longer_than_max_tokens_is_cut(client: anthropic.Anthropic) -> None:
    message: MessageParam = {"role": "user", "content": PAGE}
    reply = client.messages.create(model=MODEL, max_tokens=5, messages=[message])
    assert reply.stop_reason == "max_tokens"
    assert reply.usage.output_tokens == 5
    assert reply.content[0].type == "text"
    assert len(reply.content[0].text) == 20


def test_a_request_without_a_tool_that_it_forces_is_refused(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="'save' not found") as caught:
        client.messages.create(
            model=MODEL,
            max_tokens=5,
            messages=[{"role": "user", "content": "hello"}],
            tool_choice={"type": "tool", "name": "save"},
        )
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"


def test_a_rate_limit_passes_after_one_retry(scenario: Scenario) -> None:
    faults = (Fault(status=429, attempts=1, retry_after_seconds=0.01),)
    with ModelServer(scenario.model_copy(update={"faults": faults})) as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=1)
        assert ask(client).stop_reason == "end_turn"
        assert server.requests["status 429"] == 1
        assert server.requests["status 200"] == 1


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.APIStatusError, "overloaded_error"),
        (500, anthropic.InternalServerError, "api_error"),
    ],
)
def test_a_lasting_fault_reaches_the_app_as_the_sdk_names_it(
    scenario: Scenario, status: int, error: type[anthropic.APIStatusError], kind: str
) -> None:
    faults = (Fault(status=status, attempts=99, retry_after_seconds=0.01),)
    with ModelServer(scenario.model_copy(update={"faults": faults})) as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=1)
        with pytest.raises(error) as caught:
            ask(client)
        assert caught.value.status_code == status
        assert isinstance(caught.value.body, dict)
        assert caught.value.body["error"]["type"] == kind
        assert server.requests[f"status {status}"] == 2
