"""A tiny builder of settled frames for the tests of this folder."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evalspan import model
from evalspan.evaluate import CheckSettings, Evaluator, build

START = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = pl.DataFrame(pl.from_arrow(model.SPANS.empty())).schema
Row = dict[str, Any]
Frame = Callable[..., pl.DataFrame]
Build = Callable[..., Evaluator]


@pytest.fixture(scope="session")
def frame() -> Frame:
    """Rows of a settled trace → frame; every row is an LLM call of one trace unless it says so."""

    def make(*rows: Row, dimensions: tuple[str, ...] = ()) -> pl.DataFrame:
        full = []
        for number, row in enumerate(rows):
            given = {
                "trace_id": "a".ljust(32, "0"),
                "span_id": f"{number + 1:016x}",
                "content": number,
                "start_time": START + timedelta(seconds=number),
                "role": "llm",
                "received_time": START,
                "segment": 1,
                "attempt": 1,
                "counts": True,
                "root": number == 0,
            }
            full.append({**given, **row})
        added = {"attempt": pl.Int32, "counts": pl.Boolean, "root": pl.Boolean}
        schema = {**SCHEMA, **dict.fromkeys(dimensions, pl.String), **added}
        assert all(set(row) <= set(schema) for row in full)
        return pl.DataFrame(full, schema=schema, orient="row")

    return make


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[Build]:
    """Build an evaluator of checks given as keywords: `ready(latency={"max_ms": 1})`."""
    made: list[Evaluator] = []

    def make(dimensions: tuple[str, ...] = (), **checks: Row) -> Evaluator:
        settings = {name: CheckSettings(**given) for name, given in checks.items()}
        made.append(build(settings, folder=tmp_path, dimensions=dimensions))
        return made[-1]

    yield make
    for evaluator in made:
        evaluator.close()
