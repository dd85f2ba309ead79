"""evalspan grafana install, against a stand-in of Grafana's HTTP API."""

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_double import RULES, TOKEN, GrafanaDouble
from processes import program
from typer.testing import CliRunner, Result

from evalspan.__main__ import app
from evalspan.grafana import (
    AlertSettings,
    Grafana,
    GrafanaError,
    Wanted,
    Watched,
    dashboards,
    install,
)
from evalspan.grafana._watched import duration
from evalspan.pipeline import load_settings, watched

FULL = Path(__file__).parent / "rules" / "full.evalspan.yaml"
NEWER = ("keep_firing_for", "missingSeriesEvalsToResolve")
SOURCES = {
    "prometheus": "http://prometheus:9090",
    "loki": "http://loki:3100",
    "tempo": "http://tempo:3200",
}


@pytest.fixture
def double() -> Iterator[GrafanaDouble]:
    with GrafanaDouble() as started:
        yield started


def put(double: GrafanaDouble, *, dry_run: bool = False, url: str = "") -> dict[str, str]:
    sources = {**SOURCES, "prometheus": url} if url else SOURCES
    wanted = Wanted(sources, watched(load_settings(FULL)))
    done = install(Grafana(double.url, TOKEN), wanted, dry_run=dry_run)
    return {change.what: change.action for change in done}


def command(double: GrafanaDouble, tmp_path: Path, *options: str, token: str = TOKEN) -> Result:
    (tmp_path / "token").write_text(f"{token}\n")
    (tmp_path / "evalspan.yaml").write_text("{}")
    given = ["--url", double.url, "--token-file", str(tmp_path / "token")]
    config = ["-c", str(tmp_path / "evalspan.yaml")]
    return CliRunner().invoke(app, ["grafana", "install", *config, *given, *options])


def rules(double: GrafanaDouble) -> list[dict[str, Any]]:
    return [rule for group in double.of(RULES).values() for rule in group["rules"]]


def test_everything_is_made_and_a_second_run_changes_nothing(double: GrafanaDouble) -> None:
    assert set(put(double).values()) == {"created"}
    written = len(double.writes)

    assert set(put(double).values()) == {"unchanged"}
    assert len(double.writes) == written
    assert {path.rpartition("/")[2] for path in double.of("/api/dashboards/uid/")} == {
        f"evalspan-{name}"
        for name in ("overview", "prompt", "regression", "optimization", "pipeline")
    }
    assert {s["type"] for s in double.of("/api/datasources/uid/").values()} == set(SOURCES)
    assert len(double.of(RULES)) == 3


def test_only_what_differs_is_written(double: GrafanaDouble) -> None:
    put(double)
    double.there["/api/dashboards/uid/evalspan-prompt"]["dashboard"]["title"] = "changed by hand"
    double.writes.clear()

    changed = put(double, url="http://elsewhere:9090")

    assert {what for what, action in changed.items() if action != "unchanged"} == {
        "data source prometheus",
        "dashboard evalspan Prompt",
    }
    assert double.writes == [
        ("PUT", "/api/datasources/uid/evalspan-prometheus"),
        ("POST", "/api/dashboards/db"),
    ]


def test_a_dry_run_shows_the_difference_and_writes_nothing(
    double: GrafanaDouble, tmp_path: Path
) -> None:
    put(double)
    double.there["/api/dashboards/uid/evalspan-prompt"]["dashboard"]["title"] = "changed by hand"
    double.writes.clear()

    said = command(double, tmp_path, "--dry-run", "--no-rules")

    assert said.exit_code == 0, said.output
    assert "dashboard evalspan Prompt: would be changed" in said.output
    assert '-  "title": "changed by hand"' in said.output
    assert '+  "title": "evalspan Prompt"' in said.output
    assert "dashboard evalspan Overview: unchanged" in said.output
    assert double.writes == []


def test_the_command_uses_the_prometheus_that_is_there(
    double: GrafanaDouble, tmp_path: Path
) -> None:
    double.there["/api/datasources/uid/mine"] = {"uid": "mine", "name": "m", "type": "prometheus"}

    said = command(double, tmp_path)

    assert said.exit_code == 0, said.output
    assert {data["datasourceUid"] for rule in rules(double) for data in rule["data"]} == {
        "mine",
        "__expr__",
    }


def test_without_a_prometheus_it_says_what_to_give(double: GrafanaDouble) -> None:
    wanted = Wanted({}, Watched())
    with pytest.raises(GrafanaError, match="Grafana knows: none; give --prometheus"):
        list(install(Grafana(double.url, TOKEN), wanted))


