"""Settings of optimize, and its error."""

import os
from typing import Any

from pydantic import Field, field_validator

from evalspan.config import Strict


class OptimizeError(ValueError):
    """The search cannot start; says what is missing and what to do."""


class TargetSettings(Strict):
    """Where and how a case is replayed."""

    use: str = Field(
        default="anthropic",
        description="openai (any OpenAI-compatible endpoint), anthropic, or module:function.",
    )
    model: str = Field(default="", description="Model to replay with; the one of production.")
    base_url: str | None = Field(default=None, description="Address of the API; null: the SDK's.")
    api_key_env: str | None = Field(
        default=None,
        description="Environment variable that holds the API key; null takes OPENAI_API_KEY or "
        "ANTHROPIC_API_KEY.",
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Null: not sent.")
    max_tokens: int = Field(default=1024, ge=1, description="Most output tokens of one answer.")
    timeout_seconds: float = Field(default=60, gt=0, description="Limit of one call, seconds.")
    max_retries: int = Field(default=3, ge=0, description="Tries after a failed call.")
    concurrency: int = Field(default=8, ge=1, le=256, description="Calls at the same time.")

    def key_in(self, variable: str, otherwise: str = "") -> str:
        """Return the API key from `api_key_env`, else from the variable.

        Raises OptimizeError without a model or a key; `otherwise` is what else could be done.
        """
        if not self.model:
            msg = f"the target {self.use} needs a model: set `optimize.target.model`"
            raise OptimizeError(msg)
        name = self.api_key_env or variable
        key = os.environ.get(name)
        if not key:
            msg = f"the target {self.use} needs an API key: export {name}{otherwise}"
            raise OptimizeError(msg)
        return key


class MutatorSettings(Strict):
    """Which mutator, and its own settings."""

    use: str = Field(description="add_missing_rule, rewrite, or module:function.")
    settings: dict[str, Any] = Field(
        default={},
        description="Keyword parameters of the mutator, such as model for rewrite.",
    )


class OptimizeSettings(Strict):
    """Settings of the search for a better prompt, and of the proof that it is one."""

    rounds: int = Field(default=3, ge=1, le=5, description="Rounds of proposing and replaying.")
    proposals_per_round: int = Field(
        default=4,
        ge=1,
        le=16,
        description="Most proposals that are replayed in a round.",
    )
    cases: int = Field(default=240, ge=2, le=10_000, description="Most cases, both parts together.")
    holdout: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the cases that the search never sees.",
    )
    margin: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="How much worse another check may get, as a share of the cases.",
    )
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="Error probability of a proof.")
    harm_alpha: float = Field(
        default=0.1,
        gt=0,
        lt=0.5,
        description="One-sided error probability of the vetoes on harm, shared by the other "
        "checks, and once more by the slices of each check.",
    )
    max_cost_increase: float = Field(
        default=0.5,
        ge=0,
        description="How much dearer an answer may get; tokens where no price is known.",
    )
    max_latency_increase: float = Field(
        default=0.5,
        ge=0,
        description="How much slower the typical answer may get.",
    )
    max_failed_replays: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of calls that may fail before nothing can be proven.",
    )
    max_replays: int = Field(
        default=5_000,
        ge=2,
        description="Most calls of the target in one search, the proof included.",
    )
    mutators: tuple[MutatorSettings, ...] = Field(
        default=(MutatorSettings(use="add_missing_rule"), MutatorSettings(use="rewrite")),
        description="What proposes prompts, by name or with settings.",
    )
    target: TargetSettings = Field(default=TargetSettings(), description="How a case is replayed.")
    seed: int = Field(
        default=0,
        description="Decides which cases are picked; never which part a case belongs to.",
    )

    @field_validator("mutators", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return [{"use": each} if isinstance(each, str) else each for each in value]
