"""The proof: the finalists are judged on the holdout, once, and the outcome is written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evalspan.llm import Answer
from evalspan.optimize._case import Case, Tried
from evalspan.optimize._guard import judge
from evalspan.optimize._outcome import Accepted, Change, Judgement, Outcome, Rejected
from evalspan.optimize._pairs import pair
from evalspan.optimize._propose import prompt_diff, reject
from evalspan.optimize._replay import Replays, variant_of
from evalspan.optimize._search import Candidate, Job, Search
from evalspan.optimize._words import failed_calls, movement

_EXCERPT = 2000
_MOST_CHANGES = 200
_NOT_BEST = "another proposal was better on the search cases"


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of the finalists."""

    accepted: Accepted | None
    rejected: tuple[Rejected, ...]
    better: tuple[Change, ...] = ()
    worse: tuple[Change, ...] = ()


async def prove(found: Search, holdout: Sequence[Case], job: Job, replays: Replays) -> Proof:
    """Judge the finalists on the holdout. Only the best of the search can be accepted."""
    finalists, best = found.finalists(), found.best
    shown = {id(each) for each in finalists}
    rest = [each for each in found.candidates if id(each) not in shown]
    tail = [*(_from_search(each, job) for each in rest), *found.refused]
    if not finalists:
        return Proof(None, tuple(tail))
    prompts = [job.prompt, *(each.proposal.prompt for each in finalists)]
    before, *afters = await replays.replay_together(prompts, holdout, "holdout")
    accepted: Accepted | None = None
    rejected: list[Rejected] = []
    changes = _changes((), ())
    for place, (each, after) in enumerate(zip(finalists, afters, strict=True), 1):
        judgement = judge(before, after, job.check, job.settings)
        if place == 1:
            changes = _changes(before, after)
        if each is best and judgement.verdict != "rejected":
            accepted = _accept(each, job, judgement)
        else:
            reason = "; ".join(judgement.reasons) or _NOT_BEST
            rejected.append(reject(each.proposal, job.prompt, reason, judgement))
    return Proof(accepted, (*rejected, *tail), *changes)


def _accept(best: Candidate, job: Job, judgement: Judgement) -> Accepted:
    proposal = best.proposal
    return Accepted(
        variant=variant_of(proposal.prompt),
        mutator=proposal.mutator,
        rationale=proposal.rationale,
        prompt=proposal.prompt,
        diff=prompt_diff(job.prompt, proposal.prompt),
        judgement=judgement,
    )


def _from_search(each: Candidate, job: Job) -> Rejected:
    reason = "; ".join(each.judgement.reasons) or _NOT_BEST
    return reject(each.proposal, job.prompt, f"on the search cases: {reason}", each.judgement)


def _changes(
    before: Sequence[Tried], after: Sequence[Tried]
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Cases that got better, and cases that got worse; one can be both."""
    pairs = pair(before, after)
    better = [_change(each.before, each.after, ("fail", "pass")) for each in pairs]
    worse = [_change(each.before, each.after, ("pass", "fail")) for each in pairs]
    return (
        tuple(each for each in better if each)[:_MOST_CHANGES],
        tuple(each for each in worse if each)[:_MOST_CHANGES],
    )


def _change(old: Tried, new: Tried, way: tuple[str, str]) -> Change | None:
    checks = [
        check
        for check in sorted(old.verdicts.keys() & new.verdicts.keys())
        if (old.verdicts[check], new.verdicts[check]) == way
    ]
    if not checks:
        return None
    failing = old if way[0] == "fail" else new
    return Change(
        case_id=old.case.case_id,
        trace_id=old.case.trace_id,
        slice=dict(old.case.slice),
        checks=tuple(checks),
        reason="; ".join(failing.reasons.get(check, "") for check in checks)[:_EXCERPT],
        input=old.case.input_text[:_EXCERPT],
        before=old.output.text[:_EXCERPT],
        after=new.output.text[:_EXCERPT],
    )


def outcome(
    found: Search,
    proof: Proof,
    job: Job,
    replays: Replays,
    cases: Sequence[Case],
    *,
    experiment: str,
    dataset: str,
    now: datetime,
) -> Outcome:
    """Write down everything that a report needs."""
    tried, answers = replays.tried, job.ask.answers
    failed = failed_calls([t.output.error for t in tried if t.output.error], len(tried))
    costs = [cost for cost in (*_costs(tried), *_costs(answers)) if cost is not None]
    holdout = sum(case.split == "holdout" for case in cases)
    return Outcome(
        experiment=experiment,
        dataset=dataset,
        check=job.check,
        created_time=now,
        verdict=proof.accepted.judgement.verdict if proof.accepted else "rejected",
        summary=_summary(proof, found, job, failed),
        accepted=proof.accepted,
        rejected=proof.rejected,
        better=proof.better,
        worse=proof.worse,
        search_cases=len(cases) - holdout,
        holdout_cases=holdout,
        rounds=found.rounds,
        proposals=found.proposals,
        replays=len(tried),
        errors=tuple(dict.fromkeys([*found.errors, *failed])),
        spent_input_tokens=sum(each.output.input_tokens or 0 for each in tried)
        + sum(each.input_tokens for each in answers),
        spent_output_tokens=sum(each.output.output_tokens or 0 for each in tried)
        + sum(each.output_tokens for each in answers),
        spent_cost_usd=sum(costs) if costs else None,
    )


def _costs(spent: Sequence[Tried] | Sequence[Answer]) -> list[float | None]:
    return [each.cost_usd for each in spent]


def _summary(proof: Proof, found: Search, job: Job, failed: Sequence[str]) -> str:
    if proof.accepted:
        row = proof.accepted.judgement.checks[0]
        return f"{job.check} rises: {movement(row)} on {row.n} cases that the search never saw."
    if not found.candidates:
        return f"No proposal could be tried: {_why_none(found, job, failed)}."
    tried = f"{len(found.candidates)} proposals that were tried"
    if found.best is None:
        return f"None of {tried} made {job.check} better without harm."
    return f"The best of {tried} is rejected: {proof.rejected[0].reason}."


def _why_none(found: Search, job: Job, failed: Sequence[str]) -> str:
    """Say why nothing was tried: the mutators have no idea, or no case to have one about."""
    verdicts = Counter(each.verdicts.get(job.check) for each in found.baseline)
    if verdicts["fail"]:
        return found.errors[0] if found.errors else "the mutators proposed nothing new"
    cases = len(found.baseline)
    many = sum(bool(each.output.error) for each in found.baseline)
    if failed and many > job.settings.max_failed_replays * cases:
        return failed[0]
    passed, undecided = verdicts["pass"], cases - verdicts["pass"]
    more = f", {undecided} have no verdict" if undecided else ""
    return (
        f"with the current prompt none of {cases} cases of the search fails {job.check} now, "
        f"{passed} pass{more}"
    )