def test_a_wrong_token_is_told_with_the_address(double: GrafanaDouble) -> None:
    with pytest.raises(GrafanaError, match=r"GET http://\S+/api/folders/evalspan: HTTP 401"):
        list(install(Grafana(double.url, "other"), Wanted({}, Watched())))


def test_an_address_and_a_token_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "evalspan.yaml").write_text("{}")
    config = ["grafana", "install", "-c", str(tmp_path / "evalspan.yaml")]

    assert "--url" in CliRunner().invoke(app, config).output
    assert "--token-file" in CliRunner().invoke(app, [*config, "--url", "https://g"]).output


def test_rules_speak_grafanas_template_language(double: GrafanaDouble) -> None:
    put(double)
    told = str([rule["annotations"] for rule in rules(double)])
    uids = [rule["uid"] for rule in rules(double)]

    assert len(uids) == len(set(uids))
    assert all(len(uid) <= 40 for uid in uids)
    assert "| query" not in told
    assert "| first" not in told
    assert not re.search(r"\$value\b", told)


def test_an_alert_on_a_regression_outlives_a_restart_of_the_sidecar(double: GrafanaDouble) -> None:
    wanted = Wanted(SOURCES, Watched(alerts=AlertSettings(keep_firing=timedelta(seconds=270))))
    list(install(Grafana(double.url, TOKEN), wanted))

    kept = {rule["title"]: rule["keep_firing_for"] for rule in rules(double)}
    looks = {rule["title"]: rule.get("missingSeriesEvalsToResolve") for rule in rules(double)}

    assert {title for title, time in kept.items() if time != "0s"} == {
        "EvalspanScoreRegression critical",
        "EvalspanScoreRegression warning",
    }
    assert kept["EvalspanScoreRegression critical"] == "4m30s"
    assert looks["EvalspanScoreRegression critical"] == 5
    assert looks["EvalspanSidecarDown critical"] is None


@pytest.mark.parametrize("forgets", [{"missingSeriesEvalsToResolve"}, set(NEWER)])
def test_a_grafana_that_cannot_keep_alerts_is_not_written_to_again_and_again(
    forgets: set[str],
) -> None:
    wanted = Wanted(SOURCES, Watched())
    with GrafanaDouble(forgets=forgets) as double:
        for expected in ("created", "unchanged"):
            done = install(Grafana(double.url, TOKEN), wanted)
            assert {change.action for change in done} == {expected}


def test_a_grafana_that_has_become_newer_is_told_to_keep_alerts() -> None:
    wanted = Wanted(SOURCES, Watched())
    with GrafanaDouble(forgets=NEWER) as double:
        list(install(Grafana(double.url, TOKEN), wanted))
        for rule in rules(double):
            rule["keep_firing_for"] = "0s"

        changed = list(install(Grafana(double.url, TOKEN), wanted))

    assert [each.what for each in changed if each.action == "changed"] == ["rules evalspan-quality"]


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=20), "20s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=7), "1w"),
        (timedelta(days=8, seconds=1), "8d1s"),
        (timedelta(days=365), "1y"),
    ],
)
def test_durations_are_written_as_prometheus_writes_them(time: timedelta, words: str) -> None:
    assert duration(time) == words


def test_every_number_that_a_rule_shows_is_asked_for(double: GrafanaDouble) -> None:
    put(double)
    for rule in rules(double):
        asked = {data["refId"] for data in rule["data"]}
        shown = set(re.findall(r"\$values\.(\w+)", str(rule["annotations"])))
        assert shown <= asked, rule["title"]
        assert rule["condition"] in asked


def test_rules_name_no_series_that_a_prometheus_would_have_to_record(
    double: GrafanaDouble,
) -> None:
    put(double)
    expressions = [data["model"].get("expr", "") for r in rules(double) for data in r["data"]]

    assert not any("service_slo:" in expression for expression in expressions)


@pytest.mark.stack
def test_promtool_accepts_what_the_rules_ask(double: GrafanaDouble, tmp_path: Path) -> None:
    put(double)
    asked = {data["model"].get("expr") for rule in rules(double) for data in rule["data"]} - {None}
    told = [{"alert": "Asked", "expr": expr} for expr in sorted(asked)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": told}]}))

    done = subprocess.run([program("promtool"), "check", "rules", file], check=False, timeout=60)
    assert done.returncode == 0


def test_the_dashboards_that_are_shipped_are_the_committed_ones() -> None:
    assert len(dashboards()) == 5
