"""Messages in the form of the GenAI conventions, read as plain text turns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from evalspan.optimize._case import Message

_INSTRUCTIONS = {"system", "developer"}
_ROLES = {"user", "assistant"}


def read(input_messages: str | None, input_text: str | None) -> tuple[Message, ...] | None:
    """Return the turns without the system prompt; None where they cannot be replayed.

    Tool calls, tool results, images and files cannot: the tools of the app are
    not here. Where no messages were recorded, `input_text` is the one user turn.
    """
    if not input_messages:
        return (Message("user", input_text),) if input_text else None
    try:
        data = json.loads(input_messages)
    except json.JSONDecodeError:
        return None
    if not isinstance(data, list):
        return None
    turns = [_turn(each) for each in data if not _is_instruction(each)]
    known = [turn for turn in turns if turn is not None]
    whole = len(known) == len(turns) and any(turn.role == "user" for turn in known)
    return tuple(known) if whole else None


def write(messages: Sequence[Message]) -> str:
    """Return the turns as JSON in the form of the GenAI conventions."""
    return json.dumps(
        [
            {"role": turn.role, "parts": [{"type": "text", "content": turn.text}]}
            for turn in messages
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _is_instruction(message: object) -> bool:
    return isinstance(message, Mapping) and message.get("role") in _INSTRUCTIONS


def _turn(message: Any) -> Message | None:  # noqa: ANN401 - whatever the JSON holds
    if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
        return None
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:
        return None
    texts = [part.get("content") if _is_text(part) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        return None
    return Message(str(message["role"]), "\n".join(str(text) for text in texts))


def _is_text(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text"
