"""The past, taken in by the real promtool and asked of the real Prometheus."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import yaml
from processes import ROOT, Launch, Ports, answers, program, wait_for
from servers import Prometheus

from evalspan.metrics import Budgets, Metrics, serve
from evalspan.model import SCORES
from evalspan.store import Store

pytestmark = pytest.mark.stack

DAYS = 3
CONFIG = """\
data: {data}
dimensions: {{customer: {{attribute: app.customer, budget: 2}}}}
checks: {{latency: {{max_ms: 100}}, status: {{}}}}
metrics: {{buckets: {{latency: [10, 100]}}}}
"""
CUSTOMERS = ("acme", "globex", "initech", None)


def verdicts(now: datetime) -> pl.DataFrame:
    """Return verdicts of two checks over three days, each on a minute and a half of its own."""
    rows = []
    for number in range(DAYS * 960):
        at = now - timedelta(seconds=90 * (number + 1))
        latency = number % 2 == 0
        rows.append(
            {
                "time": at,
                "evaluated_time": at + timedelta(seconds=5),
                "check": "latency" if latency else "status",
                "value": float(number % 140) if latency else None,
                "verdict": "fail" if number % 5 == 0 else "pass",
                "customer": CUSTOMERS[number // 2 % len(CUSTOMERS)],
            }
        )
    return pl.DataFrame(rows)


def store(data: Path, rows: pl.DataFrame) -> None:
    """Append the rows to SCORES, one span each."""
    full = [
        row
        | {"trace_id": f"{n:032x}", "span_id": f"{n:016x}", "item": "", "revision": "r"}
        | {"attempt": 1, "evaluator": "check", "service_name": "shop", "segment": n // 100}
        | {"dimensions": [("customer", row["customer"])] if row["customer"] else []}
        for n, row in enumerate(rows.iter_rows(named=True))
    ]
    for row in full:
        del row["customer"]
    Store(data / "tables").append(SCORES, pa.Table.from_pylist(full, schema=SCORES.schema))


def blocks_of(folder: Path, rows: pl.DataFrame, *options: str) -> Path:
    """Write the past of these rows and make blocks of it; returns their folder."""
    config, text, blocks = folder / "evalspan.yaml", folder / "history.txt", folder / "blocks"
    config.write_text(CONFIG.format(data=folder / "data"), encoding="utf-8")
    store(folder / "data", rows)
    command = [sys.executable, "-m", "evalspan", "metrics", "backfill", "-c", config, "-o", text]
    environment = {"PYTHONPATH": str(ROOT / "sidecar"), "PATH": "/usr/bin:/bin"}
    subprocess.run([*command, "--since", "30d", *options], check=True, env=environment)
    made = ("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h")
    subprocess.run([program("promtool"), *made, text, blocks], check=True, stdout=subprocess.PIPE)
    return blocks


@contextmanager
def prometheus_over(
    blocks: Path, folder: Path, targets: Mapping[str, str] | None = None
) -> Iterator[Prometheus]:
    """Start Prometheus on these blocks; `targets` are scraped every second."""
    scraped = [
        {"job_name": job, "static_configs": [{"targets": [address]}]}
        for job, address in (targets or {}).items()
    ]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": scraped}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    found = program("prometheus")

    def command(ports: Ports) -> Sequence[str | Path]:
        return (
            found,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={blocks}",
            "--storage.tsdb.retention.time=60d",
            f"--web.listen-address=127.0.0.1:{ports['http']}",
            "--log.level=warn",
        )

    def ready(ports: Ports) -> bool:
        return answers(f"http://127.0.0.1:{ports['http']}/-/ready")

    server = Launch("prometheus", folder, ("http",), command, ready).start(Prometheus)
    try:
        yield server
    finally:
        server.stop()


def asked(server: Prometheus, expression: str, at: datetime | None = None) -> Any:  # noqa: ANN401
    """Return label values → value (or values) of an instant query."""
    when = {"time": at.timestamp()} if at else {}
    result = server._api("query", query=expression, **when)["result"]
    return {
        tuple(v for k, v in sorted(found["metric"].items()) if k != "__name__"): (
            [float(v) for _, v in found["values"]]
            if "values" in found
            else float(found["value"][1])
        )
        for found in result
    }


def rises(values: Sequence[float]) -> float:
    """Add up what a counter counted, restarts taken into account, from the 0 it began with."""
    assert values[0] == 0
    return sum(b if b < a else b - a for a, b in pairwise(values))


def test_prometheus_shows_of_the_past_what_the_tables_hold(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=4)
    rows = verdicts(now)
    blocks = blocks_of(tmp_path, rows)
    with prometheus_over(blocks, tmp_path) as server:
        counts = "sum by (check, verdict) (evalspan_verdicts_total)"
        for hours in (1, 12, 30, 71):
            at = now - timedelta(hours=hours)
            held = rows.filter(pl.col("time") < at).group_by("check", "verdict").len().rows()
            assert asked(server, counts, at) == {(c, v): n for c, v, n in held}

            by_bucket = 'sum by (le) (evalspan_check_value_bucket{check="latency"})'
            past = rows.filter(pl.col("time") < at, pl.col("check") == "latency")["value"]
            below = {(le,): (past <= float(le)).sum() for le in ("10.0", "100.0")}
            assert asked(server, by_bucket, at) == below | {("+Inf",): len(past)}
            total = asked(server, "sum(evalspan_check_value_sum)", at)
            assert total == {(): pytest.approx(past.sum())}

        day = rows.filter(pl.col("time") < now, pl.col("time") >= now - timedelta(days=1))
        failed = day.filter(verdict="fail", check="latency").height
        grown = 'sum(increase(evalspan_verdicts_total{check="latency",verdict="fail"}[1d]))'
        assert asked(server, grown, now)[()] == pytest.approx(failed, rel=0.01)

        every = asked(server, "evalspan_verdicts_total[30d]", datetime.now(UTC))
        assert sum(map(rises, every.values())) == rows.height
        customers = {label for labels in every for label in labels} & {*CUSTOMERS, "__other__"}
        assert len(customers) == 3
        assert "__other__" in customers


def test_where_the_past_ends_and_the_live_counter_begins_nothing_is_counted_twice(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    rows = verdicts(now).filter(pl.col("customer").is_null())
    began = now - timedelta(seconds=30)  # what is evaluated after this is the live counter's
    late = rows.head(1).with_columns(
        time=pl.lit(began - timedelta(seconds=1)), evaluated_time=pl.lit(now)
    )
    past = rows.filter(pl.col("evaluated_time") < began)
    live = Metrics(["customer"], Budgets({}))
    page = serve("127.0.0.1:0", live, {})
    address = f"127.0.0.1:{page.server_port}"
    try:
        as_scraped = ("--label", "job=evalspan", "--label", f"instance={address}")
        until = ("--until", began.isoformat())
        blocks = blocks_of(tmp_path, pl.concat([rows, late]), *until, *as_scraped)
        # More than the past has, so that only the 0 at its end can show where it ended.
        live.count_scores(pl.concat([_live(rows)] * 2))
        counted = 2 * rows.height
        with prometheus_over(blocks, tmp_path, {"evalspan": address}) as server:

            def scraped() -> bool:
                seen: float = asked(server, "sum(evalspan_verdicts_total)").get((), 0)
                return seen == counted

            wait_for(scraped, "the live counters are scraped", seconds=60)
            every = asked(server, "evalspan_verdicts_total[30d]")
            assert len(every) == rows.select("check", "verdict").n_unique()
            assert sum(map(rises, every.values())) == past.height + counted
            grown = asked(server, "sum(increase(evalspan_verdicts_total[30d]))")
            assert grown[()] == pytest.approx(past.height + counted, rel=0.01)
    finally:
        page.shutdown()
        page.server_close()


def _live(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as the pipeline hands them to the metrics."""
    empty = pl.DataFrame(SCORES.empty()).drop("dimensions")
    full = pl.concat([empty, rows], how="diagonal_relaxed")
    return full.with_columns(item=pl.lit(""), service_name=pl.lit("shop"), trace_id=pl.lit("t"))
