"""compose.yaml, as far as it can be read without Docker: names, files, ports, and the configs.

`docker compose config` needs Docker's Compose, which is not taken for granted here.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import ROOT, program

from evalspan.config import parse
from evalspan.pipeline import Settings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PARTS = {"collector", "prometheus", "alertmanager", "loki", "tempo", "grafana", "sidecar"}
TOP = {"name", "services", "volumes", "configs"}
KEYS = {
    *("image", "command", "environment", "volumes", "configs", "ports", "depends_on"),
    *("restart", "healthcheck", "working_dir"),
}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def config(name: str) -> str:
    """Text of a config as a service reads it: Compose writes a dollar as two."""
    text: str = COMPOSE["configs"][name]["content"]
    return text.replace("$$", "$")


def test_every_part_is_there_and_nothing_is_misspelt() -> None:
    assert set(SERVICES) >= PARTS
    assert {key for key in COMPOSE if not key.startswith("x-")} == TOP
    for name, service in SERVICES.items():
        assert set(service) <= KEYS, name
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", service["image"]), "pinned to a version"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_exists(name: str) -> None:
    service = SERVICES[name]
    for mount in service.get("volumes", []):
        source = mount.partition(":")[0]
        known = (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        assert known, mount
    for each in service.get("configs", []):
        assert each["source"] in COMPOSE["configs"]
    assert set(service.get("depends_on", [])) <= set(SERVICES)


def test_ports_are_open_on_this_machine_only_and_each_once() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_nothing_is_left_over() -> None:
    mounts = [m for service in SERVICES.values() for m in service.get("volumes", [])]
    used = {each["source"] for s in SERVICES.values() for each in s.get("configs", [])}

    assert used == set(COMPOSE["configs"])
    assert {m.partition(":")[0] for m in mounts if not m.startswith(".")} == set(COMPOSE["volumes"])


def test_the_configs_inside_can_be_read_and_meet_each_other() -> None:
    settings = parse(config("sidecar"), Settings)
    collector, prometheus = (yaml.safe_load(config(n)) for n in ("collector", "prometheus"))
    sources = yaml.safe_load(config("datasources"))["datasources"]
    port = settings.receive.listen.rpartition(":")[2]
    told = SERVICES["collector"]["environment"]["EVALSPAN_SIDECAR_ENDPOINT"]

    assert told == f"sidecar:{port}"
    assert set(collector["service"]["pipelines"]["traces"]["exporters"]) <= set(
        collector["exporters"]
    )
    assert "alertmanager:9093" in str(prometheus["alerting"])
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]
    }
    assert jobs["evalspan"] == ["sidecar:" + settings.metrics.listen.rpartition(":")[2]]
    for source in sources:
        host = re.fullmatch(r"http://([\w-]+):\d+", source["url"])
        assert host, source
        assert host[1] in SERVICES


def test_the_sources_are_those_that_the_dashboards_are_provisioned_with() -> None:
    path: Path = ROOT / "grafana" / "provisioning" / "datasources" / "evalspan.yaml"
    alone = yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
    inside = yaml.safe_load(config("datasources"))["datasources"]

    assert {(s["uid"], s["type"]) for s in alone} == {(s["uid"], s["type"]) for s in inside}
    urls = [s["jsonData"]["derivedFields"][0]["url"] for s in (alone[1], inside[1])]
    assert urls == ["$${__value.raw}", "$${__value.raw}"]


@pytest.mark.stack
def test_the_collector_takes_its_config(tmp_path: Path) -> None:
    (tmp_path / "collector.yaml").write_text(config("collector"))
    way = ROOT / "collector-config" / "stock-memory.yaml"
    files = [f"--config={tmp_path / 'collector.yaml'}", f"--config={way}"]

    run(program("otelcol-evalspan"), "validate", *files)


@pytest.mark.stack
def test_prometheus_takes_its_config(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(config("prometheus"))

    assert "SUCCESS" in run(program("promtool"), "check", "config", tmp_path / "prometheus.yml")
