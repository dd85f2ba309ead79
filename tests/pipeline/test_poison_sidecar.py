"""A running sidecar that one span kills at every look: it sets it aside and goes on."""

import os
from pathlib import Path

import pytest
from running_sidecar import running, wait_for

from evalspan import pipeline, testing
from evalspan.model import QUARANTINE

# Runs at the start of every process of the sidecar, those that try the span included.
DIES = """
import os
import signal

from evalspan import decode

whole = decode.decode


def dies(records, segment, aside=None):
    records = list(records)
    for record in records:
        left_out = any(offset == record.offset for offset, _ in aside or ())
        if b"POISON" in bytes(record.payload) and not left_out:
            os.kill(os.getpid(), signal.SIGKILL)
    return whole(records, segment, aside)


decode.decode = dies
"""


def test_a_span_that_kills_the_process_is_set_aside_and_the_rest_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DIES, encoding="utf-8")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{before}")
    bad = testing.span(trace=1, number=2, attributes={"app.note": "POISON"})
    with running(tmp_path, "checks: {status: {match: 'true'}}\n") as sidecar:
        for spans in ([testing.span(trace=1, number=1), bad], [testing.span(trace=3, number=3)]):
            assert sidecar.send(testing.request(*spans).SerializeToString()) == "OK"

        def look() -> pipeline.Ledger | None:
            book = pipeline.read_ledger(sidecar.settings)
            spans = book.lines[0]
            done = spans.stored + spans.quarantined == 3 and not book.pending
            return book if done and book.checks else None

        book = wait_for("everything is stored or set aside", look)
        assert book.balanced
        assert (book.lines[0].stored, book.lines[0].quarantined) == (2, 1)
        (row,) = pipeline.store_of(sidecar.settings).scan(QUARANTINE).collect().to_dicts()
        assert row["reason"] == "stage decode ended the process (SIGKILL)"
        assert b"POISON" in row["bytes"]
        wait_for(
            "the gauges see it",
            lambda: sidecar.metric("evalspan_spans_total", outcome="quarantined") == 1,
        )
        assert sidecar.metric("evalspan_spans_unaccounted") == 0
