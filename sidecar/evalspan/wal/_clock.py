"""Time as the log sees it: it never goes back and never stands still."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings in nanoseconds, injected by tests."""

    def wall_ns(self) -> int:
        """Time since the Unix epoch; may jump."""
        ...

    def monotonic_ns(self) -> int:
        """Time since some moment; never jumps."""
        ...


class SystemClock:
    """The clocks of the machine."""

    def wall_ns(self) -> int:
        """Time since the Unix epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Time since some moment."""
        return time.monotonic_ns()


class LogClock:
    """Stamps that never go back, and go on at the true pace after the wall clock was set back."""

    def __init__(self, clock: Clock, not_before_unix_ns: int = 0) -> None:
        self._clock = clock
        self._last_unix_ns = not_before_unix_ns
        self._last_monotonic_ns = clock.monotonic_ns()

    def stamp_unix_ns(self) -> int:
        """The time of a record or of a segment's end."""
        monotonic_ns = self._clock.monotonic_ns()
        elapsed_ns = monotonic_ns - self._last_monotonic_ns
        self._last_monotonic_ns = monotonic_ns
        self._last_unix_ns = max(self._clock.wall_ns(), self._last_unix_ns + elapsed_ns)
        return self._last_unix_ns

    def seconds(self) -> float:
        """Monotonic time for ages and deadlines."""
        return self._clock.monotonic_ns() / 1e9
