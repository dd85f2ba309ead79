"""Call the mutators. What they raise is told; what they propose is looked over first."""

import difflib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalspan.llm import Answer, Ask, LLMError
from evalspan.optimize._case import Proposal, SearchCases
from evalspan.optimize._outcome import Judgement, Rejected
from evalspan.optimize._powers import Powers
from evalspan.optimize._replay import variant_of
from evalspan.optimize._settings import MutatorSettings, OptimizeError
from evalspan.plugin import Plugin, load

PACKAGE = "evalspan.optimize.mutators"
_HANDED = ("search", "ask", "finding", "count")
_ROOM_TO_GROW = 4000
_COPIED_WORDS = 12
_ERROR_LIMIT = 500
# Thai, Lao, Burmese, Khmer, Japanese and Chinese put no blanks between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Mutator:
    """A loaded mutator with its settings."""

    plugin: Plugin
    settings: Mapping[str, Any]


def load_mutator(settings: MutatorSettings, powers: Powers) -> Mutator:
    """Find a mutator and check its settings; raises PluginError or OptimizeError."""
    plugin = load(PACKAGE, settings.use, powers.folder)
    own = [name for name in plugin.parameters if name not in _HANDED]
    unknown = sorted(set(settings.settings) - set(own))
    if unknown:
        known = ", ".join(own) or "none"
        msg = f"the mutator {settings.use} has no setting {unknown[0]!r}; it has: {known}"
        raise OptimizeError(msg)
    return Mutator(plugin, settings.settings)


class Meter:
    """An `Ask` that counts what it spends."""

    def __init__(self, ask: Ask | None) -> None:
        """Count from zero."""
        self._ask = ask
        self.answers: list[Answer] = []

    async def __call__(self, **request: Any) -> Answer:  # noqa: ANN401 - the request of Ask
        """Ask, and remember what it took; raises LLMError."""
        if self._ask is None:
            msg = "no model is configured to ask"
            raise LLMError(msg)
        answer = await self._ask(**request)
        self.answers.append(answer)
        return answer


async def propose(
    mutator: Mutator, prompt: str, search: SearchCases, *, ask: Meter, finding: str, count: int
) -> tuple[list[Proposal], str | None]:
    """Return the proposals of one mutator, and what broke if something did."""
    handed = {"search": search, "ask": ask, "finding": finding, "count": count}
    wanted = {name: value for name, value in handed.items() if name in mutator.plugin.parameters}
    name = mutator.plugin.name
    try:
        found = mutator.plugin.function(prompt, **wanted, **mutator.settings)
        proposals = await found if inspect.isawaitable(found) else found
        return [replace(each, mutator=name) for each in proposals][:count], None
    except Exception as error:  # noqa: BLE001 - a mutator that breaks is told, not fatal
        return [], f"{name}: {type(error).__name__}: {error}"[:_ERROR_LIMIT]


def objection(proposal: Proposal, prompt: str, search: SearchCases) -> str | None:
    """Why a proposal is not even replayed; None if it is."""
    text = proposal.prompt
    if not text.strip():
        return "it is empty"
    if text.strip() == prompt.strip():
        return "it is the current prompt"
    if len(text) > 4 * len(prompt) + _ROOM_TO_GROW:
        return f"it is too long: {len(text)} characters against {len(prompt)} now"
    if _copies(text, prompt, search):
        return f"it copies {_COPIED_WORDS} or more words of a case, which may be personal data"
    return None


def _copies(text: str, prompt: str, search: SearchCases) -> bool:
    fresh = _runs(text) - _runs(prompt)
    return bool(fresh) and any(
        fresh & _runs(f"{each.case.input_text} \n {each.output.text}") for each in search.tried
    )


def _runs(text: str) -> set[tuple[str, ...]]:
    # Case and punctuation aside; without blanks between words each sign counts as one.
    words = _WORD.findall(text.casefold())
    return {
        tuple(words[start : start + _COPIED_WORDS])
        for start in range(len(words) - _COPIED_WORDS + 1)
    }


def reject(
    proposal: Proposal, prompt: str, reason: str, judgement: Judgement | None = None
) -> Rejected:
    """Turn a proposal down: what stays of it is shown, not applied."""
    return Rejected(
        variant=variant_of(proposal.prompt),
        mutator=proposal.mutator,
        rationale=proposal.rationale,
        diff=prompt_diff(prompt, proposal.prompt),
        reason=reason,
        judgement=judgement,
    )


def prompt_diff(old: str, new: str) -> str:
    """Return the unified diff of two prompts with three lines of context."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "current prompt", "proposed prompt", lineterm=""
    )
    return "\n".join(lines)
