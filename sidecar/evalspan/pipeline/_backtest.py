"""Try the detector on the history that is stored: shuffled as it is, and with planted drops."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from os import cpu_count
from statistics import median
from typing import Any, Final

import polars as pl

from evalspan import detect, stats
from evalspan.pipeline._ask import NotFoundError, read_side_of, require_dimensions
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._when import before

Progress = Callable[[str, int, int], None]
MOST_PROCESSES: Final = 8
_CHUNK: Final = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be run: over which history, how often, and which verdicts stay together.

    Drops are planted in all traffic; also in the slice `where` (dimension → value), and, with
    `largest`, in the commonest value of each dimension.
    """

    since: str
    check: str | None
    permutations: int
    together: detect.Together
    seed: int
    where: Mapping[str, str] = field(default_factory=dict)
    largest: bool = False


def backtest(
    settings: Settings, view: str, asked: Asked, progress: Progress
) -> list[dict[str, Any]]:
    """Return the figures of each check; `progress` is told check, trials done and to do."""
    side = read_side_of(settings, view)
    require_dimensions(settings, asked.where)
    now = datetime.now(UTC)
    begin = before(now, "--since", asked.since)
    found: list[dict[str, Any]] = []
    for check, item in side.checks(now, since=begin):
        name = f"{check}/{item}" if item else check
        if asked.check in (None, check, name):
            verdicts = side.verdicts_since(check, item, begin)
            tell = _Telling(name, asked.permutations, progress)
            found.append(_of_check(verdicts, side.detect_settings.of(name), name, asked, tell))
    if asked.check is not None and not found:
        msg = f"there are no verdicts of a check {asked.check!r} since {begin:%Y-%m-%d %H:%M} UTC"
        raise NotFoundError(msg)
    drops = [drop for row in found for drop in row["drops"]]
    if asked.where and drops and not any(drop["where"] == asked.where for drop in drops):
        told = " and ".join(f"{name}={value}" for name, value in asked.where.items())
        msg = f"--slice: there are no verdicts of {told} since {begin:%Y-%m-%d %H:%M} UTC"
        raise NotFoundError(msg)
    return found


class _Telling:
    """Tells how many trials of a check are done."""

    def __init__(self, name: str, total: int, progress: Progress) -> None:
        self._name, self._total, self._progress, self._done = name, total, progress, 0

    def __call__(self, trials: Iterator[detect.Trial]) -> Iterator[detect.Trial]:
        self._progress(self._name, 0, self._total)
        for trial in trials:
            self._done += 1
            self._progress(self._name, self._done, self._total)
            yield trial


def _of_check(
    verdicts: pl.DataFrame,
    settings: detect.DetectSettings,
    name: str,
    asked: Asked,
    tell: _Telling,
) -> dict[str, Any]:
    seeds = [asked.seed * 1_000_003 + number for number in range(asked.permutations)]

    def over(run: Callable[[int], detect.Trial], todo: Sequence[int]) -> list[detect.Trial]:
        # spawned: Polars does not survive a fork
        workers = min(MOST_PROCESSES, cpu_count() or 1)
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            return list(tell(pool.map(run, todo, chunksize=_CHUNK)))

    made = detect.backtest(
        verdicts,
        settings,
        seeds,
        together=asked.together,
        slices=_slices(verdicts, settings, asked),
        over=over,
    )
    missing = detect.need(verdicts, settings)
    trials = made.trials
    return {
        "check": name,
        "verdicts": made.verdicts,
        "days": made.days,
        "permutations": len(trials),
        "false_alarms": _share(sum(t.regression for t in trials), len(trials)),
        "false_states": _share(sum(t.anything for t in trials), len(trials)),
        "minimum_effect": settings.minimum_effect,
        "drops": [
            _of_drop(planted, settings.minimum_effect)
            for planted in zip(*(t.planted for t in trials), strict=True)
        ],
        "missing_verdicts": missing.rows,
        "missing_history_hours": missing.history.total_seconds() / 3600,
    }


def _slices(
    verdicts: pl.DataFrame, settings: detect.DetectSettings, asked: Asked
) -> list[Mapping[str, str]]:
    """Return where drops are planted beside all traffic: slices that have verdicts."""
    wanted = [asked.where] if asked.where else []
    given = [pl.col(name) == value for each in wanted for name, value in each.items()]
    found = wanted if given and verdicts.filter(*given).height else []
    largest = detect.largest_slices(verdicts, settings) if asked.largest else []
    return [*found, *(each for each in largest if each not in found)]


def _of_drop(planted: Sequence[detect.Planted], minimum_effect: float) -> dict[str, Any]:
    told = [each for each in planted if not each.early]
    hours = sorted(each.hours for each in told if each.hours is not None)
    return {
        "where": dict(planted[0].where),
        "drop": planted[0].drop,
        "below_minimum_effect": planted[0].drop < minimum_effect,
        "found": _share(len(hours), len(told)),
        "median_delay_hours": median(hours) if hours else None,
        "delays_hours": hours,
    }


def _share(hits: int, total: int) -> dict[str, Any]:
    interval = stats.wilson_interval(hits, total)
    share = interval.estimate if total else None
    return {"n": hits, "of": total, "share": share, "low": interval.low, "high": interval.high}
