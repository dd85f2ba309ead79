"""A mistake in the config names file, line, key, what was expected and the nearest word."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalspan.config import ConfigError, Dimension, Duration, Strict, parse, parse_duration


class Inner(Strict):
    idle: Duration = timedelta(seconds=10)
    limit: int = 5


class Outer(Strict):
    settle: Inner = Inner()
    dimensions: dict[str, Dimension] = {}
    names: tuple[str, ...] = ()


MISTAKES = [
    ("settle: {idel: 3s}", "f.yaml:1: settle.idel: unknown key. Did you mean 'idle'?"),
    ("settle:\n  limit: many", "f.yaml:2: settle.limit: expected a whole number (found 'many')"),
    ("settle:\n\n  idle: 3 parsecs", "f.yaml:3: settle.idle: expected a duration such as"),
    ("dimensions:\n  customer:\n    atribute: x", "f.yaml:3: dimensions.customer.atribute"),
    ("dimensions:\n  customer:\n    budget: 0", "f.yaml:3: dimensions.customer.budget"),
    ("names:\n  - a\n  - {b: 1}", "f.yaml:3: names.1"),
    ("settle: [1]", "f.yaml:1: settle"),
    ("settle: {idle: 1s\n", "f.yaml:2: this is not valid YAML"),
    ("settle: {}\nsettle: {}", "stands here twice"),
    ("- a", "expected keys and values"),
    ("sttle: {}", "Did you mean 'settle'?"),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_the_mistake_is_told_where_it_stands(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Outer, "f.yaml")
    assert told in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("settle: {idel: 3s, limit: many}", Outer, "f.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_an_empty_file_is_a_valid_config() -> None:
    assert parse("# nothing\n", Outer) == Outer()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10), ("5m", 300), ("1h30m", 5400), ("14d", 1209600), ("1w", 604800)],
)
def test_durations_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.text(max_size=40))
def test_any_text_is_a_config_or_an_error_of_one_kind(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text, Outer)
