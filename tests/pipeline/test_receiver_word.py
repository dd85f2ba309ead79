"""Counters of the receiver stay on the page while its word cannot be read."""

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from replay_world import settings_of
from running_sidecar import free_port

from evalspan import metrics
from evalspan.pipeline._parts import _pipeline
from evalspan.pipeline._settings import Settings

Samples = dict[str, float]
COUNTED = {"evalspan_requests_total": 7, "evalspan_rejected_requests_total": 3}
UNREADABLE: dict[str, Callable[[Path], object]] = {
    "damaged": lambda word: word.write_bytes(b'{"accepted"'),
    "no numbers": lambda word: word.write_text('{"accepted": {"traces": "many"}}'),
    "gone": lambda word: word.unlink(),
    "empty": lambda word: word.write_text("{}"),
}


def leave(word: Path, requests: int, age_seconds: float = 0) -> None:
    word.parent.mkdir(parents=True, exist_ok=True)
    rejected = {"traces": {"unreadable": 3}} if requests else {}
    content = {
        "time_unix_seconds": time.time() - age_seconds,
        "accepted": {"traces": requests} if requests else {},
        "rejected": rejected,
    }
    word.write_text(json.dumps(content))


class Story:
    """A stop that lets a story happen while the pipeline runs, and then tells it to end."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._over = False

    def __bool__(self) -> bool:
        return self._over

    def wait(self, _seconds: float) -> bool:
        try:
            self._tell()
        finally:
            self._over = True
        return True


def page(settings: Settings) -> Samples:
    with urllib.request.urlopen(f"http://{settings.metrics.listen}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    wanted = {*COUNTED, "evalspan_receiver_up", "evalspan_word_damaged"}
    samples = [s for family in families for s in family.samples if s.name in wanted]
    return {s.name: s.value for s in samples if s.labels.get("word", "receiver") == "receiver"}


def scraped(folder: Path, *steps: Callable[[Path], object]) -> list[Samples]:
    """Run the pipeline; return the page before any of the steps and after each."""
    listen = metrics.MetricsSettings(listen=f"127.0.0.1:{free_port()}")
    settings = settings_of(folder).model_copy(update={"metrics": listen})
    found: list[Samples] = []

    def tell() -> None:
        found.append(page(settings))
        for step in steps:
            step(settings.run_folder / "receiver.json")
            found.append(page(settings))

    leave(settings.run_folder / "receiver.json", 7)
    assert _pipeline(settings, Story(tell)) == 0  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("spoil", UNREADABLE.values(), ids=UNREADABLE)
def test_what_the_receiver_counted_stays_while_its_word_cannot_be_read(
    spoil: Callable[[Path], object], tmp_path: Path
) -> None:
    before, during, after = scraped(tmp_path, spoil, lambda word: leave(word, 8))
    assert before.items() >= COUNTED.items()
    assert during.items() >= COUNTED.items()
    assert after["evalspan_requests_total"] == 8


def test_it_is_told_that_the_word_cannot_be_read_and_the_receiver_is_up_by_its_last_one(
    tmp_path: Path,
) -> None:
    old, damaged, fresh = scraped(
        tmp_path,
        lambda word: leave(word, 7, age_seconds=60),
        UNREADABLE["damaged"],
        lambda word: leave(word, 7),
    )[1:]
    names = ("evalspan_word_damaged", "evalspan_receiver_up")
    assert [old[name] for name in names] == [0, 0]
    assert [damaged[name] for name in names] == [1, 0]
    assert [fresh[name] for name in names] == [0, 1]


def test_a_receiver_that_starts_again_has_counted_nothing(tmp_path: Path) -> None:
    _, anew = scraped(tmp_path, lambda word: leave(word, 0))
    assert not COUNTED.keys() & anew.keys()
    assert anew["evalspan_receiver_up"] == 1
