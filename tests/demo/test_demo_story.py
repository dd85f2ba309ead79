"""The demo waits until everything was answered before it shows a number."""

from types import SimpleNamespace

import pytest

from evalspan import pipeline
from evalspan.demo import story


def book(*, stored: int, expected: int, waiting: int) -> pipeline.Ledger:
    line = SimpleNamespace(subject="spans", stored=stored, pending=0)
    check = SimpleNamespace(expected=expected, pending=waiting)
    return pipeline.Ledger((line,), (check,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "expected", "waiting", "ready"),
    [
        (0, 0, 0, False),
        (80, 40, 0, False),
        (80, 80, 40, False),
        (80, 80, 0, True),
    ],
    ids=["nothing yet", "not all settled", "a judge still answers", "all answered"],
)
def test_numbers_are_shown_when_all_is_answered(
    *,
    stored: int,
    expected: int,
    waiting: int,
    ready: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = book(stored=stored, expected=expected, waiting=waiting)
    monkeypatch.setattr(pipeline, "read_ledger", lambda _: found)
    assert story._scored(None) is ready
