"""Inline SVG charts: pass rate over time, and differences with their intervals."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

from evalspan.report._axes import Scale, horizontal_grid, line, share_ticks, text, time_ticks
from evalspan.report._document import Comparison, Finding, Point, Series
from evalspan.report._markup import Markup, el, join
from evalspan.report._text import one_line, wrapped
from evalspan.report._words import MINUS, where

WIDE, NARROW = 860, 340
_LEFT, _RIGHT, _TOP = 48, 14, 26
_RATES_HEIGHT, _COUNTS_HEIGHT, _GAP = 190, 48, 36
_COLOURS = 4
_BAR = 14.0


def both(draw: Callable[[int], Markup], words: str) -> Markup:
    """Draw a chart for a desk and for a phone; the style sheet shows the one that fits.

    `draw` takes the width in pixels.
    """
    return el(
        "figure",
        el("div", draw(WIDE), class_="wide"),
        el("div", draw(NARROW), class_="narrow"),
        el("figcaption", words),
    )


def rates_over_time(
    series: Sequence[Series], change: datetime | None, width: int, check: str
) -> Markup:
    """Pass rate of each series (0 to 100%), and below it how many verdicts stand behind it."""
    starts = [point.time.timestamp() for each in series for point in each.points]
    end = max(time + _step(each) / 2 for each in series for time, _ in _middles(each))
    x = Scale(min(starts), end, _LEFT + _BAR / 2, width - _RIGHT - _BAR / 2)
    y = Scale(0, 1, _TOP + _RATES_HEIGHT, _TOP)
    bottom = _TOP + _RATES_HEIGHT + _GAP + _COUNTS_HEIGHT
    parts = [
        text(_LEFT - 40, 14, f"pass rate of {one_line(check, 40)}, %", "start"),
        horizontal_grid(y, (0, 0.25, 0.5, 0.75, 1), "", _LEFT, width - _RIGHT),
        _time_axis(x, bottom, width),
        _counts(series[0], x, bottom, width),
        _change(change, x, bottom),
        *(_curve(each, x, y, place) for place, each in enumerate(series)),
    ]
    return _svg(width, bottom + 34, f"pass rate of {check} over time", parts)


def _step(series: Series) -> float:
    """Return for how long a point stands, seconds: the least time from one to the next."""
    times = [point.time.timestamp() for point in series.points]
    return min((b - a for a, b in pairwise(times) if b > a), default=0.0)


def _middles(series: Series) -> list[tuple[float, Point]]:
    """Return each point with the middle of its time, where it is drawn: a change is in place."""
    half = _step(series) / 2
    return [(point.time.timestamp() + half, point) for point in series.points]


def _time_axis(x: Scale, bottom: float, width: int) -> Markup:
    ticks = time_ticks(x.low, x.high, max(4, width // 110))
    return join(
        [
            line(_LEFT, bottom, width - _RIGHT, bottom, "axis"),
            *(line(x(time), bottom, x(time), bottom + 4, "axis") for time, _ in ticks),
            *(text(x(time), bottom + 17, label) for time, label in ticks),
            text(width - _RIGHT, bottom + 31, "time, UTC", "end"),
        ]
    )


def _counts(series: Series, x: Scale, bottom: float, width: int) -> Markup:
    counts = [(time, point.n) for time, point in _middles(series)]
    most = max((n for _, n in counts), default=0) or 1
    y = Scale(0, most, bottom, bottom - _COUNTS_HEIGHT)
    step = _step(series)
    bar = max(1.0, min(_BAR, 0.7 * (x(x.low + step) - x(x.low)) if step else _BAR))
    bars = [
        el("rect", x=x(time) - bar / 2, y=y(n), width=bar, height=bottom - y(n), class_="bar")
        for time, n in counts
    ]
    top = bottom - _COUNTS_HEIGHT
    label = one_line(series.label, 80 if width == WIDE else 20)
    return join(
        [
            *bars,
            text(_LEFT - 6, top + 8, f"{most:,}", "end"),
            text(_LEFT - 6, bottom, "0", "end"),
            text(_LEFT - 40, top - 7, f"verdicts per point, {label}", "start"),
        ]
    )


def _change(change: datetime | None, x: Scale, bottom: float) -> Markup | None:
    if change is None or not x.low <= change.timestamp() <= x.high:
        return None
    place = x(change.timestamp())
    near_end = place > (x.start + x.end) / 2
    words = text(
        place + (-5 if near_end else 5), _TOP - 2, "change", "end" if near_end else "start"
    )
    return join((line(place, _TOP - 10, place, bottom, "change"), words))


def _curve(series: Series, x: Scale, y: Scale, place: int) -> Markup:
    """A line that breaks where there is no rate; single points stay visible as dots."""
    colour = f"s{place % _COLOURS}"
    known = [
        None if point.score is None else (x(time), y(point.score))
        for time, point in _middles(series)
    ]
    path, pen = "", "M"
    for dot in known:
        if dot is None or not all(map(math.isfinite, dot)):
            pen = "M"
            continue
        path += f"{pen}{dot[0]:.1f} {dot[1]:.1f}"
        pen = "L"
    dots = [el("circle", cx=d[0], cy=d[1], r=2.5, class_=f"dot {colour}") for d in known if d]
    return join([el("path", d=path, class_=f"curve {colour}"), *dots])


def legend(series: Sequence[Series]) -> Markup:
    """Return which colour is which series."""
    return el(
        "ul",
        *(
            el("li", el("span", class_=f"swatch s{place % _COLOURS}"), one_line(each.label, 80))
            for place, each in enumerate(series)
        ),
        class_="legend",
    )


def differences(rows: Sequence[Comparison], margin_words: str, width: int) -> Markup:
    """Each check's difference after minus before with its 95 % interval, around zero."""
    values = [v for row in rows for v in (row.low, row.high, row.difference) if v is not None]
    entries = [(row.check, row.difference, row.low, row.high, _kind(row)) for row in rows]
    low, high = min([0.0, *values]), max([0.0, *values])
    return _forest(entries, (low, high), f"difference, percentage points {margin_words}", width)


