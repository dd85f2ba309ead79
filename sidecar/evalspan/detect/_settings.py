"""Settings of the detector, one configuration for every stream."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from evalspan.config import Duration, SettingError, Strict

BATCHES_HELD = 8


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time; without a zone it is UTC."""
Effect = Annotated[float, Field(ge=0, lt=1)]


class BaselineSettings(Strict):
    """What scores are compared with, instead of everything before: a time, versions, or both."""

    since: Moment | None = Field(default=None, description="Begin of the time; with `until`.")
    until: Moment | None = Field(
        default=None, description="End of the time; changes are looked for after it."
    )
    versions: dict[str, str] = Field(
        default_factory=dict,
        description="Version dimension → its value that every other value is compared with.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.since is None) != (self.until is None):
            raise SettingError(("since",), "since and until belong together: give both or none")
        if self.since and self.until and self.since >= self.until:
            raise SettingError(("until",), f"must be after since ({self.since})")
        if self.since is None and not self.versions:
            raise SettingError(("since",), "a baseline is since and until, or versions")
        return self


class DetectSettings(Strict):
    """What is compared, how often, and how much evidence an alarm takes."""

    dimensions: tuple[str, ...] = Field(
        default=(),
        description="Columns whose values, one and two at a time, are the slices; empty: every "
        "dimension.",
    )
    version_dimensions: tuple[str, ...] = Field(
        default=(),
        description="Columns such as prompt_version, model or release: a new value is compared "
        "with the value it replaces; empty: prompt_version and model.",
    )
    strata: tuple[str, ...] | None = Field(
        default=None,
        description="Columns within which scores are compared, so that a change of traffic does "
        "not look like a change of quality. Default: those of the dimensions that "
        "tell scores apart in the first history.",
    )
    every: Duration = Field(
        default=timedelta(hours=3),
        gt=timedelta(0),
        description="Length of a batch; the detector looks once after each.",
    )
    minimum_history: Duration = Field(
        default=timedelta(days=3),
        ge=timedelta(0),
        description="No change is looked for before this much history.",
    )
    minimum_sample: int = Field(
        default=20,
        ge=2,
        description="Verdicts needed on either side of a comparison, before there is a verdict.",
    )
    minimum_effect: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="Smallest difference of the pass rate worth an alarm. An alarm takes evidence "
        "of a change and an estimate at least this large.",
    )
    minimum_effects: dict[str, Effect] = Field(
        default_factory=dict,
        description="Check, or check/item → its own minimum_effect.",
    )
    baseline: BaselineSettings | None = Field(
        default=None,
        description="A pinned baseline. Default: everything before a change.",
    )
    cluster: str | None = Field(
        default=None,
        description="Dimension whose verdicts hang together, such as customer, so that many of "
        "them count for less. Default: the conversation.",
    )
    error_budget: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Chance of any false alarm over the history, all streams of a check together.",
    )
    search_factor: float = Field(
        default=6.0,
        ge=1,
        description="By how much the search over candidate starts and looks raises the chance of "
        "a false alarm; measured by permutation of histories.",
    )
    recovery_nats: float = Field(
        default=6.0,
        gt=0,
        description="Evidence, in nats, that makes an open regression recovered (a rise), "
        "worsening (a further fall), or open again (a relapse).",
    )
    recovery_hold: Duration | None = Field(
        default=None,
        description="How long a recovered regression waits for a relapse before it is resolved. "
        "Default: eight batches.",
    )
    adopt_after: Duration = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="An improvement or a mix shift this old becomes part of the baseline.",
    )
    max_slices: int = Field(
        default=1000,
        ge=0,
        description="Most slices watched; those that reach the minimum sample first are taken.",
    )
    max_versions: int = Field(
        default=20,
        ge=1,
        description="Most new values of version dimensions watched at a time, the latest.",
    )
    max_exemplars: int = Field(
        default=5, ge=0, description="Most trace ids of failing rows given with a state."
    )

    @property
    def hold(self) -> timedelta:
        """How long a recovered regression waits."""
        return BATCHES_HELD * self.every if self.recovery_hold is None else self.recovery_hold

    def of(self, check: str) -> "DetectSettings":
        """Settings for one check (or check/item), with the minimum effect that it asks for."""
        own = self.minimum_effects
        effect = own.get(check, own.get(check.partition("/")[0], self.minimum_effect))
        return self.model_copy(update={"minimum_effect": effect})
