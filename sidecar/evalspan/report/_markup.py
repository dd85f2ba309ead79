"""Elements of HTML and SVG. A plain text is always escaped; only `el` makes markup."""

from collections.abc import Iterable
from html import escape

from evalspan.report._text import one_line, visible

_VOID = {"meta", "input", "br", "hr", "link"}


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
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Put children one after the other."""
    return Markup("".join(_text(child) for child in children if child is not None))


def trusted(text: str) -> Markup:
    """Declare a text of this package as markup: the style sheet, nothing that came from outside."""
    return Markup(text)


def _text(child: str) -> str:
    return child if isinstance(child, Markup) else escape(visible(child))


def _attribute(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return one_line(str(value), most=4_000)
