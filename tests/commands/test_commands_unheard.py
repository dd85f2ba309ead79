"""What is in no pass rate is said all the same: numbers without a verdict, checks that break."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evalspan import testing

Evalspan = Callable[..., Any]
CHECKS = '''
def basket(span):
    """How long."""
    return float(span.duration_ms)


def raises(span):
    """Break."""
    raise AttributeError("no such\\nthing: " + "x" * 500)


def sometimes(span):
    """Break once in a while."""
    if span.duration_ms > 2500:
        raise ValueError("too long")
    return True
'''
CONFIG = "checks:\n" + "".join(
    f'  {name}: {{use: "unheard_checks:{name}"}}\n' for name in ("basket", "raises", "sometimes")
)


DAY = datetime.now(UTC) - timedelta(days=1)


def spans(numbers: range) -> bytes:
    made = [
        testing.span(
            number=number,
            trace=number,
            start_unix_nano=int((DAY + timedelta(minutes=number)).timestamp() * 1e9),
            duration_seconds=number,
        )
        for number in numbers
    ]
    return testing.request(made).SerializeToString()


@pytest.fixture
def unheard(evalspan: Evalspan, tmp_path: Path) -> str:
    """Three calls; returns what `ingest` said of them."""
    (tmp_path / "unheard_checks.py").write_text(CHECKS, encoding="utf-8")
    (tmp_path / "evalspan.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "three.binpb").write_bytes(spans(range(1, 4)))
    ran = evalspan("ingest", "three.binpb")
    assert ran.code == 0, ran.err
    return str(ran.out)


def test_ingest_says_what_was_made_of_the_spans(
    unheard: str, evalspan: Evalspan, tmp_path: Path
) -> None:
    assert unheard.startswith("1 request, 3 spans, 0 log records in; 2 verdicts, 3 values without")
    assert "raises: 3 errors, mostly: AttributeError: no such thing: xxx" in unheard
    assert "sometimes: 1 error, mostly: ValueError: too long\n" in unheard
    told = next(line for line in unheard.splitlines() if line.startswith("raises"))
    assert len(told) < 200
    again = evalspan("ingest", "three.binpb")
    assert again.out.startswith("1 request, 3 spans, all stored before (duplicates)")
    assert "raises" not in again.out
    (tmp_path / "four.binpb").write_bytes(spans(range(1, 5)))
    more = evalspan("ingest", "four.binpb", "three.binpb").out
    assert more.startswith("2 requests, 1 span (and 6 stored before), 0 log records in; 0 verd")
    assert "raises: 1 error, mostly" in more
    done = json.loads(evalspan("ingest", "--json", "three.binpb").out)
    assert (done["spans"], done["duplicate_spans"], done["errors"]) == (0, 3, [])


def test_scores_count_values_and_say_what_breaks(unheard: str, evalspan: Evalspan) -> None:
    del unheard
    rows = {row["check"]: row for row in json.loads(evalspan("scores", "--json").out)}
    assert (rows["basket"]["n"], rows["basket"]["values"]) == (0, 3)
    assert rows["basket"]["mean_value"] == pytest.approx(2000)
    assert (rows["raises"]["errors"], rows["raises"]["values"]) == (3, 0)
    shown = evalspan("scores").out
    assert "values" in shown
    assert "raises: 3 errors, mostly: AttributeError: no such thing" in shown
    none = evalspan("scores", "--check", "raises").out
    assert "mean_value" not in none.partition("raises: 3 errors")[0].partition("errors:")[0]


def test_detect_says_what_it_cannot_compare(unheard: str, evalspan: Evalspan) -> None:
    del unheard
    ran = evalspan("detect")
    assert ran.code == 0
    assert (
        "basket: 3 values and no verdict; only passed/failed is compared. Return "
        "Verdict(passed=…, value=…) to have it watched." in ran.out
    )
    assert "raises: no verdict at all, 3 errors, mostly: AttributeError: no such thing" in ran.out
    assert "sometimes: too little to compare" in ran.out
    assert "sometimes: no verdict" not in ran.out


def test_where_nothing_is_compared_no_change_is_no_good_news(
    evalspan: Evalspan, unheard: str, tmp_path: Path
) -> None:
    del unheard
    config = CONFIG + "views:\n  broken: {filter: \"check = 'raises'\"}\n"
    (tmp_path / "evalspan.yaml").write_text(config, encoding="utf-8")
    ran = evalspan("detect", "--view", "broken")
    assert ran.code == 1
    assert "No change" not in ran.out
    assert "raises: no verdict at all, 3 errors" in ran.out


def test_a_log_that_begins_anew_does_not_count_what_was_before(
    unheard: str, evalspan: Evalspan, tmp_path: Path
) -> None:
    del unheard
    shutil.rmtree(tmp_path / "evalspan-data" / "wal")
    (tmp_path / "other.binpb").write_bytes(spans(range(5, 6)))
    done = json.loads(evalspan("ingest", "--json", "other.binpb").out)
    assert (done["spans"], done["verdicts"], done["values"]) == (1, 0, 1)
    assert [found["errors"] for found in done["errors"]] == [1, 1]
