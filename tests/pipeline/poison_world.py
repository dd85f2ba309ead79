"""What a child process is told to do: it imports this by its name."""

import os
import signal


def dies(number: int) -> None:
    """Do nothing, but 3 dies of a signal and 4 raises."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        raise KeyError(number)
