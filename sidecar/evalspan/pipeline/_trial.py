"""Try work that ended this process in another one, and find what is to blame for it."""

import math
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, TypeVar

Unit = TypeVar("Unit")
# A search that needs more has found a fault of ours and not of the data.
MOST_TRIALS: Final = 200
MOST_SECONDS: Final = 3600.0
# Well above what a hanging check of the user's own takes: three times its time limit of 10 s.
WORK_SECONDS: Final = 300.0
_TOOK: Final = "took more than"
# A try that takes too long costs minutes, one that works may be short: few rounds of many.
_PIECES_OF_SLOW: Final = 8
_POLL_SECONDS: Final = 0.1


class StoppedError(RuntimeError):
    """It is time to stop, in the middle of a trial: nothing was found and nothing decided."""


class Trial:
    """Does a function of a module in a child process, which may die of it or hang.

    The child ends with this process, however this one ends; work that hangs after
    `limit_seconds`.
    """

    def __init__(
        self,
        work: Callable[..., object],
        stop: Callable[[], bool] = lambda: False,
        *,
        limit_seconds: float = WORK_SECONDS,
    ) -> None:
        """Start nothing yet; `stop` says whether it is time to stop."""
        self._work = work
        self._stop = stop
        self._limit_seconds = limit_seconds
        self._child: tuple[BaseProcess, Connection] | None = None

    def __call__(self, *arguments: Any) -> str:  # noqa: ANN401 - those of the work
        """Return what went wrong; empty if nothing did. Raises StoppedError."""
        self._go_on()
        process, pipe = self._child or self._start()
        try:
            pipe.send(arguments)
            while not pipe.poll(_POLL_SECONDS):
                self._go_on()
            return str(pipe.recv())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            process.join()
            self._child = None
            if process.exitcode == -signal.SIGALRM:
                return f"{_TOOK} {self._limit_seconds:g} s"
            return f"ended the process ({_how(process.exitcode)})"

    def close(self) -> None:
        """End the child, whatever it does."""
        if self._child is not None:
            process, pipe = self._child
            pipe.close()
            process.kill()
            process.join()
            self._child = None

    def _go_on(self) -> None:
        if self._stop():
            msg = "told to stop while looking for what ends the process"
            raise StoppedError(msg)

    def _start(self) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._work, self._limit_seconds), daemon=True
        )
        process.start()
        theirs.close()
        self._child = process, ours
        return self._child


def _serve(pipe: Connection, work: Callable[..., object], limit_seconds: float) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the system ends what no longer listens
    with suppress(EOFError):  # nobody has more to ask
        while True:
            arguments = pipe.recv()
            signal.setitimer(signal.ITIMER_REAL, limit_seconds)
            how = ending(work, arguments)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send(how)


def ending(work: Callable[..., object], arguments: Sequence[Any]) -> str:
    """Do the work here; return what it raised."""
    try:
        work(*arguments)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of a library is no Exception
        return f"raised {type(error).__name__}"
    return ""


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def culprits(
    units: Sequence[Unit],
    fails: Callable[[Sequence[Unit]], str],
    clock: Callable[[], float] = time.monotonic,
) -> list[tuple[Unit, str]]:
    """Return the units without which the work does not fail, each with how it failed.

    Halves are tried with everything that is good so far, so that units which fail only
    together are found too: the later of them is to blame. But many units may take long and
    none of them be to blame: that is said only of one that takes too long alone. Nothing if
    it does not fail with all of them, or fails without any. A search ends after `MOST_TRIALS`
    or `MOST_SECONDS`; parts that end the process and were not halved any more are then blamed
    as a whole, and say so.
    """
    search = _Search(fails, clock)
    why = search.fails(units) if units else ""
    return search.bad(units, why) if why and not search.fails(()) else []


class _Search:
    def __init__(self, fails: Callable[[Sequence[Any]], str], clock: Callable[[], float]) -> None:
        self._fails = fails
        self._clock = clock
        self._left = MOST_TRIALS
        self._until = clock() + MOST_SECONDS
        self._good: list[Any] = []

    def fails(self, units: Sequence[Any]) -> str:
        """Try units with the good ones, which are let go where they take too long together."""
        how = self._tried([*self._good, *units])
        if self._good and _is_slow(how):
            self._good = []
            how = self._tried(units)
        return how

    def bad(self, units: Sequence[Any], why: str) -> list[tuple[Any, str]]:
        """Return the bad ones of units that are known to fail; the others are good from now on.

        The larger parts are cut first, so that little is left unknown when it has to end.
        """
        parts, found = deque([(range(len(units)), why)]), list[tuple[int, str]]()
        while parts:
            part, why = parts.popleft()
            if len(part) == 1:
                found.append((part.start, why))
            elif not self._is_over():
                parts += (self._slow if _is_slow(why) else self._failing)(units, part)
            elif not _is_slow(why):
                found += [(place, why + unknown(len(part))) for place in part]
        return [(units[place], why) for place, why in sorted(found)]

    def _failing(self, units: Sequence[Any], part: range) -> Iterator[tuple[range, str]]:
        """Yield the halves of a part that fail, with how."""
        for half in _cut(part, 2):
            some = units[half.start : half.stop]
            if how := self.fails(some):
                yield half, how
            else:
                self._good += some

    def _slow(self, units: Sequence[Any], part: range) -> Iterator[tuple[range, str]]:
        """Yield the pieces that fail, each without any others, of a part that takes too long."""
        for piece in _cut(part, _PIECES_OF_SLOW):
            if self._is_over():
                return
            if how := self._tried(units[piece.start : piece.stop]):
                yield piece, how

    def _tried(self, units: Sequence[Any]) -> str:
        self._left -= 1
        return self._fails(units)

    def _is_over(self) -> bool:
        return self._left <= 0 or self._clock() >= self._until


def _is_slow(how: str) -> bool:
    return how.startswith(_TOOK)


def _cut(part: range, count: int) -> list[range]:
    """Return at most so many pieces of a part, of equal length but for the last."""
    length = math.ceil(len(part) / count)
    return [part[start : start + length] for start in range(0, len(part), length)]


def unknown(count: int) -> str:
    """Return what is said of so many where it is not known which of them is to blame."""
    return f"; which of {count} is to blame was not found" if count > 1 else ""
