"""The loop over batches: evidence, claims, states. After a batch nothing depends on later rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from evalspan.detect._budget import threshold
from evalspan.detect._choose import Choice
from evalspan.detect._claims import Counts, find_versions
from evalspan.detect._compare import Bench, Claim, Direction
from evalspan.detect._evidence import look_backs, mix_confirmed, mix_evidence
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slices, find_slices
from evalspan.detect._states import FORGOTTEN_NATS, Incident, States
from evalspan.detect._stream import MICROSECONDS_A_SECOND, Floats, Mask, Stream
from evalspan.stats import mixture_log_evidence, stratified_sums

DIRECTIONS: tuple[Direction, ...] = ("regression", "improvement")


@dataclass
class Walker:
    """Everything known between two batches.

    ``left_out`` marks rows that no comparison uses any more, those of what is over. ``earliest``
    is the first candidate start allowed, ``mix_from`` the first batch of the mix's baseline.
    """

    stream: Stream
    settings: DetectSettings
    slices: Slices = field(init=False)
    counts: Counts = field(init=False)
    states: States = field(default_factory=States)
    left_out: Mask = field(init=False)
    earliest: int = field(init=False)
    earliest_mix: int = field(init=False)
    mix_from: int = 0
    family: list[Claim] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepare slices and running sums once."""
        self.slices = find_slices(self.stream, self.settings)
        self.left_out = np.zeros(len(self.stream.batch), dtype=np.bool_)
        versions = find_versions(self.stream, self.settings)
        self.counts = Counts(self.stream, self.slices, self.settings, versions)
        self.earliest = self.earliest_mix = self.stream.first_test

    def steps(self) -> Iterator[int]:
        """Go through the batches; yields the number of each batch after it was judged."""
        for batch in range(len(self.stream.ends)):
            if batch >= self.stream.first_test:
                self._judge(batch)
            yield batch

    def look(self, batch: int) -> None:
        """Evidence of falls after one batch alone, without states; fills ``family``."""
        if batch >= self.stream.first_test:
            version = self.counts.of_versions(batch)["regression"]
            self.family = [*version, *self.counts.over_time(batch, self.earliest)["regression"]]

    def _judge(self, batch: int) -> None:
        bench = Bench(self.stream, self.slices, batch, self.left_out)
        for incident in self.states.open("regression", "improvement"):
            if incident.claim.version is None:
                self._recover(incident, batch)
            else:
                self._retire(incident, batch)
        time = self.counts.over_time(batch, self.earliest)
        version = self.counts.of_versions(batch)
        for direction in DIRECTIONS:
            claims = [*version[direction], *time[direction]]
            crossed = [claim for claim in claims if self.counts.confirmed(claim, batch)]
            # the way back up from an open fall is a recovery, not an improvement
            if direction == "improvement" and self.states.falling():
                crossed = []
            if crossed or self.states.open(direction):
                self.states.follow(Choice(bench, claims), crossed, direction)
        self._mix(bench)
        self._adopt(batch)

    def _mix(self, bench: Bench) -> None:
        """Open, or follow, a shift of the mix of strata."""
        starts = look_backs(bench.until, max(self.earliest_mix, self.mix_from + 1))
        if not starts.size:
            return
        cells = self.counts.cells
        part = cells.of(0)
        before = cells.sums[:, starts, part]
        after = cells.sums[:, bench.until + 1, None, part] - before
        before = before - cells.sums[:, self.mix_from, None, part]
        deff = float(self.stream.mix_deff[bench.until])
        fall, rise, amount = mix_evidence(after, before, deff)
        sizes = [s[0].sum(-1) ** 2 / np.maximum(s[1].sum(-1), 1e-12) for s in (after, before)]
        enough = (np.minimum(*sizes) >= self.settings.minimum_sample * deff) & (
            np.abs(amount) >= self.settings.minimum_effect
        )
        nats = np.where(enough, np.where(amount < 0, fall, rise), -np.inf)
        best = int(nats.argmax())
        limit = threshold(self.settings, "mix", 2.0)
        if nats[best] < limit or max(mix_confirmed(after[:, best], before[:, best], deff)) < limit:
            return
        self.states.follow_mix(
            bench,
            Claim(
                "mix",
                "mix_shift",
                0,
                int(starts[best]),
                float(nats[best]),
                float(amount[best]),
                limit,
            ),
        )

    def _recover(self, incident: Incident, batch: int) -> None:
        """Resolve what has gone: the later part differs from the earlier, not from the baseline."""
        claim = incident.claim
        starts = look_backs(batch, claim.start + 1)
        if not starts.size:
            return
        cells = self.counts.cells
        sums = cells.sums[:, :, cells.of(claim.slice)]
        before = sums[:, starts]
        later = sums[:, batch + 1, None] - before
        back = self._toward(claim, later, before - sums[:, claim.start, None], batch)
        best = int(back.argmax())
        if back[best] < self.settings.recovery_nats:
            return
        away = self._toward(claim, sums[:, claim.start, None], later[:, best : best + 1], batch)
        if away[0] < FORGOTTEN_NATS:
            self.states.resolve(incident, batch, "the score came back")
            self._leave_out(claim.slice, claim.start, int(starts[best]))

    def _toward(self, claim: Claim, better: Floats, worse: Floats, batch: int) -> Floats:
        """Evidence that the first rows are on the good side of the second, for a regression.

        For an improvement it is the other way round. Shape (4, starts, cells) to (starts,).
        """
        sums = stratified_sums(better, worse)
        deff = float(self.stream.deff[batch])
        score, variance, third, _ = (part.sum(-1) / deff for part in sums)
        fall, rise = mixture_log_evidence(score, variance, third)
        nats = rise if claim.direction == "regression" else fall
        sizes = [s[0].sum(-1) ** 2 / np.maximum(s[1].sum(-1), 1e-12) for s in (better, worse)]
        enough = np.minimum(*sizes) >= self.settings.minimum_sample * deff
        return np.where(enough, nats, -np.inf)

    def _retire(self, incident: Incident, batch: int) -> None:
        """Resolve a version that no traffic uses any more."""
        version = incident.claim.version
        if version is None:
            return
        seen = self.stream.batch[self.stream.codes[version.dimension] == version.new]
        last = int(seen[seen <= batch].max())
        gap = (self.stream.ends[batch] - self.stream.ends[last]) / MICROSECONDS_A_SECOND
        if gap > self.settings.minimum_history.total_seconds():
            self.states.resolve(incident, batch, "the new value gets no traffic any more")

    def _adopt(self, batch: int) -> None:
        """An old improvement or mix shift becomes the baseline."""
        now = self.stream.ends[batch]
        for incident in self.states.open("improvement", "mix_shift"):
            begin = incident.claim.start
            age = (now - self.stream.ends[begin]) / MICROSECONDS_A_SECOND
            if age < self.settings.adopt_after.total_seconds():
                continue
            self.states.resolve(incident, batch, "it is part of the baseline now")
            if incident.claim.kind == "mix":
                self.mix_from, self.earliest_mix = begin, batch
            else:
                self._leave_out(0, 0, begin)
                history = int(self.settings.minimum_history.total_seconds())
                enough = self.stream.ends[begin] + history * MICROSECONDS_A_SECOND
                self.earliest = int(np.searchsorted(self.stream.ends, enough))

    def _leave_out(self, number: int, begin: int, end: int) -> None:
        """Take the rows of a slice in the batches from ``begin`` to ``end`` out of everything."""
        rows = self.slices.rows[number]
        inside = (self.stream.batch[rows] >= begin) & (self.stream.batch[rows] < end)
        self.left_out = self.left_out.copy()
        self.left_out[rows[inside]] = True
        self.counts.count(self.left_out)
