"""Requests that were refused: counted over restarts of the receiver, and told by the ledger."""

import json
from pathlib import Path

from typer.testing import CliRunner

from evalspan import pipeline, receive
from evalspan.__main__ import app
from evalspan.pipeline._word import read_word

REFUSED = {("logs", "busy"): 1, ("traces", "log_full"): 2, ("traces", "unreadable"): 3}


def _counters(before: Path) -> receive.Counters:
    counters = receive.Counters()
    counters.count_on_from(before)
    return counters


def test_what_receivers_before_refused_is_kept_for_the_ledger_and_counted_from_zero(
    tmp_path: Path,
) -> None:
    word = tmp_path / "receiver.json"
    for life in (1, 2, 3):
        counters = _counters(word)
        counters.rejected.update(REFUSED)
        receive.write_snapshot(counters, word)
        found = read_word(word)
        assert found
        assert found["rejected"]["traces"] == {"log_full": 2, "unreadable": 3}
        all_lives = {"log_full": 2 * life, "unreadable": 3 * life}
        assert found["rejected_in_all"]["traces"] == all_lives


def test_a_word_that_a_crash_of_the_machine_emptied_is_none(tmp_path: Path) -> None:
    word = tmp_path / "receiver.json"
    word.write_bytes(b"")
    assert _counters(word).snapshot()["rejected"] == {}


def test_the_ledger_tells_what_was_refused_beside_its_equations(tmp_path: Path) -> None:
    settings = pipeline.load_settings(data=tmp_path)
    counters = receive.Counters()
    counters.rejected.update(REFUSED)
    settings.run_folder.mkdir()
    receive.write_snapshot(counters, settings.run_folder / "receiver.json")
    assert pipeline.read_ledger(settings).balanced

    ran = CliRunner().invoke(app, ["ledger", "--data", str(tmp_path), "--json"])
    book = json.loads(ran.output)
    assert {(r["signal"], r["reason"]): r["requests"] for r in book["rejected"]} == REFUSED
    assert (book["balanced"], book["pending"]) == (True, 0)
    ran = CliRunner().invoke(app, ["ledger", "--data", str(tmp_path)])
    assert ran.exit_code == 0
    assert "rejected requests (traces): 2 × log_full" in ran.output
    assert "never accepted" in ran.output
