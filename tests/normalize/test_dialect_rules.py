"""Detection, roles, and what becomes of values that are not as the table expects them."""

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_requests import RECEIVED_NS, Record, comparable, make_span, request

from evalspan.decode import decode
from evalspan.normalize import _clean, normalize, rebuild

Row = dict[str, Any]
USER = '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'


def row_of(attributes: dict[str, Any], scope: str = "tests", **more: Any) -> Row:  # noqa: ANN401
    """Return the row of one span; every one of them must be rebuilt from it."""
    return row_of_span(make_span(attributes=attributes, **more), scope)


def row_of_span(span: Span, scope: str = "tests") -> Row:
    normalized = normalize(decode([Record(request(span, scope=scope))], 1))
    row: Row = normalized.spans.to_pylist()[0]
    assert comparable(rebuild(row, normalized.events.to_pylist())) == comparable(span)
    return row


def kept(row: Row) -> set[str]:
    return {held["key"] for held in row["attributes"]}


@pytest.mark.parametrize(
    ("attributes", "scope", "dialect"),
    [
        ({"gen_ai.provider.name": "openai"}, "x", "otel"),
        ({"gen_ai.system": "openai"}, "x", "otel"),
        ({"gen_ai.provider.name": "anthropic"}, "com.anthropic.sdk.python", "anthropic_sdk"),
        ({"openinference.span.kind": "LLM", "gen_ai.system": "x"}, "x", "openinference"),
        ({"llm.token_count.prompt": 3}, "x", "openinference"),
        ({"gen_ai.prompt.24.role": "user"}, "x", "openllmetry"),
        ({"traceloop.entity.name": "x", "gen_ai.system": "y"}, "x", "openllmetry"),
        ({"gen_ai.provider.name": "x"}, "opentelemetry.instrumentation.openai.v1", "openllmetry"),
        ({"gen_ai.provider.name": "x"}, "opentelemetry.instrumentation.openai_v2", "otel"),
        ({"langfuse.observation.type": "span", "gen_ai.system": "x"}, "x", "langfuse"),
        ({"gen_ai.system": "x"}, "openlit.instrumentation.openai", "openlit"),
        ({"gen_ai.system": "x"}, "semantic_kernel.connectors", "microsoft"),
        ({"mlflow.spanType": '"CHAT_MODEL"', "openinference.span.kind": "LLM"}, "x", "mlflow"),
        ({"http.request.method": "GET"}, "x", None),
        ({}, "x", None),
    ],
)
def test_the_first_dialect_that_claims_a_span_names_it(
    attributes: dict[str, Any],
    scope: str,
    dialect: str | None,
) -> None:
    assert row_of(attributes, scope)["dialect"] == dialect


