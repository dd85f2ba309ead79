"""Make the rooms from the settings and hand each what it needs of the others."""

import gc
import importlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa

from evalspan import evaluate, metrics, normalize, settle, store, views
from evalspan.config import ConfigError, SettingError, located
from evalspan.model import Table
from evalspan.pipeline._messages import Messages
from evalspan.pipeline._poison import Poison
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.pipeline._write import Count, WriteSide


def store_of(settings: Settings) -> store.Store:
    """Return the tables."""
    return store.Store(
        settings.tables_folder,
        compression_level=settings.store.compression_level,
        compact_every=settings.store.compact_every,
        keep_removed_hours=settings.store.keep_removed.total_seconds() / 3600,
    )


def evaluator_of(settings: Settings) -> evaluate.Evaluator:
    """Return the checks of the config; raises ConfigError."""
    try:
        return evaluate.build(
            settings.checks,
            folder=settings.folder,
            dimensions=tuple(settings.dimensions),
            prices=evaluate.Prices(settings.prices),
        )
    except ConfigError as error:
        raise located(mistakes_of_checks(settings), settings.file) from error


def checklists_of(settings: Settings) -> dict[str, evaluate.Checklist]:
    """Return the checklists of the config; raises ConfigError."""
    try:
        return evaluate.build_checklists(
            settings.checklists,
            model=settings.llm.model,
            dimensions=tuple(settings.dimensions),
        )
    except ConfigError as error:
        raise located(mistakes_of_checks(settings), settings.file) from error


def mistakes_of_checks(settings: Settings) -> list[SettingError]:
    """Return what is wrong with checks and checklists, each with its keys."""
    problems = evaluate.validate(
        settings.checks,
        settings.checklists,
        folder=settings.folder,
        dimensions=tuple(settings.dimensions),
        prices=evaluate.Prices(settings.prices),
    )
    return [SettingError(problem.path, problem.message) for problem in problems]


def settler_of(
    settings: Settings,
    earlier: pa.Table | None,
    done: int = 0,
    messages: Messages | None = None,
    unread: Collection[str] = (),
) -> settle.Settler:
    """Return the settler; `earlier` is SETTLED as written so far, `done` its last segment.

    `unread`: the columns that nobody reads of a settled span.
    """
    messages = messages or Messages(normalize.messages_from_events)
    return settle.Settler(
        settings.settle, settings.dimensions, messages, earlier, done, unread=unread
    )


def metrics_of(settings: Settings) -> metrics.Metrics:
    """Return the metrics with the budget of each label that data fill."""
    labels = (*BUILT_IN, *metrics.CALL, "error_type")
    limits = dict.fromkeys(labels, settings.metrics.budget)
    limits |= {name: d.budget for name, d in settings.dimensions.items()}
    # The questions of the config have their places; the items of users' own checks are any text.
    questions = {q for checklist in settings.checklists.values() for q in checklist.questions}
    limits["item"] = settings.metrics.budget + len(questions)
    budgets = metrics.Budgets(limits)
    for question in questions:
        budgets.reserve("item", question)
    buckets = {**_buckets(settings), **settings.metrics.buckets}
    return metrics.Metrics(
        tuple(settings.dimensions),
        budgets,
        buckets,
        expire_after=settings.metrics.expire_after,
        series_budget=settings.metrics.series_budget,
    )


def _buckets(settings: Settings) -> dict[str, tuple[float, ...]]:
    """Return check → the bounds that its file states for its value."""
    found = {}
    for name, check in settings.checks.items():
        use = check.use or name
        if ":" not in use:
            module = importlib.import_module(f"{evaluate.BUILT_IN}.{use}")
            found[name] = tuple(map(float, getattr(module, "BUCKETS", ())))
    return {name: bounds for name, bounds in found.items() if bounds}


def views_of(settings: Settings, tables: store.Store | None) -> dict[str, views.View]:
    """Return the views; without tables only their filters are checked. Raises ConfigError."""

    def nothing(table: Table) -> Any:  # noqa: ANN401 - never called
        msg = f"no tables to read {table.name} from"
        raise LookupError(msg)

    scan = tables.scan if tables is not None else nothing
    try:
        return views.build(settings.views, tuple(settings.dimensions), scan)
    except SettingError as mistake:
        if tables is None:
            raise
        raise located([mistake], settings.file) from mistake


def write_side_of(
    settings: Settings,
    tables: store.Store,
    evaluator: evaluate.Evaluator,
    shown: metrics.Metrics | None = None,
    observe: Callable[[str], Any] | None = None,
    *,
    checklists: Mapping[str, evaluate.Checklist] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> WriteSide:
    """Return the write side, recovered from what the log and the tables hold.

    `checklists` are those of the config, made if not given. `stop` says whether it is time to
    stop; a step that looks for what ended the process then raises StoppedError.
    """
    _tune_memory()
    expected = checklists_of(settings) if checklists is None else checklists
    dimensions = tuple(settings.dimensions)

    def expect(spans: pl.DataFrame) -> list[Count]:
        found: list[Count] = []
        for checklist in expected.values():
            found += evaluate.expect(spans, checklist, dimensions=dimensions)
        return found

    messages = Messages(normalize.messages_from_events)
    unread = [
        name
        for name in settle.NOT_NEEDED
        if not evaluator.reads(name)
        and not any(evaluate.asks_of(each, name) for each in expected.values())
    ]
    return WriteSide(
        settings.log_folder,
        tables,
        lambda earlier, done: settler_of(settings, earlier, done, messages, unread),
        evaluator,
        dimensions=dimensions,
        cost_usd=evaluator.prices.cost,
        duplicate_window=settings.store.duplicate_window,
        remembered_traces=settings.settle.max_remembered_traces,
        expect=expect,
        metrics=shown,
        observe=observe,
        unread=messages.take_unread,
        poison=Poison(
            settings.run_folder,
            partial(settler_of, settings, None),
            partial(evaluator_of, settings),
            stop,
        ),
    )


def _tune_memory() -> None:
    """Spend less CPU time on memory in a process that handles large batches of rows.

    Arrow's default pool gives large blocks back and takes them anew for each segment:
    clearing those pages costs as much as normalizing what is put into them. And Python
    looks for cycles each time some hundred objects were made, of which a segment makes
    hundreds of thousands, none in a cycle.
    """
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
