"""Writes eight days of made-up spans as one OTLP request: `make_spans.py spans.binpb`.

A shop reads products out of web pages for four customers and answers questions. Three days ago
its prompt went from v1 to v2; since then prices of globex come as text.
"""  # noqa: INP001 - a script, no package

import json
import random
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from evalspan.testing import request, span

CUSTOMERS = ("acme", "globex", "hooli", "wonka")
PROMPTS = {"v1": "Answer in JSON. Write a price as a number.", "v2": "Answer in JSON. Be brief."}
HOUR_NS = 3600 * 10**9
HOURS, CHANGED = 8 * 24, 5 * 24


def spans(now_ns: int) -> Iterator[Span]:
    """Yield an extraction per customer and hour, and a question every four hours."""
    chance = random.Random(7)  # noqa: S311 - made-up answers, the same every time
    number = 0
    for hour in range(HOURS):
        start = now_ns - (HOURS - hour) * HOUR_NS
        for customer in CUSTOMERS:
            number += 1
            yield extraction(number, start, customer, "v1" if hour < CHANGED else "v2", chance)
        if hour % 4 == 0:
            number += 1
            yield question(number, start)


def extraction(number: int, start: int, customer: str, version: str, chance: random.Random) -> Span:
    """Return one call of the prompt `extract`."""
    broken = customer == "globex" and version == "v2"
    wrong = chance.random() < (0.5 if broken else 0.03)
    price = "1.299,00 EUR" if wrong else 1299.0
    return span(
        trace=trace_number(number),
        start_unix_nano=start,
        duration_seconds=0.4 + chance.random(),
        system=PROMPTS[version],
        user=f"Page {number}: a kettle of 1.299,00 EUR",
        output=json.dumps({"name": "Kettle", "price": price}),
        attributes={
            "app.customer": customer,
            "gen_ai.prompt.name": "extract",
            "gen_ai.prompt.version": version,
        },
    )


def trace_number(number: int) -> int:
    """Return the id of a trace; real ones begin differently, too."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"evalspan example {number}").int


def question(number: int, start: int) -> Span:
    """Return one call of the prompt `support`."""
    return span(
        trace=trace_number(number),
        start_unix_nano=start,
        system="You help customers of a shop.",
        user="Where is my order A-1042?",
        output="Thank you for asking. Order A-1042 leaves our house today.",
        attributes={"gen_ai.prompt.name": "support", "gen_ai.prompt.version": "v1"},
    )


if __name__ == "__main__":
    made = request(spans(time.time_ns()), resource={"service.name": "shop"})
    Path(sys.argv[1]).write_bytes(made.SerializeToString())
