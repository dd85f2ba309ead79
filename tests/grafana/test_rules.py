"""Recording and alert rules: valid, tested one by one, and worded for people."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import ROOT, program

HERE = Path(__file__).parent
RULES = sorted((ROOT / "grafana" / "rules").glob("*.yaml"))
UNIT_TESTS = sorted((HERE / "rules").glob("*.test.yaml"))


def rules(kind: str) -> list[dict[str, Any]]:
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


def unit_tests() -> list[dict[str, Any]]:
    return [test for path in UNIT_TESTS for test in yaml.safe_load(path.read_text())["tests"]]


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@pytest.mark.stack
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", "--lint-fatal", *RULES)


@pytest.mark.stack
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_unit_tests_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_fires_in_a_unit_test_and_is_quiet_in_another() -> None:
    checks = [check for test in unit_tests() for check in test.get("alert_rule_test", [])]
    fires = {check["alertname"] for check in checks if check["exp_alerts"]}
    quiet = {check["alertname"] for check in checks if not check["exp_alerts"]}
    alerts = {rule["alert"] for rule in rules("alert")}

    assert fires == alerts
    assert quiet == alerts


def test_every_recording_is_asked_for_in_a_unit_test() -> None:
    asked = str(unit_tests()) + str(rules("alert"))
    assert all(rule["record"] in asked for rule in rules("record"))


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    words = rule["annotations"]
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert len(words["summary"]) > 20
    assert len(words["description"]) > 60


def test_the_readme_lists_every_alert_with_its_severity() -> None:
    readme = (ROOT / "grafana" / "README.md").read_text(encoding="utf-8")
    lines = [line for line in readme.splitlines() if line.startswith("| Evalspan")]
    for rule in rules("alert"):
        [line] = [line for line in lines if rule["alert"] in line]
        assert line.endswith(f"| {rule['labels']['severity']} |")
