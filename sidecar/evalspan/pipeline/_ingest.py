"""Take recorded OTLP files in, without a receiver."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evalspan import decode, store, wal
from evalspan.config import ConfigError
from evalspan.model import LEDGER, SCORES
from evalspan.pipeline._build import evaluator_of, store_of, write_side_of
from evalspan.pipeline._log import last_done, open_log
from evalspan.pipeline._poison import CRASHES
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._tally import errors_of, tally
from evalspan.processes import alone

Tell = Callable[[str, float], None]
# What is set aside of one segment takes a few lives; a log that takes more has another fault.
_MOST_LIVES: Final = 4 * CRASHES
_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_REQUESTS: Mapping[str, tuple[wal.Kind, type[Message]]] = {
    "resourceSpans": (wal.Kind.TRACES, ExportTraceServiceRequest),
    "resourceLogs": (wal.Kind.LOGS, ExportLogsServiceRequest),
}


class UnreadableError(ValueError):
    """A line or file that is no OTLP request."""


def ingest_files(settings: Settings, files: list[Path], tell: Tell) -> dict[str, Any]:
    """Write the requests to the log, then take the log to its end and settle every trace.

    Returns counts of what came, of what was stored before and of what was made of it, with
    the `errors` of checks, and under `refused` a line for each request that could not be
    read. Raises AlreadyRunsError or wal.LogLockedError where a sidecar runs on the
    same data.
    """
    with alone(settings.run_folder, "pipeline", wait_seconds=0):
        return _ingest(settings, files, tell)


def _ingest(settings: Settings, files: list[Path], tell: Tell) -> dict[str, Any]:
    done: dict[str, Any] = dict.fromkeys(("requests", "spans", "log_records", "scores"), 0)
    done["refused"] = []
    writer = open_log(settings)
    before = last_done(settings.log_folder, store_of(settings))
    try:
        for number, file in enumerate(files):
            tell(f"reading {file.name}", number / len(files) / 2)
            for where, request in _requests(file):
                if isinstance(request, UnreadableError):
                    done["refused"].append(f"{where}: {request}")
                    continue
                writer.append(*request).result()
                done["requests"] += 1
    finally:
        writer.close()
    _take(settings, done, tell)
    return {**done, **_outcome(settings, before)}


def _outcome(settings: Settings, before: int) -> dict[str, Any]:
    """Return what the segments after `before` repeated and what was made of them."""
    tables, later = store_of(settings), pl.col("segment") > before
    repeated = tables.scan(LEDGER).filter(later, pl.col("outcome") == "duplicate")
    counts = dict(repeated.group_by("subject").agg(pl.col("count").sum()).collect().iter_rows())
    made = tally(tables.scan(SCORES).filter(later))
    return {
        "duplicate_spans": counts.get("spans", 0),
        "duplicate_log_records": counts.get("log_records", 0),
        "verdicts": sum(row["n"] for row in made),
        "values": sum(row["values"] for row in made if not row["n"]),
        "errors": errors_of(made),
    }


def _take(settings: Settings, done: dict[str, Any], tell: Tell) -> None:
    """Take the log to its end; what breaks is begun anew, as a parent would, and then set aside."""
    for _ in range(_MOST_LIVES - 1):
        try:
            return _live(settings, done, tell)
        except (KeyboardInterrupt, SystemExit, ConfigError, OSError, store.StoreError):
            raise
        except wal.Corruption:
            raise
        except BaseException as error:  # noqa: BLE001 - counted, and set aside when it comes again
            tell(f"once more, after {type(error).__name__}", 0.5)
    return _live(settings, done, tell)


def _live(settings: Settings, done: dict[str, Any], tell: Tell) -> None:
    evaluator = evaluator_of(settings)
    tables = store_of(settings)
    write = write_side_of(settings, tables, evaluator)
    try:
        segments = write.waiting()
        app = wal.log_id(settings.log_folder)
        before = tables.committed(LEDGER, app) if app else 0
        for number, segment in enumerate(segments):
            tell("scoring", 0.5 + number / len(segments) / 2)
            last = number == len(segments) - 1
            step = write.step(segment, flush=last)
            if segment.number <= before:
                continue  # gone through again for what has not settled, and counted then
            done["spans"] += step.spans
            done["log_records"] += step.log_records
            done["scores"] += step.scores
        write.forget()
    finally:
        evaluator.close()


def _requests(file: Path) -> Iterator[tuple[str, tuple[str, bytes] | UnreadableError]]:
    """Yield where and what: signal and bytes, or what is wrong."""
    content = file.read_bytes()
    if content.lstrip()[:1] != b"{":
        yield str(file), _binary(file, content)
        return
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield f"{file}:{number}", _json(line)


@dataclass(frozen=True, slots=True)
class _Record:
    """A request in the form that decode reads; it came by no log."""

    payload: bytes
    kind: wal.Kind
    time_unix_ns: int = 0
    offset: int = 0


def _binary(file: Path, content: bytes) -> tuple[str, bytes] | UnreadableError:
    """Take the signal that the bytes can be read as; `*.logs.*` is tried as log records first.

    A request with some good items is taken in, the bad ones become rows of QUARANTINE.
    """
    kinds = [wal.Kind.TRACES, wal.Kind.LOGS]
    if ".logs" in file.suffixes:
        kinds.reverse()
    for kind in kinds:
        decoded = decode.decode([_Record(content, kind)], 0)
        if len(decoded.spans) + len(decoded.logs) or not len(decoded.quarantine):
            return kind, content
    reason = decoded.quarantine.column("reason")[0]
    return UnreadableError(f"no OTLP request, neither of traces nor of logs: {reason}")


def _json(line: bytes) -> tuple[str, bytes] | UnreadableError:
    try:
        data = json.loads(line)
        kind, message = next(v for k, v in _REQUESTS.items() if k in data)
        parsed = ParseDict(_with_base64_ids(data), message(), ignore_unknown_fields=True)
    except StopIteration:
        return UnreadableError("holds neither resourceSpans nor resourceLogs")
    except (ValueError, ParseError) as error:
        return UnreadableError(f"not OTLP/JSON: {error}")
    return kind, parsed.SerializeToString()


def _with_base64_ids(value: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON value
    """Return the value with hex ids as the base64 that protobuf's JSON has."""
    if isinstance(value, dict):
        return {k: _with_base64_ids(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_base64_ids(v) for v in value]
    if key in _IDS and isinstance(value, str):
        return base64.b64encode(bytes.fromhex(value)).decode()
    return value
