"""Annotate: the verdicts of the inline checks on a batch of spans. Stores nothing."""

import threading
import time
from dataclasses import dataclass

import polars as pl

from evalspan import decode, normalize
from evalspan.evaluate import InlineVerdict
from evalspan.pipeline._build import evaluator_of, settler_of
from evalspan.pipeline._settings import Settings
from evalspan.v1.evalspan_pb2 import AnnotateResponse, Outcome


@dataclass(frozen=True, slots=True)
class _Request:
    """A request in the form that decode reads; it came by no log."""

    payload: bytes
    time_unix_ns: int
    kind: str = "traces"
    offset: int = 0


class Annotator:
    """Answers a serialized AnnotateRequest, whose spans are encoded as in an OTLP request."""

    def __init__(self, settings: Settings) -> None:
        """Make the checks ready."""
        self._settings = settings
        self._evaluator = evaluator_of(settings)
        # The receiver calls from several threads; a worker of user checks answers one at a time.
        self._one_at_a_time = threading.Lock()

    def __call__(self, request: bytes) -> bytes:
        """Return the serialized AnnotateResponse."""
        now_ns = time.time_ns()
        decoded = decode.decode([_Request(bytes(request), now_ns)], 0)
        rows = normalize.normalize(decoded)
        settler = settler_of(self._settings, None)
        settler.push(rows.spans, rows.events, now_ns // 1000, 0)
        settled: pl.DataFrame = settler.flush(now_ns // 1000, 0).spans
        response = AnnotateResponse()
        with self._one_at_a_time:
            verdicts = self._evaluator.inline(settled)
        for verdict in verdicts:
            _add(response, verdict)
        return response.SerializeToString()


def _add(response: AnnotateResponse, verdict: InlineVerdict) -> None:
    outcome = Outcome.OUTCOME_UNKNOWN
    if verdict.passed is not None:
        outcome = Outcome.OUTCOME_PASS if verdict.passed else Outcome.OUTCOME_FAIL
    line = response.verdicts.add(
        trace_id=bytes.fromhex(verdict.trace_id),
        span_id=bytes.fromhex(verdict.span_id),
        check=verdict.check,
        item=verdict.item,
        outcome=outcome,
        reason=verdict.error or verdict.reason or "",
        revision=verdict.revision,
    )
    if verdict.value is not None:
        line.value = verdict.value
