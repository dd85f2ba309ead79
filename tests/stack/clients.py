"""Ask a Prometheus or a Loki, wherever it runs: started by a test or by somebody else."""

import time
from typing import Any
from urllib.parse import urlencode

from processes import NotReady, call, call_json

NANOSECONDS = 1_000_000_000


def sample(address: str, series: str) -> float:
    """Sum of the samples on a metrics page whose line starts with `series`; raises NotReady."""
    page = call(f"{address}/metrics").decode()
    found = [line for line in page.splitlines() if line.startswith(series)]
    if not found:
        msg = f"no {series} at {address}"
        raise NotReady(msg)
    return sum(float(line.rpartition(" ")[2]) for line in found)


class PrometheusApi:
    """Queries to the Prometheus at `url()`; `PrometheusAt` is one that has only an address."""

    def url(self, port: str = "http") -> str:
        """Address of the server."""
        raise NotImplementedError

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Instant query: the series with their last values."""
        data = self._api("query", query=expression)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result

    def value(self, expression: str) -> float:
        """Value of a query that has one series; raises NotReady when it has another number."""
        series = self.query(expression)
        if len(series) != 1:
            msg = f"{expression}: {len(series)} series, expected one"
            raise NotReady(msg)
        return float(series[0]["value"][1])

    def query_range(
        self, expression: str, *, seconds: float = 300, step: float = 1
    ) -> list[dict[str, Any]]:
        """Query over the last `seconds`: the series with all their values."""
        end = time.time()
        result: list[dict[str, Any]] = self._api(
            "query_range", query=expression, start=end - seconds, end=end, step=step
        )["result"]
        return result

    def exemplars(self, expression: str, *, seconds: float = 300) -> list[dict[str, Any]]:
        """Exemplars of the series that the expression names, per series."""
        end = time.time()
        result: list[dict[str, Any]] = self._api(
            "query_exemplars", query=expression, start=end - seconds, end=end + 1
        )
        return result

    def alerts(self, name: str, state: str = "firing") -> list[dict[str, Any]]:
        """Alerts of this name that are in the state."""
        found = self._api("alerts")["alerts"]
        return [a for a in found if a["labels"]["alertname"] == name and a["state"] == state]

    def label_values(self, metric: str, label: str) -> list[str]:
        """Values that a label of a metric has."""
        query = urlencode({"match[]": metric})
        values: list[str] = call_json(f"{self.url()}/api/v1/label/{label}/values?{query}")["data"]
        return values

    def _api(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - JSON
        return call_json(f"{self.url()}/api/v1/{path}?{urlencode(parameters)}")["data"]


class LokiApi:
    """Queries to the Loki at `url()`; `LokiAt` is one that has only an address."""

    def url(self, port: str = "http") -> str:
        """Address of the server."""
        raise NotImplementedError

    @property
    def otlp(self) -> str:
        """Address that takes OTLP log requests."""
        return f"{self.url()}/otlp/v1/logs"

    def query(self, logql: str, *, seconds: float = 3600, limit: int = 1000) -> list[Any]:
        """Streams (or series, for a metric query) of the last `seconds`."""
        end = time.time()
        start_ns, end_ns = (int(t * NANOSECONDS) for t in (end - seconds, end + 5))
        parameters = {"query": logql, "start": start_ns, "end": end_ns, "limit": limit}
        answer = call_json(f"{self.url()}/loki/api/v1/query_range?{urlencode(parameters)}")
        result: list[Any] = answer["data"]["result"]
        return result

    def lines(self, logql: str, *, seconds: float = 3600) -> list[tuple[dict[str, str], str]]:
        """(labels and structured metadata, line) of each record that the query finds."""
        return [
            (stream["stream"], value[1])
            for stream in self.query(logql, seconds=seconds)
            for value in stream["values"]
        ]


class _At:
    """A server that somebody else started."""

    def __init__(self, address: str) -> None:
        """Keep the address, without a path."""
        self.address = address.rstrip("/")

    def url(self, port: str = "http") -> str:
        """Address of the server; it has only one port."""
        del port
        return self.address


class PrometheusAt(_At, PrometheusApi):
    """The Prometheus at an address."""


class LokiAt(_At, LokiApi):
    """The Loki at an address."""
