"""The loop over batches: evidence, claims, states. After a batch nothing depends on later rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from evalspan.detect._budget import threshold
from evalspan.detect._choose import Choice
from evalspan.detect._claims import Counts, find_versions
from evalspan.detect._compare import Bench, Claim, Direction
from evalspan.detect._course import Course
from evalspan.detect._evidence import look_backs, mix_confirmed, mix_evidence
from evalspan.detect._profile import change_of
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slices, find_slices
from evalspan.detect._states import Incident, States
from evalspan.detect._stream import MICROSECONDS_A_SECOND, Mask, Stream

DIRECTIONS: tuple[Direction, ...] = ("regression", "improvement")


@dataclass(frozen=True, slots=True)
class Known:
    """What a walk knew after a batch; the fields are those of :class:`Walker`."""

    incidents: tuple[Incident, ...]
    left_out: Mask
    enough: int
    earliest_mix: int
    mix_from: int


@dataclass
class Walker:
    """Everything known between two batches.

    ``left_out`` marks rows that no comparison uses any more, those of what is over. ``enough`` is
    when, in microseconds, the baseline had enough history (0: at the first test), ``mix_from`` the
    first batch of the mix's baseline, ``exact`` counts for the bound on false alarms, once they
    are needed. ``known`` is what was known after each batch from the first test on.
    """

    stream: Stream
    settings: DetectSettings
    slices: Slices = field(init=False)
    counts: Counts = field(init=False)
    states: States = field(default_factory=States)
    left_out: Mask = field(init=False)
    enough: int = 0
    earliest_mix: int = field(init=False)
    mix_from: int = 0
    known: list[Known] = field(default_factory=list)
    family: list[Claim] = field(default_factory=list)
    exact: Counts | None = None

    def __post_init__(self) -> None:
        """Prepare slices and running sums once."""
        self.slices = find_slices(self.stream, self.settings)
        self.left_out = np.zeros(len(self.stream.batch), dtype=np.bool_)
        versions = find_versions(self.stream, self.settings)
        self.counts = Counts(self.stream, self.slices, self.settings, versions)
        self.earliest_mix = self.stream.first_test

    def steps(self) -> Iterator[int]:
        """Go on through the batches; yields the number of each batch after it was judged."""
        first = self.stream.first_test
        for batch in range(first + len(self.known) if self.known else 0, len(self.stream.ends)):
            if batch >= first:
                self._judge(batch)
                self.known.append(self._now())
            yield batch

    def _now(self) -> Known:
        incidents = tuple(replace(incident) for incident in self.states.all)
        return Known(incidents, self.left_out, self.enough, self.earliest_mix, self.mix_from)

    def go_on(self, known: list[Known]) -> None:
        """Begin after the batches of which is known what was known; one at least."""
        now = known[-1]
        self.known = known
        self.states.all = [replace(incident) for incident in now.incidents]
        self.enough, self.earliest_mix, self.mix_from = now.enough, now.earliest_mix, now.mix_from
        if now.left_out.any():
            self._leave_out(now.left_out)

    @property
    def earliest(self) -> int:
        """First candidate start allowed."""
        return max(self.stream.first_test, int(np.searchsorted(self.stream.ends, self.enough)))

    def look(self, batch: int) -> None:
        """Evidence of falls after one batch alone, without states; fills ``family``."""
        if batch >= self.stream.first_test:
            version = self.counts.of_versions(batch)["regression"]
            self.family = [*version, *self.counts.over_time(batch, self.earliest)["regression"]]

    def _judge(self, batch: int) -> None:
        bench = Bench(self.stream, self.slices, batch, self.left_out)
        course = Course(self.counts, batch)
        for incident in self.states.held("regression", "improvement"):
            if course.step(incident):
                self._leave_out(self._fallen(incident))
                bench = Bench(self.stream, self.slices, batch, self.left_out)
                course = Course(self.counts, batch)
        time = self.counts.over_time(batch, self.earliest)
        version = self.counts.of_versions(batch)
        for direction in DIRECTIONS:
            claims = [*version[direction], *time[direction]]
            crossed = [claim for claim in claims if self.counts.confirmed(claim, batch)]
            # the way back up from an open fall is a recovery, not an improvement
            if direction == "improvement" and self.states.falling():
                crossed = []
            if crossed or self.states.held(direction):
                again, level = self._again(batch), self._level(bench)
                self.states.follow(Choice(bench, claims), crossed, direction, again, level)
        for claim in version["revision"]:
            if claim.nats >= claim.limit:
                self.states.follow_one(bench, claim)
        self._mix(bench)
        self._adopt(batch)

    def _again(self, batch: int) -> Callable[[Claim], Claim]:
        return lambda claim: self.counts.again(claim, batch)

    def _level(self, bench: Bench) -> Callable[[Claim], int]:
        return lambda claim: change_of(bench, claim, bench.until).start

    def _mix(self, bench: Bench) -> None:
        """Open, or follow, a shift of the mix of strata."""
        starts = look_backs(bench.until, max(self.earliest_mix, self.mix_from + 1))
        if not starts.size:
            return
        sums, base = self.counts.mix, self.counts.mix_base
        after = sums[:, bench.until + 1, None] - sums[:, starts]
        before = base[:, starts] - base[:, self.mix_from, None]
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
        found = float(nats[best]), float(amount[best]), limit
        self.states.follow_one(bench, Claim("mix", "mix_shift", 0, int(starts[best]), *found))

    def _fallen(self, incident: Incident) -> Mask:
        """Rows of what is over: from the first batch at which it may have begun to its recovery."""
        end = -1 if incident.good_from is None else incident.good_from
        bench = Bench(self.stream, self.slices, max(end - 1, incident.claim.start), self.left_out)
        begin = change_of(bench, incident.claim, incident.opened).low
        rows = bench.region(incident.claim) & bench.outside_gaps(incident.claim)
        return rows & (self.stream.batch >= begin) & (self.stream.batch < end)

    def _adopt(self, batch: int) -> None:
        """An old improvement or mix shift becomes the baseline."""
        now = self.stream.ends[batch]
        kinds: tuple[Direction, ...] = ("improvement", "mix_shift", "revision")
        for incident in self.states.held(*kinds):
            begin = incident.claim.begin
            age = (now - self.stream.ends[begin]) / MICROSECONDS_A_SECOND
            if age < self.settings.adopt_after.total_seconds() or self._needed(incident):
                continue
            incident.move("resolved", batch, "it is part of the baseline now")
            if incident.claim.kind == "mix":
                self.mix_from, self.earliest_mix = begin, batch
            elif incident.claim.direction == "improvement":
                self._leave_out(self.stream.batch < begin)
                history = int(self.settings.minimum_history.total_seconds())
                self.enough = int(self.stream.ends[begin]) + history * MICROSECONDS_A_SECOND

    def _needed(self, incident: Incident) -> bool:
        """Whether the rows before an improvement are the baseline of something else.

        They are if one is pinned, and while a regression is followed, which would be lost.
        """
        if incident.claim.direction == "revision":
            return False
        falls = self.states.held("regression") if incident.claim.kind != "mix" else []
        return self.settings.baseline is not None or bool(falls)

    def _leave_out(self, rows: Mask) -> None:
        """Take rows out of everything."""
        self.left_out = self.left_out | rows
        self.counts.count(self.left_out)
