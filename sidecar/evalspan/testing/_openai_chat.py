"""The wire format of OpenAI's Chat Completions API: `POST /v1/chat/completions`."""

import json
import time
from typing import Any

from evalspan.testing._conversation import (
    Asked,
    BadRequestError,
    Json,
    Reply,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)

FINISH_REASONS = {"stop": "stop", "tool": "tool_calls", "length": "length"}
ERROR_TYPES = {400: "invalid_request_error", 404: "invalid_request_error", 429: "requests"}
PROMPT_ROLES = ("system", "developer")


def read(body: Json) -> Asked:
    """What was asked; BadRequestError names the field that is missing."""
    for required in ("model", "messages"):
        if required not in body:
            message = f"you must provide a {required} parameter"
            raise BadRequestError(message)
    messages = body["messages"]
    tools = tuple(_tool(tool["function"]) for tool in body.get("tools") or ())
    return Asked(
        model=body["model"],
        system="\n".join(content_text(m) for m in messages if m["role"] in PROMPT_ROLES),
        turns=tuple(_turn(m) for m in messages if m["role"] not in PROMPT_ROLES),
        tools=tools if body.get("tool_choice") != "none" else (),
        forced_tool=_forced(body.get("tool_choice"), tools),
        answer_schema=_schema(body.get("response_format") or {}),
        json_only=(body.get("response_format") or {}).get("type") == "json_object",
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stream=bool(body.get("stream")),
        stream_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def whole(asked: Asked, reply: Reply, answer_id: str) -> Json:
    """The answer as one JSON body."""
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    finish = FINISH_REASONS[reply.finish]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = _head(asked, answer_id, "chat.completion")
    return head | {"choices": [choice], "usage": usage(reply)}


def events(asked: Asked, reply: Reply, answer_id: str) -> list[tuple[str | None, Json | str]]:
    """The answer as server-sent events; the last one is the word [DONE]."""
    head = _head(asked, answer_id, "chat.completion.chunk")
    half = len(reply.text) // 2
    deltas: list[Json] = [{"role": "assistant", "content": "" if reply.text else None}]
    deltas += [{"content": part} for part in (reply.text[:half], reply.text[half:]) if part]
    for index, call in enumerate(reply.calls):
        deltas.append({"tool_calls": [{"index": index} | _call(call)]})
    chunks = [head | {"choices": [_choice(delta, None)]} for delta in deltas]
    chunks.append(head | {"choices": [_choice({}, FINISH_REASONS[reply.finish])]})
    if asked.stream_usage:
        chunks.append(head | {"choices": [], "usage": usage(reply)})
    return [*((None, chunk) for chunk in chunks), (None, "[DONE]")]


def error(status: int, message: str) -> Json:
    """The body of an error."""
    kind = ERROR_TYPES.get(status, "server_error")
    code = "rate_limit_exceeded" if status == 429 else None  # noqa: PLR2004
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def usage(reply: Reply) -> Json:
    """The usage block of Chat Completions."""
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def content_text(message: Json) -> str:
    """The text of a message, whether its content is text or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if "text" in part)


def arguments_of(text: str) -> Json:
    """The arguments of a tool call, which OpenAI writes as JSON text."""
    arguments: Any = json.loads(text or "{}")
    return arguments if isinstance(arguments, dict) else {"value": arguments}


def _tool(function: Json) -> Tool:
    return Tool(function["name"], function.get("parameters") or {})


def _forced(choice: str | Json | None, tools: tuple[Tool, ...]) -> str | None:
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    return tools[0].name if choice == "required" and tools else None


def _schema(response_format: Json) -> Json | None:
    if response_format.get("type") != "json_schema":
        return None
    return dict(response_format["json_schema"].get("schema") or {})


def _turn(message: Json) -> Turn:
    if message["role"] == "tool":
        return Turn("user", results=(ToolResult(message["tool_call_id"], content_text(message)),))
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], arguments_of(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    )
    return Turn(message["role"], content_text(message), calls)


def _head(asked: Asked, answer_id: str, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer_id}",
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
        "service_tier": "default",
    }


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.call_id, "type": "function", "function": function}


def _choice(delta: Json, finish: str | None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
