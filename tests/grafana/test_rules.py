"""Recording and alert rules: made of the config, valid, tested one by one, worded for people."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import ROOT, program

from evalspan.config import ConfigError, parse
from evalspan.grafana import AlertSettings, Limit, Watched, rules
from evalspan.pipeline import Settings, load_settings, watched

HERE = Path(__file__).parent / "rules"
COMMITTED = ROOT / "grafana" / "rules" / "evalspan.yaml"
FULL = HERE / "full.evalspan.yaml"
UNIT_TESTS = sorted(HERE.glob("*.test.yaml"))
ROUTING = ROOT / "grafana" / "alertmanager.yaml"


def full_rules() -> str:
    return rules(watched(load_settings(FULL)))


def listed(text: str, kind: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load(text)["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def alert_names(text: str) -> set[str]:
    return {rule["alert"] for rule in listed(text, "alert")}


def unit_tests() -> list[dict[str, Any]]:
    return [test for path in UNIT_TESTS for test in yaml.safe_load(path.read_text())["tests"]]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_the_committed_rules_are_those_of_the_default_config() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == rules(watched(Settings())), (
        "run: evalspan grafana rules -o grafana/rules/evalspan.yaml"
    )


@pytest.mark.stack
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    (tmp_path / "full.yaml").write_text(full_rules())
    run(program("promtool"), "check", "rules", "--lint-fatal", COMMITTED, tmp_path / "full.yaml")


@pytest.mark.stack
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_unit_tests_say(path: Path, tmp_path: Path) -> None:
    (tmp_path / "full.rules.yaml").write_text(full_rules())
    text = path.read_text(encoding="utf-8").replace("../../../grafana", str(COMMITTED.parents[1]))
    (tmp_path / path.name).write_text(text, encoding="utf-8")

    run(program("promtool"), "test", "rules", tmp_path / path.name)


def test_every_alert_fires_in_a_unit_test_and_is_quiet_in_another() -> None:
    checks = [check for test in unit_tests() for check in test.get("alert_rule_test", [])]
    fires = {check["alertname"] for check in checks if check["exp_alerts"]}
    quiet = {check["alertname"] for check in checks if not check["exp_alerts"]}

    assert fires == quiet == alert_names(full_rules())


def test_every_recording_is_asked_for_in_a_rule_or_a_unit_test() -> None:
    rules_of = [*listed(full_rules(), "alert"), *listed(full_rules(), "record")]
    asked = str(unit_tests()) + str([rule["expr"] for rule in rules_of])
    assert all(rule["record"] in asked for rule in listed(full_rules(), "record"))


@pytest.mark.parametrize("rule", listed(full_rules(), "alert"), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    words = rule["annotations"]
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert len(words["summary"]) > 20
    assert len(words["description"]) > 60


def test_no_rule_is_made_for_what_the_config_does_not_have() -> None:
    left_out = alert_names(full_rules()) - alert_names(COMMITTED.read_text())

    assert left_out == {
        "EvalspanCostBurn",
        "EvalspanJudgeBudgetSpent",
        "EvalspanLatencyBurn",
        "EvalspanObjectiveBurn",
    }


def test_thresholds_are_the_settings() -> None:
    config = "alerts: {job: llm, critical_effect: 0.2, critical_sample: 7, lag: 1h}"
    text = rules(watched(parse(config, Settings)))

    assert 'up{job="llm"} == 0' in text
    assert "min_over_time(evalspan_regression_effect[6h]) <= -0.2" in text
    assert 'evalspan_regression_samples{side="candidate"} >= 7' in text
    assert "evalspan_pipeline_lag_seconds) > 3600" in text


def test_an_objective_that_few_calls_can_break_gets_only_the_windows_that_can_fire() -> None:
    half = AlertSettings(objectives={"polite": 0.5})
    text = rules(Watched(alerts=half, limits=[Limit("polite", "refusal")]))
    windows = [r["labels"]["window"] for r in listed(text, "alert") if "Objective" in r["alert"]]

    assert windows == ["3d"]


@pytest.mark.stack
def test_names_of_checks_cannot_break_the_rules(tmp_path: Path) -> None:
    name = 'quote " back \\ curly {{ . }} open {{{ новый'
    limited = Limit(f"slow {name}", "latency", 1)
    named = AlertSettings(objectives={name: 0.9})
    text = rules(Watched(alerts=named, limits=[limited, Limit(name, "refusal")]))
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "story.test.yaml").write_text(told_of(name), encoding="utf-8")

    run(program("promtool"), "check", "rules", "--lint-fatal", tmp_path / "rules.yaml")
    run(program("promtool"), "test", "rules", tmp_path / "story.test.yaml")


def told_of(check: str) -> str:
    """Unit tests in which every answer fails this check, and the alerts say its name."""
    labels = {"service": "shop", "check": check, "item": "", "verdict": "fail"}
    listed = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
    firing = 'alertname="EvalspanObjectiveBurn",alertstate="firing",service="shop"'
    burns = {"6h": "critical", "1d": "warning", "3d": "warning"}
    slo = f"slo={json.dumps(check)}"
    samples = [
        {"labels": f'ALERTS{{{firing},severity="{severity}",window="{window}",{slo}}}', "value": 1}
        for window, severity in burns.items()
    ]
    asked = {"expr": f"ALERTS{{{firing}}}", "eval_time": "50m", "exp_samples": samples}
    test = {
        "interval": "1m",
        "input_series": [{"series": f"evalspan_verdicts_total{{{listed}}}", "values": "0+9x60"}],
        "promql_expr_test": [asked],
    }
    return yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}, allow_unicode=True)


def test_an_objective_of_no_check_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "evalspan.yaml"
    file.write_text("checks: {latency: {}}\nalerts:\n  objectives:\n    latncy: 0.9\n")

    with pytest.raises(ConfigError, match=r"evalspan.yaml:4: alerts.objectives.latncy: there is"):
        watched(load_settings(file))


def test_the_readme_lists_every_alert_with_its_severity() -> None:
    readme = (ROOT / "grafana" / "README.md").read_text(encoding="utf-8")
    lines = [line for line in readme.splitlines() if line.startswith("| Evalspan")]
    for rule in listed(full_rules(), "alert"):
        [line] = [line for line in lines if rule["alert"] in line]
        assert rule["labels"]["severity"] in line.split("|")[3]


@pytest.mark.stack
def test_amtool_accepts_the_routing_example_and_routes_by_severity() -> None:
    tool = program("amtool")
    assert "SUCCESS" in run(tool, "check-config", ROUTING)

    def receiver(**labels: str) -> str:
        pairs = [f"{key}={value}" for key, value in labels.items()]
        return run(
            tool, "config", "routes", "test", f"--config.file={ROUTING}", *pairs
        ).splitlines()[0]

    assert receiver(alertname="EvalspanScoreRegression", severity="critical") == "on-call,product"
    assert receiver(alertname="EvalspanLatencyBurn", severity="critical") == "on-call,product"
    assert receiver(alertname="EvalspanSpansLost", severity="critical") == "on-call"
    assert receiver(alertname="EvalspanScoreRegression", severity="warning") == "product"
    assert receiver(alertname="EvalspanPipelineLag", severity="warning") == "operators"
    assert receiver(alertname="EvalspanLabelsOverflow", severity="info") == "nobody"
