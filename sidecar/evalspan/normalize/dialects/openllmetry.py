"""OpenLLMetry (Traceloop): classic `gen_ai.prompt.N.*` keys, and the present ones."""

from collections.abc import Mapping
from typing import Any, Final

from evalspan.normalize import _messages
from evalspan.normalize._dialect import Dialect, To, on_calls, words
from evalspan.normalize._indexed import Tree, items, tree

_PROPERTIES: Final = "traceloop.association.properties."
_ENTITIES: Final = ("workflow", "agent", "tool", "retrieval")


def _derive(span: Mapping[str, Any]) -> dict[str, Any]:
    root = tree(span)
    return {
        "input_messages": [_message(m, "user") for m in items(root, "gen_ai", "prompt")],
        "output_messages": [_message(m, "assistant") for m in items(root, "gen_ai", "completion")],
        "tool_definitions": [_tool(t) for t in items(root, "llm", "request", "functions")],
    }


def _message(given: Tree, role: str) -> dict[str, Any]:
    content = "" if given.get("content") == '""' else given.get("content")
    calls = items(given, "tool_calls")
    return _messages.message({**given, "content": content, "tool_calls": calls}, role)


def _tool(given: Tree) -> dict[str, Any]:
    parameters = _messages.parse(str(given.get("parameters")))[0]
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
        "gen_ai.is_streaming": "stream",
        **on_calls(
            reasoning_tokens=("gen_ai.usage.reasoning_tokens",),
            cache_read_tokens=("gen_ai.usage.cache_read_input_tokens",),
            cache_write_tokens=("gen_ai.usage.cache_creation_input_tokens",),
        ),
        "traceloop.prompt.key": "prompt_name",
        "traceloop.prompt.version": "prompt_version",
        "gen_ai.conversation.id": "conversation_id",
        f"{_PROPERTIES}session_id": "conversation_id",
        f"{_PROPERTIES}user_id": "user_id",
        "gen_ai.user": "user_id",
        "llm.user": "user_id",
        "traceloop.workflow.name": "workflow_name",
        # Before the entity's, which wraps the same.
        "gen_ai.tool.call.arguments": To("input_text", ("tool",)),
        "gen_ai.tool.call.result": To("output_text", ("tool",)),
        "traceloop.entity.input": To("input_text", _ENTITIES),
        "traceloop.entity.output": To("output_text", _ENTITIES),
        "gen_ai.tool.name": To("tool_name", ("tool",)),
        "traceloop.entity.name": To("tool_name", ("tool",)),
    },
    roles={
        "llm.request.type": words(llm="chat completion", embedding="embedding", retrieval="rerank"),
        "gen_ai.operation.name": words(retrieval="vector_db_retrieve", tool="execute_tool"),
        "traceloop.span.kind": words(workflow="workflow task", agent="agent", tool="tool"),
    },
    derive=_derive,
    derive_prefixes=("gen_ai.prompt.", "gen_ai.completion.", "llm.request.functions."),
    first_token_events=("gen_ai.content.completion.chunk", "llm.content.completion.chunk"),
)
