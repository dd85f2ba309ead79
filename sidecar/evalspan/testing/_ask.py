"""A double for the function that asks a model: it answers what the test has written down."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evalspan.llm import Answer


@dataclass(frozen=True, slots=True)
class AskedOnce:
    """What one call was asked."""

    system: str
    user: str
    tool: Mapping[str, Any]
    model: str
    max_tokens: int


class ScriptedAsk:
    """Answers each call with the next of the given tool inputs; an exception is raised instead.

    `asked` holds what every call was asked, in order. A call after the last answer is a
    mistake of the test and raises AssertionError.
    """

    def __init__(
        self,
        answers: Iterable[Mapping[str, Any] | Exception],
        *,
        input_tokens: int = 100,
        output_tokens: int = 20,
        cost_usd: float | None = 0.001,
    ) -> None:
        """Take the answers and what each is to cost."""
        self.asked: list[AskedOnce] = []
        self._answers = iter(answers)
        self._input_tokens = input_tokens
        self._output_tokens = output_tokens
        self._cost_usd = cost_usd

    async def __call__(
        self, *, system: str, user: str, tool: Mapping[str, Any], model: str, max_tokens: int
    ) -> Answer:
        """Answer as the model would: the input of the tool, with tokens and cost."""
        self.asked.append(AskedOnce(system, user, tool, model, max_tokens))
        given = next(self._answers, None)
        if given is None:
            message = f"call {len(self.asked)} is one more than the script has answers"
            raise AssertionError(message)
        if isinstance(given, Exception):
            raise given
        return Answer(given, self._input_tokens, self._output_tokens, self._cost_usd)