@pytest.mark.parametrize(
    ("attributes", "role"),
    [
        ({"gen_ai.system": "openai", "gen_ai.operation.name": "chat"}, "llm"),
        ({"gen_ai.system": "openai", "gen_ai.usage.prompt_tokens": 1}, "llm"),
        ({"gen_ai.system": "openai", "gen_ai.operation.name": "embeddings"}, "embedding"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.request.model": "x"}, "tool"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9}, "agent"),
        ({"gen_ai.operation.name": "something new"}, "other"),
        ({"openinference.span.kind": "CHAIN"}, "workflow"),
        ({"openinference.span.kind": "RERANKER"}, "retrieval"),
        ({"openinference.span.kind": "GUARDRAIL"}, "evaluation"),
        ({"openinference.span.kind": "PROMPT"}, "other"),
        ({"llm.model_name": "x", "llm.token_count.prompt": 3}, "llm"),
        ({"llm.request.type": "chat", "traceloop.span.kind": "workflow"}, "llm"),
        ({"traceloop.span.kind": "task", "gen_ai.operation.name": "execute_task"}, "workflow"),
        ({"gen_ai.operation.name": 7, "gen_ai.system": "x"}, "other"),
        ({"db.system": "postgresql"}, "other"),
    ],
)
def test_roles(attributes: dict[str, Any], role: str) -> None:
    assert row_of(attributes)["role"] == role


def test_a_span_of_no_dialect_keeps_everything_and_is_of_another_kind() -> None:
    row = row_of({"http.request.method": "GET", "error.type": "timeout", "user.id": "u"})
    assert (row["role"], row["dialect"]) == ("other", None)
    assert (row["error_type"], row["user_id"]) == ("timeout", "u")
    assert kept(row) == {"http.request.method"}


def test_what_a_column_holds_word_for_word_is_not_kept_twice() -> None:
    row = row_of({"gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "x": 1})
    assert row["promoted"] == "provider=gen_ai.provider.name;request_model=gen_ai.request.model"
    assert kept(row) == {"x"}


@pytest.mark.parametrize(
    ("value", "tokens"),
    [(400, 400), ("400", 400), (400.0, 400), (" 400 ", 400), (True, None), ("many", None)],
)
def test_token_counts_of_other_types(value: Any, tokens: int | None) -> None:  # noqa: ANN401
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": value})
    assert row["input_tokens"] == tokens
    exact = isinstance(value, int) and not isinstance(value, bool)
    assert ("gen_ai.usage.input_tokens" in kept(row)) != exact


@pytest.mark.parametrize(
    ("value", "number"),
    [(0.5, 0.5), (0, 0.0), ("0.5", 0.5), (float("inf"), None), ("nan", None), ([], None)],
)
def test_temperatures_of_other_types(value: Any, number: float | None) -> None:  # noqa: ANN401
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.request.temperature": value})
    assert row["temperature"] == number


def test_not_a_number_is_null_in_a_column_and_kept_among_the_attributes() -> None:
    span = make_span(attributes={"gen_ai.operation.name": "chat"})
    span.attributes.add(key="gen_ai.request.temperature").value.double_value = float("nan")
    row = normalize(decode([Record(request(span))], 1)).spans.to_pylist()[0]
    assert row["temperature"] is None
    (held,) = row["attributes"]
    assert held["double"] != held["double"]


def test_the_earlier_key_of_a_table_wins_and_the_other_one_is_kept() -> None:
    row = row_of({"gen_ai.system": "azure", "gen_ai.provider.name": "openai"})
    assert row["provider"] == "openai"
    assert kept(row) == {"gen_ai.system"}


def test_a_useless_value_of_the_earlier_key_leaves_room_for_the_other() -> None:
    row = row_of(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": "?",
            "gen_ai.usage.prompt_tokens": 7,
        },
    )
    assert row["input_tokens"] == 7


@pytest.mark.parametrize(
    ("given", "model", "provider"),
    [
        ("OpenAI", None, "openai"),
        ("vertex_ai", None, "gcp.vertex_ai"),
        ("xai", None, "x_ai"),
        ("az.ai.openai", None, "azure.ai.openai"),
        ("Langchain", "gpt-4o-mini", "openai"),
        ("strands-agents", "anthropic/claude-sonnet-4-5", "anthropic"),
        ("langgraph", "house-model", None),
        (None, "gemini-2.5-pro", "gcp.gemini"),
    ],
)
def test_providers(given: str | None, model: str | None, provider: str | None) -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.system": given}
    row = row_of({k: v for k, v in {**attributes, "gen_ai.request.model": model}.items() if v})
    assert row["provider"] == provider


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        (["stop"], ["stop"]),
        (["end_turn"], ["stop"]),
        (["tool_use", "FinishReason.MAX_TOKENS"], ["tool_calls", "length"]),
        ('["stop"]', ["stop"]),
        ("STOP", ["stop"]),
        (["refusal"], ["refusal"]),
        ([], None),
        (3, None),
    ],
)
def test_finish_reasons(given: Any, reasons: list[str] | None) -> None:  # noqa: ANN401
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": given})
    assert row["finish_reasons"] == reasons
    assert ("gen_ai.response.finish_reasons" in kept(row)) == (given not in (["stop"], ["refusal"]))


def test_cached_tokens_are_part_of_the_input_even_where_the_sender_leaves_them_out() -> None:
    row = row_of(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 80,
            "gen_ai.usage.cache_read.input_tokens": 256,
            "gen_ai.usage.cache_creation.input_tokens": 64,
        },
    )
    assert row["input_tokens"] == 400
    assert "gen_ai.usage.input_tokens" in kept(row)


def test_openlit_leaves_them_out_on_anthropic_always() -> None:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.cache_read.input_tokens": 256,
    }
    for provider, tokens in (("anthropic", 1256), ("openai", 1000)):
        row = row_of({**attributes, "gen_ai.provider.name": provider}, scope="openlit.x")
        assert row["input_tokens"] == tokens


@pytest.mark.parametrize(
    ("scope", "value", "milliseconds"),
    [("openlit.x", 0.25, 250.0), ("strands.telemetry.tracer", 250, 250.0)],
)
def test_one_key_has_two_units(scope: str, value: float, milliseconds: float) -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.server.time_to_first_token": value}
    assert row_of(attributes, scope)["time_to_first_token_ms"] == milliseconds


