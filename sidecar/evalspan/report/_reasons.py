"""What failed, in words and counts: reasons of verdicts that differ in data only are one."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from evalspan.report._document import Exemplar, FailureReason, Failures
from evalspan.report._text import cut

MOST_REASONS = 5
_MOST_DISTINCT = 20_000
_MOST_EXEMPLARS = 3
_LONGEST = 300
_READ = 1_200
_LONG = 900
_GAP = "…"
# What differs from case to case: quoted values, addresses, ids, numbers. A value whose end was cut
# off goes on to the end of the text: looking for it once more from each quote would take n² steps.
_DATA = re.compile(
    r"\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)"
    r"|'[^']*'|https?://\S+|\b[0-9a-f]{16,}\b|\d+(?:[.,:]\d+)*",
    re.ASCII | re.DOTALL,
)
_INDEX = re.compile(r"\[\d+\]")
_AT = re.compile(r",? at line \d+ column \d+")
_PLACE = re.compile(r"(?P<path>\$[^:\s]*): (?P<words>.*)", re.DOTALL)
_TYPE = re.compile(r"(?P<value>.*) is not of types? (?P<types>\"\w+\"(?:, \"\w+\")*)", re.DOTALL)
_MISSING = re.compile(r"\"(?P<name>[^\"]{1,100})\" is a required property")
_CHOICE = re.compile(r".* is not one of (?P<choices>.*)", re.DOTALL)
_A = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_BEGINNINGS = {'"': "string", "{": "object", "[": "array", "t": "boolean", "f": "boolean"}
SCHEMA = {
    "reason": pl.String(),
    "trace_id": pl.String(),
    "span_id": pl.String(),
    "after": pl.Boolean(),
}


@dataclass
class _Kind:
    """Reasons of one kind: how often before and after, and what stands in its gaps."""

    parts: list[str]
    data: list[set[str]]
    before: int = 0
    after: int = 0
    exemplars: list[Exemplar] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The reason, with a gap where the cases differ."""
        gaps = (next(iter(values)) if len(values) == 1 else _GAP for values in self.data)
        return "".join(_alternate(self.parts, gaps))


def failures(frame: pl.DataFrame) -> Failures | None:
    """Count the reasons of failing verdicts; None where none failed after the change.

    `frame` has a row per failing verdict: reason, trace_id, span_id, and `after`, which
    tells the candidate from the baseline. Reasons are ranked by their count after.
    """
    kinds: dict[str, _Kind] = {}
    for row in _distinct(frame).iter_rows(named=True):
        _add(kinds, row)
    after = int(frame["after"].sum())
    if not after:
        return None
    order = sorted(kinds.values(), key=lambda kind: (-kind.after, kind.before))
    shown = [kind for kind in order if kind.after][:MOST_REASONS]
    return Failures(
        count=after,
        count_before=frame.height - after,
        reasons=tuple(
            FailureReason(
                words=cut(kind.words, _LONGEST),
                count=kind.after,
                count_before=kind.before,
                exemplars=tuple(kind.exemplars[:_MOST_EXEMPLARS]),
            )
            for kind in shown
        ),
        others=after - sum(kind.after for kind in shown),
    )


def _distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """One row for each text and side, the commonest first, with a few traces of it."""
    traces = (pl.col(name).head(_MOST_EXEMPLARS) for name in ("trace_id", "span_id"))
    reason = pl.col("reason").fill_null("").str.head(_READ)
    grouped = frame.with_columns(reason).group_by("reason", "after", maintain_order=True)
    return grouped.agg(*traces, n=pl.len()).sort("n", descending=True).head(_MOST_DISTINCT)


def _add(kinds: dict[str, _Kind], row: Mapping[str, object]) -> None:
    text = plain(str(row["reason"]))
    parts, data = _DATA.split(text), _DATA.findall(text)
    kind = kinds.setdefault(_GAP.join(parts), _Kind(parts, [set() for _ in data]))
    for values, value in zip(kind.data, data, strict=True):
        values.add(value)
    if row["after"]:
        kind.after += int(str(row["n"]))
        kind.exemplars += _exemplars(row)
    else:
        kind.before += int(str(row["n"]))


def _exemplars(row: Mapping[str, object]) -> Iterator[Exemplar]:
    ids = zip(_texts(row["trace_id"]), _texts(row["span_id"]), strict=True)
    for trace, span in ids:
        if re.fullmatch(r"[0-9a-f]{32}", trace):
            known = re.fullmatch(r"[0-9a-f]{16}", span)
            yield Exemplar(trace_id=trace, span_id=span if known else None)


def _texts(values: object) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []


def _alternate(parts: Iterable[str], gaps: Iterator[str]) -> Iterator[str]:
    for place, part in enumerate(parts):
        if place:
            yield next(gaps)
        yield part


def plain(reason: str) -> str:
    """Say a reason without the place in a list, and a mistake of JSON Schema in plain words.

    `$.offers[3].price: "12 EUR" is not of type "number"` is `offers.price is a text, not a number`.
    """
    if not reason:
        return "no reason given"
    found = _PLACE.fullmatch(reason)
    if found is None:
        return _AT.sub("", reason)
    return _mistake(
        _INDEX.sub("", found["path"]).removeprefix("$").removeprefix("."), found["words"]
    )


def _mistake(path: str, words: str) -> str:
    """Say what is wrong at a place of an answer, as validators of JSON Schema tell it."""
    place = path or "the answer"
    if wrong := _TYPE.fullmatch(words):
        wanted = " or ".join(_A.get(t.strip('"'), t) for t in wrong["types"].split(", "))
        return f"{place} is {_kind(wrong['value'])}, not {wanted}"
    if missing := _MISSING.fullmatch(words):
        return f"{f'{path}.' if path else ''}{missing['name']} is missing"
    if choice := _CHOICE.fullmatch(words):
        return f"{place} is not one of {choice['choices']}"
    if len(words) > _LONG and words[:1] in _BEGINNINGS:  # a value so long that its mistake is cut
        return f"{place} is {_kind(words)} that does not fit"
    return f"{place}: {words}"


def _kind(value: str) -> str:
    """Tell of a value of JSON what it is, by its first letter."""
    if value[:1] == "n":
        return _A["null"]
    return _A[_BEGINNINGS.get(value[:1], "number")]
