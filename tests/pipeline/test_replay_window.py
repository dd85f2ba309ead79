"""Whether a span is a repeat, or late, does not depend on a restart between the two."""

from pathlib import Path

import pytest
from replay_world import QUIET, Killed, Lives, Requests, settings_of, write_log

from evalspan.model import SCORES, SETTLED
from evalspan.pipeline import read_ledger
from evalspan.pipeline._ledger import ledger
from evalspan.store import Store
from evalspan.testing import plain_span, request, span

WINDOW_SECONDS = 20
# The repeat of the first span comes long after the window, among steady traffic.
REPEAT_AT = 45


def _span(trace: int) -> Requests:
    return (("traces", request(plain_span("answer", number=trace * 100, trace=trace))),)


STORY = (_span(1), *(_span(second) for second in range(2, REPEAT_AT)), _span(1), _span(99))


@pytest.mark.parametrize("place", ["before ledger", "after ledger"])
def test_a_restart_does_not_change_what_is_a_repeat(place: str, tmp_path: Path) -> None:
    write_log(tmp_path / "log", [*STORY, *QUIET])
    undisturbed = Lives.of(tmp_path / "log", tmp_path / "undisturbed", WINDOW_SECONDS)
    undisturbed.run()
    killed = Lives.of(tmp_path / "log", tmp_path / "killed", WINDOW_SECONDS)

    def once(at: str) -> None:
        if at == f"{place} of {REPEAT_AT}" and not killed.ended:
            raise Killed

    killed.run(once)
    assert killed.ended == 1
    assert killed.rows() == undisturbed.rows()
    book = ledger(tmp_path / "killed" / "wal", Store(tmp_path / "killed" / "tables"))
    assert book.balanced


def test_a_span_that_comes_with_other_bytes_long_after_a_restart_is_another_attempt(
    tmp_path: Path,
) -> None:
    def story(trace: int, output: str) -> list[Requests]:
        call = span(number=trace * 100 + 1, trace=trace, output=output)
        return [(("traces", request(call)),), *QUIET]

    write_log(tmp_path / "log", story(1, "Paris."))
    lives = Lives.of(tmp_path / "log", tmp_path / "data")
    lives.run()
    for trace, output, after_seconds in ((2, "Oslo.", 7_200), (1, "Rome.", 14_400)):
        write_log(tmp_path / "data" / "wal", story(trace, output), after_seconds=after_seconds)
        lives.run()
    assert lives.frame(SETTLED)["attempt"].to_list() == [1, 1, 2]
    assert lives.frame(SCORES).select(SCORES.key).is_unique().all()
    book = read_ledger(settings_of(lives.data))
    assert book.balanced
    assert book.pending == 0
