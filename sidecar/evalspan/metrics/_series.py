"""What stands behind the series of a page: their numbers, their exemplars, their age."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import numpy as np
from prometheus_client.samples import Exemplar

Labels = tuple[str, ...]
Bucket = tuple[str, float] | tuple[str, float, Exemplar]
INFINITY: Final = float("inf")
_EXEMPLAR_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Kept:
    """The exemplar that a series has; `told` once a scrape was given it."""

    exemplar: Exemplar
    failing: bool
    told: bool = False

    def yields_to(self, *, failing: bool, now: float) -> bool:
        """Say whether another trace takes the place: after a second, a failing one at once.

        A failing trace waits until it was told before a passing one takes its place.
        """
        if failing and not self.failing:
            return True
        old = abs(now - float(self.exemplar.timestamp or 0.0)) >= _EXEMPLAR_SECONDS
        return old and (failing or not self.failing or self.told)


class Exemplars:
    """The exemplars of one metric's series: at most one a second, failing traces first."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        """Have none."""
        self._kept: dict[int, _Kept] = {}

    def offer(
        self, trace_id: str, value: float, now: float, *, failing: bool, place: int = 0
    ) -> None:
        """Take the trace for the series at `place` (the bucket) unless a better one is there."""
        kept = self._kept.get(place)
        if kept is None or kept.yields_to(failing=failing, now=now):
            self._kept[place] = _Kept(Exemplar({"trace_id": trace_id}, value, now), failing)

    def tell(self) -> dict[int, Exemplar]:
        """Return place → exemplar for a scrape."""
        for kept in self._kept.values():
            kept.told = True
        return {place: kept.exemplar for place, kept in self._kept.items()}


@dataclass(slots=True, eq=False)
class Counter:
    """A number that only grows; `counted_at` is when it was last counted on, in seconds.

    `beside` are those that stay on the page as long as this one does.
    """

    counted_at: float
    value: float = 0.0
    exemplars: Exemplars = field(default_factory=Exemplars)
    beside: tuple["Counter", ...] = ()

    def now(self) -> "CounterNow":
        """Return a copy that counts no further."""
        return CounterNow(self.value, self.exemplars.tell().get(0))


@dataclass(slots=True, eq=False)
class Histogram:
    """Numbers by bucket, the last one without a bound, and their sum."""

    counted_at: float
    counts: np.ndarray[tuple[int], np.dtype[np.int64]]
    sum: float = 0.0
    exemplars: Exemplars = field(default_factory=Exemplars)

    @classmethod
    def of(cls, bounds: tuple[float, ...], now: float) -> "Histogram":
        """Return an empty one with these upper bounds."""
        return cls(now, np.zeros(len(bounds) + 1, dtype=np.int64))

    def now(self) -> "HistogramNow":
        """Return a copy that counts no further."""
        return HistogramNow(self.counts.tolist(), self.sum, self.exemplars.tell())


@dataclass(frozen=True, slots=True)
class CounterNow:
    """What a counter has at a scrape."""

    value: float
    exemplar: Exemplar | None


@dataclass(frozen=True, slots=True)
class HistogramNow:
    """What a histogram has at a scrape; `exemplars` by the place of their bucket."""

    counts: list[int]
    sum: float
    exemplars: dict[int, Exemplar]

    def cumulative(self, bounds: tuple[float, ...]) -> Iterator[Bucket]:
        """Yield bound, count up to it and, where there is one, the exemplar of each bucket."""
        totals = zip((*bounds, INFINITY), accumulate(self.counts), strict=True)
        for place, (bound, total) in enumerate(totals):
            exemplar = self.exemplars.get(place)
            shown = bound_text(bound), float(total)
            yield (*shown, exemplar) if exemplar else shown


def has_sum(bounds: tuple[float, ...]) -> bool:
    """Say whether a histogram with these bounds has a sum and a count.

    OpenMetrics wants none where bounds are below 0: a sum of such numbers falls.
    """
    return bounds[0] >= 0


def bound_text(bound: float) -> str:
    """Return an upper bound as the label `le` has it."""
    return "+Inf" if bound == INFINITY else repr(float(bound))
