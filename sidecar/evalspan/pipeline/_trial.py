"""Try work that ended this process in another one, and find what is to blame for it."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, Protocol, TypeVar

Unit = TypeVar("Unit")
# A search that needs more has found a fault of ours and not of the data: the rest is to blame.
MOST_TRIALS: Final = 200


class Trying(Protocol):
    """Says how a piece of work ends."""

    def __call__(self, *arguments: Any) -> str:  # noqa: ANN401 - those of the work
        """Return what went wrong, such as `raised KeyError`; empty if nothing did."""
        ...

    def close(self) -> None:
        """End what it took."""
        ...


class Trial:
    """Does a function of a module in a child process, which may die of it.

    The child ends with this process, however this one ends.
    """

    def __init__(self, work: Callable[..., object]) -> None:
        """Start nothing yet."""
        self._work = work
        self._child: tuple[BaseProcess, Connection] | None = None

    def __call__(self, *arguments: Any) -> str:  # noqa: ANN401 - those of the work
        """Return what went wrong; empty if nothing did."""
        process, pipe = self._child or self._start()
        try:
            pipe.send(arguments)
            return str(pipe.recv())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            process.join()
            self._child = None
            return f"ended the process ({_how(process.exitcode)})"

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            process, pipe = self._child
            pipe.close()
            process.join()
            self._child = None

    def _start(self) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        process.start()
        theirs.close()
        self._child = process, ours
        return self._child


def _serve(pipe: Connection, work: Callable[..., object]) -> None:
    with suppress(EOFError):  # nobody has more to ask
        while True:
            pipe.send(ending(work, pipe.recv()))


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
    units: Sequence[Unit], fails: Callable[[Sequence[Unit]], str]
) -> list[tuple[Unit, str]]:
    """Return the units without which the work does not fail, each with how it failed.

    Halves are tried with everything before them that is good, so that units which fail
    only together are found too: the later of them is to blame.
    """
    search = _Search(fails)
    return search.bad(units, search.fails(units)) if search.soluble(units) else []


class _Search:
    def __init__(self, fails: Callable[[Sequence[Any]], str]) -> None:
        self._fails = fails
        self._left = MOST_TRIALS
        self._good: list[Any] = []

    def fails(self, units: Sequence[Any]) -> str:
        self._left -= 1
        return self._fails([*self._good, *units])

    def soluble(self, units: Sequence[Any]) -> bool:
        """Whether it fails with everything and does not fail with nothing."""
        return bool(units) and bool(self.fails(units)) and not self.fails(())

    def bad(self, part: Sequence[Any], why: str) -> list[tuple[Any, str]]:
        """Return the bad ones of a part that is known to fail; the others are good from now on."""
        if len(part) == 1 or self._left <= 0:
            return [(unit, why) for unit in part]
        middle = len(part) // 2
        found: list[tuple[Any, str]] = []
        for half in (part[:middle], part[middle:]):
            if how := self.fails(half):
                found += self.bad(half, how)
            else:
                self._good += half
        return found
