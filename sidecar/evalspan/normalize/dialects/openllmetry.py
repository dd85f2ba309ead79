"""OpenLLMetry (Traceloop): classic `gen_ai.prompt.N.*` keys, and the present ones."""

from collections.abc import Mapping
from typing import Any, Final

from evalspan.normalize import _indexed, _messages
from evalspan.normalize._dialect import CALLS, Dialect, To

_PROPERTIES: Final = "traceloop.association.properties."
_ENTITIES: Final = ("workflow", "agent", "tool", "retrieval")


def _derive(span: Mapping[str, Any]) -> dict[str, Any]:
    answers = _indexed.tree(span, "gen_ai.completion.")
    return {
        "input_messages": [_message(m, "user") for m in _indexed.tree(span, "gen_ai.prompt.")],
        "output_messages": [_message(m, "assistant") for m in answers],
        "tool_definitions": [_tool(t) for t in _indexed.tree(span, "llm.request.functions.")],
    }


def _message(given: Mapping[str, Any], role: str) -> dict[str, Any]:
    calls = _indexed.items(given.get("tool_calls"))
    content = "" if given.get("content") == '""' else given.get("content")
    return _messages.message({**given, "content": content, "tool_calls": calls}, role)


def _tool(given: Mapping[str, Any]) -> dict[str, Any]:
    schema = given.get("parameters")
    parameters = _messages.parse(schema)[0] if isinstance(schema, str) else schema
    return {"type": "function", **given, "parameters": parameters}


DIALECT = Dialect(
    name="openllmetry",
    rank=140,
    keys=("llm.request.type", "gen_ai.openai.api_base"),
    prefixes=("traceloop.", *(f"gen_ai.prompt.{digit}" for digit in range(10))),
    scopes=(
        "opentelemetry.instrumentation.openai.v1",
        "opentelemetry.instrumentation.anthropic",
        "opentelemetry.instrumentation.langchain",
        "traceloop.tracer",
    ),
    columns={
        "llm.request.type": "operation",
        "llm.is_streaming": "stream",
        "gen_ai.usage.reasoning_tokens": To("reasoning_tokens", CALLS),
        "traceloop.prompt.key": "prompt_name",
        "traceloop.prompt.version": "prompt_version",
        "gen_ai.conversation.id": "conversation_id",
        f"{_PROPERTIES}session_id": "conversation_id",
        f"{_PROPERTIES}user_id": "user_id",
        "gen_ai.user": "user_id",
        "llm.user": "user_id",
        "traceloop.workflow.name": "workflow_name",
        "gen_ai.tool.call.arguments": To("input_text", ("tool",)),
        "gen_ai.tool.call.result": To("output_text", ("tool",)),
        "traceloop.entity.input": To("input_text", _ENTITIES),
        "traceloop.entity.output": To("output_text", _ENTITIES),
        "gen_ai.agent.name": "agent_name",
        "gen_ai.tool.name": To("tool_name", ("tool",)),
        "traceloop.entity.name": To("tool_name", ("tool",)),
    },
    roles={
        "llm.request.type": {
            "chat": "llm",
            "completion": "llm",
            "embedding": "embedding",
            "rerank": "retrieval",
        },
        "gen_ai.operation.name": {"vector_db_retrieve": "retrieval", "execute_tool": "tool"},
        "traceloop.span.kind": {
            "workflow": "workflow",
            "task": "workflow",
            "agent": "agent",
            "tool": "tool",
        },
    },
    derive=_derive,
    first_token_events=("gen_ai.content.completion.chunk", "llm.content.completion.chunk"),
)
