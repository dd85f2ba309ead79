"""metrics: settled spans and their verdicts in, a Prometheus page out.

In: the settled frame and the SCORES of each segment, the ledger's counts, and
functions that read gauges at the time of a scrape. Out: OpenMetrics (or the
older text format, as the scraper asks) on `/metrics`, with trace ids as
exemplars. Counters count a segment once, when its ledger row is committed; a
restart is a plain counter reset, and so is a series that comes back after it had
expired. Also verdicts of the past in, OpenMetrics with timestamps out (`History`).
"""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from evalspan.config import Duration, Strict
from evalspan.metrics._declared import CALL, DECLARED, Declared
from evalspan.metrics._history import History, Written
from evalspan.metrics._http import ListenError, Page, Pages, serve
from evalspan.metrics._labels import OTHER, Budgets
from evalspan.metrics._metrics import EXPIRE_AFTER, Metrics
from evalspan.metrics._page import Gauge
from evalspan.metrics._places import MOST_SERIES

__all__ = [
    "CALL",
    "DECLARED",
    "OTHER",
    "Budgets",
    "Declared",
    "Gauge",
    "History",
    "ListenError",
    "Metrics",
    "MetricsSettings",
    "Page",
    "Pages",
    "Written",
    "serve",
]


def _rising(bounds: tuple[float, ...]) -> tuple[float, ...]:
    if any(bound >= following for bound, following in pairwise(bounds)):
        msg = "expected numbers that rise"
        raise ValueError(msg)
    return bounds


class MetricsSettings(Strict):
    """The page that Prometheus scrapes; the reports are served beside it."""

    listen: str = Field(
        default="127.0.0.1:9464",
        pattern=r"^\S+:\d+$",
        description="Address of `/metrics` and `/reports/`, HOST:PORT.",
    )
    budget: int = Field(
        default=50,
        ge=1,
        description="Most values of service, prompt, prompt_version, model, of the items of your "
        "own checks, and of each label of the GenAI metrics; what overflows is __other__.",
    )
    series_budget: int = Field(
        default=MOST_SERIES,
        ge=1,
        description="Most time series of each metric that the labels above are on, whatever they "
        "multiply to, as Prometheus counts them: a histogram is one for each of its buckets and "
        "two more, a label set of verdicts four; a series counts once more for each 256 bytes of "
        "its labels. What overflows is one series whose dimensions are all __other__ for each "
        "check, item and outcome, and is counted in evalspan_series_overflow_total.",
    )
    expire_after: Duration = Field(
        default=EXPIRE_AFTER,
        gt=timedelta(0),
        description="A series whose labels nothing was counted for in this time goes away, and "
        "the values that only it showed give their places in the budgets free. When it comes "
        "back it starts at 0, which Prometheus takes for a restart. The default is longer than a "
        "weekend. The ledger's counters, whose labels no data fill, stay.",
    )
    buckets: dict[str, Annotated[tuple[float, ...], AfterValidator(_rising)]] = Field(
        default_factory=dict,
        description="Check → upper bounds of its value histogram, instead of the check's own.",
    )
