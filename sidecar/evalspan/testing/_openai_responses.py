"""The wire format of OpenAI's Responses API: `POST /v1/responses`."""

import json
import time

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
from evalspan.testing._openai_chat import PROMPT_ROLES, arguments_of, content_text, error

__all__ = ["error", "events", "read", "whole"]


def read(body: Json) -> Asked:
    """What was asked; BadRequestError names the field that is missing or not known here."""
    for required in ("model", "input"):
        if required not in body:
            message = f"Missing required parameter: '{required}'."
            raise BadRequestError(message)
    if body.get("previous_response_id"):
        message = "previous_response_id: the stand-in keeps no answers; send the whole input"
        raise BadRequestError(message)
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    prompts = [content_text(item) for item in items if item.get("role") in PROMPT_ROLES]
    tools = tuple(
        Tool(tool["name"], tool.get("parameters") or {})
        for tool in body.get("tools") or ()
        if tool.get("type") == "function"
    )
    output_format = (body.get("text") or {}).get("format") or {}
    return Asked(
        model=body["model"],
        system="\n".join(filter(None, [body.get("instructions") or "", *prompts])),
        turns=tuple(_turn(item) for item in items if item.get("role") not in PROMPT_ROLES),
        tools=tools if body.get("tool_choice") != "none" else (),
        forced_tool=_forced(body.get("tool_choice"), tools),
        answer_schema=output_format.get("schema"),
        json_only=output_format.get("type") == "json_object",
        max_tokens=body.get("max_output_tokens"),
        stream=bool(body.get("stream")),
    )


def whole(asked: Asked, reply: Reply, answer_id: str) -> Json:
    """The answer as one JSON body."""
    cut = reply.finish == "length"
    return _head(asked, answer_id) | {
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _items(reply, answer_id),
        "usage": {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.input_tokens + reply.output_tokens,
        },
    }


def events(asked: Asked, reply: Reply, answer_id: str) -> list[tuple[str, Json]]:
    """The answer as named server-sent events, each with its sequence number."""
    begun = _head(asked, answer_id) | {"status": "in_progress", "output": [], "usage": None}
    listed: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(_items(reply, answer_id)):
        listed += _item_events(index, item)
    end = "response.incomplete" if reply.finish == "length" else "response.completed"
    listed.append({"type": end, "response": whole(asked, reply, answer_id)})
    return [
        (event["type"], event | {"sequence_number": number}) for number, event in enumerate(listed)
    ]


def _forced(choice: str | Json | None, tools: tuple[Tool, ...]) -> str | None:
    if isinstance(choice, dict):
        return str(choice["name"])
    return tools[0].name if choice == "required" and tools else None


def _turn(item: Json) -> Turn:
    if item.get("type") == "function_call":
        call = ToolCall(item["call_id"], item["name"], arguments_of(item["arguments"]))
        return Turn("assistant", calls=(call,))
    if item.get("type") == "function_call_output":
        return Turn("user", results=(ToolResult(item["call_id"], str(item["output"])),))
    return Turn("assistant" if item.get("role") == "assistant" else "user", content_text(item))


def _head(asked: Asked, answer_id: str) -> Json:
    return {
        "id": f"resp_{answer_id}",
        "object": "response",
        "created_at": int(time.time()),
        "error": None,
        "incomplete_details": None,
        "instructions": asked.system or None,
        "metadata": {},
        "model": asked.model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _items(reply: Reply, answer_id: str) -> list[Json]:
    items: list[Json] = []
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        items.append(
            {"id": f"msg_{answer_id}", "type": "message", "role": "assistant"}
            | {"status": "completed", "content": [part]}
        )
    items += [
        {"id": f"fc_{call.call_id}", "type": "function_call", "call_id": call.call_id}
        | {"name": call.name, "arguments": json.dumps(call.arguments), "status": "completed"}
        for call in reply.calls
    ]
    return items


def _item_events(index: int, item: Json) -> list[Json]:
    place = {"output_index": index, "item_id": item["id"]}
    begun = item | {"status": "in_progress"}
    if item["type"] == "message":
        begun["content"] = []
        middle = _text_events(place | {"content_index": 0}, item["content"][0])
    else:
        begun["arguments"] = ""
        kind, text = "response.function_call_arguments", item["arguments"]
        middle = [
            {"type": f"{kind}.delta", "delta": text} | place,
            {"type": f"{kind}.done", "arguments": text, "name": item["name"]} | place,
        ]
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun},
        *middle,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _text_events(place: Json, part: Json) -> list[Json]:
    text = part["text"]
    half = len(text) // 2
    kind = "response.output_text"
    return [
        {"type": "response.content_part.added", "part": part | {"text": ""}} | place,
        *(
            {"type": f"{kind}.delta", "delta": piece, "logprobs": []} | place
            for piece in (text[:half], text[half:])
            if piece
        ),
        {"type": f"{kind}.done", "text": text, "logprobs": []} | place,
        {"type": "response.content_part.done", "part": part} | place,
    ]
