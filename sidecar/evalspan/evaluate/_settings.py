"""What is written in the config about checks and checklists."""

from datetime import timedelta
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from evalspan.config import Duration, Strict

_SAMPLE = (
    "Share of the traces that are evaluated, 0 to 1; the same traces every time, chosen by "
    "their id. Scores carry the weight 1 / sample."
)
_MATCH = (
    "Condition in SQL over the columns of a span and the dimensions that says which spans are "
    "evaluated; a trace is if one of its spans is."
)


class CheckSettings(Strict):
    """A check. Keys beside these are the check's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    use: str | None = Field(
        default=None,
        description="Built-in check, or module:function next to this file; default is the name.",
    )
    match: str | None = Field(
        default=None,
        description=_MATCH + " Takes the place of the check's own condition.",
    )
    inline: bool = Field(
        default=False, description="Answer it in Annotate as well, while the app's span waits."
    )
    sample: float = Field(default=1, gt=0, le=1, description=_SAMPLE)
    time_limit: Duration = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        description="Limit for one call of your own check; then it is an error and goes on.",
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The check's own settings."""
        return dict(self.model_extra or {})


class Question(Strict):
    """A question that is answered yes or no; yes is good."""

    text: str = Field(min_length=1, description="The question.")
    weight: float = Field(default=1, gt=0, description="Its share in the score of the checklist.")
    required: bool = Field(default=False, description="The checklist fails if this is no.")


class ChecklistSettings(Strict):
    """Questions that a judge answers about a span."""

    questions: dict[str, Question] = Field(
        min_length=1, description="Id of the question → its text, or text, weight and required."
    )
    model: str | None = Field(
        default=None, description="Model that answers; null takes the judge's default."
    )
    match: str | None = Field(default=None, description=_MATCH)
    sample: float = Field(default=1, gt=0, le=1, description=_SAMPLE)
    evidence: bool = Field(
        default=True,
        description="A yes or no needs a quote that stands in the span word for word, else it "
        "counts as unknown.",
    )
    max_tokens: int = Field(default=2048, ge=64, description="Limit of the judge's answer.")

    @field_validator("questions", mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:  # noqa: ANN401 - what stands in the file
        if not isinstance(value, dict):
            return value
        return {k: {"text": v} if isinstance(v, str) else v for k, v in value.items()}


class ModelPrice(Strict):
    """Prices of a model in US dollars per million tokens."""

    input: float = Field(ge=0, description="Input tokens.")
    output: float = Field(ge=0, description="Output tokens.")
    cache_read: float | None = Field(
        default=None, ge=0, description="Input tokens read from a cache; null: as input."
    )
    cache_write: float | None = Field(
        default=None, ge=0, description="Input tokens written to a cache; null: as input."
    )
