"""The JSON document of a report. The models are its schema: `schema.json` is made of them."""

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of a document: unknown keys are left out, no number is infinite."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Exemplar(Part):
    """A trace that shows it."""

    trace_id: str = Field(pattern="^[0-9a-f]{32}$")
    span_id: str | None = Field(default=None, pattern="^[0-9a-f]{16}$")


class Rates(Part):
    """Pass rates before and after, 0 to 1, with the 95 % interval of the difference."""

    before: float | None = None
    after: float | None = None
    before_n: int | None = None
    after_n: int | None = None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None


class Detected(Part):
    """What was detected. `slice` {} is everything; amounts are parts of a pass rate.

    `state` is open, worsening, recovered, muted or resolved: shown by the verdicts up to
    `state_time`, seen at `detected_time`, which is the time of the figures too. The score itself
    changed at `change_time`.
    """

    kind: str
    direction: str
    state: str
    slice: dict[str, str]
    version_dimension: str | None
    old: str | None
    new: str | None
    state_time: datetime | None = None
    detected_time: datetime | None = None
    mute_reason: str | None = None
    mute_until: datetime | None = None
    opened_time: datetime | None
    change_time: datetime | None
    change_low: datetime | None
    change_high: datetime | None
    rates: Rates
    mix_amount: float | None
    mix_low: float | None
    mix_high: float | None
    evidence_nats: float | None
    reason: str
    exemplars: tuple[Exemplar, ...]


class Regression(Detected):
    """What was detected, with its id."""

    id: str


class Finding(Part):
    """One cause. `share` of the drop: 1 is all of it."""

    rank: int
    kind: str
    slice: dict[str, str]
    title: str
    share: float | None
    share_low: float | None
    share_high: float | None
    rates: Rates
    exemplars: tuple[Exemplar, ...]
    prompt_diff: str | None
    countermeasure: str | None


class FailureReason(Part):
    """Failing verdicts of one reason, after and before the change; `…` stands for what differs."""

    words: str
    count: int
    count_before: int
    exemplars: tuple[Exemplar, ...]


class Failures(Part):
    """What failed: `count` verdicts after the change; the commonest reasons, and `others`."""

    count: int
    count_before: int
    reasons: tuple[FailureReason, ...]
    others: int


class StateChange(Part):
    """A state of the regression, since when the verdicts show it, when it was seen, and why."""

    state: str
    time: datetime
    detected_time: datetime | None = None
    reason: str


class Comparison(Part):
    """One check before and after on the same cases; `slice` {} is all of them."""

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
    standing: str
    needs: int = 0


class Resource(Part):
    """Mean of what an answer takes: tokens, US dollars, milliseconds."""

    name: str
    before: float | None
    after: float | None
    n: int


class CaseChange(Part):
    """A case that got better or worse, with excerpts."""

    case_id: str
    trace_id: str
    checks: tuple[str, ...]
    reason: str
    input: str
    before: str
    after: str


class Judgement(Part):
    """The guard's reasons and figures for one proposal."""

    part: Literal["search", "holdout"]
    verdict: str
    reasons: tuple[str, ...]
    reservations: tuple[str, ...]
    checks: tuple[Comparison, ...]
    slices: tuple[Comparison, ...]
    resources: tuple[Resource, ...]
    failed_replays: int


class Proposal(Part):
    """A proposed prompt as a diff, with what became of it."""

    variant: str
    mutator: str
    rationale: str
    diff: str
    reason: str | None = None
    judgement: Judgement | None


class AcceptedProposal(Proposal):
    """A proposal that was proven, with the whole prompt: the only one that can be applied."""

    prompt: str


class Search(Part):
    """What a search for a better prompt came to, and what it took."""

    experiment: str
    verdict: str
    summary: str
    created_time: datetime
    search_cases: int
    holdout_cases: int
    rounds: int
    proposals: int
    replays: int
    errors: tuple[str, ...]
    spent_input_tokens: int
    spent_output_tokens: int
    spent_cost_usd: float | None


class Optimization(Search):
    """The search for a better prompt. `accepted` is null unless one was proven."""

    accepted: AcceptedProposal | None
    rejected: tuple[Proposal, ...]
    better: tuple[CaseChange, ...]
    worse: tuple[CaseChange, ...]


class Point(Part):
    """Pass rate of `n` verdicts in the time from `time` to the next point."""

    time: datetime
    score: float | None
    n: int


class Series(Part):
    """Pass rates over time of one slice."""

    label: str
    points: tuple[Point, ...]


class Link(Part):
    """A place to look further."""

    title: str
    url: str


class Report(Part):
    """A report: what got worse, why, and what was tried against it.

    `id` is stable: the same regression has the same id in every state and
    however often it is reported. Texts are as they came from traces: whoever
    shows them escapes them.
    """

    schema_version: Literal[1] = 1
    id: str = Field(pattern="^[0-9a-f]{16}$")
    created_time: datetime
    kinds: tuple[Literal["regression", "root_cause", "optimization"], ...]
    view: str
    check: str
    slice: dict[str, str]
    state: str
    title: str
    summary: str
    regression: Regression | None
    states: tuple[StateChange, ...] = ()
    failures: Failures | None = None
    findings: tuple[Finding, ...]
    optimization: Optimization | None
    series: tuple[Series, ...]
    links: tuple[Link, ...]
    revisions: dict[str, str]
    trace_url: str | None = None
    url: str | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a report."""
    schema = Report.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """Return the text of `schema.json`."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
