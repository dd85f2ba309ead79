"""Steps of time, and the samples of series that rose at some of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Steps = npt.NDArray[np.int64]
Amounts = npt.NDArray[np.float64]
Row = list[float]
# Prometheus looks back five minutes for a value.
_SILENT_SECONDS: Final = 240


@dataclass(frozen=True, slots=True)
class Grid:
    """The steps of time, numbered from 1970; the sample of a step has the time of its end."""

    until_ms: int
    step_ms: int
    expire_steps: int

    @property
    def silent_steps(self) -> int:
        """How many steps may pass without a sample."""
        return max(1, _SILENT_SECONDS * 1000 // self.step_ms)

    def stamps(self, steps: Steps) -> Steps:
        """Return the times of the samples in milliseconds: all at least 2 before the end."""
        return np.minimum((steps + 1) * self.step_ms, self.until_ms - 2)

    def lives(self, steps: Steps) -> Iterator[tuple[slice, Steps]]:
        """Yield where each life of a series stands in the steps it rose at, and its samples."""
        ends = np.flatnonzero(np.diff(steps) > self.expire_steps) + 1
        for first, end in zip([0, *ends], [*ends, len(steps)], strict=True):
            rose = steps[first:end]
            start = rose[0] - 1
            idle = rose[-1] + self.expire_steps - 1
            last = min(idle, (self.until_ms - 1) // self.step_ms)
            silent = np.arange(start, last + 1, self.silent_steps)
            yield slice(first, end), np.unique(np.concatenate([silent, rose - 1, rose, [last]]))

    def points(self, steps: Steps, rises: Amounts) -> Iterator[tuple[int, Row]]:
        """Yield time in milliseconds and values of each sample; `rises` has a row per step."""
        for life, sampled in self.lives(steps):
            total = np.cumsum(rises[life], axis=0)
            total = np.concatenate([np.zeros_like(total[:1]), total])
            rows = total[np.searchsorted(steps[life], sampled, side="right")].tolist()
            stamps = self.stamps(sampled).tolist()
            yield from zip(stamps, rows, strict=True)
            yield stamps[-1] + 1, [0.0] * rises.shape[1]


def rises(steps: Steps, places: Steps | int, width: int, amounts: Amounts) -> tuple[Steps, Amounts]:
    """Return the steps there are in order, and for each a row with its amounts in their places."""
    unique, rows = np.unique(steps, return_inverse=True)
    table = np.zeros(len(unique) * width)
    np.add.at(table, rows * width + places, amounts)
    return unique, table.reshape(len(unique), width)
