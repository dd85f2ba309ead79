"""Verdicts of the past in, OpenMetrics text with timestamps out: what a scraper would have seen.

promtool makes blocks of it for Prometheus. A series is written as the page would have
shown it at the end of each step: it begins with a 0, so that the first verdicts are a
rise, expires as on the page, and ends with a 0, so that whatever counts on after it
begins anew. Of steps at which nothing rises only one in some minutes is written.
Where a budget is full, which values have a place of their own may differ from the page:
that depends on what came first within a step. Sums do not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

import numpy as np
import polars as pl

from evalspan.metrics._declared import EVERY_VERDICT
from evalspan.metrics._grid import Grid, Row, rises
from evalspan.metrics._metrics import EXPIRE_AFTER, Metrics
from evalspan.metrics._rows import buckets, rise, sound, verdict_rows
from evalspan.metrics._series import INFINITY, Labels, bound_text, has_sum
from evalspan.model import VERDICTS

VERDICT_COUNTS: Final = "evalspan_verdicts"
VALUES: Final = "evalspan_check_value"
_CELLS_AT_ONCE: Final = 1_000_000
Lines = Iterator[str]


@dataclass(frozen=True, slots=True)
class Written:
    """What a text holds."""

    series: int
    samples: int


class History:
    """The verdicts of the past, added in order of time and then written.

    Holds what is being added or written and the series there are; the rest waits in
    files below `folder`.
    """

    def __init__(
        self,
        metrics: Metrics,
        folder: Path,
        *,
        until: datetime,
        step: timedelta,
        expire_after: timedelta = EXPIRE_AFTER,
    ) -> None:
        """Name series as `metrics` does, whose budgets are filled; all is whole seconds."""
        step_ms = int(step.total_seconds()) * 1000
        expire_steps = max(1, int(expire_after / timedelta(milliseconds=step_ms)))
        self._grid = Grid(int(until.timestamp()) * 1000, step_ms, expire_steps)
        self._metrics = metrics
        self._folder = folder
        self._families = {
            VERDICT_COUNTS: _Family(metrics, VERDICT_COUNTS, "verdict"),
            VALUES: _Family(metrics, VALUES),
        }
        self._parts = 0

    def add(self, scores: pl.DataFrame) -> None:
        """Add SCORES with a column per dimension, all later than the ones before."""
        if scores.is_empty():
            return
        rows = verdict_rows(scores, self._metrics.dimensions, "time").with_columns(
            step=pl.col("time").dt.epoch("ms") // self._grid.step_ms
        )
        if rows.is_empty():
            return
        self._expire(int(rows["step"].to_numpy().min()))
        self._spill(VERDICT_COUNTS, rows, "verdict", pl.len().alias("count"))
        values = sound(rows.filter(pl.col("item") == ""), "value", signed=True)
        if values.height:
            placed = values.with_columns(bucket=buckets(values, self._bounds))
            found = pl.len().alias("count"), rise("number").alias("sum")
            self._spill(VALUES, placed, "bucket", *found)

    def _bounds(self, check: str) -> tuple[float, ...]:
        return self._metrics.bounds(VALUES, check)

    def _expire(self, step: int) -> None:
        """Free the places of what was not counted on for long before this step."""
        old = step - self._grid.expire_steps
        shown = [(family, family.shown_since(old)) for family in self._families.values()]
        self._metrics.budgets.keep((family.names, series) for family, series in shown)
        for family, series in shown:
            family.places.keep(series)

    def _spill(self, name: str, rows: pl.DataFrame, part: str, *found: pl.Expr) -> None:
        """Put the rises of each series and step aside."""
        family = self._families[name]
        keys = [*family.names, "step", part]
        rows = self._metrics.budgets.within(rows, family.names)
        cells = rows.group_by(keys).agg(found).sort("step", *family.names)
        cells = family.numbered(cells)
        cells = cells.group_by("series", "step", part).sum().sort("series", "step")
        family.grow(cells)
        cells.write_parquet(self._folder / f"{name}.{self._parts}.parquet")
        self._parts += 1

    @property
    def series(self) -> int:
        """How many groups of series there are to write."""
        return sum(len(family.cells) for family in self._families.values())

    def write(self, out: TextIO, labels: Mapping[str, str]) -> Iterator[Written]:
        """Write all of it with these labels added; yields what is written after each series."""
        series = samples = 0
        for name, family in self._families.items():
            out.write(family.head)
            for number, cells in self._series(name, family):
                of_series = {**labels, **family.labels(number)}
                lines_of = self._counters if name == VERDICT_COUNTS else self._histogram
                for lines in lines_of(of_series, cells):
                    series += 1
                    for text in lines:
                        out.write(text)
                        samples += text.count("\n")
                yield Written(series, samples)
        out.write("# EOF\n")

    def _series(self, name: str, family: "_Family") -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield each series with its cells, read back some at a time."""
        if not family.cells:
            return
        spilled = pl.scan_parquet(self._folder / f"{name}.*.parquet")
        for first, last in _batches(family.cells):
            chosen = spilled.filter(pl.col("series").is_between(first, last))
            cells = chosen.sort("series", "step").collect()
            for (number,), of_series in cells.group_by("series", maintain_order=True):
                yield int(str(number)), of_series

    def _counters(self, labels: Mapping[str, str], cells: pl.DataFrame) -> Iterator[Lines]:
        """Yield the lines of each verdict's counter; pass and fail are both there if one is."""
        for word in EVERY_VERDICT:
            own = cells.filter(pl.col("verdict") == word)
            if own.is_empty() and word not in VERDICTS:
                continue
            # Both go on while one is counted, as on the page.
            rose = cells if word in VERDICTS else own
            counts = rose["count"].to_numpy() * (rose["verdict"] == word).to_numpy()
            points = self._grid.points(*rises(rose["step"].to_numpy(), 0, 1, counts))
            head = f"{VERDICT_COUNTS}_total{_label_text({**labels, 'verdict': word})}"
            yield (f"{head} {row[0]:.0f} {_time(stamp)}\n" for stamp, row in points)

    def _histogram(self, labels: Mapping[str, str], cells: pl.DataFrame) -> Iterator[Lines]:
        """Yield the lines of one histogram."""
        bounds = (*self._bounds(labels["check"]), INFINITY)
        at = cells["step"].to_numpy()
        places, counts = cells["bucket"].to_numpy(), cells["count"].to_numpy()
        steps, table = rises(at, places, len(bounds), counts)
        _, sums = rises(at, 0, 1, cells["sum"].to_numpy())
        named = [_label_text({**labels, "le": bound_text(bound)}) for bound in bounds]
        heads = [f"{VALUES}_bucket{text}" for text in named]
        shown = np.cumsum(table, axis=1)
        if has_sum(bounds):
            heads += [f"{VALUES}_{part}{_label_text(labels)}" for part in ("count", "sum")]
            shown = np.concatenate([shown, shown[:, -1:], sums], axis=1)
        points = self._grid.points(steps, shown)
        yield (_histogram_lines(heads, stamp, row) for stamp, row in points)


