"""Content that came as log records, joined to spans that are read back from the tables.

SPANS holds what came on the span; what came beside it stands in EVENTS, once.
"""

import polars as pl

from evalspan import normalize
from evalspan.model import EVENTS
from evalspan.pipeline._messages import Messages
from evalspan.views import View

_KEY = ("trace_id", "span_id")


def with_content(view: View, spans: pl.DataFrame) -> pl.DataFrame:
    """Fill the empty content columns of spans from their log records."""
    ids = spans["trace_id"].unique().implode()
    logs = view.scan(EVENTS).filter(pl.col("source") == "log", pl.col("trace_id").is_in(ids))
    records = logs.collect()
    if records.is_empty():
        return spans
    found = Messages(normalize.messages_from_events)(records)
    columns = [name for name in found.columns if name not in _KEY]
    joined = spans.join(found, on=_KEY, how="left", suffix=" of logs", maintain_order="left")
    filled = (pl.coalesce(name, f"{name} of logs").alias(name) for name in columns)
    return joined.with_columns(filled).select(spans.columns)
