"""Claims after one batch: every slice over time and every new version, with their thresholds."""

from dataclasses import dataclass, field

import numpy as np

from evalspan.detect._budget import slice_thresholds, threshold
from evalspan.detect._compare import Claim, Direction, Version
from evalspan.detect._evidence import Evidence, both_ways, exact, look_backs
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slices
from evalspan.detect._stream import Floats, Ints, Mask, Stream
from evalspan.detect._sums import (
    Cells,
    Membership,
    Tally,
    find_members,
    moments,
    running_sums,
)

CLEAR_NATS = 5.0
"""By this much above its threshold the screen needs no exact check."""
ROWS_BEFORE = 10
"""Minimum samples of rows before a new value, among which the one it replaces is looked for."""

Found = dict[Direction, list[Claim]]


@dataclass
class Counts:
    """Running sums over the rows that are not left out, and the claims that follow from them."""

    stream: Stream
    slices: Slices
    settings: DetectSettings
    versions: list[Version]
    membership: Membership = field(init=False)
    cells: Cells = field(init=False)
    tallies: list[tuple[Tally, Tally]] = field(init=False)

    def __post_init__(self) -> None:
        """Count all rows."""
        self.membership = find_members(self.stream, self.slices)
        self.count(np.zeros(len(self.stream.batch), dtype=np.bool_))

    def count(self, left_out: Mask) -> None:
        """Count the rows that are not left out."""
        self.cells = running_sums(self.stream, self.membership, ~left_out)
        self.tallies = [
            (self._holding(v, v.new, ~left_out), self._holding(v, v.old, ~left_out))
            for v in self.versions
        ]

    def _holding(self, version: Version, value: int, kept: Mask) -> Tally:
        keep = kept & (self.stream.codes[version.dimension] == value)
        return Tally(moments(self.stream), self.membership, keep)

    def over_time(self, batch: int, earliest: int) -> Found:
        """Slices at their best candidate start, none before ``earliest``; rises of all only."""
        starts = look_backs(batch, earliest)
        if not starts.size:
            return {"regression": [], "improvement": []}
        before = self.cells.sums[:, starts]
        after = self.cells.sums[:, batch + 1, None] - before
        fall, rise = self._both(after, before, starts, batch)
        limits = self._limits("slice_time", batch, np.isfinite(fall.nats))
        limits[0] = threshold(self.settings, "time")
        regressions = self._claims(fall, limits, "regression")
        limits[:] = np.inf
        limits[0] = threshold(self.settings, "improvement")
        return {
            "regression": regressions,
            "improvement": self._claims(rise, limits, "improvement"),
        }

    def of_versions(self, batch: int) -> Found:
        """Slices of each new version seen so far, against the version it replaces."""
        found: Found = {"regression": [], "improvement": []}
        seen = [version for version in self.versions if version.first <= batch]
        watched = list(enumerate(seen, 1))[-self.settings.max_versions :]
        for order, version in watched:
            sides = [side[:, None] for side in self.version_sums(version, batch)]
            fall, rise = self._both(sides[0], sides[1], np.array([version.first]), batch)
            # the j-th new value gets 1/(j(j+1)) of the share, so that any number may come
            extra = float(np.log(order * (order + 1)))
            limits = self._limits("slice_version", batch, np.isfinite(fall.nats)) + extra
            limits[0] = threshold(self.settings, "version", 2.0) + extra
            found["regression"] += self._claims(fall, limits, "regression", version)
            limits[1:] = np.inf
            found["improvement"] += self._claims(rise, limits, "improvement", version)
        return found

    def _both(
        self, after: Floats, before: Floats, starts: Ints, batch: int
    ) -> tuple[Evidence, Evidence]:
        deff = float(self.stream.deff[batch])
        return both_ways(after, before, self.cells, starts, deff, self.settings.minimum_sample)

    def _limits(self, family: str, batch: int, live: Mask) -> Floats:
        return slice_thresholds(self.settings, family, self.slices, batch, live)

    def _claims(
        self,
        evidence: Evidence,
        limits: Floats,
        direction: Direction,
        version: Version | None = None,
    ) -> list[Claim]:
        large = np.abs(evidence.effect) >= self.settings.minimum_effect
        return [
            Claim(
                kind="time" if version is None else "version",
                direction=direction,
                slice=int(number),
                start=int(evidence.start[number]),
                nats=float(evidence.nats[number]),
                effect=float(evidence.effect[number]),
                limit=float(limits[number]),
                version=version,
            )
            for number in np.flatnonzero((evidence.nats > 0) & np.isfinite(limits) & large)
        ]

    def confirmed(self, claim: Claim, batch: int) -> bool:
        """Whether the claim crossed, and exact evidence, where there is one, says so too."""
        if claim.nats < claim.limit:
            return False
        clear = claim.nats >= claim.limit + CLEAR_NATS
        if clear or not self.stream.plain[batch] or self.stream.deff[batch] > 1.0:
            return True
        fall, rise = exact(*self._sides(claim, batch))
        return (fall if claim.direction == "regression" else rise) >= claim.limit

    def _sides(self, claim: Claim, batch: int) -> tuple[Floats, Floats]:
        """Sums of candidate and baseline per stratum of a claim, shape (4, strata)."""
        part = self.cells.of(claim.slice)
        if claim.version is None:
            before = self.cells.sums[:, claim.start, part]
            return self.cells.sums[:, batch + 1, part] - before, before
        new, old = self.version_sums(claim.version, batch)
        return new[:, part], old[:, part]

    def version_sums(self, version: Version, batch: int) -> tuple[Floats, Floats]:
        """Sums per cell of the rows of the new value and of the old one, until a batch."""
        new, old = self.tallies[self.versions.index(version)]
        return new.at(batch), old.at(batch)


def find_versions(stream: Stream, settings: DetectSettings) -> list[Version]:
    """New values of the version dimensions in order of appearance, each with what it replaces.

    That is the commonest value of the last rows before the first batch of the new one; a value
    without a minimum sample of such rows is no new one.
    """
    found = []
    for name in settings.version_dimensions:
        codes = stream.codes[name]
        for code in range(len(stream.values[name])):
            first = int(stream.batch[np.argmax(codes == code)])
            earlier = codes[(stream.batch < first) & (codes >= 0)]
            if len(earlier) >= settings.minimum_sample:
                recent = earlier[-ROWS_BEFORE * settings.minimum_sample :]
                found.append(Version(name, code, int(np.bincount(recent).argmax()), first))
    return sorted(found, key=lambda version: (version.first, version.dimension, version.new))
