"""The real servers around evalspan, each started by one call and stopped with the test.

    def test_it(stack):
        loki = stack.loki()
        prometheus = stack.prometheus({"evalspan": sidecar.url()}, rules=[path])

Every server runs on free ports of 127.0.0.1 with its own temporary folder; a
call returns when it answers. `Stack` is also a context manager for use outside
of pytest.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from clients import LokiApi, PrometheusApi
from listeners import Exposition, Webhook
from processes import ROOT, Launch, Ports, Process, answers, listens, program

from evalspan.testing import ModelServer, SpanSink

LOKI_CONFIG = Path(__file__).with_name("loki") / "loki.yaml"

# The names in collector-config/*.yaml.
COLLECTOR_PORTS = (
    "EVALSPAN_OTLP_GRPC_ENDPOINT",
    "EVALSPAN_OTLP_HTTP_ENDPOINT",
    "EVALSPAN_HEALTH_ENDPOINT",
    "EVALSPAN_METRICS_PORT",
)

Kind = TypeVar("Kind", bound=Process)
StandIn = TypeVar("StandIn")


class Prometheus(Process, PrometheusApi):
    """A running Prometheus."""


class Loki(Process, LokiApi):
    """A running Loki."""


@dataclass
class Stack:
    """The servers that one test (or one module) has started."""

    folder: Path
    processes: list[Process] = field(default_factory=list)
    stand_ins: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def prometheus(
        self,
        targets: Mapping[str, str],
        *,
        rules: Sequence[Path] = (),
        alertmanager: Process | None = None,
    ) -> Prometheus:
        """Prometheus that scrapes `targets` (job name -> address) every second."""
        place = self._place("prometheus")
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path.resolve()) for path in rules],
            "scrape_configs": [_scrape(job, url) for job, url in targets.items()],
        }
        if alertmanager:
            peers = [{"targets": [urlsplit(alertmanager.url()).netloc]}]
            config["alerting"] = {"alertmanagers": [{"static_configs": peers}]}
        (place / "prometheus.yml").write_text(yaml.safe_dump(config))
        found = program("prometheus")

        def command(ports: Ports) -> Sequence[str | Path]:
            return (
                found,
                f"--config.file={place / 'prometheus.yml'}",
                f"--storage.tsdb.path={place / 'data'}",
                f"--web.listen-address=127.0.0.1:{ports['http']}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            )

        launch = Launch("prometheus", place, ("http",), command, _answers_at("/-/ready"))
        return self._start(Prometheus, launch)

    def alertmanager(self, webhook: str) -> Process:
        """Alertmanager that sends every alert at once to the address `webhook`."""
        place = self._place("alertmanager")
        config = {
            "route": {
                "receiver": "webhook",
                "group_by": ["..."],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1h",
            },
            "receivers": [{"name": "webhook", "webhook_configs": [{"url": webhook}]}],
        }
        (place / "alertmanager.yml").write_text(yaml.safe_dump(config))
        found = program("prometheus-alertmanager", "alertmanager")

        def command(ports: Ports) -> Sequence[str | Path]:
            return (
                found,
                f"--config.file={place / 'alertmanager.yml'}",
                f"--storage.path={place / 'data'}",
                f"--web.listen-address=127.0.0.1:{ports['http']}",
                "--cluster.listen-address=",
            )

        launch = Launch("alertmanager", place, ("http",), command, _answers_at("/-/ready"))
        return self._start(Process, launch)

    def node_exporter(self) -> Process:
        """Host metrics at /metrics: only CPU, memory and load."""
        place = self._place("node-exporter")
        found = program("prometheus-node-exporter", "node_exporter")

        def command(ports: Ports) -> Sequence[str | Path]:
            chosen = [f"--collector.{name}" for name in ("cpu", "meminfo", "loadavg")]
            address = f"--web.listen-address=127.0.0.1:{ports['http']}"
            return (found, "--collector.disable-defaults", *chosen, address)

        launch = Launch("node-exporter", place, ("http",), command, _answers_at("/metrics"))
        return self._start(Process, launch)

    def loki(self) -> Loki:
        """Loki with a filesystem store and an in-memory ring."""
        place = self._place("loki")
        found = program("loki")

        def command(ports: Ports) -> Sequence[str | Path]:
            text = Template(LOKI_CONFIG.read_text()).substitute(ports, folder=place)
            (place / "loki.yaml").write_text(text)
            return (found, f"-config.file={place / 'loki.yaml'}")

        launch = Launch("loki", place, ("http", "grpc"), command, _answers_at("/ready"))
        return self._start(Loki, launch)

    def collector(
        self,
        *configs: Path | str,
        names: Sequence[str] = COLLECTOR_PORTS,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Collector with the given configs (a file, or `yaml:` and text), merged in order.

        Each of `names` is an environment variable that the configs read, a free port
        (with the host before it where the name ends in _ENDPOINT); the Collector is ready
        when it listens on all of them. `environment` is handed on as it is.
        """
        place = self._place("collector")
        found = program("otelcol-evalspan")

        def command(ports: Ports) -> Sequence[str | Path]:
            settings = [f"{name}={_address(name, port)}" for name, port in ports.items()]
            files = [f"--config={config}" for config in configs]
            return ("env", *settings, found, *files)

        launch = Launch("collector", place, names, command, _listens_everywhere, environment or {})
        return self._start(Process, launch)

    def sidecar(self, config: str, environment: Mapping[str, str] | None = None) -> Process:
        """`evalspan serve` with this config, where $otlp, $http and $data are filled in.

        $otlp and $http are free ports; $data is a folder that does not exist yet.
        """
        place = self._place("sidecar")

        def command(ports: Ports) -> Sequence[str | Path]:
            text = Template(config).substitute(ports, data=place / "data")
            (place / "evalspan.yaml").write_text(text)
            return (sys.executable, "-m", "evalspan", "serve", "--config", place / "evalspan.yaml")

        launch = Launch(
            "sidecar",
            place,
            ("otlp", "http"),
            command,
            lambda ports: _answers_at("/metrics")(ports) and listens(ports["otlp"]),
            {"PYTHONPATH": str(ROOT / "sidecar"), **(environment or {})},
        )
        return self._start(Process, launch)

    def model_server(self) -> ModelServer:
        """Stand-in for a model provider; `url` is its address."""
        return self._enter(ModelServer())

    def span_sink(self) -> SpanSink:
        """Stand-in for a tracing backend; `endpoint` is its address, `spans` what came."""
        return self._enter(SpanSink())

    def exposition(self, text: Callable[[], str]) -> Exposition:
        """Serve a page of OpenMetrics text as a stand-in for something to scrape."""
        return self._enter(Exposition(text))

    def webhook(self) -> Webhook:
        """Take JSON posts and keep them."""
        return self._enter(Webhook())

    def close(self) -> None:
        """Stop everything, last started first."""
        for process in reversed(self.processes):
            process.stop()
        self.stand_ins.close()

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything."""
        self.close()

    def _enter(self, stand_in: AbstractContextManager[StandIn]) -> StandIn:
        return self.stand_ins.enter_context(stand_in)

    def _place(self, name: str) -> Path:
        place = self.folder / f"{len(self.processes)}-{name}"
        place.mkdir(parents=True)
        return place

    def _start(self, kind: type[Kind], launch: Launch) -> Kind:
        process = launch.start(kind)
        self.processes.append(process)
        return process


def _answers_at(path: str) -> Callable[[Ports], bool]:
    return lambda ports: answers(f"http://127.0.0.1:{ports['http']}{path}")


def _address(name: str, port: int) -> str:
    return f"127.0.0.1:{port}" if name.endswith("_ENDPOINT") else str(port)


def _listens_everywhere(ports: Ports) -> bool:
    return all(listens(port) for port in ports.values())


def _scrape(job: str, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "job_name": job,
        "metrics_path": parts.path or "/metrics",
        "static_configs": [{"targets": [parts.netloc]}],
    }
