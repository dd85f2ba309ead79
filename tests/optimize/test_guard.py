"""The guard, on counts and on chance: how often it is wrong."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan.optimize import Case, Output, SearchCases, Tried
from evalspan.optimize._guard import judge
from evalspan.optimize._outcome import Judgement
from evalspan.optimize._settings import OptimizeSettings

SETTINGS = OptimizeSettings()


def tried(number: int, verdicts: Mapping[str, str], slices: int = 2, **output: object) -> Tried:
    case = Case(f"c{number:04}", (), "holdout", slice={"customer": f"c{number % slices}"})
    return Tried(case, Output("x", **output), verdicts, {})  # type: ignore[arg-type]


def compare(
    before: list[Mapping[str, str]], after: list[Mapping[str, str]], slices: int = 2
) -> Judgement:
    old, new = (
        [tried(number, each, slices) for number, each in enumerate(side)]
        for side in (before, after)
    )
    return judge(old, new, "target", SETTINGS)


def word(passed: bool) -> str:  # noqa: FBT001 - one flag is all there is
    return "pass" if passed else "fail"


def counts(n: int, losses: int, gains: int) -> Judgement:
    """A target that is better beyond doubt, and another check with the given changes."""
    target = [({"target": "fail"}, {"target": "pass"})] * n
    changed = [("pass", "fail")] * losses + [("fail", "pass")] * gains
    other = changed + [("pass", "pass")] * (n - len(changed))
    return compare(
        [{**t[0], "other": o[0]} for t, o in zip(target, other, strict=True)],
        [{**t[1], "other": o[1]} for t, o in zip(target, other, strict=True)],
    )


@pytest.mark.parametrize(
    ("n", "losses", "gains", "standing"),
    [
        (58, 0, 0, "unproven"),
        (59, 0, 0, "not worse"),
        (120, 4, 0, "worse"),
        (120, 3, 0, "unproven"),
        (2000, 20, 2, "not worse"),
        (10, 5, 0, "worse"),
    ],
)
def test_another_check_is_proven_unproven_or_harmed(
    n: int, losses: int, gains: int, standing: str
) -> None:
    found = counts(n, losses, gains)
    other = found.checks[1]
    assert other.standing == standing
    assert (found.verdict == "rejected") == (standing == "worse")
    assert (other.needs > 0) == (standing == "unproven")


@given(n=st.integers(1, 200), data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_figures_add_up(n: int, data: st.DataObject) -> None:
    losses = data.draw(st.integers(0, n))
    gains = data.draw(st.integers(0, n - losses))
    row = counts(n, losses, gains).checks[1]
    assert (row.n, row.losses, row.gains) == (n, losses, gains)
    assert row.difference == pytest.approx((gains - losses) / n)
    assert row.difference == pytest.approx(row.after - row.before)
    assert -1 <= row.low <= row.high <= 1


def test_a_proposal_that_changes_nothing_is_accepted_rarely() -> None:
    """Answers change by chance alone, one in five each way; the error is alpha / 2."""
    chance = random.Random(7)  # noqa: S311 - a simulation
    accepted = 0
    for _ in range(200):
        sides = [[{"target": word(chance.random() < 0.8)} for _ in range(120)] for _ in "ab"]
        accepted += compare(*sides, slices=1).verdict != "rejected"
    assert accepted <= 10


def test_a_check_that_gets_worse_by_ten_points_is_caught() -> None:
    chance = random.Random(8)  # noqa: S311 - a simulation
    accepted = 0
    for _ in range(200):
        lost = [chance.random() < 0.1 for _ in range(120)]
        before = [{"target": "fail", "other": "pass"}] * 120
        after = [{"target": "pass", "other": word(not each)} for each in lost]
        accepted += compare(before, after, slices=1).verdict != "rejected"
    assert accepted <= 4


def test_checks_that_waver_by_chance_seldom_veto_a_better_prompt() -> None:
    """Four checks whose verdicts flip in one answer of twenty, before and after."""
    chance = random.Random(3)  # noqa: S311 - a simulation
    accepted = 0
    for _ in range(40):
        sides = [
            [
                {"target": word(chance.random() < rate)}
                | {f"check{k}": word(chance.random() >= 0.05) for k in range(4)}
                for _ in range(120)
            ]
            for rate in (0.5, 0.85)
        ]
        accepted += compare(*sides, slices=4).verdict != "rejected"
    assert accepted >= 34


def test_a_blank_value_of_a_slice_is_called_none() -> None:
    def side(word: str) -> list[Tried]:
        cases = (Case(f"c{n}", (), "holdout", slice={"customer": "ab "[n % 3]}) for n in range(60))
        return [Tried(case, Output("x"), {"target": word, "other": "pass"}, {}) for case in cases]

    (reservation,) = judge(side("fail"), side("pass"), "target", SETTINGS).reservations
    assert reservation.startswith("customer: too few to prove for (none) (needs ")


def test_a_target_that_falls_in_one_slice_only_is_a_veto() -> None:
    before = [{"target": word(number % 2 == 0)} for number in range(120)]
    after = [{"target": word(number % 2 == 1 or number < 60)} for number in range(120)]
    found = compare(before, after)
    assert found.checks[0].standing == "improved"
    assert found.verdict == "rejected"
    assert "target falls for customer=c0: 100.0 % → 50.0 %" in found.reasons[0]


def test_verdicts_that_vanish_are_a_reservation() -> None:
    before = [{"target": "fail", "other": "pass"}] * 120
    after = [
        {"target": "pass"} if n < 20 else {"target": "pass", "other": "pass"} for n in range(120)
    ]
    found = compare(before, after)
    assert "other has no verdict any more on 20 cases that it decided before" in found.reservations


def test_slow_answers_are_a_veto() -> None:
    old = [tried(n, {"target": "fail"}, duration_ms=100.0) for n in range(60)]
    new = [tried(n, {"target": "pass"}, duration_ms=200.0 - n) for n in range(60)]
    found = judge(old, new, "target", SETTINGS)
    assert found.reasons == ("50 of 60 answers take over 50 % more time than before",)


def test_a_few_slow_answers_are_no_veto() -> None:
    old = [tried(n, {"target": "fail"}, duration_ms=100.0) for n in range(60)]
    new = [tried(n, {"target": "pass"}, duration_ms=9e9 if n < 20 else 1.0) for n in range(60)]
    assert judge(old, new, "target", SETTINGS).verdict != "rejected"


def test_answers_to_other_cases_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="not of the same cases"):
        judge([tried(1, {})], [tried(2, {})], "target", SETTINGS)


def test_search_cases_know_which_ones_fail() -> None:
    case = Case("c", (), "search")
    both = tuple(Tried(case, Output(), {"form": each}, {}) for each in ("pass", "fail"))
    assert SearchCases("form", both).failing == both[1:]
