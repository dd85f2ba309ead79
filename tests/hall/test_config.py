"""A mistake in the config names file, line, key, what was expected and the nearest word."""

import contextlib
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, Field, NaiveDatetime
from pydantic_core import ErrorDetails
from pydantic_core._pydantic_core import list_all_errors

from evalspan.config import (
    ConfigError,
    Dimension,
    Duration,
    Strict,
    expected,
    parse,
    parse_duration,
)


class Inner(Strict):
    idle: Duration = timedelta(seconds=10)
    limit: int = 5


class Outer(Strict):
    settle: Inner = Inner()
    dimensions: dict[str, Dimension] = {}
    names: tuple[str, ...] = ()


class Other(Strict):
    words: str = ""
    share: float = Field(default=1, ge=0)


class Nested(Strict):
    """Settings within mappings, lists and unions."""

    by_name: dict[str, Inner] = {}
    in_list: list[Inner] = []
    deep: dict[str, tuple[dict[str, Other], ...]] = {}
    either: Inner | Other | None = None
    text_or: dict[str, str | Annotated[Other, Field(description="An other.")]] = {}


class Every(Strict):
    """A setting of each kind that settings are written with."""

    address: str = Field(default="", pattern=r"^\S+:\d+$", description="Address, HOST:PORT.")
    aware: AwareDatetime | None = None
    day: date | None = None
    few: list[int] = Field(default=[], max_length=2)
    file: Path | None = None
    flag: bool = False
    form: Literal["grpc", "http"] = "grpc"
    many: dict[str, Annotated[int, Field(multiple_of=2)]] = Field(default={"a": 2}, min_length=1)
    moment: datetime | None = None
    naive: NaiveDatetime | None = None
    nothing: None = None
    number: float = Field(default=1.0, gt=0, lt=10)
    question: str = Field(default="q", min_length=1, max_length=4)
    raw_duration: timedelta = timedelta(0)
    share: float = Field(default=1, ge=0, le=1)
    some: set[str] = set()
    span: Duration = timedelta(1)
    two: tuple[int, int] = (1, 2)
    watch: time | None = None
    whole: int = 1


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


PLAIN = [
    ("address: here", "address: this does not fit; expected: Address, HOST:PORT (found 'here')"),
    ("address: 7", "address: expected text (found 7)"),
    ("aware: 2026-01-01", "aware: expected a time with its zone, such as 2026-12-01T08:00Z (found"),
    ("day: soon", "day: expected a day such as 2026-12-01 (found 'soon')"),
    ("few: [1, 2, 3]", "few: expected at most so many entries: 2 (found [1, 2, 3])"),
    ("few: 1", "few: expected a list (found 1)"),
    ("few: [1, 2.5]", "few.1: expected a whole number (found 2.5)"),
    ("file: [1]", "file: expected a path (found [1])"),
    ("flag: perhaps", "flag: expected true or false (found 'perhaps')"),
    ("flag: 3", "flag: expected true or false (found 3)"),
    ("flag:", "flag: expected true or false (found nothing)"),
    ("form: htpt", "form: expected 'grpc' or 'http'. Did you mean 'http'? (found 'htpt')"),
    ("form: true", "form: expected 'grpc' or 'http' (found true)"),
    ("many: {}", "many: expected at least so many entries: 1 (found {})"),
    ("many: {a: 3}", "many.a: expected a multiple of 2 (found 3)"),
    ("many: {1: 2}", "many.1: a key is text: put it into quotes (found 1)"),
    ("many: [a]", "many: expected keys and values (found ['a'])"),
    ("moment: soon", "moment: expected a time such as 2026-12-01T08:00, or a day such as"),
    ("moment: [1]", "moment: expected a time such as 2026-12-01T08:00, or a day such as"),
    ("naive: 2026-01-01T00:00:00Z", "naive: expected a time without a zone, such as"),
    ("nothing: 2026-01-01", "nothing: expected nothing here (found 2026-01-01)"),
    ("number: 0", "number: expected more than 0.0 (found 0)"),
    ("number: 10", "number: expected less than 10.0 (found 10)"),
    ("number: .inf", "number: expected a number that is finite (found inf)"),
    ("number: many", "number: expected a number (found 'many')"),
    ("number: [1]", "number: expected a number (found [1])"),
    ("question: ''", "question: expected a text of at least so many characters: 1 (found '')"),
    ("question: abcde", "question: expected a text of at most so many characters: 4 (found"),
    ("raw_duration: long", "raw_duration: expected a duration such as 250ms, 10s, 5m, 1h30m or"),
    ("raw_duration: [1]", "raw_duration: expected a duration such as 250ms, 10s, 5m, 1h30m or"),
    ("share: -1", "share: expected at least 0.0 (found -1)"),
    ("share: 2", "share: expected at most 1.0 (found 2)"),
    ("some: 1", "some: expected a list (found 1)"),
    ("span: soon", "span: expected a duration such as 250ms, 10s, 5m, 1h30m or 14d, not 'soon'"),
    ("span:", "span: expected a duration such as 250ms, 10s, 5m, 1h30m or 14d, not nothing"),
    ("span: 99999999999d", "span: expected a duration that a calendar can hold, not '9999"),
    ("two: [1]", "two.1: this key must be set"),
    ("two: {a: 1}", "two: expected a list (found {'a': 1})"),
    ("two: [1, 2, 3]", "two: expected at most so many entries: 2 (found [1, 2, 3])"),
    ("watch: late", "watch: expected a time such as 08:00 (found 'late')"),
    ("whole: 1.5", "whole: expected a whole number (found 1.5)"),
    ("whole: a", "whole: expected a whole number (found 'a')"),
    ("whole: &a [*a]", "whole: expected a whole number (found [[...]])"),
]


