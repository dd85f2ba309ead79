"""The documentation cannot rot: it is complete, and everything in it is run or checked."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel
from typer.main import get_command

from evalspan.__main__ import app
from evalspan.metrics import DECLARED
from evalspan.model import TABLES
from evalspan.pipeline import Settings, check_config, plugins
from evalspan.testing import ModelServer, request, span

sys.path.insert(0, str(Path(__file__).parent / "stack"))

from processes import ROOT, program

REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page.relative_to(ROOT).as_posix() for page in WRITTEN]
RUN_ELSEWHERE = {
    "make demo": ("tests/test_docs.py", "test_the_demo_prints_what_the_readme_shows"),
    "make setup": (".ci/run", "make setup"),
    "evalspan optimize": ("tests/commands/test_commands_optimize.py", 'evalspan("optimize")'),
    "evalspan serve --config evalspan.yaml": ("tests/stack/servers.py", '"serve", "--config"'),
    "collector-config/build.sh .stack/bin": ("tests/stack/install.sh", "collector-config/build.sh"),
    ".stack/bin/otelcol-evalspan --config=collector-config/collector.yaml": (
        "tests/collector_config/test_fragments.py",
        'config("collector.yaml")',
    ),
}
EXIT_CODES = {"evalspan detect": 1}  # the examples hold a regression
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w.]+\.(?:py|yaml))\n")


@dataclass(frozen=True)
class Block:
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """Name of the file that the block is, if its first line says one."""
        named = NAMED.match(self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[str]:
        return self.text.replace("\\\n", " ").splitlines()


def blocks(page: str, *languages: str) -> list[Block]:
    found = [Block(*match.groups()) for match in FENCE.finditer((ROOT / page).read_text("utf-8"))]
    return [block for block in found if not languages or block.language in languages]


def run(
    command: str, folder: Path, code: int = 0, **environment: str
) -> "subprocess.CompletedProcess[str]":
    known = {name: value for name, value in os.environ.items() if name != "EVALSPAN_CONFIG"}
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env={**known, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder that holds what the pages speak of."""
    shutil.copytree(ROOT / "examples", tmp_path, dirs_exist_ok=True)
    (tmp_path / "examples").symlink_to(tmp_path)
    (tmp_path / "collector-config").symlink_to(ROOT / "collector-config")
    shutil.copy(ROOT / "collector-config" / "existing.example.yaml", tmp_path / "your.yaml")
    # What `evalspan grafana rules` writes, under the name that the pages give it.
    shutil.copy(ROOT / "grafana" / "rules" / "evalspan.yaml", tmp_path / "evalspan-rules.yaml")
    return tmp_path


def write_files(page: str, folder: Path) -> None:
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, "utf-8")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of the examples and of one span that cannot be read, taken in once."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(ROOT / "examples", folder, dirs_exist_ok=True)
    good, bad = span(trace=9001), span(trace=9002)
    bad.trace_id = b""
    (folder / "bad.binpb").write_bytes(request(good, bad).SerializeToString())
    run("python make_spans.py good.binpb && evalspan ingest good.binpb bad.binpb", folder)
    return folder / "evalspan-data"


# The reference


def test_reference_pages_are_as_the_code_says() -> None:
    run(f"{sys.executable} docs/generate.py --check", ROOT)


def check_examples() -> Iterator[tuple[str, str]]:
    for entry in plugins()["check"]:
        found = re.search(r"^Example: `(\{.*\})`$", entry["text"], re.MULTILINE)
        yield entry["name"], found[1] if found else ""


@pytest.mark.parametrize(("name", "example"), list(check_examples()))
def test_every_check_has_an_example_that_works(name: str, example: str, tmp_path: Path) -> None:
    assert example, f"{name} has no line `Example: ...` in its text"
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "product.json").write_text("{}")
    (tmp_path / "evalspan.yaml").write_text(f"checks:\n  mine: {example}\n")
    assert check_config(tmp_path / "evalspan.yaml") == []
    assert yaml.safe_load(example)["use"] == name


def test_every_plugin_has_a_text() -> None:
    for kind, entries in plugins().items():
        assert entries, kind
        for entry in entries:
            assert entry["text"].splitlines()[0].endswith("."), f"{kind} {entry['name']}"


