"""Change points of a plain series of numbers, by the evidence that dates a change of a score."""

import numpy as np

from evalspan.detect._evidence import compare
from evalspan.detect._stream import Floats

ENOUGH_NATS = 3.0
"""Evidence that makes a split: the log of 20, one chance in twenty for a split looked at once."""
FEWEST = 2
"""Shortest segment."""
TINY = 1e-12


def change_points(values: Floats) -> list[int]:
    """Places before which the mean of a series changes, in order.

    The series is split at the start with the most evidence of a different mean, as a state's
    change time is found (:func:`compare`: exchangeable variance of the whole segment, mixture
    over effects, values scaled to mean and standard deviation one half, those of a fair 0/1 score);
    then each part again, as long as the evidence suffices (binary segmentation, Scott and Knott
    1974). Unlike the evidence of a stream it is not corrected for the search over starts or for
    serial dependence: it dates changes and raises no alarm.
    """
    found: list[int] = []
    waiting = [(0, len(values))]
    while waiting:
        low, high = waiting.pop()
        split = _split(values[low:high])
        if split is not None:
            found.append(low + split)
            waiting += [(low, low + split), (low + split, high)]
    return sorted(found)


def _split(values: Floats) -> int | None:
    size = len(values)
    spread = float(values.std()) if size else 0.0
    if size < 2 * FEWEST or spread <= TINY * float(np.abs(values).max()):
        return None
    scaled = 0.5 + (values - values.mean()) / (2 * spread)
    ones = np.ones(size)
    before = np.cumsum(np.stack([ones, ones, scaled, scaled**2]), axis=1)
    starts = np.arange(FEWEST, size - FEWEST + 1)
    base = before[:, starts - 1]
    after = before[:, -1:] - base
    found = compare(after[..., None], base[..., None], 1.0)
    nats = np.maximum(found.fall, found.rise)
    best = int(nats.argmax())
    return int(starts[best]) if nats[best] >= ENOUGH_NATS else None
