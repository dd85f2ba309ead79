"""A unified diff as rows, inline and side by side, with the changed words marked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from evalspan.report._markup import Markup, el, join
from evalspan.report._words import MINUS

Kind = Literal["same", "added", "removed", "gap"]
_MOST_LINES = 1_000
_MOST_COMPARED = 2_000
_ALIKE = 0.3


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a diff without its sign."""

    kind: Kind
    text: str


def read_diff(diff: str) -> list[Line]:
    """Read the hunks of a unified diff; the names of the files and empty diffs give nothing."""
    lines = diff.split("\n")
    found: list[Line] = []
    inside = False
    for text in lines:
        if text.startswith("@@"):
            found += [Line("gap", "…")] if found else []
            inside = True
        elif inside and text[:1] in _SIGNS:
            found.append(Line(_SIGNS[text[:1]], text[1:]))
        elif inside and text and not text.startswith("\\"):
            found.append(Line("same", text))
    return found


_SIGNS: dict[str, Kind] = {"+": "added", "-": "removed", " ": "same"}


def inline(diff: str) -> Markup:
    """One column: removed lines above added ones, each with its sign."""
    lines = read_diff(diff)
    signs = {"added": "+", "removed": MINUS, "same": " ", "gap": "…"}
    rows = [
        el("tr", el("td", signs[each.kind], class_="sign"), el("td", each.text), class_=each.kind)
        for each in lines[:_MOST_LINES]
    ]
    return _table(rows, len(lines), "diff inline")


def side_by_side(diff: str) -> Markup:
    """Two columns: before on the left, after on the right, changed words marked."""
    lines = read_diff(diff)
    rows: list[Markup] = [el("tr", el("th", "before"), el("th", "after"))]
    removed: list[str] = []
    added: list[str] = []
    for each in lines[:_MOST_LINES]:
        if each.kind == "removed" and not added:
            removed.append(each.text)
        elif each.kind == "added":
            added.append(each.text)
        else:
            rows += _pairs(removed, added)
            removed, added = ([each.text], []) if each.kind == "removed" else ([], [])
            if each.kind != "removed":
                rows.append(el("tr", el("td", each.text), el("td", each.text), class_=each.kind))
    return _table([*rows, *_pairs(removed, added)], len(lines), "diff side")


def _pairs(removed: Sequence[str], added: Sequence[str]) -> list[Markup]:
    rows = []
    for place in range(max(len(removed), len(added))):
        old = removed[place] if place < len(removed) else None
        new = added[place] if place < len(added) else None
        before, after = _marked(old, new)
        rows.append(
            el(
                "tr",
                el("td", before, class_="removed" if old is not None else "none"),
                el("td", after, class_="added" if new is not None else "none"),
            )
        )
    return rows


def _marked(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Mark the words that differ, where two lines are alike enough to be compared."""
    if old is None or new is None or max(len(old), len(new)) > _MOST_COMPARED:
        return old, new
    before, after = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (old, new))
    match = SequenceMatcher(None, before, after, autojunk=False)
    if match.ratio() < _ALIKE:
        return old, new
    left: list[str] = []
    right: list[str] = []
    for kind, i, j, k, m in match.get_opcodes():
        gone, come = "".join(before[i:j]), "".join(after[k:m])
        left.append(gone if kind == "equal" or not gone else el("del", gone))
        right.append(come if kind == "equal" or not come else el("ins", come))
    return join(left), join(right)


def _table(rows: Sequence[Markup], count: int, kind: str) -> Markup:
    more = count - _MOST_LINES
    note = el("p", f"{more:,} more lines are not shown.") if more > 0 else None
    return el("div", el("table", *rows, class_=kind), note, class_="scroll")
