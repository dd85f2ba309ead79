"""What `evalspan detect` says is missing."""

from datetime import timedelta

import pytest

from evalspan.pipeline._ask import _days_and_hours, _more_verdicts


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=2, hours=23, minutes=50), "3 d 0 h"),
        (timedelta(days=2, hours=3, seconds=1), "2 d 4 h"),
        (timedelta(minutes=1), "0 d 1 h"),
    ],
    ids=str,
)
def test_history_that_is_missing_is_rounded_up_to_hours(span: timedelta, words: str) -> None:
    assert _days_and_hours(span) == words


def test_one_verdict_is_one() -> None:
    assert [_more_verdicts(n) for n in (1, 2)] == ["1 more verdict", "2 more verdicts"]
