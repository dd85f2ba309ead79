"""Read the JSON of an answer, with or without the fence that models like to put around it."""

import re
from typing import Any, Final

from pydantic_core import from_json

_MARK: Final = "```"
# What may stand behind the opening mark: the language, or nothing.
_LANGUAGE: Final = re.compile(r"[\w-]*[ \t]*\r?")


def read(text: str, *, allow_fence: bool) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value; raises ValueError that says where the text stops being JSON."""
    inside = _inside_fence(text) if allow_fence and _MARK in text else None
    return from_json(text if inside is None else inside, allow_inf_nan=False)


def _inside_fence(text: str) -> str | None:
    """Return what stands in the one fenced block that is the whole answer; None if it is not.

    No pattern over the whole: an answer of many blanks must not take time by their square.
    """
    whole = text.strip()
    opening, newline, body = whole.partition("\n")
    language = opening.removeprefix(_MARK)
    if not (newline and opening.startswith(_MARK) and _LANGUAGE.fullmatch(language)):
        return None
    return body.removesuffix(_MARK).rstrip() if body.endswith(_MARK) else None
