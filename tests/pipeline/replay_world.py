"""A log with known requests, tables that fail where they are told to, and lives that end there."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from google.protobuf.message import Message

from evalspan import model, wal
from evalspan.evaluate import CheckSettings
from evalspan.pipeline import Settings, WriteSide, evaluator_of, write_side_of
from evalspan.pipeline._trial import ending
from evalspan.settle import SettleSettings
from evalspan.store import Store, StoreError, StoreSettings
from evalspan.testing import START_UNIX_NANO
from evalspan.wal import WalSettings

SECOND_NS = 10**9
IDLE_SECONDS, MAX_AGE_SECONDS, WINDOW_SECONDS = 2, 6, 900
# A check of each shape; a tool loop is looked for in every trace that has a tool.
CHECKS = {
    "finish_reason": CheckSettings(),
    "latency": CheckSettings.model_validate({"max_ms": 2000}),
    "status": CheckSettings.model_validate({"match": "true"}),
    "tool_loop": CheckSettings.model_validate({"times": 2}),
}
NOT_REPEATABLE = ("evaluated_time",)
Requests = Sequence[tuple[str, Message]]


class Killed(BaseException):  # nothing in the product may catch it, as with SIGKILL
    """The process ends here."""


class Here:
    """A trial in this process, where the tests have broken something."""

    def __init__(self, work: Callable[..., object], _stop: Callable[[], bool]) -> None:
        self._work = work

    def __call__(self, *arguments: Any) -> str:  # noqa: ANN401 - those of the work
        return ending(self._work, arguments)

    def close(self) -> None:
        """Nothing to end."""


class StepClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = START_UNIX_NANO

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns


class MortalStore(Store):
    """Tables; `happens` is called around each commit that is made and may raise."""

    def __init__(self, folder: Path, happens: Callable[[str], None]) -> None:
        super().__init__(folder, compact_every=0)
        self._happens = happens

    def commit(self, table: model.Table, rows: pa.Table, app: str, segment: int) -> bool:
        if self.committed(table, app) >= segment:
            return False
        self._happens(f"before {table.name} of {segment}")
        done = super().commit(table, rows, app, segment)
        self._happens(f"after {table.name} of {segment}")
        return done


def settings_of(data: Path, *, window_seconds: int = WINDOW_SECONDS) -> Settings:
    """Return settings under which a trace settles after some segments of a second each."""
    return Settings(
        data=data,
        checks=CHECKS,
        settle=SettleSettings(
            idle=timedelta(seconds=IDLE_SECONDS), max_age=timedelta(seconds=MAX_AGE_SECONDS)
        ),
        store=StoreSettings(duplicate_window=timedelta(seconds=window_seconds)),
    )


QUIET: Sequence[Requests] = [()] * (MAX_AGE_SECONDS + IDLE_SECONDS + 1)


def write_log(folder: Path, plan: Sequence[Requests], *, after_seconds: int = 0) -> None:
    """Write a segment for each list of requests, a second apart; a log goes on where it was.

    `after_seconds`: how long nothing came before.
    """
    clock = StepClock()
    settings = WalSettings(fsync=False, keep_free_mib=0)
    clock.now_ns += (len(wal.segments(folder)) + after_seconds) * SECOND_NS
    for requests in plan:
        clock.now_ns += SECOND_NS
        writer = wal.Writer(folder, settings, clock)
        for kind, request in [*requests] or [("traces", _nothing())]:
            writer.append(kind, request.SerializeToString()).result()
        writer.close()


def _nothing() -> Message:
    from evalspan.testing import request  # noqa: PLC0415 - named as the tests name theirs

    empty = request()
    empty.Clear()
    return empty


@dataclass
class Lives:
    """Processes, one after the other, that take the same log to its end."""

    data: Path
    window_seconds: int = WINDOW_SECONDS
    ended: int = 0

    @classmethod
    def of(cls, log: Path, data: Path, window_seconds: int = WINDOW_SECONDS) -> "Lives":
        """Start with a copy of a log."""
        shutil.copytree(log, data / "wal")
        return cls(data, window_seconds)

    def run(self, happens: Callable[[str], None] = lambda _: None) -> None:
        """Live until the log is at its end, again and again when killed."""
        while True:
            try:
                return self._live(happens)
            except Killed:
                self.ended += 1

    def ingest(self) -> None:
        """Live until the log is at its end and settle everything there, as `ingest` does."""
        self._live(lambda _: None, flush_at=wal.segments(self.data / "wal")[-1].number)

    def _live(self, happens: Callable[[str], None], flush_at: int | None = None) -> None:
        settings = settings_of(self.data, window_seconds=self.window_seconds)
        evaluator = evaluator_of(settings)
        try:
            write = write_side_of(settings, MortalStore(settings.tables_folder, happens), evaluator)
            take(write, flush_at)
        finally:
            evaluator.close()

    def frame(self, table: model.Table) -> pl.DataFrame:
        """Return the rows of a table in order of their segment."""
        return Store(self.data / "tables").scan(table).sort("segment", *table.key).collect()

    def rows(self) -> dict[str, list[str]]:
        """Return the rows of every table as sorted text, without what the clock decides."""
        tables = Store(self.data / "tables")
        return {table.name: _text(tables.scan(table).collect()) for table in model.TABLES}


def take(write: WriteSide, flush_at: int | None) -> None:
    """Go through the log as the pipeline's loop does: a step that fails is tried again."""
    while waiting := write.waiting():
        for segment in waiting:
            try:
                write.step(segment, flush=segment.number == flush_at)
            except StoreError:
                break
            write.forget()


def _text(frame: pl.DataFrame) -> list[str]:
    plain = frame.drop(name for name in NOT_REPEATABLE if name in frame.columns)
    return sorted(map(repr, plain.rows()))


class Every:
    """Raises once at each point; `places` are those it has raised at."""

    def __init__(self, error: Callable[[str], BaseException]) -> None:
        self._error = error
        self.places: set[str] = set()

    def __call__(self, place: str) -> None:
        if place not in self.places:
            self.places.add(place)
            raise self._error(place)


class After:
    """Kills when so many commits have begun or ended, counted anew after each kill."""

    def __init__(self, moments: Sequence[int]) -> None:
        self._left = list(moments)
        self._seen = 0

    def __call__(self, _place: str) -> None:
        self._seen += 1
        if self._left and self._seen >= self._left[0]:
            del self._left[0]
            self._seen = 0
            raise Killed
