"""The world of the story: every server real, an instrumented app, a prompt that breaks globex."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from clients import sample
from listeners import Webhook
from processes import ROOT, Process
from servers import Loki, Prometheus, Stack

from evalspan.demo import CONFIG, PROMPT_VERSIONS, SCHEMA, RunSummary, spawn_app
from evalspan.testing import ModelServer, SpanSink

COLLECTOR_CONFIG = ROOT / "collector-config" / "collector.yaml"
RULES = sorted((ROOT / "grafana" / "rules").glob("*.yaml"))
SELECTED = "otelcol_processor_evalspan_selected_spans"
REPORTS = "https://evalspan.example/reports"
BROKEN_CUSTOMER = "globex"
BROKEN_CHECK = "json_schema"


@dataclass(frozen=True)
class World:
    """What runs, and what the app says it did, per prompt version."""

    collector: Process
    sidecar: Process
    backend: SpanSink
    prometheus: Prometheus
    loki: Loki
    webhook: Webhook
    models: ModelServer
    runs: Mapping[str, RunSummary]

    @property
    def spans_sent(self) -> int:
        """Spans that the app has exported in all."""
        return sum(run.spans_sent for run in self.runs.values())

    def selected_spans(self) -> float:
        """Spans that the processor has selected so far, from the Collector's own page."""
        return sample(self.collector.url("EVALSPAN_METRICS_PORT"), SELECTED)


def tell(text: str) -> None:
    """Say what was seen; `make demo-stack` shows it."""
    sys.stdout.write(f"\n  {text}\n")


def sidecar_config(
    model_server: str,
    loki: Loki | None = None,
    detect: Mapping[str, Any] | None = None,
) -> str:
    """Return the demo's own config, with this test's addresses and a look every two seconds."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["data"] = "$data"
    config["receive"] = {"listen": "127.0.0.1:$otlp"}
    config["metrics"] = {"listen": "127.0.0.1:$http"}
    config["report"] = {"public_url": f"{REPORTS}/"}
    config["detect"].update(detect or {})
    config["checks"]["tokens"] = {}
    if loki:
        config["report"]["otlp"] = {"endpoint": f"{loki.url()}/otlp", "protocol": "http"}
    config["llm"] = {"base_url": model_server, "api_key_env": "EVALSPAN_STAND_IN_KEY"}
    config["analysis"] = {"every": "2s"}
    # A schema is looked for beside the config, which stands elsewhere here.
    return yaml.safe_dump(config).replace(SCHEMA.name, str(SCHEMA))


def improve(world: World) -> dict[str, Any]:
    """Look for a better prompt for the open regression, by hand; returns what came of it."""
    command = [sys.executable, "-m", "evalspan", "optimize", "--json", "--config", "evalspan.yaml"]
    target = {"OPENAI_API_KEY": "stand-in", "OPENAI_BASE_URL": f"{world.models.url}/v1"}
    environment = {**os.environ, **target, "EVALSPAN_STAND_IN_KEY": "stand-in"}
    done = subprocess.run(
        command,
        cwd=world.sidecar.folder,
        capture_output=True,
        check=False,
        env=environment,
        timeout=240,
    )
    assert done.returncode in {0, 1}, done.stderr.decode()
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@contextmanager
def story(stack: Stack, *, config: Path = COLLECTOR_CONFIG) -> Iterator[World]:
    """Start everything and run the app once with each prompt version."""
    models, backend, webhook = stack.model_server(), stack.span_sink(), stack.webhook()
    loki = stack.loki()
    environment = {"EVALSPAN_STAND_IN_KEY": "stand-in"}
    sidecar = stack.sidecar(sidecar_config(models.url, loki), environment)
    collector = stack.collector(
        config,
        environment={
            "EVALSPAN_BACKEND_ENDPOINT": urlsplit(backend.endpoint).netloc,
            "EVALSPAN_SIDECAR_ENDPOINT": urlsplit(sidecar.url("otlp")).netloc,
        },
    )
    targets = {
        "evalspan": sidecar.url(),
        "collector": collector.url("EVALSPAN_METRICS_PORT"),
        "node": stack.node_exporter().url(),
    }
    alertmanager = stack.alertmanager(webhook.url)
    prometheus = stack.prometheus(targets, rules=RULES, alertmanager=alertmanager)
    apps = collector.url("EVALSPAN_OTLP_GRPC_ENDPOINT")
    tell("app → Collector with the processor → sidecar → Prometheus, Alertmanager, Loki")
    runs = {version: spawn_app(apps, models.url, version) for version in PROMPT_VERSIONS}
    for version, run in runs.items():
        tell(f"prompt {version}: {run.calls} pages, {run.spans_sent} spans sent")
    yield World(collector, sidecar, backend, prometheus, loki, webhook, models, runs)
