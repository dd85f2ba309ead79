"""The world of a story: a log with a clock of its own, the real write side, the real tables."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from evalspan import llm, pipeline, wal
from evalspan.model import LEDGER, QUARANTINE, SCORES, SETTLED, SPANS, Table
from evalspan.pipeline._judge import Judging
from evalspan.pipeline._verdicts import JudgeCounts

BEGIN_UNIX_NS = 1_772_323_200 * 10**9
"""2026-03-01T00:00:00Z, when every story begins."""
TABLES: Mapping[str, Table] = {
    "scores": SCORES,
    "span": SPANS,
    "settled": SETTLED,
    "quarantine": QUARANTINE,
    "ledger rows": LEDGER,
}


class StoryClock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wall_ns(self) -> int:
        return BEGIN_UNIX_NS + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        return round(self.seconds * 1e9)


@dataclass
class SameAnswers:
    """A judge that gives the same answers about every span."""

    answers: list[dict[str, str]]
    calls: int = 0

    async def __call__(self, **_: Any) -> llm.Answer:  # noqa: ANN401 - the arguments of Ask
        self.calls += 1
        await asyncio.sleep(0)
        return llm.Answer({"answers": self.answers}, 100, 20, 0.001)


@dataclass
class World:
    """What a story acts on. `folder` is empty at the start."""

    folder: Path
    config: str = ""
    clock: StoryClock = field(default_factory=StoryClock)
    waiting: list[tuple[str, bytes]] = field(default_factory=list)
    _built: "_Built | None" = None

    @property
    def built(self) -> "_Built":
        """The write side, made from the config when it is first needed."""
        if self._built is None:
            file = self.folder / "evalspan.yaml"
            file.write_text(self.config, encoding="utf-8")
            self._built = _Built(pipeline.load_settings(file, data=self.folder / "data"))
        return self._built

    def send(self, signal: str, request: bytes) -> None:
        """Put a request into the mail; it arrives now and is in the segment that closes next."""
        self.waiting.append((signal, request))

    def close_at(self, seconds: float) -> None:
        """Write what was sent, let time pass, close the segment and take it to its end."""
        assert seconds >= self.clock.seconds, "time does not go back"
        settings = self.built.settings
        writer = wal.Writer(settings.log_folder, settings.wal, self.clock)
        # A request without items is what lets time pass in an empty segment.
        for signal, request in self.waiting or [("logs", b"")]:
            writer.append(signal, request).result()
        self.waiting.clear()
        self.clock.seconds = seconds
        writer.close()
        for segment in self.built.write.waiting():
            self.built.write.step(segment)
        self.built.write.forget()

    def restart(self) -> None:
        """Begin again from what the log and the tables hold, as after a crash."""
        self.built.evaluator.close()
        self._built = None

    def judge(self, answers: list[dict[str, str]]) -> int:
        """Let the judge answer everything that waits; returns how often it was asked."""
        ask = SameAnswers(answers)
        judging = Judging(self.built.settings, self.built.tables, ask)
        while judging.step():
            pass
        self.built.judged.look()
        return ask.calls

    def rows(self, name: str) -> pl.DataFrame:
        """Return a table."""
        return self.built.tables.scan(TABLES[name]).collect()

    def ledger(self) -> pipeline.Ledger:
        """Return what became of everything."""
        return pipeline.read_ledger(self.built.settings)

    def metric(self, name: str, fits: Callable[[Mapping[str, str]], bool]) -> float:
        """Return the sum of the samples of that name whose labels fit."""
        samples = (s for family in self.built.shown.collect() for s in family.samples)
        return sum(s.value for s in samples if s.name == name and fits(s.labels))

    def end(self) -> None:
        """Stop the worker process of the checks."""
        if self._built is not None:
            self._built.evaluator.close()


class _Built:
    def __init__(self, settings: pipeline.Settings) -> None:
        self.settings = settings
        self.tables = pipeline.store_of(settings)
        self.evaluator = pipeline.evaluator_of(settings)
        self.shown = pipeline.metrics_of(settings)
        self.write = pipeline.write_side_of(settings, self.tables, self.evaluator, self.shown)
        self.judged = JudgeCounts(
            settings.log_folder,
            self.tables,
            self.shown,
            tuple(settings.checklists),
            tuple(settings.dimensions),
        )
