"""Texts that cannot become Markdown, however hostile they are."""

import re

from evalspan.report._text import one_line, visible

_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\`*_[]<>#|~&$"})
# Forges look for names and numbers after the backslashes are gone, but not in code.
_CALL = re.compile(r"(@+)|\\(#)(?=\d)")
_BLOCK = re.compile(r"^(\s*)(?:([-+=])|(\d+)(?=[.)]))")


def text(words: str, most: int = 1000) -> str:
    """Escape a text so that it cannot become markup, a link, HTML or a second line."""
    line = (
        one_line(words, most).translate(_SPECIAL).replace("://", ":\\//").replace("www.", "www\\.")
    )
    return _BLOCK.sub(_harmless_start, _CALL.sub(_as_code, line))


def _as_code(match: re.Match[str]) -> str:
    return f"`{match[1] or match[2]}`"


def _harmless_start(match: re.Match[str]) -> str:
    return f"{match[1]}\\{match[2]}" if match[2] else f"{match[1]}{match[3]}\\"


def fence(diff: str) -> str:
    """Return a diff in a fence that is longer than any run of backticks within."""
    shown = visible(diff)
    marks = "```"
    while marks in shown:
        marks += "`"
    return f"{marks}diff\n{shown}\n{marks}"