def shares(findings: Sequence[Finding], width: int) -> Markup:
    """Each cause's share of the drop with its 95 % interval."""
    entries = [(_cause(f), f.share, f.share_low, f.share_high, "s1") for f in findings]
    values = [v for _, *three, _ in entries for v in three if v is not None]
    low, high = min([0.0, *values]), max([1.0, *values])
    return _forest(entries, (max(low, -1.0), min(high, 2.0)), "share of the drop, %", width)


def _cause(finding: Finding) -> str:
    """Name a slice by what it is; its figures stand in the chart and below it."""
    place = where(finding.slice).removeprefix(" for ")
    return f"{finding.rank}. {place if place and finding.kind == 'slice' else finding.title}"


Entry = tuple[str, float | None, float | None, float | None, str]
_LINE, _ROW = 15, 24


def _forest(entries: Sequence[Entry], bounds: tuple[float, float], unit: str, width: int) -> Markup:
    """Dots with intervals, one below the other; the whole name stands above its line."""
    top = 8
    names = [wrapped(entry[0], _LETTERS[width], _MOST_LINES) for entry in entries]
    heights = [_ROW + _LINE * len(name) for name in names]
    bottom = top + sum(heights)
    room = (bounds[1] - bounds[0]) * 0.04 or 0.05
    x = Scale(bounds[0] - room, bounds[1] + room, 12, width - 30)
    ticks = share_ticks(bounds[0], bounds[1], 10 if width == WIDE else 5)
    labels = [f"{100 * tick:.0f}".replace("-", MINUS) for tick in ticks]
    parts = [text(x(t), bottom + 16, label) for t, label in zip(ticks, labels, strict=True)]
    place = top
    for entry, name, height in zip(entries, names, heights, strict=True):
        parts.append(_grid(x, ticks, place + height - _ROW + 4, place + height))
        parts.append(_row(entry, name, x, place))
        place += height
    parts.append(text(width - 14, bottom + 32, unit, "end"))
    return _svg(width, bottom + 38, unit, parts)


_LETTERS = {WIDE: 115, NARROW: 42}
_MOST_LINES = 4


def _grid(x: Scale, ticks: Sequence[float], top: float, bottom: float) -> Markup:
    """Lines behind the dot and its interval, none through the name."""
    kinds = ["zero" if abs(tick) < _ZERO else "grid" for tick in ticks]
    return join(
        line(x(tick), top, x(tick), bottom, kind) for tick, kind in zip(ticks, kinds, strict=True)
    )


_ZERO = 1e-9


def _row(entry: Entry, name: Sequence[str], x: Scale, top: float) -> Markup:
    _, value, low, high, kind = entry
    parts = [text(12, top + 14 + _LINE * n, words, "start") for n, words in enumerate(name)]
    y = top + 10 + _LINE * len(name)
    if low is not None and high is not None:
        ends = [x(max(x.low, min(x.high, end))) for end in (low, high)]
        parts.append(line(ends[0], y, ends[1], y, f"whisker {kind}"))
    if value is not None:
        parts.append(el("circle", cx=x(value), cy=y, r=4.5, class_=f"dot {kind}"))
    return join(parts)


def _kind(row: Comparison) -> str:
    return {"improved": "good", "worse": "bad", "not worse": "s0"}.get(row.standing, "unsure")


def _svg(width: int, height: float, words: str, parts: Sequence[Markup | None]) -> Markup:
    return el(
        "svg",
        el("title", one_line(words)),
        *parts,
        viewBox=f"0 0 {width} {height:.0f}",
        role="img",
        width=width,
        height=height,
    )
