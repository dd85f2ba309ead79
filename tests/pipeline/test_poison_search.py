"""The search for what ends the process is bounded, and may end the process itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from replay_world import QUIET, Here, Lives, settings_of, write_log

from evalspan import decode
from evalspan.model import QUARANTINE
from evalspan.pipeline import _poison, read_ledger
from evalspan.pipeline._poison import CRASHES
from evalspan.testing import plain_span, request

BAD = 7


class DiedError(BaseException):
    """The process ended."""


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lives:
    """Return a sidecar that dies of decoding a request of ten spans, one of which is bad."""
    monkeypatch.setattr(_poison, "Trial", Here)
    bad = request(*(plain_span("answer", number=BAD * 100 + n, trace=BAD) for n in range(10)))
    good = request(plain_span("answer", number=1, trace=1))
    write_log(tmp_path / "log", [(("traces", good), ("traces", bad)), *QUIET])
    name = bad.resource_spans[0].scope_spans[0].spans[4].span_id
    whole = decode.decode

    def dies(records: list[Any], segment: int, aside: Any = None) -> Any:  # noqa: ANN401
        for record in records:
            out = {part for offset, part in (aside or {}) if offset == record.offset}
            if name in record.payload and not out & {4, decode.ALL}:
                raise DiedError
        return whole(records, segment, aside)

    monkeypatch.setattr(decode, "decode", dies)
    return Lives.of(tmp_path / "log", tmp_path / "data")


def _live(lives: Lives) -> int:
    """Start the process again until the log is at its end; returns how often it died."""
    for died in range(5 * CRASHES):
        try:
            lives.run()
        except DiedError:
            continue
        return died
    pytest.fail("it dies for ever")


def _parts(lives: Lives) -> list[int]:
    book = read_ledger(settings_of(lives.data))
    assert book.balanced
    assert (book.lines[0].received, book.pending) == (11, 0)
    return sorted(lives.frame(QUARANTINE)["part"].to_list())


def test_a_request_of_too_many_spans_is_set_aside_as_a_whole(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_poison, "MOST_TRIED_PARTS", 9)
    decided: list[list[list[Any]]] = []  # what is written down is forgotten again
    whole = _poison.Poison._decide

    def decide(self: _poison.Poison, segment: Any, stage: str, kind: str, lines: Any) -> None:  # noqa: ANN401
        decided.append(lines)
        whole(self, segment, stage, kind, lines)

    monkeypatch.setattr(_poison.Poison, "_decide", decide)
    assert _live(lives) == CRASHES
    assert _parts(lives) == list(range(10))
    assert [[part for _, part, _ in lines] for lines in decided] == [[decode.ALL]]


def _dies_of(
    monkeypatch: pytest.MonkeyPatch, is_deadly: Callable[[Sequence[Any]], bool]
) -> list[int]:
    """Let a search end the process where it is about these units."""
    whole, searches = _poison.culprits, list[int]()

    def culprits(units: Sequence[Any], fails: Callable[[Sequence[Any]], str]) -> Any:  # noqa: ANN401
        searches.append(len(units))
        if is_deadly(units):
            raise DiedError
        return whole(units, fails)

    monkeypatch.setattr(_poison, "culprits", culprits)
    return searches


def test_a_search_among_spans_that_dies_costs_their_request(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = _dies_of(monkeypatch, lambda units: units[0][1] != decode.ALL)
    assert _live(lives) == 2 * CRASHES
    assert searches == [2, 10] * CRASHES + [2]
    assert _parts(lives) == list(range(10))


def test_a_search_that_always_dies_costs_its_segment_and_not_those_after(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = _dies_of(monkeypatch, lambda _units: True)
    assert _live(lives) == 3 * CRASHES
    assert len(searches) == 2 * CRASHES
    assert _parts(lives) == [0, *range(10)]
    reasons = lives.frame(QUARANTINE)["reason"].unique().to_list()
    assert reasons == ["stage decode and the search for it died 6 times, its request as a whole"]