def models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models(inner)


def fields(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield f"{above}{name}", field.description or ""
        for inner in models(field.annotation):
            yield from fields(inner, f"{above}{name}.")


def test_every_setting_metric_and_column_says_what_it_is() -> None:
    said = dict(fields(Settings))
    said |= {f"metric {metric.name}": metric.help for metric in DECLARED}
    for table in TABLES:
        about = {field.name: field.metadata or {} for field in table.schema}
        said |= {f"{table.name}.{n}": m.get(b"description", b"").decode() for n, m in about.items()}
    assert [name for name, text in said.items() if not text.endswith((".", "?"))] == []


def commands() -> Iterator[tuple[str, Any]]:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = dict(getattr(command, "commands", {"": command}))
        if getattr(command, "invoke_without_command", False):
            inner[""] = command
        yield from ((f"evalspan {name} {below}".rstrip(), each) for below, each in inner.items())


@pytest.mark.parametrize(("path", "command"), list(commands()))
def test_every_command_has_a_help_text_and_an_example(
    path: str,
    command: Any,  # noqa: ANN401 - a command of typer
) -> None:
    assert command.help
    assert [p.name for p in command.params if not p.help] == []
    example = re.fullmatch(r"Example: \[bold\](.*)\[/bold\]", command.epilog or "")
    assert example, path
    assert example[1].startswith(path)
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", example[1])) <= known


# The pages that people wrote


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    for page in PAGES:
        kinds = {block.language for block in blocks(page)}
        assert kinds <= {"sh", "yaml", "python", "text"}, page


def slug(heading: str) -> str:
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", [*WRITTEN, *REFERENCE], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(
                r"^#+ (.*)$", FENCE.sub("", file.read_text("utf-8")), re.MULTILINE
            )
            assert anchor in map(slug, headings), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [*WRITTEN, *REFERENCE], ids=lambda page: page.name)
def test_no_path_of_a_machine_stands_in_a_page(page: Path) -> None:
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", page.read_text("utf-8"))


def test_what_is_not_run_here_is_run_where_the_map_says() -> None:
    said = {command for page in PAGES for b in blocks(page, "sh") for command in b.commands}
    assert set(RUN_ELSEWHERE) <= said
    for file, text in RUN_ELSEWHERE.values():
        assert text in (ROOT / file).read_text("utf-8"), file


def test_the_config_of_the_readme_is_the_example() -> None:
    first = next(block for block in blocks("README.md", "yaml") if block.file == "evalspan.yaml")
    assert first.text.partition("\n")[2] == (ROOT / "examples" / "evalspan.yaml").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: str, world: Path, filled: Path) -> None:
    write_files(page, world)
    if "evalspan ingest" not in (ROOT / page).read_text("utf-8"):
        shutil.copytree(filled, world / "evalspan-data")
    for block in blocks(page, "sh"):
        for command in block.commands:
            if command not in RUN_ELSEWHERE and not command.startswith("otelcol"):
                run(command, world, EXIT_CODES.get(command, 0))


@pytest.mark.parametrize("page", PAGES)
def test_configs_of_evalspan_are_good(page: str, world: Path) -> None:
    write_files(page, world)
    for block in blocks(page, "yaml"):
        if yaml.safe_load(block.text).keys() <= Settings.model_fields.keys():
            (world / "block.yaml").write_text(block.text, "utf-8")
            run("evalspan config check block.yaml", world)


