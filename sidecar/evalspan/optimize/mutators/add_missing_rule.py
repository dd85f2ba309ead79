"""Without a model: the reason of a failed check becomes an instruction sentence."""

import re
from collections import Counter

from evalspan.optimize._case import Proposal, SearchCases

_AT = r"""^["'$./#]*(?P<path>[A-Za-z_@][\w@.\[\]/-]{0,80})["']?\s*:.*?"""
_TYPES = r"""["']?(?P<type>number|integer|string|boolean|array|object|null|date|date-time)\b"""
_FORMS = {
    "number": 'Write "{path}" as a JSON number, without quotes, currency sign or unit.',
    "integer": 'Write "{path}" as a whole JSON number, without quotes or unit.',
    "date": 'Write "{path}" as a date in the form YYYY-MM-DD.',
    "date-time": 'Write "{path}" as a time in the form YYYY-MM-DDThh:mm:ssZ.',
    "null": 'Write "{path}" as null.',
}
_ONLY_JSON = "Answer with one JSON value only, nothing before or after it."
_RULES = (
    (r"^(?i:not (?:valid )?json)\b", _ONLY_JSON),
    (_AT + r"(?:is not of type|expected|must be|should be|is not an?) (?:an? )?" + _TYPES, ""),
    (
        r"""["'](?P<path>[\w@.-]{1,80})["'] is (?:a )?(?:required|missing)""",
        'Always give "{path}".',
    ),
    (r"^(?P<path>[\w@.-]{1,80}) is (?:a )?(?:required|missing)", 'Always give "{path}".'),
    (_AT + r"is not one of", 'Take "{path}" from the allowed values only.'),
    (_AT + r"does not match", 'Write "{path}" in exactly the form that is asked for.'),
    (r"(?i)additional propert", "Give no fields other than those that are asked for."),
)
_BY_CHECK = {
    "json_valid": _ONLY_JSON,
    "json_schema": "Answer with one JSON value only, in exactly the form that is asked for.",
    "language": "Answer in the language of the user's last message.",
    "refusal": "Answer the question; do not refuse what the task asks for.",
    "finish_reason": "Keep the answer short enough to be complete.",
    "tokens": "Answer as briefly as the task allows.",
}
_MOST_RULES = 3


def add_missing_rule(prompt: str, *, search: SearchCases, count: int = 3) -> list[Proposal]:
    """Add the sentence of the commonest failure, then the commonest two, then three.

    A sentence holds field names and words of this file only, never the words of
    a trace, so that no trace can write into a prompt.
    """
    found: Counter[str] = Counter()
    for tried in search.failing:
        reason = tried.reasons.get(search.check, "")
        found[_sentence(search.check.partition("/")[0], reason)] += 1
    ranked = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
    new = [(text, n) for text, n in ranked if text.casefold() not in prompt.casefold()]
    return [_proposal(prompt, new[:size]) for size in range(1, min(_MOST_RULES, len(new)) + 1)][
        :count
    ]


def _sentence(check: str, reason: str) -> str:
    for pattern, form in _RULES:
        match = re.search(pattern, reason)
        if match:
            parts = match.groupdict()
            kind = parts.get("type") or ""
            text = form or _FORMS.get(kind, 'Write "{path}" as a JSON {type}.')
            path = (parts.get("path") or "").strip("/.").replace("/", ".")
            return text.format(path=path, type=kind)
    name = re.sub(r"[^\w .-]", "", check)[:80]
    return _BY_CHECK.get(check, f"Make sure that every answer meets this requirement: {name}.")


def _proposal(prompt: str, rules: list[tuple[str, int]]) -> Proposal:
    bullet = "- " if re.search(r"^- ", prompt, re.MULTILINE) else ""
    lines = "\n".join(bullet + text for text, _ in rules)
    failures = sum(count for _, count in rules)
    return Proposal(f"{prompt.rstrip()}\n{lines}", f"States what {failures} failing answers lack.")
