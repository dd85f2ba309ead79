"""The wire format of Anthropic's Messages API: `POST /v1/messages`."""

import json
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

STOP_REASONS = {"stop": "end_turn", "tool": "tool_use", "length": "max_tokens"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def read(body: Json) -> Asked:
    """What was asked; BadRequestError names the field that is missing."""
    for required in ("model", "messages", "max_tokens"):
        if required not in body:
            message = f"{required}: Field required"
            raise BadRequestError(message)
    tools = tuple(
        Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()
    )
    prompts = [_text(m["content"]) for m in body["messages"] if m["role"] == "system"]
    output_format = (body.get("output_config") or {}).get("format") or {}
    return Asked(
        model=body["model"],
        system="\n".join([_text(body.get("system") or ""), *prompts]).strip(),
        turns=tuple(_turn(message) for message in body["messages"] if message["role"] != "system"),
        tools=tools,
        forced_tool=_forced(body.get("tool_choice") or {}, tools),
        answer_schema=output_format.get("schema"),
        max_tokens=body["max_tokens"],
        stream=bool(body.get("stream")),
    )


def whole(asked: Asked, reply: Reply, answer_id: str) -> Json:
    """The answer as one JSON body."""
    return _message(asked, reply, answer_id) | {
        "content": _blocks(reply),
        "stop_reason": STOP_REASONS[reply.finish],
        "usage": _usage(reply.input_tokens, reply.output_tokens),
    }


def events(asked: Asked, reply: Reply, answer_id: str) -> list[tuple[str, Json]]:
    """The answer as named server-sent events."""
    start = _message(asked, reply, answer_id) | {"usage": _usage(reply.input_tokens, 1)}
    listed: list[Json] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(_blocks(reply)):
        listed += _block_events(index, block)
    listed += [
        {
            "type": "message_delta",
            "delta": {"stop_reason": STOP_REASONS[reply.finish], "stop_sequence": None},
            "usage": _usage(reply.input_tokens, reply.output_tokens),
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in listed]


def error(status: int, message: str) -> Json:
    """The body of an error."""
    kind = ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def _forced(choice: Json, tools: tuple[Tool, ...]) -> str | None:
    if choice.get("type") == "tool":
        return str(choice["name"])
    return tools[0].name if choice.get("type") == "any" and tools else None


def _text(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content if block.get("type") == "text")


def _turn(message: Json) -> Turn:
    content: str | list[Json] = message["content"]
    blocks = [] if isinstance(content, str) else content
    return Turn(
        role=message["role"],
        text=_text(content),
        calls=tuple(
            ToolCall(block["id"], block["name"], block["input"])
            for block in blocks
            if block.get("type") == "tool_use"
        ),
        results=tuple(
            ToolResult(block["tool_use_id"], _text(block.get("content") or ""))
            for block in blocks
            if block.get("type") == "tool_result"
        ),
    )


def _message(asked: Asked, _: Reply, answer_id: str) -> Json:
    return {
        "id": f"msg_{answer_id}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(reply: Reply) -> list[Json]:
    text: list[Json] = [{"type": "text", "text": reply.text}] if reply.text else []
    return text + [
        {"type": "tool_use", "id": call.call_id, "name": call.name, "input": call.arguments}
        for call in reply.calls
    ]


def _usage(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def _block_events(index: int, block: Json) -> list[Json]:
    if block["type"] == "text":
        empty: Json = block | {"text": ""}
        half = len(block["text"]) // 2
        parts = [block["text"][:half], block["text"][half:]]
        deltas: list[Json] = [{"type": "text_delta", "text": part} for part in parts if part]
    else:
        empty = block | {"input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
