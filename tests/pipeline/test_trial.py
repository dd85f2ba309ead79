"""Work that dies, hangs or raises in another process, and the search for what is to blame."""

import multiprocessing
from collections.abc import Sequence

import pytest
from poison_world import dies

from evalspan.pipeline._trial import MOST_SECONDS, MOST_TRIALS, StoppedError, Trial, culprits


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
