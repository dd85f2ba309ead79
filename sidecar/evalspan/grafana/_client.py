"""Talk to Grafana's HTTP API: JSON in, JSON out, every failure with the address and the words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from evalspan import http

TIMEOUT_SECONDS: Final = 30.0
_NOT_FOUND: Final = 404


class GrafanaError(OSError):
    """Grafana said no or nothing; the text says to what, and what to do."""


@dataclass(frozen=True, slots=True)
class Grafana:
    """A Grafana at an address, with a service account token."""

    url: str
    token: str

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what stands there; None where nothing does. Raises GrafanaError."""
        return self._call("GET", path, None)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Write something; raises GrafanaError."""
        answer = self._call(method, path, body)
        if answer is None:
            msg = f"{self.url}{path}: not found; is this address a Grafana?"
            raise GrafanaError(msg)
        return answer

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:  # noqa: ANN401
        address = f"{self.url.rstrip('/')}{path}"
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            # Rules that came by the API can be changed by hand all the same.
            "X-Disable-Provenance": "true",
        }
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = http.call(
                method, address, headers=headers, timeout_seconds=TIMEOUT_SECONDS, content=content
            )
            return json.loads(answer.content or b"{}")
        except http.HttpError as error:
            if error.status == _NOT_FOUND and method == "GET":
                return None
            msg = f"{method} {address}: {error}"
            raise GrafanaError(msg) from error
        except (OSError, ValueError) as error:
            msg = f"{method} {address}: {error}"
            raise GrafanaError(msg) from error