def test_an_agents_copy_of_the_usage_stays_among_its_attributes() -> None:
    row = row_of({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 1700})
    assert row["input_tokens"] is None
    assert kept(row) == {"gen_ai.usage.input_tokens"}


@pytest.mark.parametrize("index", [0, 24, 100])
def test_indexes_need_not_begin_at_zero(index: int) -> None:
    row = row_of(
        {
            "openinference.span.kind": "LLM",
            f"llm.input_messages.{index + 1}.message.role": "user",
            f"llm.input_messages.{index + 1}.message.content": "second",
            f"llm.input_messages.{index}.message.role": "system",
            f"llm.input_messages.{index}.message.content": "first",
        },
    )
    assert [m["role"] for m in json.loads(row["input_messages"])] == ["system", "user"]
    assert (row["system_prompt"], row["input_text"]) == ("first", "second")


def test_keys_that_only_look_indexed_harm_nothing() -> None:
    row = row_of(
        {
            "openinference.span.kind": "LLM",
            "llm.input_messages.0": "flat",
            "llm.input_messages.x.message.role": "user",
            "llm.input_messages.99999999999999999999.message.role": "user",
            "llm.input_messages.1.message": "flat",
            "llm.input_messages.1.message.role": "user",
            "llm.output_messages.0.message.tool_calls": "flat",
            "llm.output_messages.0.message.contents.0.message_content": "flat",
            "llm.tools.0.tool.json_schema": "{",
            "output.value": '{"id":7,"llm_output":3}',
            "llm.invocation_parameters": '{"max_tokens":"x","stream":"true"}',
        },
    )
    assert row["role"] == "llm"
    assert row["stream"] is True
    assert row["response_id"] == "7"


def test_messages_in_any_known_form_become_those_of_the_conventions() -> None:
    raw = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ]
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(raw)})
    assert json.loads(row["input_messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}}],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "1", "response": "done"}],
        },
    ]
    assert (row["system_prompt"], row["input_text"]) == ("Be kind.", "Hi")


def test_messages_as_a_list_of_maps_are_the_same_as_json() -> None:
    given = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.input.messages": given})
    assert row["input_messages"] == USER
    assert row["input_text"] == "Hi"
    assert "gen_ai.input.messages" in kept(row)


def test_messages_that_need_no_change_are_kept_word_for_word() -> None:
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.input.messages": USER + "  "})
    assert row["input_messages"] == USER + "  "
    assert not kept(row)


@pytest.mark.parametrize(
    ("given", "prompt"),
    [
        ('[{"type":"text","content":"Be kind."}]', "Be kind."),
        ("Be kind.", "Be kind."),
        ('["Be", "kind."]', "Be\nkind."),
        ('[{"type":"text","content":"Be kind', "Be kind"),
        ("[not json", "[not json"),
        ([{"type": "text", "content": "Be kind."}], "Be kind."),
    ],
)
def test_system_instructions(given: Any, prompt: str) -> None:  # noqa: ANN401 - any value
    row = row_of({"gen_ai.operation.name": "chat", "gen_ai.system_instructions": given})
    assert row["system_prompt"] == prompt
    assert len(row["prompt_hash"]) == 12
    assert ("gen_ai.system_instructions" in kept(row)) == (given != prompt)


def test_the_same_prompt_has_the_same_hash_wherever_it_stands() -> None:
    one = row_of({"gen_ai.system": "x", "gen_ai.system_instructions": "Be kind."})
    two = row_of(
        {
            "openinference.span.kind": "LLM",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be kind.",
        },
    )
    assert one["prompt_hash"] == two["prompt_hash"] is not None


