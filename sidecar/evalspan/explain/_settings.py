"""Settings of the explanation."""

from pydantic import Field

from evalspan.config import Strict


class ExplainSettings(Strict):
    """Over what a drop is split, and how much of it is told."""

    dimensions: tuple[str, ...] = Field(
        default=(), description="Columns whose values, one and two at a time, are the slices."
    )
    version_dimensions: tuple[str, ...] = Field(
        default=(),
        description="Columns such as prompt_version or model, whose change may be the cause.",
    )
    prompt_dimension: str = Field(
        default="prompt_version",
        description="The version dimension whose values are prompts, for the diff.",
    )
    strata: tuple[str, ...] | None = Field(
        default=None,
        description="Columns within which scores are compared. Default: those of the dimensions "
        "that tell scores apart in the baseline.",
    )
    minimum_sample: int = Field(
        default=10, ge=2, description="Verdicts a slice needs before and after, to be ranked."
    )
    minimum_nats: float = Field(
        default=3.0, ge=0, description="Evidence a slice needs, in nats, to be a finding."
    )
    max_slices: int = Field(default=5, ge=1, description="Most slices among the findings.")
    max_exemplars: int = Field(
        default=5, ge=0, description="Most trace ids of failing rows given with a finding."
    )
