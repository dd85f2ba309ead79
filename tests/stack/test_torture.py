"""Nothing lost, nothing doubled: receiver, pipeline and Collector are killed at random moments.

An app sends numbered spans through the Collector with a persistent, synced queue.
After twenty kills every span that was acknowledged is readable once, has its
scores once, and the ledger balances.
"""

import json
import random
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from processes import ROOT, NotReady, Process, wait_for
from servers import Stack
from tables import read_ledger, table
from torture import Senders, rounds, torment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

KILLS = 20
IDLE_SECONDS = 180
CHECKS = {"finish_reason": 2, "status": 3}
CONFIG = """
data: $data
receive: {listen: "127.0.0.1:$otlp"}
metrics: {listen: "127.0.0.1:$http"}
settle: {idle: 1s}
checks:
  finish_reason: {use: finish_reason}
  status: {use: status, match: "role IN ('llm', 'other')"}
"""


def idle_ledger(sidecar: Process, spans: int) -> dict[str, Any]:
    """Wait until everything acknowledged has arrived and nothing is pending."""

    def look() -> dict[str, Any]:
        book = read_ledger(sidecar)
        line = book["received"][0]
        expected = {check["check"]: check["expected"] for check in book["checks"]}
        scored = all(expected.get(name, 0) >= spans * n // 3 for name, n in CHECKS.items())
        if line["stored"] < spans or book["pending"] or not scored:
            raise NotReady(json.dumps(book))
        return book

    return wait_for(look, f"{spans} spans stored and scored", seconds=IDLE_SECONDS)


def test_twenty_kills_lose_nothing_and_double_nothing(stack: Stack) -> None:
    seed = int(time.time())
    plan = rounds(random.Random(seed), KILLS)  # noqa: S311 - when to kill, no secret
    backend = stack.span_sink()
    sidecar = stack.sidecar(CONFIG)
    collector = stack.collector(
        ROOT / "collector-config" / "collector-durable.yaml",
        environment={
            "EVALSPAN_BACKEND_ENDPOINT": urlsplit(backend.endpoint).netloc,
            "EVALSPAN_SIDECAR_ENDPOINT": urlsplit(sidecar.url("otlp")).netloc,
            "EVALSPAN_STORAGE_DIRECTORY": str(stack.folder / "queue"),
        },
    )
    address = urlsplit(collector.url("EVALSPAN_OTLP_GRPC_ENDPOINT")).netloc

    with Senders(address) as senders:
        torment(sidecar, collector, plan)
    book = idle_ledger(sidecar, senders.spans)

    told = f"seed {seed}: {senders.spans} spans acknowledged, {senders.repeated} calls repeated"
    print(f"\n{told}\n{json.dumps(book, indent=1)}")  # noqa: T201 - the figures of `make torture`
    assert book["balanced"], told
    assert book["received"][0]["quarantined"] == 0, told
    spans = table(sidecar, "spans").select("trace_id", "span_id")
    assert spans.height == spans.n_unique() == senders.spans, told
    numbers = spans["span_id"].str.to_integer(base=16).sort()
    assert numbers.to_list() == list(range(1, senders.spans + 1)), told
    scores = table(sidecar, "scores").select("trace_id", "span_id", "check", "item", "revision")
    assert scores.height == scores.n_unique(), told
    per_check = dict(scores.group_by("check").len().iter_rows())
    assert per_check == {name: senders.spans * n // 3 for name, n in CHECKS.items()}, told