@pytest.mark.parametrize(
    ("attributes", "name", "version"),
    [
        ({"gen_ai.prompt.name": "p", "gen_ai.prompt.version": "2"}, "p", "2"),
        ({"llm.prompt_template.version": "v3", "openinference.span.kind": "LLM"}, None, "v3"),
        ({"traceloop.prompt.key": "p", "traceloop.prompt.version": 4}, "p", "4"),
        (
            {
                "langfuse.observation.prompt.name": "p",
                "langfuse.observation.prompt.version": 5,
            },
            "p",
            "5",
        ),
    ],
)
def test_prompt_identity(attributes: dict[str, Any], name: str | None, version: str) -> None:
    row = row_of({"gen_ai.system": "x", **attributes})
    assert (row["prompt_name"], row["prompt_version"]) == (name, version)


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 5000,
        '[{"role":"user","parts":[{"type":"text","content":"\\ud800"}]}]',
        '[{"role":null,"parts":[{"type":"text","content":{"a":[1e999]}}]}]',
        '{"messages":{"role":5}}',
        '[[["x"]]]',
        f'[{{"role":"user","content":{"9" * 6000}}}]',
        "null",
        '"quoted"',
        "\x00",
    ],
)
@pytest.mark.parametrize("key", ["input.messages", "output.messages", "tool.definitions"])
def test_hostile_content_is_survived_and_kept(key: str, hostile: str) -> None:
    row = row_of({"gen_ai.operation.name": "chat", f"gen_ai.{key}": hostile})
    if row[key.replace(".", "_")] is not None and key != "tool.definitions":
        json.loads(row[key.replace(".", "_")])


def test_an_exception_names_the_error_where_no_attribute_does() -> None:
    span = make_span(attributes={"openinference.span.kind": "LLM"})
    event = span.events.add(name="exception", time_unix_nano=RECEIVED_NS)
    event.attributes.add(key="exception.type").value.string_value = "openai.RateLimitError"
    assert row_of_span(span)["error_type"] == "openai.RateLimitError"
    span.attributes.add(key="error.type").value.string_value = "429"
    assert row_of_span(span)["error_type"] == "429"


def test_spans_of_many_dialects_in_one_batch_do_not_mix() -> None:
    spans = [
        make_span("a", {"gen_ai.system": "openai", "llm.model_name": "not otel's"}),
        make_span("b", {"openinference.span.kind": "LLM", "llm.model_name": "m"}),
        make_span("c", {"llm.request.type": "chat", "llm.user": "u"}),
        make_span("d", {"llm.model_name": "of nobody"}),
    ]
    rows = normalize(decode([Record(request(*spans))], 1)).spans.to_pylist()
    assert [row["response_model"] for row in rows] == [None, "m", None, None]
    assert [row["user_id"] for row in rows] == [None, None, "u", None]
    for row, span in zip(rows, spans, strict=True):
        assert comparable(rebuild(row, [])) == comparable(span)


OPENINFERENCE = {"openinference.span.kind": "LLM"}
CHAT = {"gen_ai.operation.name": "chat"}
NO_FLOAT = "1" + "0" * 400
DEEP_KEY = ".".join("a" * 3000)


@pytest.mark.parametrize(
    "attributes",
    [
        {**OPENINFERENCE, "llm.invocation_parameters": f'{{"temperature": {NO_FLOAT}}}'},
        {**OPENINFERENCE, "llm.invocation_parameters": f'{{"max_tokens": {NO_FLOAT}}}'},
        {**OPENINFERENCE, f"llm.input_messages.0.message.content.{DEEP_KEY}": "x"},
        {"openinference.span.kind": "RETRIEVER", f"retrieval.documents.0.document.{DEEP_KEY}": "x"},
        {**OPENINFERENCE, "llm.output_messages.0.message.content": b"\xff"},
        {"llm.request.type": "chat", f"llm.request.functions.0.{DEEP_KEY}": "x"},
        {"llm.request.type": "chat", f"gen_ai.prompt.0.content.{DEEP_KEY}": "x"},
        {**CHAT, "gen_ai.input.messages": [b"\xff", float("nan")]},
    ],
    ids=range(8),
)
def test_values_that_nobody_can_use_do_not_stop_the_segment(attributes: dict[str, Any]) -> None:
    row = row_of(attributes)
    assert row["dialect"] is not None
    assert not (row["repaired"] or "").startswith("unread")


def test_a_span_that_breaks_its_dialect_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(values: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        if values and "broken" in values:
            raise ZeroDivisionError
        return read(values)

    read = _clean.provider
    monkeypatch.setattr(_clean, "provider", breaks)
    spans = [
        make_span(name, span_id=bytes([n] * 8), attributes={**CHAT, "gen_ai.provider.name": name})
        for n, name in enumerate(["openai", "broken", "anthropic"], start=1)
    ]
    rows = normalize(decode([Record(request(*spans))], 1)).spans.to_pylist()
    assert [row["provider"] for row in rows] == ["openai", None, "anthropic"]
    assert [row["repaired"] for row in rows] == [None, "unread:ZeroDivisionError", None]
    assert [row["role"] for row in rows] == ["llm", "other", "llm"]
    assert [comparable(rebuild(row, [])) for row in rows] == [comparable(span) for span in spans]
