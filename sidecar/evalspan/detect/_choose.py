"""Among all claims that crossed at once, the few that explain the others."""

from dataclasses import dataclass, replace

import numpy as np

from evalspan.detect._compare import Bench, Claim
from evalspan.detect._stream import Mask

STILL_FALLS = 2.0
"""z at which the rest of a slice, without the rows of another, is said to change too."""
MIXTURE_NATS = 1.0
"""About what averaging over tilts costs against the best tilt, z²/2."""
NEW_TRIES = 6
RIVALS = 4
NATS_AN_ATTRIBUTE = 1.0
NATS_A_VERSION = 4.0


@dataclass
class Choice:
    """Claims of one direction after one batch, judged with what is already open."""

    bench: Bench
    family: list[Claim]

    def __post_init__(self) -> None:
        """Order the slices by rank, once."""
        parts = [claim for claim in self.family if claim.slice != 0]
        self.ranked = sorted(parts, key=lambda claim: -self.key(claim))
        self.now = {claim.key: claim for claim in self.family}

    def key(self, claim: Claim) -> float:
        """Evidence minus one nat per attribute; a version is the better name for equal evidence."""
        bonus = NATS_A_VERSION if claim.version is not None else 0.0
        depth = int(self.bench.slices.depth[claim.slice])
        return claim.nats - NATS_AN_ATTRIBUTE * depth + bonus

    def better(self, claim: Claim) -> Claim:
        """A parent that changes without the slice too, or a rival that leaves nothing of it."""
        parent = self._parent(claim)
        if parent is not None:
            return parent
        for rival in self.ranked[:RIVALS]:
            if rival.key == claim.key or self.key(rival) < self.key(claim):
                continue
            if self.bench.without(claim, self.bench.region(rival)) < STILL_FALLS:
                return self._parent(rival) or rival
        return claim

    def ranking(self) -> list[Claim]:
        """The best name of the first; its parents or its best child; then the others by rank."""
        if not self.ranked:
            return []
        first = self.better(self.ranked[0])
        name = set(self.bench.name(first))
        others = [claim for claim in self.ranked if claim.slice != first.slice]
        parents = [claim for claim in others if set(self.bench.name(claim)) < name]
        children = [claim for claim in others if set(self.bench.name(claim)) > name]
        found: dict[int, Claim] = {}
        for claim in (first, *parents, *children[:1], *others):
            found.setdefault(claim.slice, claim)
        return list(found.values())

    def _parent(self, claim: Claim) -> Claim | None:
        name = set(self.bench.name(claim))
        parents = [
            other
            for other in self.family
            if other.slice
            and other.kind == claim.kind
            and other.version == claim.version
            and set(self.bench.name(other)) < name
        ]
        inside = self.bench.members(claim.slice)
        rests = [
            (self.bench.without(replace(claim, slice=other.slice), inside), other)
            for other in parents
        ]
        fallen = [pair for pair in rests if pair[0] >= STILL_FALLS]
        return max(fallen, key=lambda pair: pair[0])[1] if fallen else None

    def wholes(self, crossed: list[Claim], held: list[Claim]) -> list[Claim]:
        """New claims of everything that the held ones do not explain; versions come first."""
        taken: list[Claim] = []
        order = sorted(
            (c for c in crossed if c.slice == 0), key=lambda c: (c.version is None, -c.nats)
        )
        for claim in order:
            # a version is the better name of a fall over time, so only versions explain it
            known = [
                c
                for c in (*held, *taken)
                if c.slice == 0
                and c.key != claim.key
                and (claim.version is None or c.version is not None)
            ]
            if not known or self.bench.remains(claim, self.union(known)):
                taken.append(claim)
        return taken

    def parts(self, crossed: list[Claim], held: list[Claim], wholes: list[Claim]) -> list[Claim]:
        """New claims of slices that nothing held or taken explains, at most a few a batch."""
        whole_changed = bool(wholes) or any(claim.slice == 0 for claim in held)
        taken = [claim for claim in held if claim.slice != 0]
        fresh: list[Claim] = []
        order = sorted((c for c in crossed if c.slice != 0), key=lambda c: -self.key(c))
        for claim in order[:NEW_TRIES]:
            found = self.better(claim)
            if any(found.key == other.key for other in taken):
                continue
            if taken and not self.bench.remains(found, self.union(taken)):
                continue
            if whole_changed and not self._differs(found):
                continue
            taken.append(found)
            fresh.append(found)
        return fresh

    def _differs(self, claim: Claim) -> bool:
        """Whether the slice crosses its threshold by what it changed more than the rest."""
        z = self.bench.stands_out(claim)
        return z > 0 and z * z / 2 - MIXTURE_NATS >= claim.limit

    def union(self, claims: list[Claim]) -> Mask:
        """Rows that any of the claims is about."""
        mask = np.zeros(len(self.bench.stream.batch), dtype=np.bool_)
        for claim in claims:
            mask |= self.bench.region(claim)
        return mask
