"""The bodies of log records. The models are their schema: `records.schema.json` is made of them."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from evalspan.report._document import (
    Comparison,
    Exemplar,
    Failures,
    Judgement,
    Part,
    Rates,
    Resource,
)

REGRESSION: Literal["evalspan.regression"] = "evalspan.regression"
ROOT_CAUSE: Literal["evalspan.root_cause"] = "evalspan.root_cause"
OPTIMIZATION: Literal["evalspan.optimization"] = "evalspan.optimization"


class Record(Part):
    """What every record has. `event_id` is the same whenever the same thing is told again."""

    schema_version: Literal[1] = 1
    event_id: str = Field(pattern="^[0-9a-f]{16}$")
    report_id: str = Field(pattern="^[0-9a-f]{16}$")
    report_url: str | None
    regression_id: str | None
    check: str
    view: str
    slice: dict[str, str]
    title: str
    exemplars: tuple[Exemplar, ...]


class RegressionRecord(Record):
    """A change of state of a regression; times are in UTC, rates from 0 to 1."""

    event: Literal["evalspan.regression"] = REGRESSION
    summary: str
    kind: str
    direction: str
    state: str
    state_time: datetime | None
    detected_time: datetime | None
    mute_reason: str | None
    mute_until: datetime | None
    reason: str
    version_dimension: str | None
    old: str | None
    new: str | None
    opened_time: datetime | None
    change_time: datetime | None
    change_low: datetime | None
    change_high: datetime | None
    rates: Rates
    mix_amount: float | None
    mix_low: float | None
    mix_high: float | None
    evidence_nats: float | None
    failures: Failures | None


class RootCauseRecord(Record):
    """A cause of a regression. `slice` is the one of the cause, `state` the regression's."""

    event: Literal["evalspan.root_cause"] = ROOT_CAUSE
    state: str
    rank: int
    kind: str
    share: float | None
    share_low: float | None
    share_high: float | None
    rates: Rates
    prompt_diff: str | None
    countermeasure: str | None


class ShortJudgement(Judgement):
    """A judgement without its slices."""

    slices: tuple[Comparison, ...] = Field(default=(), exclude=True)
    resources: tuple[Resource, ...]


class ShortProposal(Part):
    """A proposal without its prompt, which stands in the report."""

    variant: str
    mutator: str
    rationale: str
    diff: str
    reason: str | None = None
    judgement: ShortJudgement | None


class OptimizationRecord(Record):
    """A search for a better prompt; `better` and `worse` count cases."""

    event: Literal["evalspan.optimization"] = OPTIMIZATION
    experiment: str
    verdict: str
    summary: str
    created_time: datetime
    accepted: ShortProposal | None
    rejected: tuple[ShortProposal, ...]
    rejected_count: int
    better: int
    worse: int
    search_cases: int
    holdout_cases: int
    rounds: int
    proposals: int
    replays: int
    errors: tuple[str, ...]
    spent_input_tokens: int
    spent_output_tokens: int
    spent_cost_usd: float | None


AnyRecord = Annotated[
    RegressionRecord | RootCauseRecord | OptimizationRecord, Field(discriminator="event")
]


def records_schema() -> dict[str, Any]:
    """Return the JSON Schema of the body of a log record."""
    schema = TypeAdapter[Any](AnyRecord).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def records_schema_text() -> str:
    """Return the text of `records.schema.json`."""
    return json.dumps(records_schema(), indent=2, sort_keys=True) + "\n"
