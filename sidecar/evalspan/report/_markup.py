"""Elements of HTML and SVG. A plain text is always escaped; only `el` makes markup."""

import re
from collections.abc import Iterable
from html import escape

from evalspan.report._text import one_line, visible

_VOID = {"meta", "input", "br", "hr", "link"}
_TEXT_ONLY = {"title", "option", "text", "style"}
"""Elements in which no other element may stand; text of SVG is isolated by the style sheet."""
_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
_RIGHT_TO_LEFT = re.compile(f"({_LETTER}(?:[^A-Za-z\n]*{_LETTER})?)")


class Markup(str):
    """Text that is markup already. Made by `el` and `join` alone."""

    __slots__ = ()


Child = str | None
"""A plain text (it is escaped), `Markup`, or None for nothing."""


def el(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Return an element; `class_` and `stroke_width` become class and stroke-width."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    put = _plain if name in _TEXT_ONLY else _text
    inside = "".join(put(child) for child in children if child is not None)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Put children one after the other."""
    return Markup("".join(_text(child) for child in children if child is not None))


def trusted(text: str) -> Markup:
    """Declare a text of this package as markup: the style sheet, nothing that came from outside."""
    return Markup(text)


def _text(child: str) -> str:
    """Escape a text; words that run from right to left cannot reorder what stands beside them."""
    if isinstance(child, Markup):
        return child
    shown = _kept_together(visible(child))
    parts = _RIGHT_TO_LEFT.split(shown)
    return "".join(f"<bdi>{escape(p)}</bdi>" if n % 2 else escape(p) for n, p in enumerate(parts))


def _plain(child: str) -> str:
    return child if isinstance(child, Markup) else escape(_kept_together(visible(child)))


def _kept_together(text: str) -> str:
    """A line does not end between a number and its %."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _attribute(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return one_line(str(value), most=4_000)
