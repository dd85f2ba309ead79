"""One call over HTTP that stays with the server it was meant for."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

_SHOWN_BYTES = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content type and content."""

    status: int
    kind: str
    content: bytes


class HttpError(Exception):
    """The server said no: its status, the first of its words, how long it asks to wait."""

    def __init__(self, status: int, words: str, wait_seconds: float | None) -> None:
        """Keep what the server said."""
        super().__init__(f"HTTP {status}: {words}")
        self.status = status
        self.wait_seconds = wait_seconds


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
    most_bytes: int | None = None,
) -> Answer:
    """Call an http or https address once and read at most so many bytes of the answer.

    Raises HttpError where the server says no, OSError where it says nothing.
    """
    request = urllib.request.Request(  # noqa: S310 - who calls allows http and https only
        address, data=content, headers=dict(headers), method=method
    )
    handlers = [_NoRedirects(), urllib.request.HTTPSHandler(context=context)]
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=timeout_seconds) as answer:
            kind = answer.headers.get_content_type()
            return Answer(answer.status, kind, answer.read(most_bytes))
    except urllib.error.HTTPError as error:
        with error:
            words = error.read(_SHOWN_BYTES).decode(errors="replace")
            wait = error.headers.get("Retry-After", "")
        raise HttpError(error.code, words, float(wait) if wait.isdigit() else None) from error
    except urllib.error.URLError as error:
        why = error.reason
        raise OSError((isinstance(why, OSError) and why.strerror) or str(why)) from error
