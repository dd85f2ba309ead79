"""Work that dies, hangs or raises in another process, and the search for what is to blame."""

import multiprocessing
from collections.abc import Sequence

import pytest
from poison_world import dies

from evalspan.pipeline._trial import (
    MOST_SECONDS,
    MOST_TRIALS,
    WORK_SECONDS,
    StoppedError,
    Trial,
    culprits,
)

KILLED = "ended the process (SIGKILL)"
HUNG = f"took more than {WORK_SECONDS:g} s"


def test_a_trial_survives_what_it_tries() -> None:
    trial = Trial(dies)
    try:
        found = [trial(number) for number in (1, 3, 4, 2)]
    finally:
        trial.close()
    assert found == ["", "ended the process (SIGKILL)", "raised KeyError", ""]


def test_a_trial_that_hangs_is_ended_after_a_while() -> None:
    trial = Trial(dies, limit_seconds=0.5)
    try:
        found = [trial(number) for number in (1, 5, 2)]
    finally:
        trial.close()
    assert found == ["", "took more than 0.5 s", ""]


def test_a_trial_ends_when_it_is_time_to_stop() -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    trial = Trial(dies, stop)
    with pytest.raises(StoppedError):
        trial(5)
    trial.close()
    with pytest.raises(StoppedError):
        trial(1)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("bad", "blamed"),
    [
        ([{2}], [2]),
        ([{0}, {7}, {8}], [0, 7, 8]),
        ([{1, 5}], [5]),  # only together: the later one
        ([set(range(10)) - {4}], [9]),
        ([], []),
        ([set()], []),  # it fails whatever it is given
    ],
    ids=str,
)
def test_culprits_are_those_without_which_it_works(bad: list[set[int]], blamed: list[int]) -> None:
    def fails(units: Sequence[int]) -> str:
        return "raised" if any(group <= set(units) for group in bad) else ""

    assert [unit for unit, _ in culprits(range(10), fails)] == blamed


def test_a_search_without_end_says_so_of_what_is_left() -> None:
    units = range(10_000)
    found = culprits(units, lambda some: "raised" if some else "")
    assert [unit for unit, _ in found] == list(units)
    assert all("was not found" in why for _, why in found)


@pytest.mark.parametrize("seconds_a_trial", [0.0, 60.0])
def test_a_search_that_runs_out_leaves_little_unknown(
    seconds_a_trial: float,
) -> None:
    bad, now, tried = set(range(77, 10_000, 400)), [0.0], [0]

    def fails(units: Sequence[int]) -> str:
        tried[0] += 1
        now[0] += seconds_a_trial
        return "raised" if bad & set(units) else ""

    found = dict(culprits(range(10_000), fails, lambda: now[0]))
    assert bad <= set(found), "what is left may hold the others"
    assert {why for unit, why in found.items() if unit not in bad} <= {
        why for why in found.values() if "was not found" in why
    }
    if seconds_a_trial:
        assert now[0] <= MOST_SECONDS + 2 * seconds_a_trial
    else:
        assert tried[0] <= MOST_TRIALS + 2
        assert len(found) < 2_000, "most of the good ones are found to be good"


class Slow:
    """Work on units that take so many seconds each, but one hangs and one ends the process."""

    def __init__(self, seconds: float, *, hangs: int = -1, kills: int = -1) -> None:
        self.now = 0.0
        self._seconds, self._hangs, self._kills = seconds, hangs, kills

    def fails(self, units: Sequence[int]) -> str:
        end = self.now + WORK_SECONDS
        for unit in units:
            if unit == self._kills:
                return KILLED
            self.now += WORK_SECONDS + 1 if unit == self._hangs else self._seconds
            if self.now > end:
                self.now = end
                return HUNG
        return ""


@pytest.mark.parametrize(
    ("units", "work", "blamed"),
    [
        (100, Slow(4), []),
        (100, Slow(4, hangs=50), [(50, HUNG)]),
        (100, Slow(4, kills=50), [(50, KILLED)]),
        (100, Slow(4, kills=99), [(99, KILLED)]),
        (100, Slow(4, hangs=20, kills=70), [(20, HUNG), (70, KILLED)]),
        (10_000, Slow(0.001, hangs=7_777), [(7_777, HUNG)]),
        (1, Slow(0, hangs=0), [(0, HUNG)]),
        (1_000, Slow(20), []),  # more than can be gone through before it has to end
    ],
    ids=["slow", "hangs", "kills", "kills last", "both", "one hangs of many", "one", "no end"],
)
def test_time_is_blamed_only_on_a_unit_that_alone_takes_too_long(
    units: int, work: Slow, blamed: list[tuple[int, str]]
) -> None:
    assert culprits(range(units), work.fails, lambda: work.now) == blamed
    assert work.now < MOST_SECONDS + 5 * WORK_SECONDS
