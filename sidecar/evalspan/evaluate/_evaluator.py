"""Run all checks over settled traces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from evalspan import model
from evalspan.evaluate._check import Check
from evalspan.evaluate._choice import Choice, Chooser, Count, Evaluated, Mask, asks_of, count
from evalspan.evaluate._frame import complete, slices, unasked
from evalspan.evaluate._prices import Prices
from evalspan.evaluate._process import Worker
from evalspan.evaluate._run import run
from evalspan.evaluate._scores import READ, labelled, table
from evalspan.evaluate._verdicts import SCHEMA, clean, of_error


class InlineVerdict(NamedTuple):
    """A verdict for Annotate; nothing of it is stored."""

    trace_id: str
    span_id: str
    check: str
    revision: str
    item: str
    value: float | None
    passed: bool | None
    reason: str | None
    evidence: str | None
    error: str | None


# What is evaluated at once. Checks copy what they look at, so that more would take more memory.
_MOST_SPANS: Final = 32_768
# No built-in check reads these; picking their rows costs as much as all other columns.
_UNSEEN: Final = (
    *("attributes", "promoted", "links", "resource", "scope"),
    *("input_messages", "output_messages"),
)


class Evaluator:
    """Checks that are ready to run. Not safe for use by two threads.

    `checks`: name → check; `prices`: those that the checks were given.
    """

    def __init__(
        self, checks: Sequence[Check], folder: Path, dimensions: Sequence[str], prices: Prices
    ) -> None:
        """Use `evaluate.build` to make one."""
        self.checks = {check.name: check for check in checks}
        self.prices = prices
        self._dimensions = list(dimensions)
        self._worker = Worker(folder, self._dimensions)

    def reads(self, column: str) -> bool:
        """Say whether a check may look at this column of a settled span.

        A user's own check may look at any. Built-in ones are handed the texts, not the
        messages, and nothing that a span says beside its columns.
        """
        return column not in _UNSEEN or any(
            check.own or asks_of(check, column) for check in self.checks.values()
        )

    def evaluate(
        self,
        spans: pl.DataFrame,
        context: pl.DataFrame | None = None,
        *,
        segment: int = 0,
        evaluated_time: datetime | None = None,
    ) -> Evaluated:
        """Evaluate the spans of a settlement.

        `context`: earlier spans of the same traces, seen by checks of shape `trace`
        only. `segment`: where the traces settled. `evaluated_time`: now if not given.
        """
        new = spans.height
        if context is not None and context.height:
            spans = pl.concat([spans, context])
        now = evaluated_time or datetime.now(UTC)
        self._worker.begin()
        scores, counts = [model.SCORES.empty()], Counter[tuple[str, str, str]]()
        for part, new_rows in slices(spans, new, _MOST_SPANS):
            frame = complete(part, self._dimensions)
            found = []
            for check, choice, verdicts in self._verdicts(
                list(self.checks.values()), frame, new_rows
            ):
                for subject, outcome, reason, number in count(check.name, choice, verdicts):
                    counts[subject, outcome, reason] += number
                found.append(labelled(check, verdicts, weight=1 / check.sample))
            if found and sum(f.height for f in found):
                scores.append(
                    table(
                        pl.concat(found),
                        frame,
                        self._dimensions,
                        segment=segment,
                        evaluated_time=now,
                    )
                )
        lines = [Count(*line, number) for line, number in counts.items()]
        return Evaluated(pa.concat_tables(scores).combine_chunks(), lines)

    def refuse(
        self,
        spans: pl.DataFrame,
        why: Mapping[str, str],
        *,
        segment: int = 0,
        evaluated_time: datetime | None = None,
    ) -> Evaluated:
        """Return an error of every check for each span, or trace, without asking any.

        `spans`: rows of SPANS, or of a settled frame; `why`: trace → what went wrong with it.
        Content is not touched, since that may be what went wrong; nor is more than one check's
        rows of a slice built at once.
        """
        done = Evaluated(model.SCORES.empty(), [])
        if spans.is_empty() or not self.checks:
            return done
        told = {trace: clean(text) for trace, text in why.items()}
        now = evaluated_time or datetime.now(UTC)
        spans = unasked(spans, {*READ, *self._dimensions})
        for part, new_rows in slices(spans, spans.height, _MOST_SPANS):
            frame = complete(part, self._dimensions)
            errors = frame["trace_id"].replace_strict(told, return_dtype=pl.String)
            chooser = Chooser(frame, new_rows)
            for check in self.checks.values():
                choice = chooser.everyone(check, "")
                rows = pl.Series(np.flatnonzero(choice.rows), dtype=pl.UInt32)
                verdicts = of_error(rows, "").with_columns(error=errors.gather(rows))
                scores = table(
                    labelled(check, verdicts, weight=1.0),
                    frame,
                    self._dimensions,
                    segment=segment,
                    evaluated_time=now,
                )
                done += Evaluated(scores, count(check.name, choice, verdicts))
        return done

    def inline(self, frame: pl.DataFrame) -> list[InlineVerdict]:
        """Return the verdicts of the checks marked `inline: true`, sampled ones included."""
        self._worker.begin()
        checks = [check for check in self.checks.values() if check.inline]
        frame = complete(frame, self._dimensions)
        ids = frame.select("trace_id", "span_id").rows()
        return [
            InlineVerdict(ids[row][0], ids[row][1], check.name, check.revision, *answer)
            for check, _, verdicts in self._verdicts(checks, frame, frame.height, sample=False)
            for row, *answer in verdicts.iter_rows()
        ]

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the verdicts on a frame that has some columns of SPANS, whole, without sampling.

        Columns: row (of `frame`), check, item, value, passed, reason, evidence,
        error. A frame without trace_id is taken as one trace per row, one without
        role as LLM calls.
        """
        self._worker.begin()
        frame = complete(frame, self._dimensions)
        everything = self._verdicts(list(self.checks.values()), frame, frame.height, sample=False)
        parts = [v.with_columns(check=pl.lit(check.name)) for check, _, v in everything]
        order = ["row", "check", *list(SCHEMA)[1:]]
        if not parts:
            return pl.DataFrame(schema={**SCHEMA, "check": pl.String()}).select(order)
        return pl.concat(parts).select(order)

    def close(self) -> None:
        """End the worker process, if one was started."""
        self._worker.close()

    def _verdicts(
        self, checks: Sequence[Check], frame: pl.DataFrame, new: int, *, sample: bool = True
    ) -> list[tuple[Check, Choice, pl.DataFrame]]:
        chooser = Chooser(frame, new)
        parts: dict[tuple[bytes, bool], tuple[pl.Series, pl.DataFrame]] = {}
        answers = []
        for check in checks:
            choice = chooser.choose(check, sample=sample)
            key = choice.rows.tobytes(), check.own
            if key not in parts:
                seen = frame if check.own else frame.drop(_UNSEEN, strict=False)
                parts[key] = _part(seen, choice.rows)
            rows, part = parts[key]
            if choice.problem:
                answers.append((check, choice, of_error(rows, choice.problem)))
            else:
                answers.append((check, choice, self._ask(check, part, rows)))
        return answers

    def _ask(self, check: Check, part: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
        if part.is_empty():
            return pl.DataFrame(schema=SCHEMA)
        if check.own:
            verdicts = self._worker.run(check, part)
        else:
            verdicts = run(check.shape, check.function, check.arguments, part, self._dimensions)
        if len(rows) == part.height and rows[-1] == part.height - 1:
            return verdicts
        return verdicts.with_columns(row=rows.gather(verdicts["row"]))


def _part(frame: pl.DataFrame, chosen: Mask) -> tuple[pl.Series, pl.DataFrame]:
    rows = pl.Series("row", np.flatnonzero(chosen), pl.UInt32)
    return rows, frame if chosen.all() else frame[rows]
