"""What a child process is told to do: it imports this by its name."""

import os
import signal
import time


def dies(number: int) -> None:
    """Do nothing, but 3 dies of a signal, 4 raises, 5 never ends."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        raise KeyError(number)
    while number == 5:
        time.sleep(1)
