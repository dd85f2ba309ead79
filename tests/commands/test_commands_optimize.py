"""evalspan optimize over the examples: a model that can be asked, and one that cannot."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evalspan = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
TARGET = """
from evalspan.optimize import Output


async def answer(prompt, *, case):
    price = '1.5' if "JSON number" in prompt else '"1.50 EUR"'
    return Output(text='{"name": "Thing", "price": ' + price + "}")
"""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples with the data of spans that hold a regression, which was seen."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    program = Path(sys.executable).with_name("evalspan")
    for command, code in (
        ([sys.executable, "make_spans.py", "spans.binpb"], 0),
        ([program, "ingest", "spans.binpb"], 0),
        ([program, "detect"], 1),
    ):
        assert subprocess.run(command, cwd=folder, check=False).returncode == code
    return folder


@pytest.fixture
def fallen(examples: Path, evalspan: Evalspan, tmp_path: Path) -> Path:
    """The config of a folder of its own that holds the examples and their data."""
    del evalspan
    shutil.copytree(examples, tmp_path, dirs_exist_ok=True)
    return tmp_path / "evalspan.yaml"


def set_target(config: Path, target: str) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write(f"\noptimize: {{target: {target}, mutators: [add_missing_rule]}}\n")


def test_a_function_of_the_user_replays_and_a_rule_mends(evalspan: Evalspan, fallen: Path) -> None:
    (fallen.parent / "my_app.py").write_text(TARGET, encoding="utf-8")
    set_target(fallen, '{use: "my_app:answer"}')
    ran = evalspan("optimize")
    assert ran.code == 0
    assert '+Write "price" as a JSON number' in ran.out


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_model_that_answers_nothing_is_no_rejection(
    evalspan: Evalspan, fallen: Path, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    dead = 'base_url: "http://127.0.0.1:1/v1", max_retries: 0'
    set_target(fallen, f"{{use: openai, model: gpt-4o-mini, {dead}}}")
    ran = evalspan("optimize", *form)
    assert (ran.code, ran.out) == (3, "")
    (told,) = ran.told
    assert "calls to gpt-4o-mini all failed (APIConnectionError: Connection error.)" in told
    assert told.endswith("so nothing was tried. Check the key and `optimize.target`.")
    report = evalspan("report", "--format", "json")
    assert report.code == 1 or json.loads(report.out)["optimization"] is None


def test_no_key_says_what_else_could_replay(
    evalspan: Evalspan, fallen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    del fallen
    ran = evalspan("optimize")
    assert ran.code == 3
    (told,) = ran.told
    assert "`optimize: {target: {use: openai, model: gpt-4o-mini}}`" in told
    assert told.endswith("and export OPENAI_API_KEY")
