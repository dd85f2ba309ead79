"""The small types that cases, targets and mutators are written with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a case: role user or assistant, and its text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """An input taken from production. `split` is search or holdout."""

    case_id: str
    messages: tuple[Message, ...]
    split: str
    production_output: str = ""
    failed: tuple[str, ...] = ()
    slice: Mapping[str, str] = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""

    @property
    def input_text(self) -> str:
        """Text of the last user message."""
        users = (message.text for message in reversed(self.messages) if message.role == "user")
        return next(users, "")


@dataclass(frozen=True, slots=True)
class Output:
    """What a target answered. `error` is what broke; null tokens mean not known."""

    text: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    duration_ms: float | None = None
    error: str | None = None
    finish_reason: str | None = None
    model: str | None = None


class Target(Protocol):
    """Answer one case with a prompt. May raise: the failure becomes a row."""

    async def __call__(self, prompt: str, *, case: Case) -> Output:
        """Return the answer; `prompt` is the system prompt to try."""
        ...


@dataclass(frozen=True, slots=True)
class Tried:
    """A replayed case: the answer and its verdicts (check → pass, fail or error)."""

    case: Case
    output: Output
    verdicts: Mapping[str, str]
    reasons: Mapping[str, str]
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class SearchCases:
    """What a mutator may see: replayed cases of the search part, and nothing else.

    It cannot be made of a holdout case: raises ValueError.
    """

    check: str
    tried: tuple[Tried, ...]

    def __post_init__(self) -> None:
        hidden = [each.case.case_id for each in self.tried if each.case.split != "search"]
        if hidden:
            msg = f"cases of the holdout must not be seen by a mutator: {', '.join(hidden[:3])}"
            raise ValueError(msg)

    @property
    def failing(self) -> tuple[Tried, ...]:
        """The cases that fail the check that is to get better."""
        return tuple(each for each in self.tried if each.verdicts.get(self.check) == "fail")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prompt to try, why it should help, and who proposed it."""

    prompt: str
    rationale: str
    mutator: str = ""
