"""Send reports at least once: written to a file first, sent, then deleted.

A file of the outbox is named `ID.TRIES.NEXT.binpb` (or .json): the stable id of the request,
how often it was tried, and the Unix second before which it waits. Its state is
its name, so one rename moves it on.
"""

import random
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

from evalspan.report._annotations import annotate
from evalspan.report._call import Sent
from evalspan.report._send import send
from evalspan.report._settings import GrafanaSettings, OtlpSettings, Retries
from evalspan.report._store import write_atomically
from evalspan.report._text import one_line

_NAME = re.compile(r"(?P<id>[0-9a-f]{16,64})\.(?P<tries>\d+)\.(?P<next>\d+)\.(binpb|json)")
To = TypeVar("To", bound=Retries)


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


class Outbox(Generic[To]):
    """A folder of requests that wait to be sent. One process at a time flushes it."""

    def __init__(
        self,
        folder: Path,
        settings: To,
        *,
        send: Callable[[bytes, To], Sent] = send,  # type: ignore[assignment]  # OTLP is the usual
        suffix: str = "binpb",
    ) -> None:
        """Use `folder`, which is made when the first request comes."""
        self._folder = folder
        self._settings = settings
        self._send = send
        self._suffix = suffix
        self._chance = random.Random()  # noqa: S311 - jitter, no secret

    def put(self, request: bytes, identity: str | None = None) -> str:
        """Keep a request; one of the same id that waits already is kept once.

        `identity` are 16 to 64 hexadecimal digits; without it the id is the request's hash.
        Returns the id. Raises OSError.
        """
        identity = identity or sha256(request).hexdigest()[:32]
        self._folder.mkdir(parents=True, exist_ok=True)
        if not any(self._folder.glob(f"{identity}.*.{self._suffix}")):
            write_atomically(self._folder / f"{identity}.0.0.{self._suffix}", request)
        return identity

    def flush(self, now: datetime) -> Flushed:
        """Send what is due, in the order in which it was put; what fails holds up what follows.

        A log store refuses what is much older than the newest it has of a stream, so nothing
        overtakes. What failed waits longer each time, with jitter.
        """
        waiting = self._waiting()
        failures: list[Failure] = []
        sent = 0
        while waiting:
            path, name = waiting[0]
            if int(name["next"]) > now.timestamp():
                break
            failure = self._try(path, name, now)
            sent += failure is None
            failures += [failure] if failure else []
            if failure and not failure.dead:
                break
            waiting.pop(0)
        return Flushed(sent, len(waiting), tuple(failures))

    def _waiting(self) -> list[tuple[Path, re.Match[str]]]:
        """Return the files, the oldest first: a file keeps its time when it is renamed."""
        found = []
        for path in self._folder.glob(f"*.{self._suffix}"):
            name = _NAME.fullmatch(path.name)
            with suppress(FileNotFoundError):  # another process has sent it meanwhile
                found += [(path.stat().st_mtime_ns, path, name)] if name else []
        return [(path, name) for _, path, name in sorted(found, key=lambda each: each[:2])]

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
        worn = tries >= self._settings.max_tries and not sent.not_now
        dead = worn or not sent.retry
        if dead:
            grave = self._folder / "dead"
            grave.mkdir(exist_ok=True)
            path.replace(grave / path.name)
        else:
            later = int(now.timestamp() + self._wait(tries, sent.wait_seconds)) + 1
            path.replace(path.with_name(f"{name['id']}.{tries}.{later}.{self._suffix}"))
        return Failure(name["id"], tries, one_line(sent.error, 500), dead)

    def _wait(self, tries: int, asked_seconds: float | None) -> float:
        """Double each time up to the longest; anywhere in the upper half of it."""
        first, longest = self._settings.first_wait_seconds, self._settings.longest_wait_seconds
        wait = min(longest, first * 2.0 ** min(tries - 1, 30))
        return max(wait * self._chance.uniform(0.5, 1), asked_seconds or 0)


def outbox_of_annotations(folder: Path, settings: GrafanaSettings) -> Outbox[GrafanaSettings]:
    """Return the outbox whose requests become annotations of Grafana."""
    return Outbox(folder, settings, send=annotate, suffix="json")


def publish(request: bytes, outbox: Outbox[OtlpSettings], now: datetime) -> Flushed:
    """Put a request into the outbox and send what is due; see `Outbox`."""
    outbox.put(request)
    return outbox.flush(now)
