"""Work with a deadline in threads that nobody has to wait for.

The threads are daemons: a check that hangs holds up neither the receiver nor its end, as the
threads of a `concurrent.futures` pool would.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future


class Threads:
    """A few threads that call `function`; work that finds too many waiting is refused."""

    def __init__(self, function: Callable[[bytes], bytes], count: int, waiting: int) -> None:
        self._function = function
        self._queue: queue.Queue[tuple[bytes, Future[bytes]] | None] = queue.Queue()
        self._limit = count + waiting
        self._count = count
        self._taken = 0
        self._lock = threading.Lock()
        for number in range(count):
            name = f"evalspan-annotate-{number}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, argument: bytes) -> "Future[bytes] | None":
        """The future result, None where all threads are busy and the queue is full."""
        with self._lock:
            if self._taken >= self._limit:
                return None
            self._taken += 1
        future: Future[bytes] = Future()
        self._queue.put((argument, future))
        return future

    def close(self) -> None:
        """Let the threads end when they are free."""
        for _ in range(self._count):
            self._queue.put(None)

    def _run(self) -> None:
        while item := self._queue.get():
            argument, future = item
            if future.set_running_or_notify_cancel():
                self._call(argument, future)
            with self._lock:
                self._taken -= 1

    def _call(self, argument: bytes, future: "Future[bytes]") -> None:
        try:
            future.set_result(self._function(argument))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - asyncio would end the process for it
            future.set_exception(RuntimeError(f"{type(error).__name__} in Annotate"))
