"""Reads the values that a scenario's patterns find in the user's text."""

import re
from collections.abc import Iterable
from datetime import datetime

from evalspan.testing._conversation import Json
from evalspan.testing._scenario import AnswerField

_NUMBER = re.compile(r"\d[\d.,]*")
_CENTS_AFTER_COMMA = re.compile(r",\d{1,2}$")


def as_number(text: str) -> float | None:
    """The first number in a text; 1,299.00 and 1.299,00 are the same. None without a number."""
    found = _NUMBER.search(text)
    if found is None:
        return None
    digits = found.group().rstrip(".,")
    if _CENTS_AFTER_COMMA.search(digits):
        digits = digits.replace(".", "").replace(",", ".")
    plain = digits.replace(",", "")
    if plain.count(".") > 1:  # 1.299.000
        plain = plain.replace(".", "")
    return float(plain) if "." in plain else int(plain)


def first_match(pattern: re.Pattern[str], texts: Iterable[str]) -> str | None:
    """The first group (or the whole match) in the first text that has one."""
    for text in texts:
        found = pattern.search(text)
        if found:
            return str(found.group(1) if pattern.groups else found.group()).strip()
    return None


def read_field(field: AnswerField, text: str) -> tuple[str, object] | None:
    """The raw text and the parsed value of a field; None where the text does not have it."""
    raw = first_match(field.pattern, [text])
    if raw is None:
        return None
    match field.kind:
        case "number":
            return raw, as_number(raw)
        case "date":
            return raw, _as_date(raw)
        case "list":
            return raw, [item.strip() for item in raw.split(";")]
        case _:
            return raw, raw


def _as_date(text: str) -> str:
    """A date like 3 March 2026 as 2026-03-03; any other text as it is."""
    try:
        return datetime.strptime(text, "%d %B %Y").date().isoformat()  # noqa: DTZ007 - a day
    except ValueError:
        return text


def put(answer: Json, path: str, value: object) -> None:
    """Set a dotted path in a nested object, making the objects on the way."""
    *parents, last = path.split(".")
    for name in parents:
        answer = answer.setdefault(name, {})
    answer[last] = value


def drop(answer: Json, path: str) -> None:
    """Take a dotted path out of a nested object, where it is there."""
    *parents, last = path.split(".")
    for name in parents:
        answer = answer.get(name, {})
    answer.pop(last, None)
