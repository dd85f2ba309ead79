"""What stands behind the series of a page: their numbers, their exemplars, their age."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from prometheus_client.samples import Exemplar

Labels = tuple[str, ...]
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

    def tell(self, place: int = 0) -> Exemplar | None:
        """Return the exemplar at `place` for a scrape."""
        kept = self._kept.get(place)
        if kept is None:
            return None
        kept.told = True
        return kept.exemplar


@dataclass(slots=True, eq=False)
class Counter:
    """A number that only grows; `counted_at` is when it was last counted on, in seconds.

    `beside` are those that stay on the page as long as this one does.
    """

    counted_at: float
    value: float = 0.0
    exemplars: Exemplars = field(default_factory=Exemplars)
    beside: tuple["Counter", ...] = ()


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

    def cumulative(
        self, bounds: tuple[float, ...]
    ) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
        """Yield bound, count up to it and, where there is one, the exemplar of each bucket."""
        total = 0
        for place, bound in enumerate((*bounds, INFINITY)):
            total += int(self.counts[place])
            exemplar = self.exemplars.tell(place)
            shown = bound_text(bound), float(total)
            yield (*shown, exemplar) if exemplar else shown


def bound_text(bound: float) -> str:
    """Return an upper bound as the label `le` has it."""
    return "+Inf" if bound == INFINITY else repr(float(bound))
