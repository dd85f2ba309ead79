"""A unified diff as rows, inline and side by side, with the changed words marked."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, zip_longest
from typing import Literal

from evalspan.report._markup import Markup, el, join
from evalspan.report._words import MINUS

Kind = Literal["same", "added", "removed", "gap"]
_MOST_LINES = 1_000
_MOST_STEPS = 300_000
"""Pairs of equal words in the lines of one diff; beyond it the words are shown and not compared."""
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
    pairs = list(_pairs(lines[:_MOST_LINES]))
    steps = accumulate(_steps(old, new) for old, new in pairs)
    rows = [
        _row(*pair, marked=taken <= _MOST_STEPS) for pair, taken in zip(pairs, steps, strict=True)
    ]
    head = el("tr", el("th", "before"), el("th", "after"))
    return _table([head, *rows], len(lines), "diff side")


Pair = tuple[Line | None, Line | None]


def _pairs(lines: Sequence[Line]) -> Iterator[Pair]:
    """Put the lines of a change beside each other; what did not change stands on both sides."""
    removed: list[Line] = []
    added: list[Line] = []
    for each in lines:
        if each.kind == "removed" and not added:
            removed.append(each)
        elif each.kind == "added":
            added.append(each)
        else:
            yield from zip_longest(removed, added)
            removed, added = ([each], []) if each.kind == "removed" else ([], [])
            if each.kind != "removed":
                yield each, each
    yield from zip_longest(removed, added)


def _row(old: Line | None, new: Line | None, *, marked: bool) -> Markup:
    before, after = (None if line is None else line.text for line in (old, new))
    if old and old is new:
        return el("tr", el("td", before), el("td", after), class_=old.kind)
    if marked and before and after:
        before, after = _marked(before, after)
    return el(
        "tr",
        el("td", before, class_="removed" if old else "none"),
        el("td", after, class_="added" if new else "none"),
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _steps(old: Line | None, new: Line | None) -> int:
    """Return how many pairs of equal words a comparison has to look at."""
    if old is None or new is None or old is new:
        return 0
    known = Counter(_words(old.text))
    return sum(known[word] for word in _words(new.text))


def _marked(old: str, new: str) -> tuple[str, str]:
    """Mark the words that differ, where two lines are alike enough to be compared."""
    before, after = _words(old), _words(new)
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