@pytest.fixture
def app_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a reader has whose app is instrumented, and has set what the README exports."""
    for block in blocks("README.md", "sh"):
        for name, value in re.findall(r"^export (\w+)=(\S+)$", block.text, re.MULTILINE):
            monkeypatch.setenv(name, value)
    provider, spans = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with ExitStack() as stack:
        server = stack.enter_context(ModelServer())
        OpenAIInstrumentor().instrument(tracer_provider=provider)
        stack.callback(OpenAIInstrumentor().uninstrument)
        client = OpenAI(base_url=f"{server.url}/v1", api_key="any")
        messages = [{"role": "user", "content": "Extract the product: a kettle, 12 EUR."}]
        yield {"provider": provider, "client": client, "messages": messages, "spans": spans}


@pytest.mark.parametrize("page", PAGES)
def test_python_runs(
    page: str,
    world: Path,
    filled: Path,
    app_of_the_reader: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_files(page, world)
    shutil.copytree(filled, world / "evalspan-data")
    monkeypatch.chdir(world)
    monkeypatch.syspath_prepend(world)
    names = {"__name__": "page", **app_of_the_reader}
    for block in blocks(page, "python"):
        exec(compile(block.text, page, "exec"), names)  # noqa: S102 - our own pages
    for test in world.glob("test_*.py"):
        run(f"python -m pytest -q -p no:cacheprovider --rootdir=. {test.name}", world)


def test_the_recipe_puts_tags_and_content_on_the_span_of_the_model_call(
    app_of_the_reader: dict[str, Any],
) -> None:
    recipe = [block.text for block in blocks("README.md", "python") if "tags(" in block.text]
    exec("\n".join(recipe), app_of_the_reader)  # noqa: S102 - our own page
    (sent,) = app_of_the_reader["spans"].get_finished_spans()
    wanted = {"app.customer": "globex", "gen_ai.prompt.name": "extract"}
    assert wanted.items() <= sent.attributes.items()
    assert "kettle" in sent.attributes["gen_ai.input.messages"]


# The Collector, Prometheus, the demo


@pytest.fixture
def collector(world: Path) -> Path:
    """The folder with a command `otelcol` in it, which validates the real Collector's way."""
    real = program("otelcol-evalspan")
    (world / "otelcol").write_text(f'#!/bin/sh\nexec {real} validate "$@"\n')
    (world / "otelcol").chmod(0o755)
    return world


def is_collector(config: Mapping[str, Any]) -> bool:
    known = {"receivers", "processors", "exporters", "extensions", "connectors", "service"}
    return config.keys() <= known and "gomod" not in json.dumps(config)


@pytest.mark.stack
def test_collector_commands_and_configs_are_valid(collector: Path) -> None:
    storage = {"EVALSPAN_STORAGE_DIRECTORY": str(collector / "storage")}
    for page in PAGES:
        for block in blocks(page, "sh"):
            for command in block.commands:
                if command.startswith("otelcol"):
                    run(command, collector, **storage)
        for block in blocks(page, "yaml"):
            if is_collector(yaml.safe_load(block.text)):
                (collector / "block.yaml").write_text(block.text, "utf-8")
                run("otelcol --config=your.yaml --config=block.yaml", collector)


def test_the_builder_manifest_of_the_readme_is_ours() -> None:
    ours = yaml.safe_load((ROOT / "collector-config" / "builder.yaml").read_text("utf-8"))
    shown = [yaml.safe_load(b.text) for b in blocks("README.md", "yaml") if "gomod:" in b.text]
    (module,) = shown[0]["processors"]
    own = next(each for each in ours["processors"] if each["gomod"] == module["gomod"])
    assert module["path"].removeprefix("../evalspan/") == own["path"].removeprefix("../")


@pytest.mark.stack
def test_prometheus_configs_are_good(world: Path) -> None:
    promtool = program("promtool")
    for page in PAGES:
        for block in blocks(page, "yaml"):
            if "scrape_configs" in yaml.safe_load(block.text):
                (world / "prometheus.yml").write_text(block.text, "utf-8")
                run(f"{promtool} check config prometheus.yml", world)


def test_every_yaml_block_is_of_a_kind_that_is_checked() -> None:
    for page in PAGES:
        for block in blocks(page, "yaml"):
            config = yaml.safe_load(block.text)
            own = config.keys() <= Settings.model_fields.keys()
            other = is_collector(config) or "gomod:" in block.text or "scrape_configs" in config
            assert own != other, block.text


@pytest.mark.timeout(900)
def test_the_demo_prints_what_the_readme_shows(world: Path) -> None:
    said = run("evalspan demo", world, COLUMNS="120").stdout
    shown = next(block for block in blocks("README.md", "text") if "1. Scores" in block.text)
    heads = re.findall(r"^(?:\d\. [A-Z]|Where to look)\S*.*?(?=  )", shown.text, re.MULTILINE)
    assert len(heads) >= 6
    assert [head for head in heads if head not in said] == []
