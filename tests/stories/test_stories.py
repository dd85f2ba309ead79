"""Every story in this folder, through the real write side; README.md says how to add one."""

from pathlib import Path

import pytest
from story_language import StoryError, play

STORIES = sorted(Path(__file__).parent.glob("*.story"))


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_story(story: Path, tmp_path: Path) -> None:
    assert play(story, tmp_path) > 0, "a story expects something"


def test_there_are_stories() -> None:
    assert len(STORIES) >= 12


WRONG = {
    "llm trace=1": "no command",
    "at +12s\nexpect scores where check=latency count 1": "0 rows, not 1",
    "at soon": "expected a duration",
    "load spans\n  llm trace=1\nat +12s\nexpect span trace=1 : role=tool": "role is 'llm'",
    "load spans\n  llm trace=1\nat +12s\nexpect ledger spans stored=2": "stored is 1",
    "load spans\n  llm trace=1\nexpect metric evalspan_spans_total{outcome=stored} 1": "it is 0",
    "  config": "belongs below a command",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_does_not_hold_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    story = tmp_path / "wrong.story"
    story.write_text(text, encoding="utf-8")
    with pytest.raises(StoryError, match=WRONG[text]):
        play(story, tmp_path)