@pytest.mark.parametrize(("text", "told"), PLAIN)
def test_what_does_not_fit_is_told_in_plain_words(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Every, "f.yaml")
    assert str(caught.value).startswith(f"f.yaml:1: {told}")


@pytest.mark.parametrize("kind", list_all_errors(), ids=lambda kind: str(kind["type"]))
def test_no_kind_of_error_reaches_a_person_in_the_words_of_a_library(
    kind: Mapping[str, Any],
) -> None:
    if kind["type"] == "value_error":
        return  # our own words
    message = kind["example_message_python"]
    context = kind.get("example_context") or {}
    error = ErrorDetails(type=kind["type"], loc=("a",), msg=message, input=7, ctx=context)
    told = expected(error)
    assert told[0].islower()
    assert told not in message
    assert not re.search(r"[Ii]nput|valid|should|pydantic|[{}]", told)


NO_YAML = [
    ("settle:\n\tidle: 1s", ":2: this is not valid YAML: a tab stands here; YAML is indented"),
    ("a: b: c", ":1: this is not valid YAML: a second ':' in one line; put the text into quotes"),
    ("settle:\n  idle\n  limit: 3", ":3: this is not valid YAML: "),
    ("settle:\n  idle: 1s\n limit: 3", ":3: this is not valid YAML: this line is not indented as"),
    ("names: [a, b\nsettle: {}", ":2: this is not valid YAML: a bracket or a comma is missing"),
    ("names: ,", ":1: this is not valid YAML: a value is missing before this"),
    ("names: 'a", ":1: this is not valid YAML: a quote or a bracket is not closed"),
    ('names: ["\\q"]', ":1: this is not valid YAML: a \\ in double quotes that stands for"),
    ("names: @a", ":1: this is not valid YAML: a text that begins with this character needs"),
    ("a: 1\n---\nb: 2", ":2: this is not valid YAML: a second document begins here (---)"),
    ("settle: *a", ":1: this is not valid YAML: an alias (*) of an anchor (&) that the file"),
    ("settle: !!python/name:os.system x", ":1: this is not valid YAML: a tag (!) has no meaning"),
    ("settle: {<<: 3}", ":1: this is not valid YAML: what is merged here (<<) is no mapping"),
    ("settle: {}\nnames: [2026-13-45]", ":2: this is not valid YAML: this looks like a date or"),
    (f"settle: {{}}\nnames: [{'7' * 5000}]", ":2: this is not valid YAML: this looks like a date"),
    ("names: []\nsettle: \x00", ":2: this is not valid YAML: the character U+0000 may not stand"),
    ("[" * 5000, ":1: this is too deep"),
]


@pytest.mark.parametrize(("text", "told"), NO_YAML)
def test_what_is_no_yaml_is_told_in_plain_words(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Outer, "f.yaml")
    assert str(caught.value).startswith(f"f.yaml{told}")


def test_what_is_written_once_may_be_used_twice() -> None:
    text = "dimensions: {a: &one {attribute: x, budget: 3}, b: {<<: *one, attribute: y}}"
    made = parse(text, Outer).dimensions
    assert made == {
        "a": Dimension(attribute="x", budget=3),
        "b": Dimension(attribute="y", budget=3),
    }


NESTED = [
    ("by_name: {a: {idel: 3s}}", "by_name.a.idel: unknown key. Did you mean 'idle'? Known here: "),
    ("in_list: [{}, {limt: 3}]", "in_list.1.limt: unknown key. Did you mean 'limit'? Known here:"),
    (
        "deep: {a: [{}, {b: {wrods: x}}]}",
        "deep.a.1.b.wrods: unknown key. Did you mean 'words'? Known here: words, share.",
    ),
    ("either: {wrods: x}", "either.wrods: unknown key. Did you mean 'words'? Known here: words,"),
    ("either: {limit: x}", "either.limit: expected a whole number (found 'x')"),
    ("text_or: {a: {shaer: 2}}", "text_or.a.shaer: unknown key. Did you mean 'share'?"),
    ("text_or: {a: {share: -2}}", "text_or.a.share: expected at least 0.0 (found -2)"),
    ("text_or: {a: [1]}", "text_or.a: expected text (found [1])"),
]


@pytest.mark.parametrize(("text", "told"), NESTED)
def test_a_mistake_within_mappings_lists_and_unions_knows_the_keys_there(
    text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Nested, "f.yaml")
    lines = str(caught.value).splitlines()
    assert any(line.startswith(f"f.yaml:1: {told}") for line in lines), lines
    assert not re.search(r"Inner|Other|Known here: \.", str(caught.value))


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
