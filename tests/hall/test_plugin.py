"""An extension is found by the name of its file, and a wrong one says what to do."""

from pathlib import Path

import pytest

from evalspan.plugin import PluginError, SpanView, TraceView, load, names

CHECKS = "evalspan.evaluate.checks"
OWN = """
def polite(span, *, words: tuple = ("please",)):
    "Pass if a polite word is there."
    return any(word in span.output_text for word in words)

def shapeless(thing):
    return True

def demanding(span, limit):
    return True

number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_checks_of_plugin_test.py").write_text(OWN)
    (tmp_path / "broken_of_plugin_test.py").write_text("import nothing_of_this_name")
    return tmp_path


def test_the_file_name_is_the_registration() -> None:
    assert {"latency", "json_schema", "tool_loop"} <= set(names(CHECKS))
    for name in names(CHECKS):
        plugin = load(CHECKS, name)
        assert plugin.name == name
        assert plugin.text, name
        assert plugin.shape in {"spans", "span", "trace"}


def test_a_function_next_to_the_config_is_found(folder: Path) -> None:
    plugin = load(CHECKS, "own_checks_of_plugin_test:polite", folder)
    assert plugin.shape == "span"
    assert plugin.text == "Pass if a polite word is there."
    assert list(plugin.parameters) == ["words"]


WRONG = [
    ("latncy", "Did you mean 'latency'?"),
    ("nothing_of_this_name:f", "cannot be loaded"),
    ("broken_of_plugin_test:f", "nothing_of_this_name"),
    ("own_checks_of_plugin_test:rude", "has no function 'rude'"),
    ("own_checks_of_plugin_test:number", "has no function 'number'"),
    ("own_checks_of_plugin_test:demanding", "must be keyword parameters with defaults: limit"),
]


@pytest.mark.parametrize(("use", "told"), WRONG)
def test_what_cannot_be_used_is_told_in_words(folder: Path, use: str, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        load(CHECKS, use, folder)
    assert told in str(caught.value)


def test_a_check_says_by_its_first_parameter_what_it_reads(folder: Path) -> None:
    with pytest.raises(PluginError, match="must be named spans, span or trace, not 'thing'"):
        _ = load(CHECKS, "own_checks_of_plugin_test:shapeless", folder).shape


def test_a_column_that_a_span_does_not_have_names_the_nearest_one() -> None:
    span = SpanView({"output_text": "hello"})
    assert span.output_text == "hello"
    with pytest.raises(AttributeError, match="did you mean 'output_text'"):
        _ = span.output_txt


def test_the_root_is_the_span_whose_parent_is_not_in_the_trace() -> None:
    spans = [
        SpanView({"span_id": "b", "parent_span_id": "a"}),
        SpanView({"span_id": "a", "parent_span_id": "elsewhere"}),
    ]
    assert TraceView("t", tuple(spans)).root.span_id == "a"
    assert TraceView("t", (spans[0],)).root.span_id == "b"


def test_modules_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "other")):
        (tmp_path / name).mkdir()
        text = f"def told(span):\n    return {number}\n"
        (tmp_path / name / "namesake_of_plugin_test.py").write_text(text)
    for number, name in enumerate(("one", "other")):
        plugin = load(CHECKS, "namesake_of_plugin_test:told", tmp_path / name)
        assert plugin.function(None) == number
