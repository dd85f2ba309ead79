"""Settings of the detector, one configuration for every stream."""

from datetime import timedelta

from pydantic import Field

from evalspan.config import Duration, Strict


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
        description="Smallest difference of the pass rate worth an alarm.",
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
        description="Evidence of a rise, in nats, that resolves an open regression.",
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
