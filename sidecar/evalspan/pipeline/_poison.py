"""What to leave out of a segment that ended the process again and again.

The log gives a segment again until its rows are stored. One that a library dies of
would come for ever. So every stage of a segment is noted in a file before it
begins; where the file says that it began often enough and never ended, the work is
tried apart, in another process, to find what is to blame. That is written down
before anything is done about it, so that who comes to the segment again comes to
the same rows.

Only a death that nobody asked for counts: when it is time to stop, the note of the
stage that runs is taken back, since its parent kills a process that takes too long.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import polars as pl
import pyarrow as pa
import structlog

from evalspan import decode, evaluate, normalize, settle, store, wal
from evalspan.pipeline._trial import StoppedError, Trial, culprits, unknown
from evalspan.pipeline._word import read_word, write_word

log = structlog.get_logger()

# So often may the process end at one stage of one segment before something is left out.
CRASHES: Final = 3
_AT_DECODING: Final = ("decode", "normalize")
# So many spans and log records are tried one by one; requests beyond are tried as a whole.
MOST_TRIED_PARTS: Final = 10_000
_POLL_SECONDS: Final = 0.1

Part = tuple[int, int]


class SetAsideError(RuntimeError):
    """What is to blame was found; the segments since the oldest that waits must be taken anew."""


class Poison:
    """The stages that began and did not end, and what was decided about their segments."""

    def __init__(
        self,
        folder: Path | None,
        new_settler: Callable[[], settle.Settler],
        new_evaluator: Callable[[], evaluate.Evaluator],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Go on with what the files in `folder` say; without one nothing is remembered.

        `new_settler` and `new_evaluator` make those that are tried, in another process. `stop`
        says whether it is time to stop: what looks for something to blame raises StoppedError,
        and a stage that ends the process from then on is not noted.
        """
        self._folder = folder
        self._new_settler = new_settler
        self._new_evaluator = new_evaluator
        self._stop = stop
        self._log_id = ""
        self._deaths: dict[str, int] = {}
        self._running = ""
        self._decided: dict[str, dict[str, list[list[Any]]]] = {}

    @contextmanager
    def watch(self, segment: wal.Segment, stage: str) -> Iterator[None]:
        """Note that a stage begins, and that it ended; what the disk refuses is no crash."""
        self._of(segment.log_id)
        key = self._running = f"{segment.number}:{stage}"
        self._note()
        try:
            with self._taken_back_at_stop():
                yield
        except (store.StoreError, OSError):
            self._ended(key)
            raise
        except (KeyboardInterrupt, SystemExit, StoppedError):  # asked for
            self._running = ""
            self._note()
            raise
        # The stage after decode begins at once, and says so in the same breath.
        self._ended(key, note=stage != "decode")

    def aside(self, segment: wal.Segment) -> Mapping[Part, str]:
        """Return the spans and log records of a segment to set aside, with the reasons."""
        self._of(segment.log_id)
        for stage in _AT_DECODING:
            if self._is_due(segment, stage):
                with self.watch(segment, _search(stage)):
                    bad = self._bad_parts(segment, stage)
                self._decide(segment, stage, "parts", bad)
        return {(o, p): why for o, p, why in self._known(segment.number, "parts")}

    def suspects_settling(self, log_id: str) -> bool:
        """Whether some segment has to be looked at for traces that cannot be settled."""
        self._of(log_id)
        stages = (key.partition(":")[2] for key, n in self._deaths.items() if n >= CRASHES)
        return "settle" in stages

    def unsettled(self, segment: wal.Segment) -> Mapping[str, tuple[int, str]]:
        """Return trace → the segment at which it is given up, this one or a later one, and why."""
        self._of(segment.log_id)
        numbers = sorted((int(n) for n in self._decided if int(n) >= segment.number), reverse=True)
        return {
            trace: (number, why)
            for number in numbers
            for trace, why in self._known(number, "settle")
        }

    def look_at_settling(
        self,
        segment: wal.Segment,
        spans: Sequence[pa.Table],
        events: Sequence[pa.Table],
        now_us: int,
    ) -> None:
        """Find the traces that cannot be settled; `spans` and `events` are what was pushed so far.

        Raises SetAsideError where there are some: whoever begins anew leaves them out.
        """
        if not self._is_due(segment, "settle"):
            return
        rows, records = pa.concat_tables(spans), pa.concat_tables(events)
        traces = pl.Series(rows.column("trace_id")).unique(maintain_order=True).to_list()

        def arguments(some: Sequence[str]) -> tuple[Any, ...]:
            parts = (_of_traces(rows, some), _of_traces(records, some))
            return self._new_settler, *parts, now_us, segment.number

        found = self._culprits(_settles, traces, arguments, segment, "settle")
        if found:
            self._decide(
                segment, "settle", "settle", [[t, f"stage settle {why}"] for t, why in found]
            )
            msg = f"segment {segment.number}: {len(found)} traces are left out of what settles"
            raise SetAsideError(msg)

    def unevaluated(
        self, segment: wal.Segment, spans: pl.DataFrame, context: pl.DataFrame
    ) -> Mapping[str, str]:
        """Return trace → why it is not evaluated."""
        if self._is_due(segment, "evaluate"):
            traces = spans["trace_id"].unique(maintain_order=True).to_list()

            def arguments(some: Sequence[str]) -> tuple[Any, ...]:
                wanted = pl.col("trace_id").is_in(pl.Series(some, dtype=pl.String).implode())
                return self._new_evaluator, spans.filter(wanted), context.filter(wanted)

            found = self._culprits(_evaluates, traces, arguments, segment, "evaluate")
            lines = [[trace, f"stage evaluate {why}"] for trace, why in found]
            self._decide(segment, "evaluate", "evaluate", lines)
        return dict(self._known(segment.number, "evaluate"))

    def forget(self, below: int) -> None:
        """Let go of what is known about segments that nobody comes to again."""
        kept = {n: lines for n, lines in self._decided.items() if int(n) >= below}
        if len(kept) < len(self._decided):
            with suppress(OSError):  # a full disk: next time
                self._write("poison.json", kept, sync=True)
                self._decided = kept
        deaths = {k: n for k, n in self._deaths.items() if int(k.partition(":")[0]) >= below}
        if len(deaths) < len(self._deaths):
            self._deaths = deaths
            self._note()

    def _bad_parts(self, segment: wal.Segment, stage: str) -> list[list[Any]]:
        """Return what to set aside: spans, or whole requests where a search for those died."""
        records = list(wal.read(segment))
        known = {(o, p) for o, p, _ in self._known(segment.number, "parts")}
        whole = [(record.offset, decode.ALL) for record in records]
        died = self._times(segment, _search(stage))

        def bad(units: Sequence[Part]) -> list[tuple[Part, str]]:
            def without(some: Sequence[Part]) -> tuple[Any, ...]:
                return stage, segment, {*known, *units} - set(some)

            return self._culprits(_decodes, units, without, segment, stage)

        if died >= 2 * CRASHES:
            why = dict.fromkeys((o for o, _ in whole), f"and the search for it died {died} times")
        else:
            why = {offset: how for (offset, _), how in bad(whole)}
        found: list[tuple[Part, str]] = []
        if died < CRASHES and self._times(segment, stage) < 2 * CRASHES:
            found = bad(_parts([record for record in records if record.offset in why]))
        found = found or [
            ((offset, decode.ALL), f"{how}, its request as a whole") for offset, how in why.items()
        ]
        return [[offset, part, f"stage {stage} {how}"] for (offset, part), how in found]

    def _culprits(
        self,
        work: Callable[..., object],
        units: Sequence[Any],
        arguments: Callable[[Sequence[Any]], tuple[Any, ...]],
        segment: wal.Segment,
        stage: str,
    ) -> list[tuple[Any, str]]:
        """Return the units to blame; all of them if none was found however often it ended here."""
        trial = Trial(work, self._stop)
        try:
            found = culprits(units, lambda some: trial(*arguments(some)))
        finally:
            trial.close()
        times = self._times(segment, stage)
        if not found and times >= 2 * CRASHES:
            why = f"ended the process {times} times{unknown(len(units))}"
            return [(unit, why) for unit in units]
        return found

    def _is_due(self, segment: wal.Segment, stage: str) -> bool:
        return self._times(segment, stage) >= CRASHES

    def _times(self, segment: wal.Segment, stage: str) -> int:
        """Return how often a stage of a segment ended the process."""
        return self._deaths.get(f"{segment.number}:{stage}", 0)

    def _decide(self, segment: wal.Segment, stage: str, kind: str, lines: list[list[Any]]) -> None:
        """Write down what is left out, then count the crashes of that stage anew."""
        if not lines:
            return
        found = self._decided.get(str(segment.number), {})
        found = {**found, kind: [*found.get(kind, []), *lines]}
        decided = {**self._decided, str(segment.number): found}
        self._write("poison.json", decided, sync=True)
        self._decided = decided
        self._ended(f"{segment.number}:{stage}")
        why = sorted({str(line[-1]) for line in lines})
        log.error("set_aside", segment=segment.number, stage=stage, count=len(lines), why=why)

    def _known(self, number: int, kind: str) -> list[list[Any]]:
        return self._decided.get(str(number), {}).get(kind, [])

    def _ended(self, key: str, *, note: bool = True) -> None:
        self._running = ""
        self._deaths.pop(key, None)
        if note:
            self._note()

    def _note(self) -> None:
        """Write down what ended the process, as if the stage that runs did, but for a stop."""
        deaths = dict(self._deaths)
        if self._running and not self._stop():
            deaths[self._running] = deaths.get(self._running, 0) + 1
        with suppress(OSError):  # a full disk loses a note, and no work that is done already
            self._write("crashes.json", deaths)

    @contextmanager
    def _taken_back_at_stop(self) -> Iterator[None]:
        """Note anew, as soon as it is time to stop, while a stage keeps this thread busy."""
        ended = Event()

        def listen() -> None:
            while not ended.wait(_POLL_SECONDS):
                if self._stop():
                    self._note()
                    return

        thread = Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _of(self, log_id: str) -> None:
        """Read the files of this log; those of another one say nothing about it."""
        if self._log_id != log_id:
            self._deaths = self._read("crashes.json", log_id)
            self._decided = self._read("poison.json", log_id)
            self._log_id = log_id

    def _read(self, name: str, log_id: str) -> dict[str, Any]:
        word = read_word(self._folder / name) if self._folder is not None else None
        return dict(word["segments"]) if word and word.get("log_id") == log_id else {}

    def _write(self, name: str, segments: Mapping[str, Any], *, sync: bool = False) -> None:
        if self._folder is not None:
            word = {"log_id": self._log_id, "segments": segments}
            write_word(self._folder / name, word, sync=sync)


