"""views: a named, filtered, read-only reading of the tables; copies no rows.

In: a function that gives a lazy frame of a table. Out: lazy frames of spans and
scores that hold each row once. `prod` is everything; other views come from the
config and add a filter. All reading of analyses goes through a view.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import polars as pl
from pydantic import Field

from evalspan.config import SettingError, Strict
from evalspan.model import FINDINGS, REGRESSIONS, SCORES, SETTLED, SPANS, Table

PROD = "prod"
# Parts of an expression that look at more than the row they are in.
_MANY_ROWS = {"Agg", "Len", "Over", "Window", "Rolling", "Explode", "SubPlan"}
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
        newest = pl.col("attempt") == pl.col("attempt").max().over("trace_id", "span_id", "check")
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
    """Return the views of the config and `prod`; raises ConfigError."""
    views = {PROD: View(PROD, pl.lit(value=True), dimensions, scan)}
    for name, view in settings.items():
        if name == PROD:
            raise SettingError(("views", PROD), "this name stands for everything; choose another")
        try:
            expression = _expression(view.filter, dimensions)
        except ValueError as error:
            raise SettingError(
                ("views", name, "filter"), f"{error} (found {view.filter!r})"
            ) from error
        views[name] = View(name, expression, dimensions, scan)
    return views


def _expression(text: str, dimensions: tuple[str, ...]) -> pl.Expr:
    """Return the expression, tried over an empty row; raises ValueError."""
    schema = pl.DataFrame(SCORES.empty()).schema
    row = {n: pl.Series([None], dtype=t) for n, t in schema.items()}
    row |= {d: pl.Series([None], dtype=pl.String) for d in dimensions}
    try:
        expression = pl.sql_expr(text)
        _require_columns(expression, list(row))
        result = pl.DataFrame(row).select(expression.alias("result"))
    except pl.exceptions.PolarsError as error:
        msg = f"this is no SQL condition over SCORES: {str(error).splitlines()[0]}"
        raise ValueError(msg) from error
    if result.schema["result"] != pl.Boolean or result.height != 1:
        msg = "it must be true or false for a row"
        raise ValueError(msg)
    if _MANY_ROWS & _parts(json.loads(expression.meta.serialize(format="json"))):
        msg = "an aggregate or a window function is not possible here: a view looks at one row"
        raise ValueError(msg)
    return expression


def _require_columns(expression: pl.Expr, known: list[str]) -> None:
    for name in expression.meta.root_names():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            msg = (
                f"there is no column {name!r}.{hint} Columns are those of SCORES and the "
                "dimensions of this file."
            )
            raise ValueError(msg)


def _parts(node: Any) -> set[str]:  # noqa: ANN401 - JSON
    """Return the names of all nodes of a serialized expression, those of literals left out."""
    if isinstance(node, str):
        return {node}
    if isinstance(node, list):
        return set().union(*map(_parts, node))
    if isinstance(node, dict):
        below = (_parts(value) for name, value in node.items() if name not in {"Literal", "Column"})
        return set(node).union(*below)
    return set()


def _between(
    frame: pl.LazyFrame,
    column: str,
    since: datetime | None,
    until: datetime | None,
) -> pl.LazyFrame:
    if since is not None:
        frame = frame.filter(pl.col("day") >= since.date(), pl.col(column) >= since)
    if until is not None:
        frame = frame.filter(pl.col("day") <= until.date(), pl.col(column) < until)
    return frame
