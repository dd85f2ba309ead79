"""views: a named, filtered, read-only reading of the tables; copies no rows.

In: a function that gives a lazy frame of a table. Out: lazy frames of spans and
scores that hold each row once. `prod` is everything; other views come from the
config and add a filter. All reading of analyses goes through a view.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from pydantic import Field

from evalspan.condition import ConditionError, compile_condition
from evalspan.config import SettingError, Strict
from evalspan.model import FINDINGS, REGRESSIONS, SCORES, SETTLED, SPANS, STRAY_DAY, Table

PROD = "prod"
Scan = Callable[[Table], pl.LazyFrame]


class ViewSettings(Strict):
    """A view of the config."""

    filter: str = Field(
        default="true",
        description="Polars SQL expression over the columns of SCORES and the dimensions; rows "
        "for which it is not true are left out.",
    )
    description: str = Field(default="", description="What the view is for.")


@dataclass(frozen=True, slots=True)
class View:
    """One view: `name`, the filter over scores, and the dimensions as columns."""

    name: str
    filter: pl.Expr
    dimensions: tuple[str, ...]
    scan: Scan

    def scores(self, since: datetime | None = None, until: datetime | None = None) -> pl.LazyFrame:
        """Return SCORES, last attempt of each verdict, with a text column per dimension."""
        frame = _between(self.scan(SCORES), "time", since, until)
        frame = frame.unique(list(SCORES.key), keep="any", maintain_order=False)
        # The root of a trace can be late: an earlier attempt then had another span as its root.
        of_span = pl.when(pl.col("about").eq_missing("trace")).then(None).otherwise("span_id")
        last = pl.col("attempt").max().over("trace_id", of_span.alias("of_span"), "check")
        newest = pl.col("attempt") == last
        names = [n for n in self.dimensions if n not in SCORES.schema.names]
        columns = [pl.col("dimensions").map.get(name).alias(name) for name in names]
        return frame.filter(newest).with_columns(columns).filter(self.filter)

    def spans(self, since: datetime | None = None, until: datetime | None = None) -> pl.LazyFrame:
        """Return SPANS, each once; a view with a filter keeps the spans that it has scores of."""
        frame = _between(self.scan(SPANS), "start_time", since, until)
        frame = frame.unique(list(SPANS.key), keep="any", maintain_order=False)
        if self.name == PROD:
            return frame
        kept = self.scores(since, until).select("trace_id", "span_id").unique()
        return frame.join(kept, on=["trace_id", "span_id"], how="semi")

    def regressions(self) -> pl.LazyFrame:
        """Return the newest state of each regression of this view."""
        frame = self.scan(REGRESSIONS).filter(pl.col("view") == self.name)
        return frame.sort("detected_time").unique("id", keep="last", maintain_order=True)

    def findings(self) -> pl.LazyFrame:
        """Return the newest findings of each regression."""
        frame = self.scan(FINDINGS)
        return frame.filter(
            pl.col("found_time") == pl.col("found_time").max().over("regression_id")
        )

    def duplicates(self) -> pl.LazyFrame:
        """Return trace_id and span_id of the LLM spans that another span reports as well."""
        frame = self.scan(SETTLED).select("trace_id", span_id="duplicates")
        return frame.explode("span_id").drop_nulls("span_id").unique()


def build(
    settings: Mapping[str, ViewSettings],
    dimensions: tuple[str, ...],
    scan: Scan,
) -> dict[str, View]:
    """Return the views of the config and `prod`; raises SettingError."""
    views = {PROD: View(PROD, pl.lit(value=True), dimensions, scan)}
    columns = {**pl.DataFrame(SCORES.empty()).schema, **dict.fromkeys(dimensions, pl.String())}
    for name, view in settings.items():
        if name == PROD:
            raise SettingError(("views", PROD), "this name stands for everything; choose another")
        try:
            expression = compile_condition(view.filter, columns, row="score", table="SCORES")
        except ConditionError as error:
            raise SettingError(
                ("views", name, "filter"), f"{error} (found {view.filter!r})"
            ) from error
        views[name] = View(name, expression, dimensions, scan)
    return views


def _between(
    frame: pl.LazyFrame,
    column: str,
    since: datetime | None,
    until: datetime | None,
) -> pl.LazyFrame:
    stray = pl.col("day") == STRAY_DAY
    if since is not None:
        frame = frame.filter((pl.col("day") >= since.date()) | stray, pl.col(column) >= since)
    if until is not None:
        # the day of the stray rows is before any other
        frame = frame.filter(pl.col("day") <= until.date(), pl.col(column) < until)
    return frame
