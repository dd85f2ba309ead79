"""How much memory requests may take together."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

from evalspan.receive._counters import Counters


class BusyError(Exception):
    """No room came free in time."""


class Budget:
    """Bytes that can be reserved: the peers in turn, each of them first come, first served."""

    def __init__(
        self, limit_bytes: int, counters: Counters, hurry: Callable[[], None] = lambda: None
    ) -> None:
        """`hurry` is called each time someone has to wait."""
        self._limit_bytes = limit_bytes
        self._counters = counters
        self._hurry = hurry
        self._peers: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()
        self.waiting = 0
        """How many wait."""

    async def reserve(self, size_bytes: int, wait_seconds: float, peer: str = "") -> None:
        """Take `size_bytes`, waiting for them if need be; `BusyError` after `wait_seconds`.

        `peer` is who asks: one that asks a thousand times is no more in the way than one that
        asks twice.
        """
        if not self._peers and self._fits(size_bytes):
            self._counters.in_flight_bytes += size_bytes
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._peers.setdefault(peer, deque()).append((size_bytes, turn))
        self.waiting += 1
        self._hurry()
        try:
            async with asyncio.timeout(wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.release(size_bytes)  # it was given in the moment in which we gave up
            else:
                turn.cancel()
                self._let_in()
            if isinstance(error, TimeoutError):
                raise BusyError from error
            raise
        finally:
            self.waiting -= 1

    def release(self, size_bytes: int) -> None:
        """Give bytes back and let those in that wait for them."""
        self._counters.in_flight_bytes -= size_bytes
        self._let_in()

    def _let_in(self) -> None:
        while self._peers:
            peer, turns = next(iter(self._peers.items()))
            wanted_bytes, turn = turns[0]
            if not turn.done() and not self._fits(wanted_bytes):
                return
            turns.popleft()
            if not turn.done():
                self._counters.in_flight_bytes += wanted_bytes
                turn.set_result(None)
                self._peers.move_to_end(peer)
            if not turns:
                del self._peers[peer]

    def _fits(self, size_bytes: int) -> bool:
        return self._counters.in_flight_bytes + size_bytes <= self._limit_bytes
