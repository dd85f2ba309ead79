"""The whole way, put together: the one place that knows every room.

The write side takes closed segments to tables and metrics; the read side looks
at the tables through views. Each room is handed what it needs of the others
here; no room imports another.
"""

from typing import Any

import polars as pl

from evalspan import llm, optimize, report, store, wal
from evalspan.config import ConfigError
from evalspan.model import SETTLED
from evalspan.pipeline._ask import (
    NothingYetError,
    find_causes,
    find_changes,
    improve,
    pass_rates,
    read_side_of,
    show_report,
)
from evalspan.pipeline._backfill import backfill
from evalspan.pipeline._backtest import Asked, backtest
from evalspan.pipeline._backtest_page import draw_backtest
from evalspan.pipeline._build import (
    evaluator_of,
    metrics_of,
    settler_of,
    store_of,
    views_of,
    write_side_of,
)
from evalspan.pipeline._check import check_config
from evalspan.pipeline._grafana import watched
from evalspan.pipeline._ingest import ingest_files
from evalspan.pipeline._key import key_is_missed
from evalspan.pipeline._ledger import Ledger, ledger, rejected_of
from evalspan.pipeline._load import load_settings
from evalspan.pipeline._muting import mute, mutes, unmute
from evalspan.pipeline._parts import run_part, supervise
from evalspan.pipeline._plugins import plugins
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._tally import errors_of, told_errors
from evalspan.pipeline._trace import show_trace
from evalspan.pipeline._word import read_word
from evalspan.pipeline._write import STAGES, WriteSide
from evalspan.processes import AlreadyRunsError, alone

__all__ = [
    "FAILURES",
    "STAGES",
    "AlreadyRunsError",
    "Asked",
    "ConfigError",
    "Ledger",
    "NothingYetError",
    "ReadSide",
    "Settings",
    "WriteSide",
    "alone",
    "backfill",
    "backtest",
    "check_config",
    "draw_backtest",
    "errors_of",
    "evaluator_of",
    "find_causes",
    "find_changes",
    "improve",
    "ingest_files",
    "inspect_log",
    "key_is_missed",
    "load_settings",
    "metrics_of",
    "mute",
    "mutes",
    "pass_rates",
    "plugins",
    "read_ledger",
    "read_side_of",
    "repair_log",
    "run_part",
    "settled_spans",
    "settler_of",
    "show_report",
    "show_trace",
    "store_of",
    "supervise",
    "told_errors",
    "unmute",
    "views_of",
    "watched",
    "write_side_of",
]

# What can go wrong while running that is told in one line: bad disks, logs, tables, models.
FAILURES = (
    AlreadyRunsError,
    wal.Corruption,
    wal.LogFailedError,
    wal.LogLockedError,
    store.StoreError,
    optimize.OptimizeError,
    report.ReportError,
    llm.LLMError,
)


def read_ledger(settings: Settings) -> Ledger:
    """Return what became of everything."""
    word = read_word(settings.run_folder / "receiver.json")
    return ledger(settings.log_folder, store_of(settings), rejected_of(word or {}))


def settled_spans(settings: Settings) -> int:
    """Return how many spans were handed to evaluation."""
    total = pl.col("spans") - pl.when(pl.col("attempt") > 1).then(pl.col("spans")).otherwise(0)
    late = pl.col("late_spans")
    frame = store_of(settings).scan(SETTLED).select((total + late).sum())
    return int(frame.collect().item() or 0)


def inspect_log(settings: Settings) -> list[dict[str, Any]]:
    """Return a row per segment of the log."""
    return list(wal.inspect(settings.log_folder))


def repair_log(settings: Settings) -> list[wal.Repair]:
    """Move damaged bytes of the log aside."""
    return wal.repair(settings.log_folder)
