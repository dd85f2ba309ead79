"""What OpenInference spreads over indexed keys or leaves in the raw request and answer."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from evalspan.normalize import _clean, _messages, _values
from evalspan.normalize._indexed import Tree, inner, items, tree

_ID_FIRST: Final = re.compile(r'\{\s*"id"\s*:\s*"([^"\\]{1,256})"')


def derive(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns from the attributes of an LLM, embedding or retrieval span."""
    root = tree(span)
    told = [_message(m, "assistant") for m in items(root, "llm", "output_messages")]
    output = [message for message in told if message["parts"]]
    return {
        "input_messages": [_message(m, "user") for m in items(root, "llm", "input_messages")],
        "output_messages": output,
        "tool_definitions": _tools(root),
        "input_text": "\n".join(_embedded(root)),
        "output_text": _documents(root),
        **_asked(_object(span.get("llm.invocation_parameters"))),
        **_answered(span, output),
    }


def _tools(root: Tree) -> str | None:
    """Return the definitions as they came, as one list."""
    schemas = (inner(tool, "tool").get("json_schema") for tool in items(root, "llm", "tools"))
    whole = [text for text in schemas if isinstance(text, str) and _is_json(text)]
    return f"[{','.join(whole)}]" if whole else None


@_values.remembered(1024)
def _is_json(text: str) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True


def _asked(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "request_model": _clean.word(raw.get("model") or raw.get("model_name")),
        "temperature": _clean.real(raw.get("temperature")),
        "max_tokens": _clean.whole(raw.get("max_tokens") or raw.get("max_completion_tokens")),
        "stream": _clean.flag(raw.get("stream")),
    }


def _answered(span: Mapping[str, Any], output: list[dict[str, Any]]) -> dict[str, Any]:
    raw = span.get("output.value")
    first = _ID_FIRST.match(raw) if isinstance(raw, str) else None
    if first and "llm.finish_reason" in span:  # nothing else is wanted of a long text
        return {"response_id": first.group(1)}
    answer = _object(raw)
    # LangChain's answer has its id a level deeper.
    answer_id = answer.get("id") or inner(answer, "llm_output").get("id")
    return {"response_id": _clean.word(answer_id), "finish_reasons": _finish(answer, output)}


def _finish(raw: Mapping[str, Any], output: list[dict[str, Any]]) -> list[str] | None:
    """Return why an answer of the Responses API ended, which it tells by its status only."""
    if raw.get("status") == "completed":
        calls = any(part.get("type") == "tool_call" for m in output for part in m["parts"])
        return ["tool_calls" if calls else "stop"]
    details = raw.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return [_clean.finish_reason(reason)] if isinstance(reason, str) else None


def _object(text: Any) -> dict[str, Any]:  # noqa: ANN401 - attribute value
    """Return the JSON object in a text, as far as it can be read; {} if there is none."""
    found = _messages.parse(text)[0] if isinstance(text, str) and text[:1] == "{" else None
    return found if isinstance(found, dict) else {}


def _embedded(root: Tree) -> list[str]:
    found = items(root, "embedding", "embeddings")
    texts = (inner(item, "embedding").get("text") for item in found)
    return [text for text in texts if isinstance(text, str)]


def _documents(root: Tree) -> str | None:
    found = [inner(item, "document") for item in items(root, "retrieval", "documents")]
    return _messages.dump(found) if found else None


def _message(entry: Tree, role: str) -> dict[str, Any]:
    given = inner(entry, "message")
    calls = [inner(call, "tool_call") for call in items(given, "tool_calls")]
    blocks = [_block(item) for item in items(given, "contents")]
    content = [b for b in blocks if b and not (calls and b["type"] == "tool_use")]
    plain = given.get("content")
    return _messages.message({**given, "content": content or plain, "tool_calls": calls}, role)


def _block(item: Tree) -> dict[str, Any] | None:
    call = inner(item, "tool_call")
    if call:
        return {"type": "tool_use", "id": call.get("id"), **inner(call, "function")}
    held = inner(item, "message_content")
    if held.get("type") == "image":
        return {"type": "image_url", "image_url": inner(held, "image", "image").get("url")}
    return {"type": "text", **held} if held else None
