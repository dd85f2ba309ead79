"""metrics: settled spans and their verdicts in, a Prometheus page out.

In: the settled frame and the SCORES of each segment, the ledger's counts, and
functions that read gauges at the time of a scrape. Out: OpenMetrics (or the
older text format, as the scraper asks) on `/metrics`, with trace ids as
exemplars. Counters count a segment once, when its ledger row is committed; a
restart is a plain counter reset.
"""

from pydantic import Field

from evalspan.config import Strict
from evalspan.metrics._declared import CALL, DECLARED, Declared
from evalspan.metrics._http import Page, Pages, serve
from evalspan.metrics._labels import OTHER, Budgets
from evalspan.metrics._metrics import Gauge, Metrics

__all__ = [
    "CALL",
    "DECLARED",
    "OTHER",
    "Budgets",
    "Declared",
    "Gauge",
    "Metrics",
    "MetricsSettings",
    "Page",
    "Pages",
    "serve",
]


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
    buckets: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="Check → upper bounds of its value histogram, instead of the check's own.",
    )
