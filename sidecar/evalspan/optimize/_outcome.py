"""What optimize hands back: plain frozen records that can be written as JSON."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["accepted", "accepted with reservations", "rejected"]
Standing = Literal["improved", "not worse", "unproven", "worse", "no proof"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(_Record):
    """One check before and after on the same cases, of everything or of one slice.

    `before` and `after` are pass rates, `difference` is after minus before with
    its 95 % interval, `n` the cases that have a verdict on both sides, `losses`
    those that went from pass to fail, `gains` the other way. `standing`:
    improved (proven), not worse (proven within the margin), unproven (`needs`
    says how many more cases would prove it if no further loss came), worse
    (evidence of harm), no proof (the check that should get better did not,
    provably).
    """

    check: str
    slice: dict[str, str] = {}
    n: int
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    losses: int
    gains: int
    p_value: float
    standing: Standing
    needs: int = 0
    verdicts_lost: int = 0


class Resource(_Record):
    """What an answer takes, mean over the cases answered before and after."""

    name: Literal["input_tokens", "output_tokens", "cost_usd", "duration_ms"]
    before: float | None
    after: float | None
    n: int


class Change(_Record):
    """A case whose verdict on a check changed; texts are excerpts."""

    case_id: str
    trace_id: str
    slice: dict[str, str]
    checks: tuple[str, ...]
    reason: str
    input: str
    before: str
    after: str


class Judgement(_Record):
    """What the guard says of one proposal on one part of the cases."""

    part: Literal["search", "holdout"]
    verdict: Verdict
    reasons: tuple[str, ...]
    reservations: tuple[str, ...]
    checks: tuple[Comparison, ...]
    slices: tuple[Comparison, ...]
    resources: tuple[Resource, ...]
    failed_replays: int


class _Shown(_Record):
    """What is told of every proposal."""

    variant: str
    mutator: str
    rationale: str
    diff: str


class Accepted(_Shown):
    """A proven proposal: the only type that holds a prompt to apply."""

    prompt: str
    judgement: Judgement


class Rejected(_Shown):
    """A proposal that was turned down, and why. It holds no prompt to apply.

    `judgement` is None where the proposal was not replayed at all.
    """

    reason: str
    judgement: Judgement | None


class Outcome(_Record):
    """The result of a search. `accepted` is None unless a proposal was proven.

    `rejected` stands in order of interest: those judged on the holdout, then
    those that looked best in the search. `proposals` counts all that were made: besides the
    accepted and the rejected ones those that repeated another, and those that `max_replays` left
    no room for. `errors` are the failures of mutators,
    and how many calls of the target failed, by kind.
    Tokens and cost spent are those of replays and of mutators together.
    """

    experiment: str
    dataset: str
    check: str
    created_time: datetime
    verdict: Verdict
    summary: str
    accepted: Accepted | None
    rejected: tuple[Rejected, ...]
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    search_cases: int
    holdout_cases: int
    rounds: int
    proposals: int
    replays: int
    errors: tuple[str, ...]
    spent_input_tokens: int
    spent_output_tokens: int
    spent_cost_usd: float | None
