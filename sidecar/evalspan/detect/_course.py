"""The course of an incident after it opened: a further fall, a recovery, a relapse, its end.

A recovery is said with evidence: the later rows are better than the fallen ones, are no longer
apart from the baseline, and their estimate is back within the minimum effect (or, while there is
too little to measure that, within one standard error).
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from evalspan.detect._claims import Counts
from evalspan.detect._compare import Claim
from evalspan.detect._evidence import compare, look_backs
from evalspan.detect._states import FORGOTTEN_NATS, Incident
from evalspan.detect._stream import MICROSECONDS_A_SECOND, Floats

TINY = 1e-9
CAME_BACK = "the score came back"
NOT_USED = "{new} gets no traffic any more, and the score came back"
RETIRED = "the new value gets no traffic any more"
NOT_COMPARABLE = "the evaluator was changed, and nothing newer can be compared with the baseline"


class Apart(NamedTuple):
    """Of one group against another: evidence that it is worse, effect and its standard error."""

    nats: Floats
    effect: Floats
    error: Floats


@dataclass(frozen=True)
class Course:
    """Judges incidents after one batch."""

    counts: Counts
    batch: int

    def step(self, incident: Incident) -> bool:
        """Move the incident on, at most once; whether its rows are to be left out from now on."""
        if incident.state == "recovered":
            return self._waits(incident)
        if (end := self._outdated(incident)) is not None:
            incident.move("resolved", self.batch, NOT_COMPARABLE)
            incident.good_from = end
            return True
        if (good_from := self._came_back(incident)) is not None:
            incident.move("recovered", self.batch, CAME_BACK)
            incident.good_from = good_from
        elif (good_from := self._rolled_back(incident)) is not None:
            incident.move("recovered", self.batch, self._not_used(incident.claim))
            incident.good_from = good_from
        elif self._retired(incident):
            incident.move("resolved", self.batch, RETIRED)
            incident.good_from = self.batch  # its rows would raise the same alarm again
            return True
        elif incident.claim.direction == "regression":
            self._fell_further(incident)
        return False

    def _waits(self, incident: Incident) -> bool:
        if (start := self._relapsed(incident)) is not None:
            incident.relapse(start, self.batch)
            return False
        held = self._microseconds(incident.since, self.batch)
        if held < self.counts.settings.hold.total_seconds() * MICROSECONDS_A_SECOND:
            return False
        incident.move("resolved", self.batch, incident.why)
        return incident.good_from is not None

    def _microseconds(self, first: int, last: int) -> int:
        ends = self.counts.stream.ends
        return int(ends[last] - ends[first])

    def _rows(self, claim: Claim) -> Floats:
        """Running sums of the rows of which the claim says that they changed."""
        if claim.version is not None:
            return self.counts.running(claim.slice, claim.version.dimension, claim.version.new)
        return self.counts.cells.sums[:, :, self.counts.cells.of(claim.slice)]

    def _baseline(self, claim: Claim, until: int) -> Floats:
        """Sums of the baseline, that of a version before batch ``until``."""
        if claim.version is not None:
            old = self.counts.running(claim.slice, claim.version.dimension, claim.version.old)
            return old[:, until]
        return self.counts.cells.base[:, claim.start, self.counts.cells.of(claim.slice)]

    def _came_back(self, incident: Incident) -> int | None:
        """First batch of the recovery, if there is one."""
        claim = incident.claim
        starts = look_backs(self.batch, claim.begin + 1)
        if not starts.size:
            return None
        rows = self._rows(claim)
        later = rows[:, self.batch + 1, None] - rows[:, starts]
        fallen = rows[:, starts] - rows[:, claim.begin, None]
        back = self._apart(claim, fallen, later)
        best = int(back.nats.argmax())
        if back.nats[best] < self.counts.settings.recovery_nats:
            return None
        base = self._baseline(claim, self.batch + 1)
        return int(starts[best]) if self._is_back(claim, later[:, best], base) else None

    def _is_back(self, claim: Claim, later: Floats, base: Floats) -> bool:
        away = self._apart(claim, later[:, None], base[:, None])
        sign = -1.0 if claim.direction == "regression" else 1.0
        allowed = max(self.counts.settings.minimum_effect, float(away.error[0]))
        return bool(away.nats[0] < FORGOTTEN_NATS and sign * away.effect[0] <= allowed)

    def _rolled_back(self, incident: Incident) -> int | None:
        """First batch after a new value went away, if the traffic after it is as it was before."""
        claim, version = incident.claim, incident.claim.version
        if version is None:
            return None
        new, every = self._rows(claim), self.counts.running(claim.slice)
        total = every.sum(-1)
        used = np.flatnonzero(np.diff(new[0, : self.batch + 2].sum(-1)) > 0)
        if not used.size:
            return None
        end = int(used[-1]) + 1
        share = float(new[0, end].sum() / max(total[0, end] - total[0, version.first], TINY))
        n, q = (total[:, self.batch + 1] - total[:, end])[:2]
        size = float(n * n / max(q, TINY))
        # a gap that the share of the new value does not explain by chance
        gap = -size * math.log1p(-min(share, 1 - 1e-9))
        settings, deff = self.counts.settings, float(self.counts.stream.deff[self.batch])
        if size < settings.minimum_sample * deff or gap < settings.recovery_nats:
            return None
        later = every[:, self.batch + 1] - every[:, end]
        return end if self._is_back(claim, later, self._baseline(claim, end)) else None

    def _not_used(self, claim: Claim) -> str:
        if claim.version is None:
            return CAME_BACK
        values = self.counts.stream.values[claim.version.dimension]
        return NOT_USED.format(new=values[claim.version.new])

    def _relapsed(self, incident: Incident) -> int | None:
        """First batch of the relapse, if there is one."""
        claim = replace(incident.claim, start=incident.best_start)
        starts = look_backs(self.batch, incident.since)
        if not starts.size:
            return None
        rows = self._rows(claim)
        later = rows[:, self.batch + 1, None] - rows[:, starts]
        away = self._apart(claim, later, self._baseline(claim, self.batch + 1)[:, None])
        best = self._proven(claim, away)
        return None if best is None else int(starts[best])

    def _fell_further(self, incident: Incident) -> None:
        """Evidence that the rows since it was opened, or last fell, are below those before."""
        claim = incident.claim
        starts = look_backs(self.batch, incident.since + 1)
        if not starts.size:
            return
        rows = self._rows(claim)
        later = rows[:, self.batch + 1, None] - rows[:, starts]
        level = rows[:, starts] - rows[:, incident.level_from, None]
        best = self._proven(claim, self._apart(claim, later, level))
        if best is not None:
            incident.move("worsening", self.batch)
            incident.level_from = int(starts[best])

    def _proven(self, claim: Claim, worse: Apart) -> int | None:
        """Index of the start with the most evidence, if it is enough for a change of state."""
        settings = self.counts.settings
        sign = -1.0 if claim.direction == "regression" else 1.0
        nats = np.where(sign * worse.effect >= settings.minimum_effect, worse.nats, -np.inf)
        best = int(nats.argmax())
        return best if nats[best] >= settings.recovery_nats else None

    def _apart(self, claim: Claim, worse: Floats, better: Floats) -> Apart:
        """Evidence that the first rows lie on the far side of the second, as the claim says.

        Shapes (4, starts, strata); −inf where either side has too few rows.
        """
        deff = float(self.counts.stream.deff[self.batch])
        found = compare(worse, better, deff)
        nats = found.fall if claim.direction == "regression" else found.rise
        enough = found.size >= self.counts.settings.minimum_sample - TINY
        return Apart(np.where(enough, nats, -np.inf), found.effect, found.error)

    def _retired(self, incident: Incident) -> bool:
        """Whether no traffic has used the new value for as long as the minimum history.

        At least for the time that a recovery is watched: there may be no minimum history.
        """
        version = incident.claim.version
        if version is None:
            return False
        stream = self.counts.stream
        seen = stream.batch[stream.codes[version.dimension] == version.new]
        gap = self._microseconds(int(seen[seen <= self.batch].max()), self.batch)
        settings = self.counts.settings
        long = max(settings.minimum_history, settings.hold)
        return gap > long.total_seconds() * MICROSECONDS_A_SECOND

    def _outdated(self, incident: Incident) -> int | None:
        """First batch from which, for long, no row has a revision that the baseline has too."""
        stream, claim = self.counts.stream, incident.claim
        rows = self.counts.slices.rows[claim.slice]
        rows = rows[stream.batch[rows] <= self.batch]
        if not stream.revisions[rows].any():
            return None
        base = rows[(stream.batch[rows] < claim.start) & stream.base[rows]]
        known = np.isin(stream.revisions[rows], np.unique(stream.revisions[base]))
        last = int(stream.batch[rows[known]].max(initial=claim.start))
        age = self.counts.settings.adopt_after.total_seconds() * MICROSECONDS_A_SECOND
        return last + 1 if self._microseconds(last, self.batch) >= age else None
