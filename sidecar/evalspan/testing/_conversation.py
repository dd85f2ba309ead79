"""What the three wire formats have in common: what was asked, and what is answered."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

Json = dict[str, Any]

CHARACTERS_PER_TOKEN = 4


class BadRequestError(Exception):
    """The request cannot be answered; the message says which field is wrong (HTTP 400)."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that the answer asks for."""

    call_id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered, as text."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its text, the tool calls it asks for and the tool results it carries."""

    role: Literal["user", "assistant"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whatever its wire format."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None
    answer_schema: Json | None = None
    json_only: bool = False
    max_tokens: int | None = None
    stream: bool = False
    stream_usage: bool = True

    @property
    def user_text(self) -> str:
        """All that the user wrote; the part of the draw's key that stands for the input."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "user" and turn.text)

    @property
    def prompt(self) -> str:
        """Where rules are looked for: the system prompt, or the user's text without one."""
        return self.system or self.user_text

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls made so far, in order."""
        return tuple(call for turn in self.turns for call in turn.calls)

    def schema_of(self, tool_name: str) -> Json:
        """The input schema of a tool; BadRequestError where the request has no such tool."""
        for tool in self.tools:
            if tool.name == tool_name:
                return tool.schema
        message = f"tool_choice: tool '{tool_name}' not found in tools"
        raise BadRequestError(message)

    def texts(self) -> Iterator[str]:
        """Every text of the conversation, tool results included, without the system prompt."""
        for turn in self.turns:
            yield turn.text
            yield from (result.text for result in turn.results)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `finish` is Anthropic's and OpenAI's stop reason in neutral words."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: Literal["stop", "tool", "length"] = "stop"
    input_tokens: int = 0
    output_tokens: int = 0


def token_count(text: str) -> int:
    """An estimate from the length; it is steady, which is all that a stand-in owes."""
    return len(text) // CHARACTERS_PER_TOKEN + 1


def finished(asked: Asked, reply: Reply) -> Reply:
    """The reply with its usage, and cut where it is longer than `max_tokens`."""
    asked_for = [asked.system, *asked.texts(), *(str(tool.schema) for tool in asked.tools)]
    written = reply.text + "".join(str(call.arguments) for call in reply.calls)
    reply = replace(
        reply,
        input_tokens=sum(token_count(text) for text in asked_for if text),
        output_tokens=token_count(written),
    )
    if asked.max_tokens is None or reply.calls or reply.output_tokens <= asked.max_tokens:
        return reply
    kept = reply.text[: asked.max_tokens * CHARACTERS_PER_TOKEN]
    return replace(reply, text=kept, finish="length", output_tokens=asked.max_tokens)
