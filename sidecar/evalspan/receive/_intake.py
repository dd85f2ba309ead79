"""Reading one request and answering it: nothing is decoded here, nothing is swallowed.

The methods are registered as client-streaming ones, which on the wire are the same as unary
ones with one message. So a call is seen before its message is read: memory is reserved first,
and a message that the transport refuses (too large, not decompressible) is counted.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, Final, Never, cast

import grpc
from grpc.aio import EOF, ServicerContext

from evalspan.receive._budget import Budget, BusyError
from evalspan.receive._counters import Counters
from evalspan.receive._retry import retry_trailer
from evalspan.receive._settings import ReceiveSettings

Work = Callable[[bytes], Awaitable[bytes]]
Context = ServicerContext[Any, Any]
Code = grpc.StatusCode

# What has come whole is read within milliseconds; with less time than this, nobody would be served.
_SHORTEST_READ_SECONDS: Final = 0.02
# For the event loop to hand on what came while it stood still.
_GRACE_SECONDS: Final = 0.001
# Taken for the mean until there is one.
_USUAL_READ_SECONDS: Final = 0.001
# The mean time of reading is that of about as many requests.
_READS_IN_MEAN: Final = 16


async def _is_there(reader: "asyncio.Task[Any]") -> bool:
    """Say whether a message has come, once what the transport has is looked at."""
    await asyncio.wait({reader}, timeout=_GRACE_SECONDS)
    return reader.done()


class RefusedError(Exception):
    """A request that gets no OK: the status for the sender and the reason for the counter."""

    def __init__(self, code: Code, reason: str, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.retry = retry


class Intake:
    """What all methods share: the budget, the counters, the way of saying no."""

    def __init__(self, settings: ReceiveSettings, counters: Counters) -> None:
        self.settings = settings
        self.counters = counters
        self.stopping = False
        self._tasks: set[asyncio.Task[bytes | RefusedError]] = set()
        self._places = settings.max_in_flight_mib // settings.max_message_mib
        limit_bytes = settings.max_in_flight_mib * 2**20
        self._budget = Budget(limit_bytes, counters, self._someone_waits, self._most_waiting)
        self._read_seconds = _USUAL_READ_SECONDS
        self._reading: dict[asyncio.Timeout, float] = {}
        self._pace_seconds = 0.0
        self._unfinished = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is worked on and every answer is sent."""
        await self._idle.wait()

    async def answer(self, signal: str, context: Context, work: Work) -> bytes:
        """Read the request, do `work` on it, and turn whatever goes wrong into a status.

        Every call is counted once: by its reading where that fails, else by its work, which
        goes on when the sender has gone away.
        """
        self.counters.requests[signal] += 1
        if self.stopping:  # who asks again and again does not hold up the end
            refused = RefusedError(Code.UNAVAILABLE, "stopping", "evalspan: shutting down")
            return await self._abort(context, self._refuse(signal, refused))
        self._enter()
        self._unfinished += 1
        context.add_done_callback(self._answered)  # type: ignore[arg-type] # the stub has a class where a function is meant
        try:
            message = await self._read(context)
        except asyncio.CancelledError:
            self.counters.rejected[signal, "cancelled"] += 1
            self._leave()
            raise
        except Exception as error:  # noqa: BLE001 - becomes a status
            refused = self._refuse(signal, error)
            self._leave()
            return await self._abort(context, refused)
        task = asyncio.ensure_future(self._work(signal, message, work))
        self._tasks.add(task)  # the event loop itself does not hold on to tasks
        task.add_done_callback(self._tasks.discard)
        result = await asyncio.shield(task)
        return result if isinstance(result, bytes) else await self._abort(context, result)

    async def _read(self, context: Context) -> bytes:
        """The one message of the call, with as many bytes of the budget as it has."""
        settings = self.settings
        reserved = settings.max_message_mib * 2**20
        try:
            wait_seconds = settings.busy_wait.total_seconds()
            await self._budget.reserve(reserved, wait_seconds, context.peer())
        except BusyError as error:
            message = "evalspan: too many requests at once (receive.max_in_flight_mib)"
            raise RefusedError(Code.RESOURCE_EXHAUSTED, "busy", message, retry=True) from error
        kept = 0
        try:
            async with asyncio.timeout(settings.read_timeout.total_seconds()) as limit:
                message = await self._message(context, limit)
            if message is EOF:  # the status is already sent unless the sender sent nothing
                text = "evalspan: no readable message came"
                raise RefusedError(Code.INVALID_ARGUMENT, "unreadable", text)
            kept = len(message)
        except TimeoutError as error:
            text = "evalspan: the request did not come whole in time (receive.read_timeout)"
            raise RefusedError(Code.UNAVAILABLE, "slow_sender", text) from error
        finally:
            self._budget.release(reserved - kept)
        return cast("bytes", message)

    async def _message(self, context: Context, limit: asyncio.Timeout) -> Any:  # noqa: ANN401 - as read
        loop = asyncio.get_running_loop()
        self._reading[limit] = loop.time()
        self._hurry()
        reader = asyncio.ensure_future(context.read())
        try:
            await asyncio.wait({reader})
        except asyncio.CancelledError:
            # The time may be over because this process stood still, with the message there; and
            # gRPC ends the call itself where it has refused the message, which read() says.
            if not reader.done() and not (limit.expired() and await _is_there(reader)):
                raise
        finally:
            reader.cancel()
            took_seconds = loop.time() - self._reading.pop(limit)
            self._read_seconds += (took_seconds - self._read_seconds) / _READS_IN_MEAN
        return reader.result()

    def _someone_waits(self) -> None:
        """All who wait shall have their turn within half of busy_wait: the more, the faster.

        The pace is kept until nobody waits: who came when many waited still counts on it.
        """
        settings, waiting = self.settings, self._budget.waiting
        if waiting == 1:
            self._pace_seconds = settings.crowded_read_timeout.total_seconds()
        share = settings.busy_wait.total_seconds() / 2 * self._places / (self._places + waiting)
        self._pace_seconds = min(self._pace_seconds, max(share, _SHORTEST_READ_SECONDS))
        self._hurry()

    def _most_waiting(self) -> int:
        """How many would have their turn within half of busy_wait, as fast as it goes now.

        Those beyond are refused at once: they would wait for nothing, and others with them.
        """
        turn_seconds = min(self._read_seconds, _SHORTEST_READ_SECONDS) / self._places
        return math.ceil(self.settings.busy_wait.total_seconds() / 2 / turn_seconds)

    def _hurry(self) -> None:
        """As many senders as wait for a place, those that began first, have less time left.

        How much of a message has come is not known, so that each sender holds the place of
        the largest one; a few that send nothing would otherwise hold all places.
        """
        for limit, begun in islice(self._reading.items(), self._budget.waiting):
            if not limit.expired():
                end = begun + self._pace_seconds
                limit.reschedule(min(end, limit.when() or end))

    async def _work(self, signal: str, message: bytes, work: Work) -> bytes | RefusedError:
        try:
            return await work(message)
        except Exception as error:  # noqa: BLE001 - becomes a status
            return self._refuse(signal, error)
        finally:
            self._budget.release(len(message))
            self._leave()

    def _refuse(self, signal: str, error: Exception) -> RefusedError:
        """UNAVAILABLE for the unexpected: a sender takes gRPC's own UNKNOWN for permanent."""
        if not isinstance(error, RefusedError):
            # no more than the name: the text of an error may quote the request
            text = f"evalspan: unexpected {type(error).__name__}"
            error = RefusedError(Code.UNAVAILABLE, "error", text)
        self.counters.rejected[signal, error.reason] += 1
        return error

    async def _abort(self, context: Context, refused: RefusedError) -> Never:
        trailer: tuple[tuple[str, bytes], ...] = ()
        if refused.retry:
            delay = self.settings.retry_after
            trailer = retry_trailer(refused.code, refused.message, delay)
        await context.abort(refused.code, refused.message, trailer)

    def _enter(self) -> None:
        self.counters.in_flight_requests += 1
        self._unfinished += 1
        self._idle.clear()

    def _leave(self) -> None:
        self.counters.in_flight_requests -= 1
        self._finished()

    def _answered(self, _: Context) -> None:
        """Called by gRPC when a call is over; its work may still go on."""
        self._finished()

    def _finished(self) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._idle.set()
