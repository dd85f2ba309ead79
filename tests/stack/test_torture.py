"""Nothing lost, nothing doubled: every process on the way is killed at random moments.

Apps send numbered spans through the Collector with a persistent, synced queue.
After twenty kills every span that was acknowledged is readable once, has its
scores once, and the ledger balances.
"""

import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from processes import ROOT, NotReady, Process, call, wait_for
from servers import Stack
from tables import read_ledger, table
from torture import (
    JUDGED_EVERY,
    JUDGED_MODEL,
    SPANS_PER_REQUEST,
    SPANS_PER_TRACE,
    TRACES_PER_REQUEST,
    Senders,
    Torment,
    rounds,
)

from evalspan import pipeline
from evalspan.model import SCORES

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

KILLS = 20
SEED = int(os.environ.get("EVALSPAN_TORTURE_SEED", "20260301"))
IDLE_SECONDS = 300
LOOK_SECONDS = 1.0  # a look is a process of its own and takes a core
# A check of each shape, by a built-in or by a function in a process of its own, and a judge.
CONFIG = f"""
data: $data
receive: {{listen: "127.0.0.1:$otlp"}}
metrics: {{listen: "127.0.0.1:$http"}}
wal: {{segment_age: 500ms, tick_every: 500ms}}
settle: {{idle: 1s}}
analysis: {{every: 2s}}
llm: {{base_url: "MODEL_SERVER"}}
checks:
  finish_reason: {{use: finish_reason}}
  status: {{use: status, match: "true"}}
  answered: {{use: "torture_checks:answered"}}
  tool_loop: {{use: tool_loop}}
checklists:
  manners:
    match: "request_model = '{JUDGED_MODEL}'"
    questions: {{polite: {{text: "Does the answer thank the customer?"}}}}
"""
# How many spans of a trace each check scores.
SCORED = {"finish_reason": 2, "status": SPANS_PER_TRACE, "answered": 2}
KEY = ["trace_id", "span_id", "check", "item", "revision", "attempt"]


@dataclass(frozen=True)
class Outcome:
    """What is there when all is over."""

    told: str
    senders: Senders
    judged: int
    book: dict[str, Any]
    sidecar: Process

    @property
    def spans(self) -> list[int]:
        """Numbers of the spans that were acknowledged."""
        return self.senders.spans

    @property
    def requests(self) -> int:
        """Requests that were acknowledged."""
        return len(self.senders.acknowledged)

    def table(self, name: str) -> pl.DataFrame:
        return table(self.sidecar, name)

    def line(self, check: str) -> dict[str, Any]:
        found: dict[str, Any] = next(x for x in self.book["checks"] if x["check"] == check)
        return found


def idle_ledger(sidecar: Process, spans: int) -> dict[str, Any]:
    """Wait until everything acknowledged has arrived, has settled and nothing is pending."""

    def look() -> dict[str, Any]:
        book = read_ledger(sidecar)
        checks = {line["check"]: line for line in book["checks"]}
        scored = checks.get("status", {"done": 0})["done"] >= spans
        if book["received"][0]["stored"] < spans or book["pending"] or not scored:
            time.sleep(LOOK_SECONDS)
            raise NotReady(json.dumps(book))
        return book

    wait_for(
        lambda: "evalspan_pending_spans 0.0" in call(f"{sidecar.url()}/metrics").decode(),
        "every trace has settled",
        seconds=IDLE_SECONDS,
    )
    return wait_for(look, f"{spans} spans stored and scored", seconds=IDLE_SECONDS)


@pytest.fixture(scope="module")
def outcome(module_stack: Stack) -> Outcome:
    """Carry the torture out once."""
    stack = module_stack
    plan = rounds(random.Random(SEED), KILLS)  # noqa: S311 - when to kill, no secret
    backend, models = stack.span_sink(), stack.model_server()
    paths = os.pathsep.join(map(str, (ROOT / "sidecar", Path(__file__).parent)))
    sidecar = stack.sidecar(
        CONFIG.replace("MODEL_SERVER", models.url),
        {"PYTHONPATH": paths, "ANTHROPIC_API_KEY": "any"},
    )
    collector = stack.collector(
        ROOT / "collector-config" / "collector-durable.yaml",
        environment={
            "EVALSPAN_BACKEND_ENDPOINT": urlsplit(backend.endpoint).netloc,
            "EVALSPAN_SIDECAR_ENDPOINT": urlsplit(sidecar.url("otlp")).netloc,
            "EVALSPAN_STORAGE_DIRECTORY": str(stack.folder / "queue"),
        },
    )
    torment = Torment(sidecar, collector)
    begun = time.monotonic()
    with Senders(urlsplit(collector.url("EVALSPAN_OTLP_GRPC_ENDPOINT")).netloc) as senders:
        torment.carry_out(plan)
    sent = time.monotonic()
    book = idle_ledger(sidecar, len(senders.spans))
    told = (
        f"seed {SEED}: {len(senders.spans)} spans sent and acknowledged, {senders.repeated} calls "
        f"repeated, {senders.sent_again} requests sent twice; "
        f"{book['received'][0]['duplicate']} duplicates recognised; "
        f"killed {dict(sorted(torment.killed.items()))}; "
        f"{sent - begun:.0f} s of kills, {time.monotonic() - sent:.0f} s until idle"
    )
    print(f"\n  {told}")  # noqa: T201 - the figures of `make torture`
    judged = sum(number % JUDGED_EVERY == 0 for number in senders.acknowledged)
    return Outcome(told, senders, judged, book, sidecar)


