"""throughput: what a span costs, from the socket to the tables, and how soon it can be read.

Three parts, all in one run on one machine, so that ratios hold where absolute
figures do not: the stages in one process; the running sidecar under as much
load as it takes, CPU and memory of all its processes, five times; the running sidecar at
2,000 spans a second, lag to queryable and to scored. Needs no data folder.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import polars as pl
import ptars
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evalspan import pipeline, wal
from evalspan.bench._load import SPANS_PER_REQUEST, Traffic
from evalspan.bench._processes import Processes
from evalspan.model import SCORES, SETTLED, SPANS

Figures = dict[str, float | int | str]

REQUESTS: Final = 300
WARM_UP: Final = 20
RUNS: Final = 5
RATE_SPANS_PER_SECOND: Final = 2_000
RATE_SECONDS: Final = 60
EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CONFIG: Final = """
data: {data}
receive: {{listen: "127.0.0.1:{port}"}}
metrics: {{listen: "127.0.0.1:{http}"}}
settle: {{idle: 5s}}
dimensions:
  customer: {{attribute: app.customer, budget: 50}}
checks:
  latency: {{max_ms: 2000}}
  tokens: {{max_total: 3000}}
  cost: {{max_usd: 0.05}}
  status: {{}}
  finish_reason: {{}}
  json_valid: {{}}
  refusal: {{}}
  tool_error: {{}}
  no_apology: {{use: contains, none: [sorry, apologize]}}
  has_price: {{use: regex, pattern: '"price"'}}
