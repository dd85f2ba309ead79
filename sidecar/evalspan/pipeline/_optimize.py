"""Look for a prompt that mends a regression, and prove it on cases of production."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa

from evalspan import evaluate, llm, optimize, store
from evalspan.model import CASES, TRIALS, Table
from evalspan.pipeline._build import evaluator_of
from evalspan.pipeline._content import with_content
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._settings import BUILT_IN, Settings


class Optimizing:
    """The search for a better prompt, with what it needs of the other rooms."""

    def __init__(
        self,
        settings: Settings,
        tables: store.Store,
        side: ReadSide,
        *,
        ask: llm.Ask | None = None,
        progress: optimize.Progress | None = None,
    ) -> None:
        """Ask the model API of the settings unless `ask` is given."""
        self._settings = settings
        self._tables = tables
        self._side = side
        self._prices = evaluate.Prices(settings.prices)
        self._ask = ask or llm.Anthropic(settings.llm, price=self._prices)
        self._progress = progress

    async def run(
        self,
        regression: Mapping[str, Any],
        findings: pl.DataFrame,
        now: datetime,
    ) -> optimize.Optimized:
        """Search, prove, store CASES and TRIALS; raises OptimizeError where it cannot start."""
        check = regression["check"].partition("/")[0]
        scores = self._scores(regression, now)
        spans = self._spans(scores, now)
        prompt = _prompt(spans)
        names = scores.select("service_name", "prompt_name", "prompt_version").head(1)
        cases = optimize.build_cases(
            spans,
            scores,
            self._settings.optimize,
            check=check,
            dataset=f"{check}-{regression['id']}",
            now=now,
            dimensions=tuple(self._settings.dimensions),
        )
        evaluator = evaluator_of(self._settings)
        try:
            done = await optimize.optimize(
                cases,
                prompt,
                check,
                self._target(spans),
                self._powers(evaluator, names),
                now=now,
                finding=_words(findings),
            )
        finally:
            evaluator.close()
        for table, rows in ((CASES, done.cases), (TRIALS, done.trials)):
            self._append(table, rows)
        return done

    def _scores(self, regression: Mapping[str, Any], now: datetime) -> pl.DataFrame:
        """Return the verdicts on the spans of the candidate's prompt."""
        since = now - self._settings.analysis.history
        scores = self._side.view.scores(since=since).filter(pl.col("error").is_null())
        column = BUILT_IN.get(regression["version_dimension"] or "")
        if column is not None:
            scores = scores.filter(pl.col(column) == regression["new"])
        elif regression["change_time"] is not None:
            scores = scores.filter(pl.col("time") >= regression["change_time"])
        frame = scores.collect()
        check = regression["check"].partition("/")[0]
        judged = frame.filter(pl.col("check") == check, pl.col("verdict").is_not_null())
        keys = ["prompt_name", "prompt_version"]
        most = judged.group_by(keys).len().sort("len", *keys, descending=True).head(1)
        if most.is_empty():
            msg = f"there are no verdicts of {check} on the candidate of {regression['id']}"
            raise optimize.OptimizeError(msg)
        return frame.join(most.select(keys), on=keys, how="semi", nulls_equal=True)

    def _spans(self, scores: pl.DataFrame, now: datetime) -> pl.DataFrame:
        since = now - self._settings.analysis.history
        ids = scores.select("trace_id", "span_id").unique()
        spans = self._side.view.spans(since=since).filter(pl.col("role") == "llm")
        found = spans.join(ids.lazy(), on=["trace_id", "span_id"], how="semi").collect()
        return with_content(self._side.view, found)

    def _target(self, spans: pl.DataFrame) -> optimize.OptimizeSettings:
        """Return the settings with the model of production where none is set."""
        settings = self._settings.optimize
        if settings.target.model:
            return settings
        models = spans["request_model"].drop_nulls()
        if models.is_empty():
            msg = "the spans name no model; set optimize.target.model"
            raise optimize.OptimizeError(msg)
        name = models.mode().sort()[0]
        target = settings.target.model_copy(update={"model": name})
        return settings.model_copy(update={"target": target})

    def _powers(self, evaluator: evaluate.Evaluator, names: pl.DataFrame) -> optimize.Powers:
        """Hand over the checks; an answer is scored as a span of the prompt in production."""
        known = [pl.lit(names[column][0]).alias(column) for column in names.columns]

        def score(frame: pl.DataFrame) -> pl.DataFrame:
            spans = frame.with_columns(known)
            verdicts = evaluator.score(spans).filter(pl.col("item") == "")
            cases = frame.select("case_id").with_row_index("row")
            return verdicts.join(cases, on="row").select(
                "case_id",
                "check",
                pl.when("passed")
                .then(pl.lit("pass"))
                .when(~pl.col("passed"))
                .then(pl.lit("fail"))
                .otherwise(None)
                .alias("verdict"),
                "reason",
                "error",
            )

        powers = optimize.Powers(
            score,
            ask=self._ask,
            price=self._prices,
            folder=self._settings.folder,
        )
        if self._progress is None:
            return powers
        return replace(powers, progress=self._progress)

    def _append(self, table: Table, rows: pl.DataFrame) -> None:
        self._tables.append(table, pa.table(rows.select(table.schema.names).to_arrow()))


def _prompt(spans: pl.DataFrame) -> str:
    prompts = spans.filter(pl.col("system_prompt").is_not_null())["system_prompt"]
    if prompts.is_empty():
        msg = "the spans hold no system prompt; turn content capture on in the instrumentation"
        raise optimize.OptimizeError(msg)
    return str(prompts.mode().sort()[0])


def _words(findings: pl.DataFrame) -> str:
    """Return the causes in words, for a mutator that can read."""
    rows = findings.sort("rank").head(3).iter_rows(named=True)
    return "\n".join(f"{row['rank']}. {row['title']}" for row in rows)
