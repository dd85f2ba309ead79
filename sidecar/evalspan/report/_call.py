"""A call over HTTP, and what its failure means for what was to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext

from evalspan import http

_ANSWER_BYTES = 100_000
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


class CallError(Exception):
    """The server said no; `sent` says what that means."""

    def __init__(self, sent: Sent) -> None:
        """Keep what the server said."""
        super().__init__(sent.error)
        self.sent = sent


def call(
    method: str,
    address: str,
    *,
    headers: Mapping[str, str],
    timeout_seconds: float,
    content: bytes | None = None,
    context: SSLContext | None = None,
) -> http.Answer:
    """Call once. Raises CallError where the server says no, OSError where it says nothing."""
    try:
        return http.call(
            method,
            address,
            headers=headers,
            timeout_seconds=timeout_seconds,
            content=content,
            context=context,
            most_bytes=_ANSWER_BYTES,
        )
    except http.HttpError as error:
        sent = Sent(
            f"{address}: {error}",
            error.status not in BAD_REQUEST,
            error.status in NOT_NOW,
            error.wait_seconds,
        )
        raise CallError(sent) from error
