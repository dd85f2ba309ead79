"""One call over HTTP that stays with the server it was meant for."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

_ANSWER_BYTES = 100_000
_SHOWN_BYTES = 500
BAD_REQUEST = frozenset({400, 413, 415, 422})
NOT_NOW = frozenset({401, 403, 404, 408, 429, 502, 503, 504})
"""The server is not up, not set up, or asks to wait: the request itself is not at fault."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went: `error` None is sent. `retry` says whether to try again.

    `not_now` says that the request is not at fault: it is tried for as long as it takes.
    """

    error: str | None = None
    retry: bool = True
    not_now: bool = False
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content type and content, at most 100 kB of it."""

    status: int
    kind: str
    content: bytes


class CallError(Exception):
    """The server said no; `sent` says what that means."""

    def __init__(self, sent: Sent) -> None:
        """Keep what the server said."""
        super().__init__(sent.error)
        self.sent = sent


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to another server, and make a POST a GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as urllib has it
        return None


def call(
    method: str,
    address: str,
    *,
    headers: Mapping[str, str],
    timeout_seconds: float,
    content: bytes | None = None,
    context: SSLContext | None = None,
) -> Answer:
    """Call once. Raises CallError where the server says no, OSError where it says nothing."""
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https only
        address, data=content, headers=dict(headers), method=method
    )
    handlers = [_NoRedirects(), urllib.request.HTTPSHandler(context=context)]
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=timeout_seconds) as answer:
            kind = answer.headers.get_content_type()
            return Answer(answer.status, kind, answer.read(_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            words = error.read(_SHOWN_BYTES).decode(errors="replace")
            wait = error.headers.get("Retry-After", "")
        raise CallError(
            Sent(
                f"{address}: HTTP {error.code}: {words}",
                error.code not in BAD_REQUEST,
                error.code in NOT_NOW,
                float(wait) if wait.isdigit() else None,
            )
        ) from error
