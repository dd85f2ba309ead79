"""What users of the app chose (a customer, a prompt) is printed as text and nothing else."""

import json

import pytest

from evalspan.commands._options import console, print_json, print_table


@pytest.mark.parametrize("value", ["[/x]", "\\[/x]", "[bold]x", "\\\\[/x]", ":smile:", "a\\"])
def test_a_value_is_no_markup(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Scores", ["customer"], [[value]])
    assert value in capsys.readouterr().out


@pytest.mark.parametrize(
    "value", ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\u202eabc", "\x9b2J"]
)
def test_nothing_of_a_text_reaches_the_terminal_as_a_command(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table("Scores", ["customer"], [[value]])
    console.print(value, markup=False)
    shown = capsys.readouterr().out
    assert all(c.isprintable() or c in "\n\t" for c in shown)


@pytest.mark.parametrize(
    "value", ["\x1b[31mred", "\u202eabc", "\x9b2J", "tag \U000e0041", "grüße\n"]
)
def test_json_says_the_same_and_no_terminal_obeys_it(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_json({"answer": value})
    shown = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert json.loads(shown) == {"answer": value}
