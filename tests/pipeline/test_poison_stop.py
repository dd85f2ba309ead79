"""Which ends of a process count against the stage that it was at: those nobody asked for."""

from contextlib import suppress
from pathlib import Path

import pytest
from replay_world import Killed, write_log
from running_sidecar import wait_for

from evalspan import wal
from evalspan.pipeline._poison import CRASHES, Poison
from evalspan.pipeline._word import read_word


class Life:
    """A process that works at a stage of the only segment until something ends it."""

    def __init__(self, folder: Path, *, told: bool = False) -> None:
        self.told = told
        self._folder = folder
        (self._segment,) = wal.segments(folder / "log")
        self._poison = Poison(folder, pytest.fail, pytest.fail, lambda: self.told)

    def end(self, error: type[BaseException], *, stop: bool = False) -> None:
        """End in the middle of the stage; `stop`: it was told to before."""
        with suppress(error), self._poison.watch(self._segment, "evaluate"):
            noted = self.crashes
            self.told = self.told or stop
            if stop:
                wait_for("the note is taken back", lambda: self.crashes != noted)
            raise error

    def finish(self) -> None:
        with self._poison.watch(self._segment, "evaluate"):
            pass

    @property
    def crashes(self) -> dict[str, int]:
        word = read_word(self._folder / "crashes.json")
        assert word is not None
        return dict(word["segments"])


def test_who_is_killed_because_it_was_told_to_stop_has_not_crashed(tmp_path: Path) -> None:
    write_log(tmp_path / "log", [()])
    life = Life(tmp_path)
    life.end(Killed)
    assert life.crashes == {"1:evaluate": 1}
    for _ in range(CRASHES):
        Life(tmp_path).end(Killed, stop=True)
        assert life.crashes == {"1:evaluate": 1}
    Life(tmp_path, told=True).end(Killed)  # at a stage that it went on with after the stop
    assert life.crashes == {"1:evaluate": 1}
    Life(tmp_path).end(Killed)
    assert life.crashes == {"1:evaluate": 2}
    Life(tmp_path).finish()
    assert life.crashes == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_is_interrupted_has_not_crashed(error: type[BaseException], tmp_path: Path) -> None:
    write_log(tmp_path / "log", [()])
    life = Life(tmp_path)
    life.end(Killed)
    for _ in range(CRASHES):
        Life(tmp_path).end(error)
        assert life.crashes == {"1:evaluate": 1}
