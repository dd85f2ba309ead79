"""`evalspan metrics backfill`: what it reads, where it ends, and what it says."""

import fcntl
import io
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from evalspan.__main__ import app
from evalspan.config import ConfigError
from evalspan.model import SCORES
from evalspan.pipeline import Settings
from evalspan.pipeline._backfill import Backfilled, backfill, counting_since
from evalspan.store import Store

NOW = datetime.now(UTC).replace(microsecond=0)
SPAN = {"item": "", "revision": "r", "attempt": 1, "evaluator": "check", "segment": 1}


def store(data: Path, *rows: dict[str, Any]) -> None:
    """Append a passing verdict of `status` for each row, with what it says instead."""
    made = []
    for number, row in enumerate(rows):
        at = row.get("time", NOW - timedelta(hours=1))
        span = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "time": at}
        said = {"check": "status", "verdict": "pass", "service_name": "shop", "dimensions": []}
        made.append(SPAN | span | {"evaluated_time": at} | said | row)
    table = pa.Table.from_pylist(made, schema=SCORES.schema)
    Store(data / "tables").append(SCORES, table)


def run(data: Path, **options: Any) -> tuple[Backfilled, str]:  # noqa: ANN401
    text = io.StringIO()
    settings = Settings.model_validate(
        {
            "data": data,
            "checks": {"status": {}, "later": {"use": "status"}},
            "views": {"web": {"filter": "service_name = 'web'"}},
        }
    )
    return backfill(settings, text, **options), text.getvalue()


def counted(text: str) -> float:
    """Return the highest value of each counter, added up."""
    highest: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("evalspan_verdicts_total"):
            series, value, _ = line.rsplit(" ", 2)
            highest[series] = max(highest.get(series, 0.0), float(value))
    return sum(highest.values())


def test_a_span_that_was_scored_again_counts_once_with_its_last_verdict(tmp_path: Path) -> None:
    store(tmp_path, {}, {})
    store(tmp_path, {"attempt": 2, "verdict": "fail"})
    done, text = run(tmp_path)
    assert done.verdicts == 2
    assert counted(text) == 2
    assert re.search(r'verdict="fail"} 1 ', text)


def test_what_was_stored_twice_counts_once(tmp_path: Path) -> None:
    store(tmp_path, {}, {})
    store(tmp_path, {}, {})
    done, text = run(tmp_path)
    assert (done.verdicts, counted(text)) == (2, 2)


def test_a_check_a_view_and_a_time_choose(tmp_path: Path) -> None:
    early = NOW - timedelta(days=3)
    store(
        tmp_path,
        {},
        {"check": "later"},
        {"service_name": "web"},
        {"time": early},
    )
    assert run(tmp_path)[0].verdicts == 4
    assert run(tmp_path, check="later")[0].verdicts == 1
    assert run(tmp_path, view="web")[0].verdicts == 1
    assert run(tmp_path, since="1d")[0].verdicts == 3
    assert run(tmp_path, until="1d")[0].verdicts == 1
    exact = (early - timedelta(seconds=1)).isoformat(), (early + timedelta(seconds=1)).isoformat()
    assert run(tmp_path, since=exact[0], until=exact[1])[0].verdicts == 1


def test_what_was_evaluated_after_the_end_is_left_to_the_live_counters(tmp_path: Path) -> None:
    late = NOW - timedelta(minutes=1)
    store(tmp_path, {}, {"evaluated_time": late})
    assert run(tmp_path)[0].verdicts == 2
    before = (NOW - timedelta(minutes=2)).isoformat()
    assert run(tmp_path, until=before)[0].verdicts == 1


def test_it_ends_where_the_sidecar_that_runs_began_to_count(tmp_path: Path) -> None:
    store(tmp_path, {}, {"time": NOW - timedelta(minutes=5)})
    assert counting_since(tmp_path / "run") is None
    lock = tmp_path / "run" / "pipeline.lock"
    lock.parent.mkdir()
    lock.write_text("1")
    began = NOW - timedelta(minutes=30)
    os.utime(lock, (began.timestamp(), began.timestamp()))
    assert counting_since(tmp_path / "run") is None  # it has ended
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done, text = run(tmp_path)
        assert (done.until, done.live_since, done.verdicts) == (began, began, 1)
        times = [float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"]
        assert max(times) < began.timestamp()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"since": "yesterday"}, "--since: expected a duration such as 30d or a time"),
        ({"until": "soon"}, "--until: expected a duration"),
        ({"step": "0s"}, "--step: expected whole seconds"),
        ({"step": "1500ms"}, "--step: expected whole seconds"),
        ({"step": "often"}, "--step: expected a duration"),
        ({"since": "1h", "until": "2h"}, "nothing is between"),
        ({"check": "statsu"}, "there is no check 'statsu'; known: later, status"),
        ({"view": "no"}, "there is no view 'no'"),
    ],
)
def test_a_wrong_option_says_what_is_expected(
    tmp_path: Path, options: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        run(tmp_path, **options)


def test_the_command_writes_a_file_and_says_what_is_in_it(tmp_path: Path) -> None:
    store(tmp_path / "data", {}, {"value": 2.0})
    out = tmp_path / "history.txt"
    asked = ["metrics", "backfill", "-d", str(tmp_path / "data"), "-o", str(out)]
    done = CliRunner().invoke(app, [*asked, "--label", "job=evalspan"])
    assert done.exit_code == 0, done.output
    assert "2 verdicts from" in done.stderr
    assert 'evalspan_verdicts_total{check="status",job="evalspan",service="shop"' in out.read_text()
    assert out.read_text().endswith("# EOF\n")


def test_the_command_writes_to_the_standard_output_and_says_when_there_is_nothing(
    tmp_path: Path,
) -> None:
    done = CliRunner().invoke(app, ["metrics", "backfill", "-d", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stdout.endswith("# EOF\n")
    assert "0 verdicts" in done.stderr
    wrong = CliRunner().invoke(app, ["metrics", "backfill", "-d", str(tmp_path), "--label", "x"])
    assert isinstance(wrong.exception, ConfigError)
