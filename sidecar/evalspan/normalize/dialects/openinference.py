"""OpenInference (Arize): `llm.*` keys, messages spread over indexed keys."""

from collections.abc import Mapping
from typing import Any, Final

from evalspan.normalize import _clean, _indexed, _messages
from evalspan.normalize._dialect import CALLS, Dialect, To

_WITH_TEXT: Final = ("agent", "workflow", "tool", "retrieval", "evaluation")


def _derive(span: Mapping[str, Any]) -> dict[str, Any]:
    asked = _object(span.get("llm.invocation_parameters"))
    answer = _object(span.get("output.value"))
    told = (_message(m, "assistant") for m in _indexed.tree(span, "llm.output_messages."))
    return {
        "input_messages": [_message(m, "user") for m in _indexed.tree(span, "llm.input_messages.")],
        "output_messages": [message for message in told if message["parts"]],
        "tool_definitions": [
            _messages.parse(str(tool.get("tool", {}).get("json_schema")))[0]
            for tool in _indexed.tree(span, "llm.tools.")
        ],
        "input_text": "\n".join(_embedded(span)),
        "output_text": _documents(span),
        "request_model": asked.get("model") or asked.get("model_name"),
        "temperature": _clean.real(asked.get("temperature")),
        "max_tokens": _clean.whole(asked.get("max_tokens") or asked.get("max_completion_tokens")),
        "stream": _clean.flag(asked.get("stream")),
        # LangChain's answer has it a level deeper.
        "response_id": answer.get("id") or (answer.get("llm_output") or {}).get("id"),
    }


def _embedded(span: Mapping[str, Any]) -> list[str]:
    found = _indexed.tree(span, "embedding.embeddings.")
    texts = (item.get("embedding", {}).get("text") for item in found)
    return [text for text in texts if isinstance(text, str)]


def _documents(span: Mapping[str, Any]) -> str | None:
    found = [d.get("document") for d in _indexed.tree(span, "retrieval.documents.")]
    return _messages.dump(found) if found else None


def _object(text: Any) -> dict[str, Any]:  # noqa: ANN401 - attribute value
    """Return the JSON object in a text, as far as it can be read; {} if there is none."""
    found = _messages.parse(text)[0] if isinstance(text, str) and text[:1] == "{" else None
    return found if isinstance(found, dict) else {}


def _message(entry: Mapping[str, Any], role: str) -> dict[str, Any]:
    given = entry.get("message", {})
    calls = [call.get("tool_call", {}) for call in _indexed.items(given.get("tool_calls"))]
    blocks = [_block(item) for item in _indexed.items(given.get("contents"))]
    content = [b for b in blocks if b and not (calls and b["type"] == "tool_use")]
    plain = given.get("content")
    return _messages.message({**given, "content": content or plain, "tool_calls": calls}, role)


def _block(item: Mapping[str, Any]) -> dict[str, Any] | None:
    held = item.get("message_content", {})
    call = item.get("tool_call")
    if call:
        return {"type": "tool_use", "id": call.get("id"), **call.get("function", {})}
    if held.get("type") == "image":
        image = held.get("image", {}).get("image", {}).get("url")
        return {"type": "image_url", "image_url": image}
    return {"type": "text", **held} if held else None


DIALECT = Dialect(
    name="openinference",
    rank=50,
    keys=("openinference.span.kind",),
    prefixes=("llm.input_messages.", "llm.output_messages.", "llm.token_count."),
    columns={
        "llm.provider": "provider",
        "llm.system": "provider",
        "openinference.span.kind": "operation",
        "llm.request.model_name": "request_model",
        "llm.response.model_name": "response_model",
        "llm.model_name": "response_model",
        "embedding.model_name": "response_model",
        "llm.token_count.prompt": To("input_tokens", CALLS),
        "llm.token_count.completion": To("output_tokens", CALLS),
        "llm.token_count.prompt_details.cache_read": To("cache_read_tokens", CALLS),
        "llm.token_count.prompt_details.cache_write": To("cache_write_tokens", CALLS),
        "llm.token_count.completion_details.reasoning": To("reasoning_tokens", CALLS),
        "llm.cost.total": To("reported_cost_usd", CALLS),
        "llm.finish_reason": "finish_reasons",
        "tool.name": To("tool_name", ("tool",)),
        "tool.parameters": To("input_text", ("tool",)),
        "input.value": To("input_text", _WITH_TEXT),
        "output.value": To("output_text", _WITH_TEXT),
        "prompt.id": "prompt_name",
        "llm.prompt_template.version": "prompt_version",
        "agent.name": "agent_name",
    },
    roles={
        "openinference.span.kind": {
            "LLM": "llm",
            "EMBEDDING": "embedding",
            "AGENT": "agent",
            "CHAIN": "workflow",
            "TOOL": "tool",
            "RETRIEVER": "retrieval",
            "RERANKER": "retrieval",
            "GUARDRAIL": "evaluation",
            "EVALUATOR": "evaluation",
        },
    },
    implied={"llm.token_count.prompt": "llm", "llm.model_name": "llm"},
    derive=_derive,
    derive_roles=(*CALLS, "retrieval"),
    first_token_events=("First Token Stream Event",),
)
