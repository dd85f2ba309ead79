"""A dimension that leaves the config while a regression of one of its values is open."""

from pathlib import Path

import polars as pl
import pytest
import read_world
from read_world import World

from evalspan.model import REGRESSIONS
from evalspan.pipeline._watch import look

DIMENSION = "dimensions:\n  customer: {{attribute: app.customer}}\n"
VIEW = "  globex:\n    filter: \"customer = 'globex'\"\n"


def test_it_is_told_as_over_and_the_looks_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.fall()
    look(world.settings, [world.side()], None)
    assert DIMENSION in read_world.CONFIG
    assert VIEW in read_world.CONFIG
    without = read_world.CONFIG.replace(DIMENSION, "").replace(VIEW, "")
    monkeypatch.setattr(read_world, "CONFIG", without)

    later = World(tmp_path)
    for _ in range(2):
        look(later.settings, [later.side()], None)
    rows = later.tables.scan(REGRESSIONS).filter(pl.col("slice").str.contains("customer"))
    states = rows.sort("detected_time").collect()["state"].to_list()
    assert states[0] == "open"
    assert states[-1] == "resolved"
