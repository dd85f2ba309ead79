"""Messages in the form of the GenAI conventions: [{role, parts: [{type, ...}], ...}].

Vendors send them in that form, in OpenAI's (`content`, `tool_calls`), or as
Anthropic's blocks; whatever comes is turned into the first.
"""

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json

_SYSTEM: Final = ("system", "developer")
_NO_ANSWER: Final = ("tool", "user", *_SYSTEM)
# Python refuses to write numbers of more than 4,300 digits.
_MOST_BITS: Final = 1024
# As deep as the reader of JSON goes.
_MOST_DEPTH: Final = 200
Message = dict[str, Any]


def dump(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write compact JSON, bytes as base64.

    Numbers that JSON does not know, or nobody can write, become null, and so does what is
    nested too deep.
    """
    try:
        return _compact(value)
    except (ValueError, RecursionError):
        return _compact(_finite(value))


def _compact(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_base64
    )


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _finite(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    if depth > _MOST_DEPTH:
        return None
    if isinstance(value, dict):
        return {key: _finite(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, depth + 1) for item in value]
    if isinstance(value, int):
        return value if value.bit_length() < _MOST_BITS else None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse(text: str) -> tuple[Any, bool]:
    """Read JSON; return it with whether it was whole.

    Of JSON that was cut off (SDKs cut long values without a mark) the part
    that can be read is returned; of anything else the text itself.
    """
    try:
        return from_json(text), True
    except ValueError:
        pass
    if text[:1] not in {"[", "{"}:
        return text, True
    try:
        found = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return text, True
    return (found, False) if found else (text, True)


def canonical(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether it already is a list of messages in the form of the conventions."""
    if not isinstance(value, list):
        return False
    for item in value:
        if not isinstance(item, dict) or "role" not in item:
            return False
        if not isinstance(item.get("parts"), list):
            return False
    return True


def read(value: Any, role: str) -> list[Message]:  # noqa: ANN401 - any JSON value
    """Turn whatever stands where messages belong into messages; `role` where none is named."""
    if isinstance(value, str):
        return [{"role": role, "parts": [_text(value)]}] if value else []
    if isinstance(value, Mapping):
        value = value.get("messages", [value])
    if not isinstance(value, Sequence):
        return []
    if value and all(
        isinstance(item, Mapping) and "type" in item and "role" not in item for item in value
    ):
        return [{"role": role, "parts": parts(value)}]
    return [message(item, role) for item in value if isinstance(item, Mapping | str)]


def message(given: Any, role: str) -> Message:  # noqa: ANN401 - any JSON value
    """Turn one message of any known form into that of the conventions."""
    if isinstance(given, str):
        return {"role": role, "parts": [_text(given)]}
    named = str(given.get("role") or role)
    if isinstance(given.get("parts"), list):
        return {**given, "role": named}
    call_id = given.get("tool_call_id") or (given.get("id") if named == "tool" else None)
    content = given.get("content")
    if named == "tool" and call_id:
        body = [{"type": "tool_call_response", "id": call_id, "response": content}]
    else:
        body = parts(content)
    calls = given.get("tool_calls")
    if isinstance(calls, list):
        body += [_tool_call(call) for call in calls if isinstance(call, Mapping)]
    out: Message = {"role": named, "parts": body}
    out |= {key: given[key] for key in ("name", "finish_reason") if given.get(key)}
    return out


def parts(content: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON value
    """Turn the content of a message into parts."""
    if isinstance(content, str):
        content = _blocks(content)
    if isinstance(content, str):
        return [_text(content)] if content else []
    if isinstance(content, Mapping):
        content = [content]
    if content is not None and not isinstance(content, list):
        return [_text(dump(content))]
    return [_part(block) for block in content or () if isinstance(block, Mapping | str)]


def _blocks(text: str) -> Any:  # noqa: ANN401 - a list of blocks or the text
    """Some send a list of blocks as JSON text; any other text stays text."""
    if not text.startswith('[{"'):
        return text
    try:
        found = from_json(text)
    except ValueError:
        return text
    blocks = isinstance(found, list) and all(isinstance(b, dict) and "type" in b for b in found)
    return found if blocks else text


def _part(block: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    if isinstance(block, str):
        return _text(block)
    if block.get("type") == "tool_result":
        return _result(block)
    turn = _BLOCKS.get(str(block.get("type")))
    return turn(block) if turn and "content" not in block else dict(block)


def _thought(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "reasoning", "content": block.get("thinking") or block.get("text") or ""}


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    answer = block.get("content")
    return {"type": "tool_call_response", "id": block.get("tool_use_id"), "response": answer}


def _image(block: Mapping[str, Any]) -> dict[str, Any]:
    image = block.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    return {"type": "uri", "modality": "image", "uri": url}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") if isinstance(call.get("function"), Mapping) else call
    arguments = function.get("arguments", function.get("input")) if function else None
    if isinstance(arguments, str):
        arguments = parse(arguments)[0]
    name = function.get("name") if function else None
    return {"type": "tool_call", "id": call.get("id"), "name": name, "arguments": arguments}


def _text(content: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    return {"type": "text", "content": content}


# Blocks of OpenAI and Anthropic, by their type. The conventions' own parts, which
# have a `content`, are left as they are.
_BLOCKS: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "text": lambda block: _text(block.get("text")),
    "input_text": lambda block: _text(block.get("text")),
    "output_text": lambda block: _text(block.get("text")),
    "thinking": _thought,
    "reasoning": _thought,
    "tool_use": _tool_call,
    "image_url": _image,
}


def texts(message_: Message) -> str:
    """Return the text of a message: its text parts, one below the other."""
    found = []
    for part in message_.get("parts") or ():
        if isinstance(part, dict) and part.get("type") == "text":
            content = part.get("content")
            if isinstance(content, str):
                found.append(content)
    return found[0] if len(found) == 1 else "\n".join(found)


def one_text(messages: Sequence[Message]) -> str:
    """Return the text of what is one message of one text, as most are; else nothing.

    What the general way finds, for a third of its time. The messages are canonical.
    """
    if len(messages) == 1 and len(parts_ := messages[0]["parts"]) == 1:
        (part,) = parts_
        if type(part) is dict and part.get("type") == "text":
            content = part.get("content")
            return content if type(content) is str else ""
    return ""


def last_user_text(messages: Sequence[Message]) -> str | None:
    """Return the text of the last message of the user that has any."""
    for item in reversed(messages):
        if item.get("role") == "user":
            text = texts(item)
            if text:
                return text
    return None


def answer_text(messages: Sequence[Message], *, last: bool) -> str | None:
    """Return the text of the first answer that has any; of an agent the last one's."""
    for item in reversed(messages) if last else messages:
        if item.get("role") not in _NO_ANSWER:
            text = texts(item)
            if text:
                return text
    return None


def system_text(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Return the system prompt that `gen_ai.system_instructions` or the like holds."""
    if isinstance(value, list | dict):
        return texts({"parts": parts(value)}) or None
    return str(value) or None if value is not None else None


def system_of(messages: Iterable[Message]) -> str | None:
    """Return the system prompt among the messages."""
    found = [texts(item) for item in messages if item.get("role") in _SYSTEM]
    return "\n".join(found) or None if found else None
