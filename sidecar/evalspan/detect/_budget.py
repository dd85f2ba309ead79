"""How the error budget of a check is spent: thresholds in nats per family of streams."""

import math

import numpy as np

from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slices
from evalspan.detect._stream import Floats, Mask

SHARES = {
    "time": 0.2,
    "improvement": 0.05,
    "mix": 0.1,
    "version": 0.15,
    "slice_time": 0.4,
    "slice_version": 0.1,
}
"""Half for overall and version streams, half for slices; the sum is one. A rise costs nobody his
night, so that it may wait for more evidence than a fall."""


def threshold(settings: DetectSettings, family: str, hypotheses: float = 1.0) -> float:
    """Nats that one of ``hypotheses`` equal hypotheses of a family must reach (Bonferroni).

    Families that search over candidate starts pay the search factor; a version stream has one
    start and pays none (Ville 1939).
    """
    searched = 1.0 if "version" in family else settings.search_factor
    return math.log(searched * max(hypotheses, 1.0) / (settings.error_budget * SHARES[family]))


def slice_thresholds(
    settings: DetectSettings, family: str, slices: Slices, batch: int, live: Mask
) -> Floats:
    """Thresholds per slice after a batch; infinite where another slice stands for the row set.

    Slices with the same rows so far are one hypothesis, named by the first; the ones equal to
    everything belong to the overall stream. Each depth has half of the family's share. Only
    ``live`` slices, those with a sample, are counted.
    """
    hashes = slices.prefix[:, batch + 1]
    first = np.zeros(len(hashes), dtype=np.bool_)
    first[np.unique(hashes, return_index=True)[1]] = True
    first &= live
    first[0] = False
    limits = np.full(len(hashes), np.inf)
    for depth in (1, 2):
        members = first & (slices.depth == depth)
        limits[members] = threshold(settings, family, 2.0 * float(members.sum()))
    return limits