def _search(stage: str) -> str:
    """Return the name of the search for what a stage dies of, which may die of it as well."""
    return f"{stage}:search"


def _parts(records: Sequence[wal.Record]) -> list[Part]:
    """Return the spans and log records of requests; a request as a whole where it has too many."""
    parts: list[Part] = []
    for record in records:
        count = decode.count_items(record.payload)
        few = 0 < count <= MOST_TRIED_PARTS - len(parts)
        parts += [(record.offset, n) for n in (range(count) if few else (decode.ALL,))]
    return parts


def _decodes(stage: str, segment: wal.Segment, without: set[Part]) -> None:
    whole = {offset for offset, part in without if part == decode.ALL}
    records = [record for record in wal.read(segment) if record.offset not in whole]
    aside = {part: "" for part in without if part[1] != decode.ALL}
    decoded = decode.decode(records, segment.number, aside)
    if stage == "normalize":
        normalize.normalize(decoded)


def _settles(
    new: Callable[[], settle.Settler], spans: pa.Table, events: pa.Table, now_us: int, number: int
) -> None:
    settler = new()
    settler.push(spans, events, now_us, number)
    settler.flush(now_us, number)


def _evaluates(
    new: Callable[[], evaluate.Evaluator], spans: pl.DataFrame, context: pl.DataFrame
) -> None:
    evaluator = new()
    try:
        evaluator.evaluate(spans, context)
    finally:
        evaluator.close()


def _of_traces(rows: pa.Table, traces: Sequence[str]) -> pa.Table:
    wanted = pl.Series(traces, dtype=pl.String).implode()
    mask = pl.Series(rows.column("trace_id")).is_in(wanted)
    return rows.filter(mask.to_arrow())
