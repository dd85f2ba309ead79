"""The loop: propose from the best so far, replay on the search cases, prove on the holdout."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from evalspan.optimize._case import Case, Proposal, SearchCases, Tried
from evalspan.optimize._guard import gain, harmed, judge
from evalspan.optimize._outcome import Judgement, Rejected
from evalspan.optimize._propose import Meter, Mutator, objection, propose, reject
from evalspan.optimize._replay import Replays
from evalspan.optimize._settings import OptimizeSettings

RUNNERS_UP = 2
"""Proposals besides the best that are judged on the holdout, for show: they cannot be accepted."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a search is about: the prompt, the check that is to get better, and the means."""

    prompt: str
    check: str
    finding: str
    settings: OptimizeSettings
    mutators: Sequence[Mutator]
    ask: Meter
    holdout_cases: int

    @property
    def proof_replays(self) -> int:
        """Calls that the proof takes at most: the current prompt, the best, the runners-up."""
        return self.holdout_cases * (2 + RUNNERS_UP)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal that was replayed on the search cases."""

    proposal: Proposal
    tried: tuple[Tried, ...]
    judgement: Judgement

    @property
    def rank(self) -> tuple[bool, float, int, str]:
        """Sort key, best first: without harm, by gain, the shorter prompt."""
        text = self.proposal.prompt
        return (harmed(self.judgement), -gain(self.judgement), len(text), text)


@dataclass(slots=True)
class Search:
    """What a search has found. `best` is None while nothing beats the current prompt."""

    baseline: tuple[Tried, ...]
    candidates: list[Candidate] = field(default_factory=list)
    refused: list[Rejected] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rounds: int = 0
    proposals: int = 0

    @property
    def best(self) -> Candidate | None:
        """The candidate with the largest gain that harms nothing."""
        ranked = sorted(self.candidates, key=lambda each: each.rank)
        first = ranked[0] if ranked else None
        useful = first and not harmed(first.judgement) and gain(first.judgement) > 0
        return first if useful else None

    def finalists(self) -> list[Candidate]:
        """The best, then the most tempting of the others: by gain, harm or not."""
        best = self.best
        others = [each for each in self.candidates if each is not best]
        others.sort(key=lambda each: (-gain(each.judgement), each.rank))
        return [*([best] if best else []), *others[:RUNNERS_UP]]


async def search(cases: Sequence[Case], job: Job, replays: Replays) -> Search:
    """Search with the cases of the search part; a holdout case among them is a ValueError."""
    found = Search(await replays.replay(job.prompt, cases, "current prompt"))
    seen = {job.prompt.strip()}
    for number in range(1, job.settings.rounds + 1):
        base = found.best
        shown = SearchCases(job.check, base.tried if base else found.baseline)
        if not shown.failing:
            break
        text = base.proposal.prompt if base else job.prompt
        fresh = await _fresh(text, shown, job, found, seen)
        if not fresh:
            break
        found.rounds = number
        for place, proposal in enumerate(fresh, 1):
            if len(replays.tried) + len(cases) + job.proof_replays > job.settings.max_replays:
                found.errors.append(f"stopped in round {number}: max_replays would be passed")
                return found
            what = f"round {number}, proposal {place} of {len(fresh)}"
            tried = await replays.replay(proposal.prompt, cases, what)
            judgement = judge(found.baseline, tried, job.check, job.settings, "search")
            found.candidates.append(Candidate(proposal, tried, judgement))
    return found


async def _fresh(
    prompt: str, shown: SearchCases, job: Job, found: Search, seen: set[str]
) -> list[Proposal]:
    """Ask every mutator for its part of the round; proposals that were not seen before."""
    fresh = []
    whole, rest = divmod(job.settings.proposals_per_round, len(job.mutators))
    for place, mutator in enumerate(job.mutators):
        proposals, error = await propose(
            mutator,
            prompt,
            shown,
            ask=job.ask,
            finding=job.finding,
            count=max(1, whole + (place < rest)),
        )
        found.errors += [error] if error else []
        found.proposals += len(proposals)
        for proposal in proposals:
            reason = objection(proposal, prompt, shown)
            if reason:
                refusal = f"not replayed: {reason}"
                found.refused.append(reject(proposal, job.prompt, refusal))
            elif proposal.prompt.strip() not in seen:
                seen.add(proposal.prompt.strip())
                fresh.append(proposal)
    return fresh
