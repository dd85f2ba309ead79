"""Make the rooms from the settings and hand each what it needs of the others."""

import importlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from evalspan import evaluate, metrics, normalize, settle, store, views
from evalspan.model import Table
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.pipeline._write import WriteSide


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
    return evaluate.build(
        settings.checks,
        folder=settings.folder,
        dimensions=tuple(settings.dimensions),
        prices=evaluate.Prices(settings.prices),
    )


def checklists_of(settings: Settings) -> dict[str, evaluate.Checklist]:
    """Return the checklists of the config; raises ConfigError."""
    return evaluate.build_checklists(
        settings.checklists,
        model=settings.llm.model,
        dimensions=tuple(settings.dimensions),
    )


def settler_of(settings: Settings, earlier: pa.Table | None) -> settle.Settler:
    """Return the settler; `earlier` is SETTLED from before the log that will be replayed."""
    return settle.Settler(
        settings.settle,
        settings.dimensions,
        normalize.messages_from_events,
        earlier,
    )


def metrics_of(settings: Settings) -> metrics.Metrics:
    """Return the metrics with the budget of each dimension."""
    budgets = dict.fromkeys(BUILT_IN, settings.metrics.budget)
    budgets |= {name: d.budget for name, d in settings.dimensions.items()}
    buckets = {**_buckets(settings), **settings.metrics.buckets}
    return metrics.Metrics(tuple(settings.dimensions), metrics.Budgets(budgets), buckets)


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
    return views.build(settings.views, tuple(settings.dimensions), scan)


def write_side_of(
    settings: Settings,
    tables: store.Store,
    evaluator: evaluate.Evaluator,
    shown: metrics.Metrics | None = None,
    observe: Callable[[str], Any] | None = None,
) -> WriteSide:
    """Return the write side, recovered from what the log and the tables hold."""
    return WriteSide(
        settings.log_folder,
        tables,
        lambda earlier: settler_of(settings, earlier),
        evaluator,
        dimensions=tuple(settings.dimensions),
        cost_usd=evaluate.Prices(settings.prices).cost,
        duplicate_window=settings.store.duplicate_window,
        metrics=shown,
        observe=observe,
    )
