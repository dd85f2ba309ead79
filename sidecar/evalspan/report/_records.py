"""The bodies of log records. The models are their schema: `records.schema.json` is made of them."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from evalspan.report._document import (
    Comparison,
    Detected,
    Exemplar,
    Failures,
    Finding,
    Judgement,
    Part,
    Proposal,
    Search,
)

REGRESSION: Literal["evalspan.regression"] = "evalspan.regression"
ROOT_CAUSE: Literal["evalspan.root_cause"] = "evalspan.root_cause"
OPTIMIZATION: Literal["evalspan.optimization"] = "evalspan.optimization"


class Record(Part):
    """What every record has. `event_id` is the same whenever the same thing is told again."""

    # Whatever is sent is complete: a default is for reports of before, which lack the field.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

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


class RegressionRecord(Detected, Record):
    """A change of state of a regression; times are in UTC, rates from 0 to 1."""

    event: Literal["evalspan.regression"] = REGRESSION
    summary: str
    failures: Failures | None


class RootCauseRecord(Finding, Record):
    """A cause of a regression. `slice` is the one of the cause, `state` the regression's."""

    event: Literal["evalspan.root_cause"] = ROOT_CAUSE
    state: str


class ShortJudgement(Judgement):
    """A judgement without its slices."""

    slices: tuple[Comparison, ...] = Field(default=(), exclude=True)


class ShortProposal(Proposal):
    """A proposal without its prompt, which stands in the report."""

    judgement: ShortJudgement | None


class OptimizationRecord(Search, Record):
    """A search for a better prompt; `better` and `worse` count cases."""

    event: Literal["evalspan.optimization"] = OPTIMIZATION
    accepted: ShortProposal | None
    rejected: tuple[ShortProposal, ...]
    rejected_count: int
    better: int
    worse: int


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
