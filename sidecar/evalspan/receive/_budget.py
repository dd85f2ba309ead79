"""How much memory requests may take together."""

import asyncio
import sys
from collections.abc import Callable

from evalspan.receive._counters import Counters
from evalspan.receive._turns import Turn, Turns


class BusyError(Exception):
    """No room came free in time, or more wait than would have their turn in time."""


class Budget:
    """Bytes that can be reserved: the addresses in turn, and of each its connections."""

    def __init__(
        self,
        limit_bytes: int,
        counters: Counters,
        hurry: Callable[[], None] = lambda: None,
        most_waiting: Callable[[], int] = lambda: sys.maxsize,
    ) -> None:
        """`hurry` is called each time someone has to wait; `most_waiting` says how many may."""
        self._limit_bytes = limit_bytes
        self._counters = counters
        self._hurry = hurry
        self._most_waiting = most_waiting
        self._turns = Turns()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._turns.waiting

    async def reserve(self, size_bytes: int, wait_seconds: float, peer: str = "") -> None:
        """Take `size_bytes`, waiting for them if need be; `BusyError` after `wait_seconds`.

        `peer` is who asks: one that asks a thousand times is no more in the way than one that
        asks twice. Where too many wait, those of who asks most hear `BusyError` at once.
        """
        if not self.waiting and self._fits(size_bytes):
            self._counters.in_flight_bytes += size_bytes
            return
        turn = Turn(peer, size_bytes, asyncio.get_running_loop().create_future())
        self._turns.add(turn)
        self._hurry()
        while self.waiting > self._most_waiting():
            excess = self._turns.take_excess()
            if not excess.given.done():
                excess.given.set_result(False)
        try:
            async with asyncio.timeout(wait_seconds):
                given = await turn.given
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, TimeoutError):
                raise BusyError from error
            raise
        if not given:
            raise BusyError

    def release(self, size_bytes: int) -> None:
        """Give bytes back and let those in that wait for them."""
        self._counters.in_flight_bytes -= size_bytes
        self._let_in()

    def _give_up(self, turn: Turn) -> None:
        if turn.given.cancelled():
            self._turns.remove(turn)
            self._let_in()
        elif turn.given.result():
            self.release(turn.size_bytes)  # it was given in the moment in which we gave up

    def _let_in(self) -> None:
        while self.waiting and self._fits(self._turns.next().size_bytes):
            turn = self._turns.take()
            if not turn.given.done():  # else it has given up, but has not run since
                self._counters.in_flight_bytes += turn.size_bytes
                turn.given.set_result(True)

    def _fits(self, size_bytes: int) -> bool:
        return self._counters.in_flight_bytes + size_bytes <= self._limit_bytes
