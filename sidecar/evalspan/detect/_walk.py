"""The loop over batches: evidence, claims, states. After a batch nothing depends on later rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from evalspan.detect._budget import slice_thresholds, threshold
from evalspan.detect._choose import Choice
from evalspan.detect._compare import Bench, Claim, Direction, Version
from evalspan.detect._evidence import (
    Evidence,
    both_ways,
    exact,
    look_backs,
    mix_confirmed,
    mix_evidence,
)
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Cells, Slices, find_slices, running_sums
from evalspan.detect._states import Incident, States
from evalspan.detect._stream import MICROSECONDS_A_SECOND, Floats, Mask, Stream

DIRECTIONS: tuple[Direction, ...] = ("regression", "improvement")
CLEAR_NATS = 5.0
"""By this much above its threshold the screen needs no exact check."""


@dataclass
class Walker:
    """Everything known between two batches. ``left_out`` marks rows in no baseline any more."""

    stream: Stream
    settings: DetectSettings
    slices: Slices = field(init=False)
    cells: Cells = field(init=False)
    states: States = field(init=False)
    left_out: Mask = field(init=False)
    earliest: int = field(init=False)
    earliest_mix: int = field(init=False)
    mix_from: int = 0
    versions: list[Version] = field(init=False)
    version_cells: list[tuple[Cells, ...]] = field(init=False)
    family: list[Claim] = field(default_factory=list)

    binary: bool = field(init=False)

    def __post_init__(self) -> None:
        """Prepare slices and running sums once."""
        self.slices = find_slices(self.stream, self.settings)
        self.left_out = np.zeros(len(self.stream.batch), dtype=np.bool_)
        self.states = States()
        self.binary = self.stream.binary
        self.earliest = self.earliest_mix = self.stream.first_test
        self.versions = [
            version
            for name in self.settings.version_dimensions
            for version in find_versions(self.stream, name, self.settings)
        ]
        self._count()

    def _count(self) -> None:
        """Running sums over all rows that are not left out."""
        kept = ~self.left_out
        self.cells = running_sums(self.stream, self.slices, kept)
        self.version_cells = [
            tuple(
                running_sums(self.stream, self.slices, kept & (codes == value))
                for value in (version.new, version.old)
            )
            for version in self.versions
            for codes in (self.stream.codes[version.dimension],)
        ]

    def steps(self) -> Iterator[int]:
        """Go through the batches; yields the number of each batch after it was judged."""
        for batch in range(len(self.stream.ends)):
            if batch >= self.stream.first_test:
                self._judge(batch)
            yield batch

    def look(self, batch: int) -> None:
        """Evidence after one batch alone, without states; fills ``family``."""
        if batch >= self.stream.first_test:
            version, time = self._version_claims(batch), self._time_claims(batch)
            self.family = [*version["regression"], *time["regression"]]

    def _judge(self, batch: int) -> None:
        bench = Bench(self.stream, self.slices, batch, self.left_out)
        self._recover(bench)
        time = self._time_claims(batch)
        version = self._version_claims(batch)
        self.family = [*time["regression"], *version["regression"]]
        for direction in DIRECTIONS:
            claims = [*version[direction], *time[direction]]
            crossed = [c for c in claims if c.nats >= c.limit and self._confirmed(c, batch)]
            if direction == "improvement" and self.states.falling():
                crossed = []
            if crossed or self.states.open(direction):
                self.states.follow(Choice(bench, claims), crossed, direction)
        self._mix(bench)
        self._adopt(batch)

    def _time_claims(self, batch: int) -> dict[Direction, list[Claim]]:
        starts = look_backs(batch, self.earliest)
        if not starts.size:
            return {"regression": [], "improvement": []}
        before = self.cells.sums[:, starts]
        candidate = self.cells.sums[:, batch + 1, None] - before
        fall, rise = both_ways(
            candidate,
            before,
            self.cells,
            starts,
            float(self.stream.deff[batch]),
            self.settings.minimum_sample,
        )
        limits = self._limits("slice_time", batch, np.isfinite(fall.nats))
        limits[0] = threshold(self.settings, "time")
        return {
            "regression": self._claims(fall, limits, "regression"),
            "improvement": self._claims(
                rise,
                np.where(
                    np.arange(len(limits)) == 0, threshold(self.settings, "improvement"), np.inf
                ),
                "improvement",
            ),
        }

    def _limits(self, family: str, batch: int, live: Mask) -> Floats:
        return slice_thresholds(self.settings, family, self.slices, batch, live)[0]

    def _claims(
        self,
        evidence: Evidence,
        limits: Floats,
        direction: Direction,
        version: Version | None = None,
    ) -> list[Claim]:
        kind = "time" if version is None else "version"
        numbers = np.flatnonzero((evidence.nats > 0) & np.isfinite(limits))
        return [
            Claim(
                kind,
                direction,
                int(g),
                int(evidence.start[g]),
                float(evidence.nats[g]),
                float(evidence.effect[g]),
                float(limits[g]),
                version,
            )
            for g in numbers
            if abs(evidence.effect[g]) >= self.settings.minimum_effect
        ]

    def _version_claims(self, batch: int) -> dict[Direction, list[Claim]]:
        found: dict[Direction, list[Claim]] = {"regression": [], "improvement": []}
        order = 0
        for version, (new, old) in zip(self.versions, self.version_cells, strict=True):
            if batch < version.first:
                continue
            order += 1
            candidate = new.sums[:, batch + 1, None]
            baseline = old.sums[:, batch + 1, None]
            starts = np.array([version.first])
            fall, rise = both_ways(
                candidate,
                baseline,
                new,
                starts,
                float(self.stream.deff[batch]),
                self.settings.minimum_sample,
            )
            # the j-th new value gets 1/(j(j+1)) of the share, so that any number may come
            extra = float(np.log(order * (order + 1)))
            limits = self._limits("slice_version", batch, np.isfinite(fall.nats)) + extra
            limits[0] = threshold(self.settings, "version", 2.0) + extra
            found["regression"] += self._claims(fall, limits, "regression", version)
            limits[1:] = np.inf
            found["improvement"] += self._claims(rise, limits, "improvement", version)
        return found

    def _confirmed(self, claim: Claim, batch: int) -> bool:
        """Whether exact conditional evidence agrees with the screen, where there is an exact one."""
        clear = claim.nats >= claim.limit + CLEAR_NATS
        if clear or not self.binary or self.stream.deff[batch] > 1.0:
            return True
        candidate, baseline = self.sides(claim, batch)
        fall, rise = exact(candidate, baseline)
        return (fall if claim.direction == "regression" else rise) >= claim.limit

    def sides(self, claim: Claim, batch: int) -> tuple[Floats, Floats]:
        """Sums of candidate and baseline per stratum of a claim, shape (4, strata)."""
        part = self.cells.of(claim.slice)
        if claim.version is None:
            before = self.cells.sums[:, claim.start, part]
            return self.cells.sums[:, batch + 1, part] - before, before
        new, old = self.version_cells[self.versions.index(claim.version)]
        return new.sums[:, batch + 1, part], old.sums[:, batch + 1, part]

    def _mix(self, bench: Bench) -> None:
        starts = look_backs(bench.until, max(self.earliest_mix, self.mix_from + 1))
        if not starts.size:
            return
        part = self.cells.of(0)
        before = self.cells.sums[:, starts, part]
        candidate = self.cells.sums[:, bench.until + 1, None, part] - before
        baseline = before - self.cells.sums[:, self.mix_from, None, part]
        fall, rise, amount = mix_evidence(candidate, baseline)
        enough = (candidate[0].sum(-1) >= self.settings.minimum_sample) & (
            baseline[0].sum(-1) >= self.settings.minimum_sample
        )
        nats = np.where(enough, np.where(amount < 0, fall, rise), -np.inf)
        best = int(nats.argmax())
        limit = threshold(self.settings, "mix", 2.0)
        large = abs(amount[best]) >= self.settings.minimum_effect
        if (
            nats[best] >= limit
            and large
            and max(mix_confirmed(candidate[:, best], baseline[:, best])) >= limit
        ):
            claim = Claim(
                "mix",
                "mix_shift",
                0,
                int(starts[best]),
                float(nats[best]),
                float(amount[best]),
                limit,
            )
            known = self.states.open("mix_shift")
            if known:
                known[0].claim = claim
            else:
                self.states.start(bench, claim)

    def _recover(self, bench: Bench) -> None:
        """Resolve what has gone: the later part differs from the earlier part the other way."""
        for incident in self.states.open("regression", "improvement"):
            if incident.claim.version is not None:
                self._retire_version(incident, bench.until)
                continue
            begin = incident.claim.start
            starts = look_backs(bench.until, begin + 1)
            if not starts.size:
                continue
            part = self.cells.of(incident.claim.slice)
            single = Cells(
                self.cells.sums[:, :, part],
                np.zeros(1, dtype=np.int64),
                self.cells.slice[part],
                self.cells.stratum[part],
            )
            before = single.sums[:, starts]
            candidate = single.sums[:, bench.until + 1, None] - before
            baseline = before - single.sums[:, begin, None]
            fall, rise = both_ways(
                candidate,
                baseline,
                single,
                starts,
                float(self.stream.deff[bench.until]),
                self.settings.minimum_sample,
            )
            back = rise if incident.claim.direction == "regression" else fall
            if back.nats[0] >= self.settings.recovery_nats:
                self.states.resolve(incident, bench.until, "the score came back")
                self._leave_out(incident.claim.slice, begin, int(back.start[0]))

    def _retire_version(self, incident: Incident, batch: int) -> None:
        version = incident.claim.version
        if version is None:
            return
        seen = self.stream.batch[self.stream.codes[version.dimension] == version.new]
        last = int(seen[seen <= batch].max())
        gap = (self.stream.ends[batch] - self.stream.ends[last]) / MICROSECONDS_A_SECOND
        if gap > self.settings.minimum_history.total_seconds():
            self.states.resolve(incident, batch, "the new value gets no traffic any more")

    def _leave_out(self, number: int, begin: int, end: int) -> None:
        """Take the rows of a slice in the batches from ``begin`` to ``end`` out of everything."""
        rows = self.slices.rows[number]
        inside = (self.stream.batch[rows] >= begin) & (self.stream.batch[rows] < end)
        self.left_out = self.left_out.copy()
        self.left_out[rows[inside]] = True
        self._count()

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
                self.mix_from = begin
                self.earliest_mix = batch
            else:
                self._leave_out(0, 0, begin)
                history = int(self.settings.minimum_history.total_seconds())
                enough = self.stream.ends[begin] + history * MICROSECONDS_A_SECOND
                self.earliest = int(np.searchsorted(self.stream.ends, enough))


def find_versions(stream: Stream, name: str, settings: DetectSettings) -> list[Version]:
    """New values of a dimension in order of appearance, each with the value it replaces.

    That is the commonest value of the batches before the first row of the new one; a value
    without such rows is no new one.
    """
    codes = stream.codes[name]
    found = []
    for code in range(len(stream.values[name])):
        rows = np.flatnonzero(codes == code)
        first = int(stream.batch[rows[0]])
        earlier = codes[(stream.batch < first) & (codes >= 0)]
        recent = earlier[-max(len(earlier) // 2, settings.minimum_sample) :]
        if len(earlier) >= settings.minimum_sample:
            found.append(Version(name, code, int(sums_by(recent).argmax()), first))
    return found[: settings.max_versions]
