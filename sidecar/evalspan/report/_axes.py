"""Axes of charts: where ticks stand and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from evalspan.report._markup import Markup, el, join

_MINUTE, _DAY = 60, 86_400
_STEPS = (1, 2, 5, 10, 20, 30, 60, 300, 900, 3600, 10_800, 21_600, 43_200,
          _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def text(x: float, y: float, words: str, anchor: str = "middle") -> Markup:
    """Return a label of a chart."""
    return el("text", words, x=x, y=y, text_anchor=anchor, class_="label")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a straight line of a class of the style sheet."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def horizontal_grid(
    y: Scale, ticks: Sequence[float], unit: str, left: float, right: float
) -> Markup:
    """Return grid lines with their values on the left; values are shares of 1, shown in percent."""
    return join(
        join(
            (
                line(left, y(tick), right, y(tick), "grid"),
                text(left - 6, y(tick) + 4, f"{100 * tick:.0f}{unit}", "end"),
            )
        )
        for tick in ticks
    )


def time_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Return up to `most` round times between two Unix times, with their labels in UTC."""
    step = next((each for each in _STEPS if (high - low) / each <= most), _STEPS[-1])
    first = -(-low // step) * step
    count = int((high - first) // step) + 1
    found = [first + place * step for place in range(max(0, count))]
    return [(time, _time_label(time, step)) for time in found]


def _time_label(unix: float, step: int) -> str:
    time = datetime.fromtimestamp(unix, UTC)
    if step >= _DAY or time.time() == datetime.min.time():
        return f"{time.day} {time:%b}"
    return f"{time:%H:%M}" if step >= _MINUTE else f"{time:%H:%M:%S}"


def share_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round shares from `low` to `high`, in steps of 1, 2, 5, 10, 20, 25 or 50 points."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
    step = next((each for each in steps if (high - low) / each <= most), 1.0)
    first = round(-(-low // step))
    return [place * step for place in range(first, int(high / step + 1e-9) + 1)]
