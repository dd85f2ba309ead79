"""Incidents and their states: opened once, named better as evidence grows, resolved once."""

from dataclasses import dataclass, field

from evalspan.detect._choose import STILL_FALLS, Choice
from evalspan.detect._compare import Bench, Claim, Direction
from evalspan.detect._stream import Mask

FADING_NATS = 3.0
"""An incident this far below its threshold keeps its name: there is too little to judge by."""
FORGOTTEN_NATS = 1.0
"""Evidence below this, at every candidate start, is no sign of a change any more."""


@dataclass
class Incident:
    """One thing that happened. ``first`` is the claim that opened it, ``claim`` today's name."""

    first: Claim
    claim: Claim
    opened: int
    left_out: Mask
    resolved: int | None = None
    why_resolved: str = ""


@dataclass
class States:
    """All incidents of a walk, in order of opening."""

    all: list[Incident] = field(default_factory=list)

    def open(self, *directions: Direction) -> list[Incident]:
        """Open incidents of the given directions."""
        return [i for i in self.all if i.resolved is None and i.claim.direction in directions]

    def falling(self) -> bool:
        """Whether a regression of everything is open."""
        return any(i.claim.slice == 0 for i in self.open("regression"))

    def resolve(self, incident: Incident, batch: int, why: str) -> None:
        """Close an incident."""
        incident.resolved = batch
        incident.why_resolved = why

    def start(self, bench: Bench, claim: Claim) -> None:
        """Open an incident."""
        self.all.append(Incident(claim, claim, bench.until, bench.left_out))

    def follow_mix(self, bench: Bench, claim: Claim) -> None:
        """Give the open shift of the mix today's numbers, or open one."""
        known = self.open("mix_shift")
        if known:
            known[0].claim = claim
        else:
            self.start(bench, claim)

    def follow(self, choice: Choice, crossed: list[Claim], direction: Direction) -> None:
        """Give open incidents today's numbers and name, then open what they do not explain."""
        for incident in self.open(direction):
            today = choice.now.get(incident.claim.key)
            if today is None or today.nats < FORGOTTEN_NATS:
                self.resolve(incident, choice.bench.until, "nothing is left of it")
            else:
                incident.claim = today
                if today.slice != 0 and today.nats >= today.limit - FADING_NATS:
                    self._rename(choice, incident, direction)
        held = [incident.claim for incident in self.open(direction)]
        wholes = choice.wholes(crossed, held)
        parts = choice.parts(crossed, held, wholes)
        keys = {claim.key for claim in held}
        for claim in (*wholes, *parts):
            if claim.key in keys or self._takes_over(choice, claim, direction):
                continue
            self.start(choice.bench, claim)

    def _rename(self, choice: Choice, incident: Incident, direction: Direction) -> None:
        better = choice.better(incident.claim)
        others = [i.claim.key for i in self.open(direction) if i is not incident]
        if better.key in others:
            self.resolve(incident, choice.bench.until, "another finding explains it")
        else:
            incident.claim = better

    def _takes_over(self, choice: Choice, claim: Claim, direction: Direction) -> bool:
        """A fall of everything is the better name of open falls that do not stand out from it."""
        if claim.slice != 0:
            return False
        for incident in self.open(direction):
            old = incident.claim
            if old.slice == 0:
                explained = (
                    claim.version is not None
                    and old.version is None
                    and (choice.bench.without(old, choice.bench.region(claim)) < STILL_FALLS)
                )
            else:
                explained = choice.bench.stands_out(old) < STILL_FALLS
            if explained:
                incident.claim = claim
                return True
        return False
