"""Incidents and their states: opened once, named better as evidence grows, ended once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from evalspan.detect._choose import STILL_FALLS, Choice
from evalspan.detect._compare import Bench, Claim, Direction, Gap
from evalspan.detect._stream import Mask

State = Literal["open", "worsening", "recovered", "resolved"]

FADING_NATS = 3.0
"""An incident this far below its threshold keeps its name: there is too little to judge by."""
FORGOTTEN_NATS = 1.0
"""Evidence below this, at every candidate start, is no sign of a change any more."""


@dataclass
class Incident:
    """One thing that happened. ``first`` is the claim that opened it, ``claim`` today's name.

    ``since`` is the batch at which it came into its ``state`` (a further fall counts anew),
    ``level_from`` the first batch of the level that it fell to, ``best_start`` the start with the
    most evidence, ``good_from`` the first batch of the recovery, where one is known. ``why`` says
    what recovered or resolved it.
    """

    first: Claim
    claim: Claim
    opened: int
    left_out: Mask
    level_from: int
    since: int
    best_start: int
    state: State = "open"
    good_from: int | None = None
    why: str = ""

    def move(self, state: State, batch: int, why: str = "") -> None:
        """Come into a state."""
        self.state, self.since, self.why = state, batch, why

    def relapse(self, start: int, batch: int) -> None:
        """Open again: what had recovered changed again, from batch ``start`` on.

        From now on it is judged by the rows since then, for those before show that it was over.
        """
        gap = Gap(self.since if self.good_from is None else self.good_from, start)
        self.claim = replace(self.claim, start=self.best_start, gaps=(*self.claim.gaps, gap))
        self.level_from, self.good_from = start, None
        self.move("open", batch)

    def rename(self, better: Claim) -> None:
        """Take another claim as the name; what has relapsed stays so."""
        gaps = self.claim.gaps
        if gaps:
            better = replace(better, start=min(better.start, self.claim.start), gaps=gaps)
        self.claim, self.best_start = better, better.start


@dataclass
class States:
    """All incidents of a walk, in order of opening."""

    all: list[Incident] = field(default_factory=list)

    def held(self, *directions: Direction) -> list[Incident]:
        """Incidents of the given directions that have not ended."""
        return [i for i in self.all if i.state != "resolved" and i.claim.direction in directions]

    def falling(self) -> bool:
        """Whether a regression of everything has not ended."""
        return any(i.claim.slice == 0 for i in self.held("regression"))

    def start(self, bench: Bench, claim: Claim, level_from: int) -> None:
        """Open an incident."""
        until = bench.until
        self.all.append(
            Incident(claim, claim, until, bench.left_out, level_from, until, claim.start)
        )

    def follow_one(self, bench: Bench, claim: Claim) -> None:
        """Give the incident of the same kind and version today's numbers, or open one."""
        same = [
            i
            for i in self.all
            if i.claim.direction == claim.direction and i.claim.version == claim.version
        ]
        known = [i for i in same if i.state != "resolved"]
        if known:
            known[0].claim = claim
        elif not same or claim.version is None:
            # a version is new once, while the mix may shift again
            self.start(bench, claim, claim.start)

    def follow(
        self,
        choice: Choice,
        crossed: list[Claim],
        direction: Direction,
        again: Callable[[Claim], Claim],
        level: Callable[[Claim], int],
    ) -> None:
        """Give open incidents today's numbers and name, then open what they do not explain.

        ``again`` judges a claim at its own start by the rows of today; ``level`` is the first
        batch of the level it fell to.
        """
        batch = choice.bench.until
        for incident in self.held(direction):
            if incident.state == "recovered":
                continue
            today = self._today(choice, incident, again)
            if today.nats < FORGOTTEN_NATS:
                incident.move("recovered", batch, "nothing is left of it")
            else:
                incident.claim = today
                if today.slice != 0 and today.nats >= today.limit - FADING_NATS:
                    self._rename(choice, incident, direction)
        held = [incident.claim for incident in self.held(direction)]
        wholes = choice.wholes(crossed, held)
        parts = choice.parts(crossed, held, wholes)
        keys = {claim.key for claim in held}
        for claim in (*wholes, *parts):
            if claim.key in keys or self._takes_over(choice, claim, direction):
                continue
            self.start(choice.bench, claim, level(claim))

    def _today(self, choice: Choice, incident: Incident, again: Callable[[Claim], Claim]) -> Claim:
        """The claim with today's numbers.

        That is at the best start of the grid; where this has faded, at the best start so far,
        since a change that lasts is not over because the grid has moved away from it. What has
        relapsed is judged from there on.
        """
        if incident.claim.gaps:
            return again(incident.claim)
        today = choice.now.get(incident.claim.key)
        own = again(replace(incident.claim, start=incident.best_start))
        if today is None or today.nats < today.limit - FADING_NATS:
            return own if today is None or own.nats > today.nats else today
        if today.nats >= own.nats:
            incident.best_start = today.start
        return today

    def _rename(self, choice: Choice, incident: Incident, direction: Direction) -> None:
        better = choice.better(incident.claim)
        others = [i.claim.key for i in self.held(direction) if i is not incident]
        if better.key in others:
            incident.move("resolved", choice.bench.until, "another finding explains it")
        elif better.key != incident.claim.key:
            incident.rename(better)

    def _takes_over(self, choice: Choice, claim: Claim, direction: Direction) -> bool:
        """A fall of everything is the better name of open falls that do not stand out from it."""
        if claim.slice != 0:
            return False
        for incident in self.held(direction):
            old = incident.claim
            if incident.state == "recovered":
                continue
            if old.slice == 0:
                explained = (
                    claim.version is not None
                    and old.version is None
                    and (choice.bench.without(old, choice.bench.region(claim)) < STILL_FALLS)
                )
            else:
                explained = choice.bench.stands_out(old) < STILL_FALLS
            if explained:
                incident.claim, incident.best_start = claim, claim.start
                return True
        return False
