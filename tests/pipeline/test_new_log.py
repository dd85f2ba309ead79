"""A log that begins anew beside tables that stayed: nothing is counted, stored or judged twice."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
from read_world import World

from evalspan import pipeline, testing, wal
from evalspan.model import LEDGER, SCORES, SETTLED, SPANS
from evalspan.pipeline._judge import Judging
from evalspan.pipeline._log import last_segment, open_log
from evalspan.pipeline._verdicts import JudgeCounts

CHECKLIST = """
checklists:
  tone:
    questions: {good: "Is it an object?"}
"""
SAID = {"question": "good", "answer": "yes", "quote": "Thing"}


def _ask(answers: int) -> Any:  # noqa: ANN401 - as Ask
    return testing.ScriptedAsk([{"answers": [SAID]}] * answers)


def _judge(world: World, answers: int) -> int:
    judging, steps = Judging(world.settings, world.tables, _ask(answers)), 0
    while judging.step():
        steps += 1
    return steps


def _judged(world: World) -> pl.DataFrame:
    return world.tables.scan(SCORES).filter(evaluator="judge", item="").collect()


def test_who_deletes_the_log_and_keeps_the_tables_goes_on_from_them(tmp_path: Path) -> None:
    world = World(tmp_path, more=CHECKLIST)
    calls = [world.call(n, "v1", good=True, hours=1) for n in range(1, 7)]
    for call in calls[:3]:
        world.take_in(call)
    assert _judge(world, 3) == 1
    old = wal.log_id(world.settings.log_folder)
    last = last_segment(world.tables)
    counts = JudgeCounts(
        world.settings.log_folder, world.tables, pipeline.metrics_of(world.settings), ["tone"], []
    )
    shutil.rmtree(world.settings.log_folder)
    world = World(tmp_path, more=CHECKLIST)
    assert pipeline.read_ledger(world.settings).lines[0].stored == 3
    assert pipeline.read_ledger(world.settings).balanced

    world.take_in(calls[2], calls[3])  # the third comes once more, within the window
    assert wal.log_id(world.settings.log_folder) != old
    assert wal.segments(world.settings.log_folder)[0].number == last + 1
    assert counts._committed() == {"tone": last}
    assert _judge(world, 1) == 1
    world.take_in(calls[4])
    assert _judge(world, 1) == 1
    assert _judge(world, 0) == 0
    assert _judged(world).select("trace_id", "span_id").is_unique().all()
    assert _judged(world).height == 5

    book = pipeline.read_ledger(world.settings)
    assert book.balanced
    assert book.pending == 0
    assert (book.lines[0].received, book.lines[0].stored, book.lines[0].duplicate) == (6, 5, 1)
    assert world.tables.scan(SPANS).select("trace_id").collect()["trace_id"].is_unique().all()
    assert world.tables.scan(LEDGER).collect()["segment"].n_unique() == 5


def test_a_pipeline_that_starts_before_a_new_log_has_a_segment_remembers_as_well(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    call = world.call(1, "v1", good=True, hours=1)
    world.take_in(call)
    shutil.rmtree(world.settings.log_folder)
    evaluator = pipeline.evaluator_of(world.settings)
    write = pipeline.write_side_of(world.settings, world.tables, evaluator)
    assert write.waiting() == []
    writer = open_log(world.settings)
    late = world.call(2, "v1", good=True, hours=1)
    late.trace_id = call.trace_id
    writer.append("traces", testing.request(call, late).SerializeToString()).result()
    writer.close()
    for segment in write.waiting():
        write.step(segment, flush=True)
    evaluator.close()
    assert world.tables.scan(SPANS).collect().height == 2
    assert sorted(world.tables.scan(SETTLED).collect()["attempt"]) == [1, 2]
    assert pipeline.read_ledger(world.settings).balanced
