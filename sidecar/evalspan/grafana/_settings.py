"""Settings of alerts: when people are told, and how loudly."""

from datetime import timedelta

from pydantic import Field, field_validator

from evalspan.config import Duration, Strict


class AlertSettings(Strict):
    """When people are told, and how loudly; `evalspan grafana rules` writes it as rules."""

    job: str = Field(
        default="evalspan",
        pattern=r"^[^\"\\\s]+$",
        description="Name of the Prometheus job that scrapes the sidecar.",
    )
    critical_effect: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="A regression is critical where the pass rate fell by at least this much.",
    )
    critical_sample: int = Field(
        default=100,
        ge=1,
        description="A regression is critical where at least this many verdicts stand on the new "
        "side: much traffic is concerned. Below, it is a warning.",
    )
    keep_firing: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(0),
        description="How long a regression's alert outlives its series, so that a restart of the "
        "sidecar does not resolve it.",
    )
    lag: Duration = Field(
        default=timedelta(minutes=2),
        gt=timedelta(0),
        description="Scores this far behind are an alert.",
    )
    failing_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="A check that breaks on more than this share of what it looks at is an alert.",
    )
    error_objective: float = Field(
        default=0.99,
        ge=0.5,
        lt=1,
        description="Share of model calls that must end without an error, over thirty days.",
    )
    limit_objective: float = Field(
        default=0.95,
        ge=0.5,
        lt=1,
        description="Share of calls that must keep the limit of a check of latency, time to the "
        "first token or cost (max_ms, max_usd), over thirty days.",
    )
    objectives: dict[str, float] = Field(
        default_factory=dict,
        description="Check → share of its verdicts that must pass over thirty days, 0.5 to 1; "
        "instead of limit_objective, or for a check that has none.",
    )
    minimum_calls: int = Field(
        default=100,
        ge=1,
        description="No burn rate is alarmed on fewer calls than this in its long window.",
    )
    judge_budget_usd_per_day: float | None = Field(
        default=None,
        gt=0,
        description="US dollars that judges may spend in a day; null: no alert.",
    )

    @field_validator("objectives")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for check, share in value.items():
            if not 0.5 <= share < 1:  # noqa: PLR2004 - half of the calls is no objective
                msg = f"{check}: expected a share from 0.5 to below 1, not {share}"
                raise ValueError(msg)
        return value
