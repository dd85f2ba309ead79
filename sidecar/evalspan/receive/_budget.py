"""How much memory requests may take together."""

import asyncio
from collections import deque
from collections.abc import Callable

from evalspan.receive._counters import Counters


class BusyError(Exception):
    """No room came free in time."""


class Budget:
    """Bytes that can be reserved, first come, first served."""

    def __init__(
        self, limit_bytes: int, counters: Counters, hurry: Callable[[], None] = lambda: None
    ) -> None:
        """`hurry` is called each time someone has to wait."""
        self._limit_bytes = limit_bytes
        self._counters = counters
        self._hurry = hurry
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def reserve(self, size_bytes: int, wait_seconds: float) -> None:
        """Take `size_bytes`, waiting for them if need be; `BusyError` after `wait_seconds`."""
        if not self._waiting and self._fits(size_bytes):
            self._counters.in_flight_bytes += size_bytes
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        self._hurry()
        try:
            async with asyncio.timeout(wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.release(size_bytes)  # it was given in the moment in which we gave up
            turn.cancel()
            if isinstance(error, TimeoutError):
                raise BusyError from error
            raise

    @property
    def crowded(self) -> bool:
        """Whether someone waits."""
        return bool(self._waiting)

    def release(self, size_bytes: int) -> None:
        """Give bytes back and let those in that wait for them."""
        self._counters.in_flight_bytes -= size_bytes
        while self._waiting:
            wanted_bytes, turn = self._waiting[0]
            if not turn.done() and not self._fits(wanted_bytes):
                return
            self._waiting.popleft()
            if not turn.done():
                self._counters.in_flight_bytes += wanted_bytes
                turn.set_result(None)

    def _fits(self, size_bytes: int) -> bool:
        return self._counters.in_flight_bytes + size_bytes <= self._limit_bytes
