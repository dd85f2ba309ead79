"""Talk to Grafana's HTTP API: JSON in, JSON out, every failure with the address and the words."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT_SECONDS: Final = 30.0
_NOT_FOUND: Final = 404
_SHOWN_BYTES: Final = 500


class GrafanaError(OSError):
    """Grafana said no or nothing; the text says to what, and what to do."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to another server, and make a POST a GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as urllib has it
        return None


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
        request = urllib.request.Request(  # noqa: S310 - the command allows http and https only
            address,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                # Rules that came by the API can be changed by hand all the same.
                "X-Disable-Provenance": "true",
            },
            method=method,
        )
        try:
            opener = urllib.request.build_opener(_NoRedirects())
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _NOT_FOUND and method == "GET":
                    return None
                words = error.read(_SHOWN_BYTES).decode(errors="replace")
            msg = f"{method} {address}: {error.code} {words}"
            raise GrafanaError(msg) from error
        except (OSError, ValueError) as error:
            msg = f"{method} {address}: {error}"
            raise GrafanaError(msg) from error