def test_every_acknowledged_span_is_readable_once_and_nothing_else_is(outcome: Outcome) -> None:
    settings = pipeline.load_settings(
        outcome.sidecar.folder / "evalspan.yaml", data=outcome.sidecar.folder / "data"
    )
    view = pipeline.views_of(settings, pipeline.store_of(settings))["prod"]
    spans = view.spans().select("span_id", "attributes").collect()
    numbers = spans["span_id"].str.to_integer(base=16).sort().to_list()
    assert numbers == outcome.spans, outcome.told
    attribute = spans.explode("attributes").unnest("attributes")
    counters = attribute.filter(pl.col("key") == "torture.number")["int"]
    assert counters.sort().to_list() == outcome.spans, outcome.told


def test_no_span_is_stored_twice(outcome: Outcome) -> None:
    spans = outcome.table("spans").select("trace_id", "span_id")
    assert spans.height == spans.n_unique() == len(outcome.spans), outcome.told
    assert not (outcome.sidecar.folder / "data" / "tables" / "quarantine").exists(), outcome.told


def test_every_trace_settled_and_no_span_settled_twice(outcome: Outcome) -> None:
    settled = outcome.table("settled")
    assert settled.select("trace_id", "attempt").is_unique().all(), outcome.told
    assert settled["trace_id"].n_unique() == outcome.requests * TRACES_PER_REQUEST, outcome.told
    new = settled.select(pl.when(pl.col("attempt") > 1).then("late_spans").otherwise("spans").sum())
    assert new.item() == len(outcome.spans), outcome.told


def test_every_score_is_there_once(outcome: Outcome) -> None:
    scores = outcome.table("scores")
    assert list(SCORES.key) == KEY
    assert scores.select(KEY).is_unique().all(), outcome.told
    newest = scores.filter(
        pl.col("attempt") == pl.col("attempt").max().over("trace_id", "span_id", "check")
    )
    assert newest.select(KEY[:-1]).is_unique().all(), outcome.told
    assert scores.group_by("check").agg(pl.col("revision").n_unique())["revision"].max() == 1
    per_check = dict(newest.group_by("check").len().iter_rows())
    traces = outcome.requests * TRACES_PER_REQUEST
    for check, per_trace in SCORED.items():
        assert per_check[check] == traces * per_trace, f"{check}: {outcome.told}"
    assert scores.filter(check="tool_loop")["trace_id"].n_unique() == traces, outcome.told
    judged = newest.filter(check="manners").group_by("item").len()
    calls = outcome.judged * TRACES_PER_REQUEST * 2
    assert dict(judged.iter_rows()) == {"": calls, "polite": calls}, outcome.told


def test_the_ledger_balances_with_what_is_counted_here(outcome: Outcome) -> None:
    book, spans = outcome.book, len(outcome.spans)
    assert book["balanced"], outcome.told
    assert book["pending"] == 0, outcome.told
    line = book["received"][0]
    assert line["stored"] == spans, outcome.told
    assert line["quarantined"] == 0, outcome.told
    assert line["received"] == spans + line["duplicate"], outcome.told
    assert line["duplicate"] >= outcome.senders.sent_again * SPANS_PER_REQUEST, outcome.told
    settled = outcome.table("settled").height
    for check, per_trace in SCORED.items():
        found = outcome.line(check)
        assert found["expected"] == spans, f"{check}: {outcome.told}"
        assert found["done"] == spans * per_trace // SPANS_PER_TRACE, f"{check}: {outcome.told}"
        assert found["error"] == 0, f"{check}: {outcome.told}"
        assert found["skipped"] == found["expected"] - found["done"], f"{check}: {outcome.told}"
    loop = outcome.line("tool_loop")
    assert loop["expected"] == settled, outcome.told
    assert loop["done"] + loop["skipped"] == settled, outcome.told
    manners = outcome.line("manners")
    assert manners["done"] == outcome.judged * TRACES_PER_REQUEST * 2, outcome.told


def test_the_metrics_page_answers_and_says_that_all_is_done(outcome: Outcome) -> None:
    def caught_up() -> str | None:
        """The page of a pipeline that has gone through the log again after the last kill."""
        page = call(f"{outcome.sidecar.url()}/metrics").decode()
        return page if "\nevalspan_pending_spans " in page else None

    page = wait_for(caught_up, "a page that says what is pending")
    assert "evalspan_receiver_up 1.0" in page
    assert "evalspan_pending_spans 0.0" in page
    assert outcome.requests * SPANS_PER_REQUEST == len(outcome.spans)
