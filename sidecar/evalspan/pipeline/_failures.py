"""What a look could not do and went on without: each is logged, counted and tried again.

One report that breaks, or one damaged file of a mute, must not keep from people what the others
say. It is not passed over either: the counts are shown by a scrape.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import structlog

log = structlog.get_logger()

# A change of state told, a page brought up to date, a search told, the file of a mute.
Part = Literal["report", "page", "search", "mute"]
FIRST_WAIT: Final = timedelta(minutes=1)
LONGEST_WAIT: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Failed:
    """How often in a row something failed, and when it is tried again."""

    times: int
    again: datetime


class Failures:
    """Counts failures by part since the process began."""

    def __init__(self) -> None:
        """Begin with none."""
        # There from the start: a scraper cannot see by how much a first value grew.
        self._counts: Counter[str] = Counter(dict.fromkeys(get_args(Part), 0))
        self._failed: dict[tuple[Part, str], _Failed] = {}
        self._seen: dict[Part, frozenset[str]] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """Part → how often it failed, for JSON."""
        return dict(self._counts)

    def waits(self, part: Part, key: str, now: datetime) -> bool:
        """Whether this failed and its next try is not due: waits double up to an hour."""
        failed = self._failed.get((part, key))
        return failed is not None and now < failed.again

    @contextmanager
    def kept(self, part: Part, key: str, now: datetime, **about: str) -> Iterator[None]:
        """Keep the failure of one thing to itself; the log has `about` beside the error."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            before = self._failed.get((part, key))
            times = before.times + 1 if before else 1
            again = now + min(FIRST_WAIT * 2 ** min(times - 1, 10), LONGEST_WAIT)
            self._failed[part, key] = _Failed(times, again)
            self._counts[part] += 1
            why = f"{type(error).__name__}: {error}"
            log.exception("failed", part=part, times=times, again=again, why=why, **about)
        else:
            self._failed.pop((part, key), None)

    def note(self, part: Part, what: Collection[str]) -> None:
        """Count what is wrong now; what was not wrong at the last look is logged."""
        for text in sorted(frozenset(what) - self._seen.get(part, frozenset())):
            log.warning("failed", part=part, why=text)
        self._counts[part] += len(what)
        self._seen[part] = frozenset(what)