"""


def run() -> Figures:
    """Run all parts and return the figures; about four minutes."""
    traffic = Traffic()
    every = list(traffic.requests(WARM_UP + REQUESTS))
    warm_up, requests = every[:WARM_UP], every[WARM_UP:]
    spans = REQUESTS * SPANS_PER_REQUEST
    figures: Figures = {"spans": spans}
    figures["bytes_per_span_wire"] = round(sum(map(len, requests)) / spans)
    _stages(warm_up)
    figures |= _stages(requests)
    figures |= least([_saturated(warm_up, requests) for _ in range(RUNS)])
    figures |= _at_rate(traffic)
    figures["ratio_to_decode"] = round(
        float(figures["cpu_us_per_span"]) / float(figures["ptars_us_per_span"]),
        2,
    )
    return figures


def least(runs: list[Figures]) -> Figures:
    """Return the CPU time of the run that took least, with the median and the most beside it.

    What the other tenants of a machine take of its caches only adds to a run, by a quarter
    and more, so that the least is the nearest to what a span costs. Memory is that of the run
    that took most of it, and all must balance.
    """
    cpu = [float(run["cpu_us_per_span"]) for run in runs]
    peak = max(runs, key=lambda run: float(run["peak_mb"]))
    return {
        **runs[cpu.index(min(cpu))],
        **{name: value for name, value in peak.items() if name.startswith("peak_mb")},
        "cpu_us_per_span_median": float(np.median(cpu)),
        "cpu_us_per_span_most": max(cpu),
        "ledger_balanced": min(int(run["ledger_balanced"]) for run in runs),
    }


def _stages(requests: list[bytes]) -> Figures:
    """Run the write side in this process and take the CPU time of each stage."""
    spent: dict[str, float] = {}

    @contextmanager
    def observe(stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        spent[stage] = spent.get(stage, 0.0) + time.process_time() - start

    folder = Path(tempfile.mkdtemp(prefix="evalspan-bench-"))
    try:
        settings = _settings(folder, 0, 0)
        writer = wal.Writer(settings.log_folder, settings.wal)
        with observe("log"):
            for request in requests:
                writer.append("traces", request).result()
            writer.close()
        evaluator = pipeline.evaluator_of(settings)
        shown = pipeline.metrics_of(settings)
        write = pipeline.write_side_of(
            settings, pipeline.store_of(settings), evaluator, shown, observe
        )
        segments = write.waiting()
        for segment in segments:
            write.step(segment, flush=segment is segments[-1])
        evaluator.close()
        stored = sum(f.stat().st_size for f in (folder / "tables/spans").rglob("*.parquet"))
    finally:
        shutil.rmtree(folder)
    spans = len(requests) * SPANS_PER_REQUEST
    decode = _pure_decode(requests) / spans * 1e6
    figures: Figures = {f"{k}_us_per_span": round(v / spans * 1e6, 2) for k, v in spent.items()}
    figures["ptars_us_per_span"] = round(decode, 2)
    figures["bytes_per_span"] = round(stored / spans)
    return figures


def _pure_decode(requests: list[bytes]) -> float:
    """Return the CPU seconds of decoding to nested Arrow and nothing else, the least of a few."""
    pool = ptars.HandlerPool([ExportTraceServiceRequest.DESCRIPTOR.file])
    handler = pool.get_for_message(ExportTraceServiceRequest.DESCRIPTOR)
    spent = []
    for _ in range(RUNS):
        start = time.process_time()
        for first in range(0, len(requests), 20):
            handler.list_to_record_batch(requests[first : first + 20])
        spent.append(time.process_time() - start)
    return min(spent)


@contextmanager
def _sidecar(folder: Path) -> Iterator[tuple[Any, str, Processes]]:
    """Run the sidecar; yields its settings, its address and its processes."""
    port, http = _free_port(), _free_port()
    settings = _settings(folder, port, http)
    command = [sys.executable, "-m", "evalspan", "serve", "--config", str(folder / "evalspan.yaml")]
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        stderr=(folder / "log").open("wb"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ) as process:
        try:
            address = f"127.0.0.1:{port}"
            channel = grpc.insecure_channel(address)
            grpc.channel_ready_future(channel).result(timeout=60)
            channel.close()
            yield settings, address, Processes(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _saturated(warm_up: list[bytes], requests: list[bytes]) -> Figures:
    """Send as fast as it takes; CPU of all processes until everything is scored.

    Some requests go first and are not counted: what a process does once in its
    life is no cost of a span.
    """
    folder = Path(tempfile.mkdtemp(prefix="evalspan-bench-"))
    spans = len(requests) * SPANS_PER_REQUEST
    try:
        with _sidecar(folder) as (settings, address, processes):
            _send(address, warm_up)
            before = len(warm_up) * SPANS_PER_REQUEST
            _wait_for(settings, before, processes)
            processes.mark()
            started = time.monotonic()
            _send(address, requests)
            accepted = time.monotonic() - started
            _wait_for(settings, before + spans, processes)
            cpu = processes.cpu_us(spans)
            balanced = pipeline.read_ledger(settings).balanced
            return {
                "cpu_us_per_span": round(sum(cpu.values()), 2),
                **{f"cpu_us_per_span_{name}": value for name, value in cpu.items()},
                "accepted_spans_per_s": round(spans / accepted),
                "peak_mb": round(processes.peak_bytes / 1e6),
                **{f"peak_mb_{name}": value for name, value in processes.peak_mb().items()},
                "ledger_balanced": int(balanced),
            }
    finally:
        shutil.rmtree(folder)


def _at_rate(traffic: Traffic) -> Figures:
    """Send 2,000 spans a second; lag from accepted to queryable and to scored."""
    folder = Path(tempfile.mkdtemp(prefix="evalspan-bench-"))
    count = RATE_SPANS_PER_SECOND * RATE_SECONDS // SPANS_PER_REQUEST
    try:
        with _sidecar(folder) as (settings, address, processes):
            requests = list(traffic.requests(count))
            _send(address, requests, pause_seconds=SPANS_PER_REQUEST / RATE_SPANS_PER_SECOND)
            _wait_for(settings, count * SPANS_PER_REQUEST, processes)
            tables = pipeline.store_of(settings)
            spans = tables.scan(SPANS).select("trace_id", "span_id", "received_time", "segment")
            found = spans.collect()
            stored = _commit_times(settings, SPANS.name)
            scored = _commit_times(settings, SCORES.name)
            scores = tables.scan(SCORES).select("trace_id", "span_id", "segment").unique().collect()
        lag = _lag(found, found.select("trace_id", "span_id", "segment"), stored)
        late = _lag(found, scores, scored)
        return {
            "queryable_p50_s": round(float(np.percentile(lag, 50)), 2),
            "queryable_p99_s": round(float(np.percentile(lag, 99)), 2),
            "scored_p50_s": round(float(np.percentile(late, 50)), 2),
            "scored_p99_s": round(float(np.percentile(late, 99)), 2),
        }
    finally:
        shutil.rmtree(folder)


def _lag(
    spans: pl.DataFrame, rows: pl.DataFrame, commits: dict[int, float]
) -> np.ndarray[Any, Any]:
    times = pl.DataFrame({"segment": list(commits), "seen": list(commits.values())})
    joined = rows.join(times, on="segment").join(spans.drop("segment"), on=["trace_id", "span_id"])
    received = joined["received_time"].dt.epoch("us").to_numpy() / 1e6
    return np.asarray(joined["seen"].to_numpy() - received)


def _commit_times(settings: Any, table: str) -> dict[int, float]:  # noqa: ANN401 - Settings
    """Return segment → when its commit became visible (the time of its log file)."""
    times = {}
    for file in sorted((settings.tables_folder / table / "_delta_log").glob("*.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if "txn" in action:
                times[int(action["txn"]["version"])] = file.stat().st_mtime
    return times


def _send(address: str, requests: list[bytes], pause_seconds: float = 0.0) -> None:
    channel = grpc.insecure_channel(address)
    export: Any = channel.unary_unary(EXPORT)
    started = time.monotonic()
    waiting: list[Any] = []
    for number, request in enumerate(requests):
        time.sleep(max(0.0, started + number * pause_seconds - time.monotonic()))
        waiting.append(export.future(request, timeout=60))
        if len(waiting) >= 8:  # noqa: PLR2004 - calls in flight, as a Collector has
            waiting.pop(0).result()
    for call in waiting:
        call.result()
    channel.close()


def _wait_for(settings: Any, spans: int, processes: Processes) -> None:  # noqa: ANN401 - Settings
    """Wait until the ledger has every span stored and every trace settled."""
    deadline = time.monotonic() + 300
    tables = pipeline.store_of(settings)
    while time.monotonic() < deadline:
        for _ in range(4):  # memory is looked at often, the tables, which costs more, seldom
            processes.look()
            time.sleep(0.25)
        stored = tables.scan(SPANS).select(pl.len()).collect().item()
        if stored >= spans:
            settled = tables.scan(SETTLED).select(pl.col("spans").sum()).collect().item()
            if settled and settled >= spans:
                return
    message = f"not done after 300 s: see {settings.data}"
    raise TimeoutError(message)


def _settings(folder: Path, port: int, http: int) -> Any:  # noqa: ANN401 - Settings
    file = folder / "evalspan.yaml"
    text = CONFIG.format(data=folder, port=port or 4317, http=http or 9464)
    file.write_text(text, encoding="utf-8")
    return pipeline.load_settings(file)


def _free_port() -> int:
    import socket  # noqa: PLC0415 - here only

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def page(figures: Figures) -> str:
    """Return the figures as a page."""
    lines = [f"| {name} | {value} |" for name, value in figures.items()]
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    cores = os.cpu_count()
    return "\n".join(
        [
            "# What a span costs",
            "",
            f"`make bench`, {when}, {cores} cores, the load generator on the same machine.",
            "The machine is noisy: compare ratios of one run, not absolute figures of two.",
            "",
            f"The sidecar is run {RUNS} times under as much load as it takes. `cpu_us_per_span`",
            "and `accepted_spans_per_s` are of the run that took the least CPU time, beside them",
            "stand median and most; `peak_mb` is of the run that took the most memory. The stages",
            f"are of one run in one process, `ptars_us_per_span` is the least of {RUNS}, and",
            "`ratio_to_decode` is the least CPU time over it.",
            "",
            "| figure | value |",
            "| --- | --- |",
            *lines,
            "",
        ],
    )
