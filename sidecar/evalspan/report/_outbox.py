"""Send reports at least once: written to a file first, sent, then deleted.

A file of the outbox is named `ID.TRIES.NEXT.binpb`: the stable id of the request,
how often it was tried, and the Unix second before which it waits. Its state is
its name, so one rename moves it on.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from evalspan.report._send import Sent, send
from evalspan.report._settings import OtlpSettings
from evalspan.report._store import write_atomically
from evalspan.report._text import one_line

_NAME = re.compile(r"(?P<id>[0-9a-f]{16,64})\.(?P<tries>\d+)\.(?P<next>\d+)\.binpb")
Send = Callable[[bytes, OtlpSettings], Sent]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that could not be sent; `dead` says that it will not be tried again."""

    id: str
    tries: int
    error: str
    dead: bool

    def __str__(self) -> str:
        """Return one line for a log."""
        after = "put aside" if self.dead else "will be sent again"
        return f"report {self.id} not sent at try {self.tries}, {after}: {self.error}"


@dataclass(frozen=True, slots=True)
class Flushed:
    """What became of the requests: sent, still waiting, and what went wrong now."""

    sent: int
    waiting: int
    failures: tuple[Failure, ...]


class Outbox:
    """A folder of requests that wait to be sent. One process at a time flushes it."""

    def __init__(self, folder: Path, settings: OtlpSettings, *, send: Send = send) -> None:
        """Use `folder`, which is made when the first request comes."""
        self._folder = folder
        self._settings = settings
        self._send = send
        self._chance = random.Random()  # noqa: S311 - jitter, no secret

    def put(self, request: bytes) -> str:
        """Keep a serialized ExportLogsServiceRequest; the same one twice is kept once.

        Returns its id. Raises OSError.
        """
        identity = sha256(request).hexdigest()[:32]
        self._folder.mkdir(parents=True, exist_ok=True)
        if not any(self._folder.glob(f"{identity}.*.binpb")):
            write_atomically(self._folder / f"{identity}.0.0.binpb", request)
        return identity

    def flush(self, now: datetime) -> Flushed:
        """Send what is due. A request that failed waits longer each time, with jitter."""
        due, waiting = [], 0
        for path in sorted(self._folder.glob("*.binpb")):
            name = _NAME.fullmatch(path.name)
            if name and int(name["next"]) <= now.timestamp():
                due.append((path, name))
            else:
                waiting += 1
        failures = [failure for path, name in due if (failure := self._try(path, name, now))]
        again = sum(not failure.dead for failure in failures)
        return Flushed(len(due) - len(failures), waiting + again, tuple(failures))

    def _try(self, path: Path, name: re.Match[str], now: datetime) -> Failure | None:
        try:
            request = path.read_bytes()
        except FileNotFoundError:  # another process has sent it meanwhile
            return None
        sent = self._send(request, self._settings)
        if sent.error is None:
            path.unlink(missing_ok=True)
            return None
        tries = int(name["tries"]) + 1
        dead = not sent.retry or tries >= self._settings.max_tries
        if dead:
            grave = self._folder / "dead"
            grave.mkdir(exist_ok=True)
            path.replace(grave / path.name)
        else:
            later = int(now.timestamp() + self._wait(tries, sent.wait_seconds)) + 1
            path.replace(path.with_name(f"{name['id']}.{tries}.{later}.binpb"))
        return Failure(name["id"], tries, one_line(sent.error, 500), dead)

    def _wait(self, tries: int, asked_seconds: float | None) -> float:
        """Double each time up to the longest; anywhere in the upper half of it."""
        first, longest = self._settings.first_wait_seconds, self._settings.longest_wait_seconds
        wait = min(longest, first * 2.0 ** min(tries - 1, 30))
        return max(wait * self._chance.uniform(0.5, 1), asked_seconds or 0)


def publish(request: bytes, outbox: Outbox, now: datetime) -> Flushed:
    """Put a request into the outbox and send what is due; see `Outbox`."""
    outbox.put(request)
    return outbox.flush(now)
