"""Texts that cannot become Markdown, however hostile they are."""

import re

from evalspan.report._text import one_line, visible

_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\`*_[]<>#|~&@$"})
_BLOCK = re.compile(r"^(\s*)(?:([-+=])|(\d+)(?=[.)]))")


def text(words: str, most: int = 1000) -> str:
    """Escape a text so that it cannot become markup, a link, HTML or a second line."""
    line = (
        one_line(words, most).translate(_SPECIAL).replace("://", ":\\//").replace("www.", "www\\.")
    )
    return _BLOCK.sub(_harmless_start, line)


def _harmless_start(match: re.Match[str]) -> str:
    return f"{match[1]}\\{match[2]}" if match[2] else f"{match[1]}{match[3]}\\"


def fence(diff: str) -> str:
    """Return a diff in a fence that is longer than any run of backticks within."""
    shown = visible(diff)
    marks = "```"
    while marks in shown:
        marks += "`"
    return f"{marks}diff\n{shown}\n{marks}"
