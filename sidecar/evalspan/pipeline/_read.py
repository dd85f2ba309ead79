"""The read side: detect, explain, report; on a schedule or on demand."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from evalspan import detect, explain, store
from evalspan.model import FINDINGS, REGRESSIONS, Table
from evalspan.pipeline._changes import FIRING, Changes, Detecting
from evalspan.pipeline._content import with_content
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.views import View

_POINTS = 60
# So many of the newest verdicts are looked at for the text of a prompt.
_LOOKED_AT = 200
_RATES = {
    "time": pl.Datetime("us", "UTC"),
    "score": pl.Float64(),
    "n": pl.Int64(),
    "series": pl.String(),
}


class ReadSide:
    """Looks through one view at the tables."""

    def __init__(self, settings: Settings, tables: store.Store, view: View) -> None:
        """Read through `view`; regressions and findings are appended to `tables`."""
        self._settings = settings
        self._tables = tables
        self.view = view
        self._detecting = Detecting(settings, view, self.verdicts_since)

    def checks(self, now: datetime, since: datetime | None = None) -> list[tuple[str, str]]:
        """Return check and item of every stream of verdicts there is."""
        scores = self.scores(now, since).filter(pl.col("verdict").is_not_null())
        return sorted(scores.select("check", "item").unique().collect().iter_rows())

    def scores(self, now: datetime, since: datetime | None = None) -> pl.LazyFrame:
        """Return SCORES since a time; without one those of the history that is looked at."""
        return self.view.scores(since=since or now - self._settings.analysis.history)

    def verdicts(self, check: str, item: str, now: datetime) -> pl.DataFrame:
        """Return the verdicts of one check in the form that detect and explain read."""
        name = f"{check}/{item}" if item else check
        known = self.view.regressions().filter(pl.col("check") == name).collect()
        held = known.filter(pl.col("state") != "resolved").to_dicts()
        return self.verdicts_since(check, item, self._detecting.since(now, held))

    def verdicts_since(self, check: str, item: str, since: datetime) -> pl.DataFrame:
        """Return the verdicts since a time, and those of a pinned baseline before it."""
        pinned = self._settings.detect.baseline
        begin = min(since, pinned.since) if pinned and pinned.since else since
        wanted = pl.col("time") >= since
        if pinned and pinned.since and pinned.until:
            wanted |= (pl.col("time") >= pinned.since) & (pl.col("time") < pinned.until)
        frame = self.view.scores(since=begin, until=None).filter(
            wanted,
            pl.col("check") == check,
            pl.col("item") == item,
            pl.col("verdict").is_not_null(),
        )
        cluster = self._settings.detect.cluster
        columns = frame.select(
            "time",
            (pl.col("verdict") == "pass").cast(pl.Float64).alias("score"),
            "weight",
            "trace_id",
            "span_id",
            "revision",
            pl.col(BUILT_IN.get(cluster, cluster) if cluster else "conversation_id").alias(
                "cluster"
            ),
            *(pl.col(column).alias(name) for name, column in BUILT_IN.items()),
            *self._settings.dimensions,
        )
        return columns.collect().sort("time", "trace_id", "span_id")

    def changes(self, now: datetime, *, write: bool = True) -> Changes:
        """Compare every stream; append the states that changed to REGRESSIONS."""
        found = self._detecting.changes(now, self.detect_settings)
        if write and not found.changed.is_empty():
            self._append(REGRESSIONS, found.changed)
        return found

    @property
    def detect_settings(self) -> detect.DetectSettings:
        """The settings of detect, with the configured dimensions where none are set."""
        settings = self._settings.detect
        changes: dict[str, Any] = {}
        if not settings.dimensions:
            changes["dimensions"] = self._settings.all_dimensions
        if not settings.version_dimensions:
            changes["version_dimensions"] = ("prompt_version", "model")
        return settings.model_copy(update=changes)

    def causes(
        self,
        regression: Mapping[str, Any],
        now: datetime,
        prompts: Callable[[str], str | None] | None = None,
        *,
        write: bool = True,
    ) -> pl.DataFrame:
        """Return the causes of a regression, ranked, and append them to FINDINGS."""
        check, _, item = regression["check"].partition("/")
        frame = self.verdicts(check, item, now)
        name = self._prompt_name(frame)
        texts = prompts or (lambda version: self.prompt(version, name))
        found = explain.explain(frame, regression, self.explain_settings, texts)
        findings = found.with_columns(
            regression_id=pl.lit(regression["id"]),
            found_time=pl.lit(now).cast(pl.Datetime("us", "UTC")),
        )
        if write and not findings.is_empty():
            self._append(FINDINGS, findings)
        return findings

    @property
    def explain_settings(self) -> explain.ExplainSettings:
        """The settings of explain, with the configured dimensions where none are set."""
        settings = self._settings.explain
        if settings.dimensions:
            return settings
        return settings.model_copy(update={"dimensions": self._settings.all_dimensions})

    def prompt(self, version: str, name: str | None = None) -> str | None:
        """Return the text of a version of a system prompt, as spans last showed it.

        The version is the one of SCORES, which has it from the spans above as well.
        """
        scores = self.view.scores().filter(pl.col("prompt_version") == version)
        if name is not None:
            scores = scores.filter(pl.col("prompt_name") == name)
        newest = scores.sort("time", descending=True).head(_LOOKED_AT)
        ids = newest.select("trace_id", "span_id").unique()
        spans = self.view.spans().join(ids, on=["trace_id", "span_id"], how="semi").collect()
        texts = with_content(self.view, spans).drop_nulls("system_prompt").sort("start_time")
        return None if texts.is_empty() else str(texts["system_prompt"][-1])

    def _prompt_name(self, frame: pl.DataFrame) -> str | None:
        """Return the prompt that most of these verdicts are about."""
        names = frame["prompt"].drop_nulls()
        return None if names.is_empty() else str(names.mode().sort()[0])

    def series(self, regression: Mapping[str, Any], now: datetime) -> pl.DataFrame:
        """Return pass rates over time of everything and of the slice: time, score, n, series."""
        check, _, item = regression["check"].partition("/")
        frame = self.verdicts(check, item, now)
        parts = [_rates(frame, "everything")]
        chosen = json.loads(regression["slice"] or "{}")
        if chosen and set(chosen) <= set(frame.columns):  # a dimension may be gone from the config
            rows = frame.filter(*(pl.col(k) == v for k, v in chosen.items()))
            parts.append(_rates(rows, ", ".join(f"{k} = {v}" for k, v in chosen.items())))
        return pl.concat(parts)

    def regressions(self, *, only_open: bool = False) -> pl.DataFrame:
        """Return the newest state of each regression, the newest first.

        Open are those that are to be seen to: not the muted and the recovered ones.
        """
        frame = self.view.regressions().collect().sort("detected_time", descending=True)
        return frame.filter(pl.col("state").is_in(FIRING)) if only_open else frame

    def _append(self, table: Table, rows: pl.DataFrame) -> None:
        columns = [
            pl.col(n) if n in rows.columns else pl.lit(None).alias(n) for n in table.schema.names
        ]
        frame = rows.select(columns).to_arrow()
        self._tables.append(table, pa.table(frame).cast(table.schema))


def _rates(frame: pl.DataFrame, label: str) -> pl.DataFrame:
    """Return about `_POINTS` pass rates between the first and the last verdict."""
    if frame.is_empty():
        return pl.DataFrame(schema=_RATES)
    first, last = frame["time"][0], frame["time"][-1]
    step: timedelta = max((last - first) / _POINTS, timedelta(seconds=1))
    return (
        frame.group_by_dynamic("time", every=step, start_by="datapoint")
        .agg(score=pl.col("score").mean(), n=pl.len().cast(pl.Int64))
        .with_columns(series=pl.lit(label))
        .select(list(_RATES))
    )