class _Family:
    """The series of one metric: numbers for their labels, `without` the one that is a part."""

    def __init__(self, metrics: Metrics, name: str, without: str = "") -> None:
        declared = metrics.declared(name)
        self.names = tuple(label for label in metrics.labels_of(name) if label != without)
        self.places = metrics.places(name, self.names)
        self.head = f"# HELP {name} {declared.help}\n# TYPE {name} {declared.kind}\n"
        self.last: dict[Labels, int] = {}  # labels → step at which they were counted last
        self.cells: dict[int, int] = {}  # number → cells
        self._numbers: dict[Labels, int] = {}
        self._labels: list[Labels] = []

    def labels(self, number: int) -> dict[str, str]:
        """Return the labels of a series."""
        return dict(zip(self.names, self._labels[number], strict=True))

    def shown_since(self, step: int) -> list[Labels]:
        """Return the labels of all series that were counted at this step or later."""
        return [labels for labels, last in self.last.items() if last >= step]

    def numbered(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Return the cells, which are in order of time, with the number of their series."""
        keys = cells.group_by(self.names, maintain_order=True).agg(rows=pl.col("count").sum())
        numbers = [self._number(key, rows) for *key, rows in keys.iter_rows()]
        numbered = keys.drop("rows").with_columns(series=pl.Series(numbers, dtype=pl.Int64))
        return cells.join(numbered, on=self.names, nulls_equal=True).drop(self.names)

    def _number(self, key: list[str | None], rows: int) -> int:
        labels = self.places.admit(key, rows)
        if labels not in self._numbers:
            self._numbers[labels] = len(self._labels)
            self._labels.append(labels)
        return self._numbers[labels]

    def grow(self, cells: pl.DataFrame) -> None:
        """Remember how many cells each series has, and its last step."""
        found = cells.group_by("series").agg(pl.len(), pl.col("step").max())
        for number, count, step in found.iter_rows():
            self.cells[number] = self.cells.get(number, 0) + count
            self.last[self._labels[number]] = step


def _batches(cells: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of numbers that together have so many cells as are read at once."""
    first, held = 0, 0
    for number in range(len(cells)):
        if held and held + cells[number] > _CELLS_AT_ONCE:
            yield first, number - 1
            first, held = number, 0
        held += cells[number]
    yield first, len(cells) - 1


def _histogram_lines(heads: list[str], stamp: int, row: Row) -> str:
    at = _time(stamp)
    return "".join(f"{head} {_text(n)} {at}\n" for head, n in zip(heads, row, strict=True))


def _text(number: float) -> str:
    return f"{number:.0f}" if number.is_integer() else repr(number)


def _label_text(labels: Mapping[str, str]) -> str:
    """Return labels as a page has them; an empty one is none to Prometheus."""
    shown: Iterable[str] = (f'{k}="{_escaped(v)}"' for k, v in sorted(labels.items()) if v)
    return "{" + ",".join(shown) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _time(stamp_ms: int) -> str:
    seconds, rest = divmod(stamp_ms, 1000)
    return f"{seconds}.{rest:03d}" if rest else str(seconds)
