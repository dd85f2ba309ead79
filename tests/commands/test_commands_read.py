"""The commands that read: on data, on nothing, and with input that is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from evalspan import pipeline
from evalspan.__main__ import app

Evalspan = Callable[..., Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CAPTURES = Path(__file__).parents[1] / "golden" / "captures"


# What a command answers where there is no folder: the log of nothing is no bad news, but nobody
# may take a mistyped folder for good scores or for a ledger that balances.
EMPTY = {"scores": 1, "detect": 1, "ledger": 2, "wal": 0}


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None or command.invoke_without_command:
            found.append((name,))
        found += [(name, sub) for sub in below or ()]
    return found


def test_all_commands_are_there() -> None:
    names = {" ".join(command) for command in every_command()}
    assert names == {
        *("serve", "ingest", "scores", "detect", "explain", "optimize", "report", "list", "trace"),
        *("config check", "config schema", "wal inspect", "wal repair", "ledger", "bench"),
        *("demo", "dev model-server", "detect mute", "detect unmute", "detect backtest"),
        *("metrics backfill", "grafana rules", "grafana install"),
    }


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_help_says_what_it_does_and_shows_an_example(
    command: tuple[str, ...], evalspan: Evalspan
) -> None:
    ran = evalspan(*command, "--help")
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert f"Example: evalspan {' '.join(command)}" in text


def test_help_of_evalspan_tells_the_exit_codes(evalspan: Evalspan) -> None:
    ran = evalspan("--help")
    assert ran.code == 0
    assert "Exit codes: 0 done; 1 the answer is no" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    "command",
    [("scores",), ("detect",), ("ledger",), ("wal", "inspect"), ("list",), ("config", "schema")],
    ids=" ".join,
)
def test_json_is_one_document_with_data_and_without(
    command: tuple[str, ...], evalspan: Evalspan, filled: Path
) -> None:
    json_option = () if command == ("config", "schema") else ("--json",)
    ran = evalspan(*command, *json_option)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)
    if command[0] in {"scores", "detect", "ledger", "wal"}:
        empty = evalspan(*command, "--json", "--data", filled / "nothing")
        assert empty.code == EMPTY[command[0]]
        assert empty.err.startswith("nothing is stored in ")
        if empty.code == 2:
            assert empty.out == ""
        else:
            json.loads(empty.out)
        assert not (filled / "nothing").exists()


@pytest.mark.parametrize(
    "command", [("scores",), ("detect",), ("ledger",), ("wal", "inspect"), ("wal", "repair")]
)
def test_a_data_folder_that_is_not_there_is_told_in_one_line(
    command: tuple[str, ...], evalspan: Evalspan
) -> None:
    ran = evalspan(*command)
    assert ran.code == EMPTY[command[0]]
    assert len(ran.told) == 1
    assert ran.told[0].startswith("nothing is stored in evalspan-data: there is no such folder")


def test_detect_and_explain_speak_of_slices_and_whole_traces(
    evalspan: Evalspan, monkeypatch: pytest.MonkeyPatch, filled: Path
) -> None:
    del filled
    told = {"check": "json_schema", "direction": "regression", "state": "open", "effect": -0.3}
    told |= {"effect_low": -0.4, "effect_high": -0.2, "slice": '{"customer": "globex"}'}
    hour = timedelta(hours=1)
    told |= {"state_time": NOON, "detected_time": NOON + hour, "change_time": NOON - hour}
    told |= {"id": "b6f14eb7aaaa"}
    rows = [
        told | {"id": name, "slice": part, "evidence_nats": 9.0, "reason": ""}
        for name, part in (("1", '{"customer": "globex", "model": "m"}'), ("2", "{}"))
    ]
    monkeypatch.setattr(pipeline, "find_changes", lambda *_, **__: (rows, []))
    shown = evalspan("detect")
    assert shown.code == 1
    assert "customer=globex and model=m" in shown.out
    assert "all traffic" in shown.out
    legend = " ".join(shown.out.split())
    assert "since (UTC)" in legend
    assert "evidence (nats)" in legend
    assert "nats): 3 is 20 times" in legend
    assert "points: by how much the pass rate changed, in percentage points" in legend
    assert "The sentences have the figures of this look, over whole batches" in legend
    assert "at the time of the state" not in legend
    finding = {"rank": 1, "kind": "slice", "title": "it fell", "share": 1.0, "candidate_n": 9}
    finding |= {"baseline_score": 0.9, "candidate_score": 0.6, "prompt_diff": None}
    traces = [f"{number:032x}" for number in range(1, 5)]
    findings = [finding | {"exemplars": traces}]
    monkeypatch.setattr(
        pipeline,
        "find_causes",
        lambda *_: (told | {"reason": "It fell.", "also_open": rows[1:]}, findings),
    )
    explained = evalspan("explain").out
    assert f"1. traces: {', '.join(traces[:3])}\n" in explained
    assert explained.startswith(
        "json_schema, customer=globex (b6f14eb7), open since 2026-03-02 12:00 UTC, changed at "
        "about 2026-03-02 11:00 UTC; figures of 2026-03-02 13:00 UTC: It fell.\n"
    )
    assert "The first sentence has the figures of its time" in explained
    assert "and can differ" in explained
    assert explained.endswith("1 more open: 2 json_schema, all traffic\n")


@pytest.mark.parametrize("command", ["explain", "optimize", "report"])
def test_where_there_is_nothing_to_show_it_says_what_to_do(
    command: str, evalspan: Evalspan, filled: Path
) -> None:
    del filled
    ran = evalspan(command)
    assert ran.code == 1
    (told,) = ran.told
    assert told.startswith(("no regression is open, so", "there are no reports yet: one is made"))
    assert "`evalspan detect` looks now" in told


WRONG = [
    (("scores", "--view", "nope"), "there is no view 'nope'; known: prod, slow"),
    (("detect", "--view", "nope"), "there is no view 'nope'; known: prod, slow"),
    (("explain", "--view", "nope"), "there is no view 'nope'; known: prod, slow"),
    (("scores", "--by", "custmer"), "there is no dimension 'custmer'; known: service, prompt"),
    (("scores", "--since", "yesterday"), "--since: expected a duration such as"),
    (("scores", "--check", "nope"), "there is no check 'nope'; known: latency, status"),
    (("explain", "zzz"), "no regression has an id that starts with 'zzz'"),
    (("optimize", "zzz"), "no regression has an id that starts with 'zzz'"),
    (("report", "zzz"), "there is no report of 'zzz'"),
    (("scores", "--config", "nope.yaml"), "nope.yaml: cannot be read: No such file"),
]


@pytest.mark.parametrize(("command", "told"), WRONG, ids=lambda part: " ".join(part)[:40])
def test_wrong_input_is_one_clear_line(
    command: tuple[str, ...], told: str, evalspan: Evalspan, filled: Path
) -> None:
    del filled
    ran = evalspan(*command)
    assert ran.code == 2
    assert len(ran.told) == 1
    assert told in ran.told[0]


@pytest.mark.parametrize(
    "command", [("nosuch",), ("scores", "--nosuch"), ("ingest",), ("ingest", "missing.binpb")]
)
def test_a_wrong_command_line_is_refused(command: tuple[str, ...], evalspan: Evalspan) -> None:
    ran = evalspan(*command)
    assert ran.code == 2
    assert ran.told


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("serve", "--only", "nope"), "'nope' is not one of 'receive', 'pipeline', 'analyse'"),
        (("dev", "model-server", "--port", "abc"), "expected a whole number (found 'abc')"),
        (("detect", "backtest", "--permutations", "0"), "expected at least 1 (found"),
    ],
)
def test_an_option_that_does_not_fit_is_told_in_plain_words(
    command: tuple[str, ...], told: str, evalspan: Evalspan
) -> None:
    ran = evalspan(*command)
    assert ran.code == 2
    text = " ".join(ran.err.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
    assert told in text
    assert f"Invalid value for '{command[-2]}'" in text
    assert "Input should" not in text
    assert "Value error" not in text


def test_scores_split_by_a_dimension(evalspan: Evalspan, filled: Path) -> None:
    del filled
    rows = json.loads(evalspan("scores", "--by", "model", "--check", "latency", "--json").out)
    assert {row["check"] for row in rows} == {"latency"}
    assert sum(row["n"] for row in rows) == 4
    for row in rows:
        assert 0 <= row["low"] <= row["pass_rate"] <= row["high"] <= 1
    table = evalspan("scores", "--by", "model")
    assert table.code == 0
    assert "latency" in table.out
    assert "gpt-4o-mini" in table.out


def test_the_view_filters_what_is_shown(evalspan: Evalspan, filled: Path) -> None:
    del filled
    everything = json.loads(evalspan("scores", "--json").out)
    slow = json.loads(evalspan("scores", "--view", "slow", "--json").out)
    assert {row["check"] for row in everything} == {"latency", "status"}
    assert {row["check"] for row in slow} <= {"latency"}
    assert all(row["mean_value"] > 100 for row in slow)


def test_a_data_folder_that_is_a_file_is_one_line(evalspan: Evalspan, filled: Path) -> None:
    (filled / "file").write_text("x", encoding="utf-8")
    for command in (("serve",), ("ledger",), ("wal", "inspect"), ("wal", "repair"), ("scores",)):
        ran = evalspan(*command, "--data", "file")
        assert ran.code == 2, command
        assert ran.told == ["--data: file is a file; expected a folder, which may be new"]
    (filled / "evalspan.yaml").write_text("data: file", encoding="utf-8")
    assert evalspan("ledger").told == ["data: file is a file; expected a folder, which may be new"]


def test_a_module_that_cannot_be_loaded_does_not_stop_who_only_reads(
    evalspan: Evalspan, filled: Path
) -> None:
    config = "checks: {mine: {use: 'nothere:check'}}"
    (filled / "other.yaml").write_text(config, encoding="utf-8")
    assert evalspan("ledger", "--config", "other.yaml").code == 0
    assert "nothere" not in sys.modules


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("grafana", "rules", "-o"), "rules"),
        (("report", "-o"), "report"),
        (("metrics", "backfill", "-o"), "history"),
        (("detect", "backtest", "--plot"), "plot.svg"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_any_work(
    command: tuple[str, ...], option: str, evalspan: Evalspan, filled: Path
) -> None:
    ran = evalspan(*command, f"/nodir/{option}")
    assert ran.code == 2
    wanted = f"/nodir/{option}: there is no folder /nodir; make it, or name another file"
    assert ran.told == [wanted]
    ran = evalspan(*command, filled)
    assert ran.code == 2
    assert ran.told == [f"{filled} is a folder; expected a file to write"]


def test_scores_say_where_there_are_none_and_what_to_do(evalspan: Evalspan, filled: Path) -> None:
    del filled
    ran = evalspan("scores", "--check", "status", "--since", "1s")
    assert (ran.code, ran.out) == (1, "")
    assert ran.told[0].startswith("no scores of the check 'status' in the last 1s are stored in ")
    assert "`evalspan ledger` shows" in ran.told[0]


def test_a_dimension_that_is_named_twice_is_one(evalspan: Evalspan, filled: Path) -> None:
    del filled
    once, twice = (evalspan("scores", *["--by", "model"] * n, "--json") for n in (1, 2))
    assert (twice.code, twice.out) == (0, once.out)
    assert evalspan("scores", "--by", "model", "--by", "model").code == 0


def test_an_empty_log_says_so(evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "evalspan-data").mkdir()
    ran = evalspan("wal", "inspect")
    assert ran.code == 0
    assert ran.out == "the log in evalspan-data/wal is empty: nothing was received yet\n"


def test_a_reader_that_goes_away_does_not_change_the_answer(filled: Path) -> None:
    command = [sys.executable, "-m", "evalspan", "scores", "--check", "status", "--by", "model"]
    with subprocess.Popen(command, cwd=filled, stdout=subprocess.PIPE, stderr=-1) as scores:
        assert scores.stdout is not None
        scores.stdout.close()
        assert scores.stderr is not None
        assert scores.stderr.read() == b""
    assert scores.returncode == 0


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("--port", "99999"), "cannot listen on 127.0.0.1:99999: "),
        (("--host", "no.invalid"), "cannot listen on no.invalid:8081: "),
        (("--scenario", "nope"), "nope: cannot be read: No such file"),
        (("--scenario", "list.yaml"), "list.yaml:1: expected keys and values (found ['a'])"),
        (("--scenario", "tab.yaml"), "tab.yaml:2: this is not valid YAML: a tab stands here"),
        (("--scenario", "key.yaml"), "key.yaml:1: taks: unknown key. Did you mean 'tasks'?"),
    ],
    ids=str,
)
def test_a_model_server_that_cannot_start_says_why(
    command: tuple[str, str], told: str, evalspan: Evalspan, tmp_path: Path
) -> None:
    for name, text in {"list": "- a", "tab": "a:\n\tb: 1", "key": "taks: []"}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    ran = evalspan("dev", "model-server", *command)
    assert ran.code == 2
    assert ran.told[0].startswith(told)


def test_a_token_that_cannot_be_read_is_told(evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, why in {
        "nope": "No such file",
        "binary": "no text in UTF-8",
        "empty": "empty",
    }.items():
        ran = evalspan("grafana", "install", "--url", "http://127.0.0.1:1", "--token-file", name)
        assert ran.code == 2
        assert ran.told[0].startswith(f"{name}: ")
        assert why in ran.told[0]
        assert "--token-file" in ran.told[0]


def test_a_demo_needs_a_folder(evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = evalspan("demo", "--folder", "file")
    assert (ran.code, ran.told) == (2, ["file is a file; choose another --folder"])


def test_the_columns_of_scores_are_explained(evalspan: Evalspan, filled: Path) -> None:
    del filled
    shown = " ".join(evalspan("scores").out.split())
    assert "low to high: where the true share probably lies (95 %)" in shown


def test_the_schema_of_the_config_names_every_key(evalspan: Evalspan) -> None:
    schema = json.loads(evalspan("config", "schema").out)
    assert {"checks", "checklists", "views", "settle", "detect"} <= set(schema["properties"])
    assert all("description" in part for part in schema["properties"].values())


def test_a_past_is_not_written_to_a_terminal(filled: Path) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "evalspan", "metrics", "backfill"]
    try:
        ran = subprocess.run(command, cwd=filled, stdout=end, stderr=-1, check=False, timeout=100)
        assert ran.returncode == 2
        assert ran.stderr.decode().splitlines() == [
            "--output: a past is long, and this is a terminal; name a file, such as -o history.txt"
        ]
    finally:
        os.close(end)
        os.close(terminal)
    piped = subprocess.run(
        [*command, "--since", "9000d", "--step", "30d"],
        cwd=filled,
        capture_output=True,
        check=False,
    )
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout.startswith(b"# HELP evalspan_")
