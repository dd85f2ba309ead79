"""A prompt breaks one customer, is taken back, and the alert comes once and goes once.

App with real SDKs → sidecar → Prometheus with the rules of `evalspan grafana rules` →
Alertmanager → webhook. Only the model provider is a stand-in.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from listeners import Webhook
from processes import NotReady, Process, wait_for
from servers import Prometheus, Stack
from story import BROKEN_CHECK, BROKEN_CUSTOMER, REPORTS, sidecar_config, tell

from evalspan.demo import spawn_app

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ALERT = "EvalspanScoreRegression"
OPEN = 'evalspan_regression_open{direction="regression"}'
GRAFANA = "https://grafana.example"
# Under load a scrape of a second now and then comes too late: that is no end of an alert.
LOUD = f"""
alerts: {{critical_effect: 0.05, critical_sample: 20, keep_firing: 20s}}
grafana: {{url: "{GRAFANA}", annotations: false}}
"""
# A regression that is over shall be seen to stay away for a moment only.
HASTY = {"recovery_hold": "3s"}


@dataclass(frozen=True)
class Watch:
    """What runs, and where the alerts come in."""

    sidecar: Process
    prometheus: Prometheus
    webhook: Webhook
    models: str

    def serve(self, version: str) -> None:
        """Run the app once with this version of the prompt."""
        run = spawn_app(self.sidecar.url("otlp"), self.models, version)
        tell(f"prompt {version}: {run.calls} pages, {run.spans_sent} spans sent")

    def told(self, status: str) -> list[dict[str, Any]]:
        """Regression alerts that the webhook got, in order; a repeat counts again."""
        return [
            alert
            for body in list(self.webhook.bodies)
            for alert in body["alerts"]
            if alert["labels"]["alertname"] == ALERT and alert["status"] == status
        ]


@pytest.fixture(scope="module")
def watch(module_stack: Stack) -> Watch:
    stack = module_stack
    models, webhook = stack.model_server(), stack.webhook()
    config = sidecar_config(models.url, detect=HASTY) + LOUD
    sidecar = stack.sidecar(config, {"EVALSPAN_STAND_IN_KEY": "stand-in"})
    prometheus = stack.prometheus(
        {"evalspan": sidecar.url()},
        rules=[_rules(sidecar.folder)],
        alertmanager=stack.alertmanager(webhook.url),
    )
    return Watch(sidecar, prometheus, webhook, models.url)


def _rules(folder: Path) -> Path:
    """Rules for the config in the folder, made by the command."""
    command = [sys.executable, "-m", "evalspan", "grafana", "rules", "-c", "evalspan.yaml"]
    subprocess.run([*command, "-o", "rules.yaml"], cwd=folder, check=True, timeout=60)
    return folder / "rules.yaml"


@pytest.fixture(scope="module")
def fired(watch: Watch) -> dict[str, Any]:
    """Both versions have been served; the alert that has come."""
    watch.serve("v1")
    watch.serve("v2")
    return watch.webhook.alert(ALERT)


def test_the_alert_says_what_a_person_needs(fired: dict[str, Any]) -> None:
    words = fired["annotations"]
    tell(words["summary"])
    tell(f"since {words['since']}; {words['sample_size']}")

    assert fired["labels"]["severity"] == "critical"
    assert fired["labels"]["check"] == BROKEN_CHECK
    assert BROKEN_CUSTOMER in words["slice"]
    assert words["slice"] in words["summary"]
    assert words["before"] in words["summary"]
    assert words["after"] in words["summary"]
    assert "UTC" in words["since"]
    assert words["sample_size"].split()[0].isdigit()
    assert words["report"] == f"{REPORTS}/?q={BROKEN_CHECK}"
    assert fired["labels"]["id"] in words["dashboard"]
    assert words["traces"].startswith(GRAFANA)
    assert "<no value>" not in str(words)


def test_a_regression_is_told_once_and_resolved_once_when_the_prompt_is_taken_back(
    watch: Watch, fired: dict[str, Any]
) -> None:
    watch.serve("v1")
    resolved = watch.webhook.alert(ALERT, "resolved", seconds=240)

    def over() -> bool:
        still = watch.prometheus.query(f"{OPEN} == 1")
        if still or len(watch.told("resolved")) < len(watch.told("firing")):
            raise NotReady(still)
        return True

    wait_for(over, "every regression is over")
    tell(f"resolved: {resolved['annotations']['summary']}")
    assert [alert["fingerprint"] for alert in watch.told("firing")] == [fired["fingerprint"]]
    assert [alert["fingerprint"] for alert in watch.told("resolved")] == [fired["fingerprint"]]
