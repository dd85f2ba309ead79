"""The architecture as assertions: who imports whom, one door per room, no overgrown files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sidecar" / "evalspan"
HALL = {"model", "plugin", "llm", "stats", "condition", "config", "http"}
WRITE_SIDE = ("receive", "wal", "decode", "normalize", "store", "settle", "evaluate", "metrics")
READ_SIDE = ("views", "detect", "explain", "optimize", "report")
ROOMS = (*WRITE_SIDE, *READ_SIDE)
# What stands around the rooms, and what of it each may import.
AROUND = {
    "pipeline": {*ROOMS, *HALL, "v1", "grafana", "processes"},
    "processes": {"receive", "wal"},
    "grafana": {"config", "http"},
    "commands": {"pipeline", "grafana", "config", "plugin", "bench", "demo", "testing", "commands"},
    "demo": {"pipeline", "commands", "config", "testing", "demo"},
    "testing": {"config", "llm"},
    "bench": {"pipeline", "testing", *ROOMS, *HALL},
}
# Files past 400 lines, each with its reason.
LONG = {"model.py": "the contract of every table in one place"}
MOST_LINES = 400


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Yield the parts of evalspan that a file imports, lazily or not."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            names = (
                [f"evalspan.{alias.name}" for alias in node.names]
                if module == "evalspan"
                else [module]
            )
        for name in names:
            parts = name.split(".")
            if parts[0] == "evalspan" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_the_hall_and_never_another_room(room: str) -> None:
    generated = {"v1"} if room == "receive" else set()
    for file in files(room):
        found = set(imports(file)) - HALL - {room} - generated
        assert not found, f"{file.relative_to(PACKAGE)} imports {sorted(found)}"


def test_the_hall_imports_nothing_but_itself() -> None:
    for name in HALL:
        found = set(imports(PACKAGE / f"{name}.py")) - HALL
        assert not found, f"{name}.py imports {sorted(found)}"


@pytest.mark.parametrize("part", AROUND)
def test_what_stands_around_the_rooms_imports_what_it_may(part: str) -> None:
    for file in files(part):
        found = set(imports(file)) - AROUND[part] - {part, "__version__"}
        assert not found, f"{file.relative_to(PACKAGE)} imports {sorted(found)}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_one_door_and_the_others_come_through_it(room: str) -> None:
    door = PACKAGE / room / "__init__.py"
    assert ast.get_docstring(ast.parse(door.read_text(encoding="utf-8"))), f"{room} has no text"
    for file in (PACKAGE / room).glob("*.py"):
        assert file.name.startswith("_"), f"{file}: a worker is private, a guest has a folder"


def test_only_the_door_of_a_room_is_imported_from_outside() -> None:
    for part in AROUND:
        for file in files(part):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").count(".") > 1:
                    parts = (node.module or "").split(".")
                    own = parts[1] == part
                    private = parts[2].startswith("_") and parts[2] != "__main__"
                    assert own or not private, f"{file}: {node.module}"


def test_the_stages_run_in_the_order_of_the_layout() -> None:
    from evalspan.pipeline import STAGES  # noqa: PLC0415 - the others need no import

    assert STAGES == WRITE_SIDE


def test_every_folder_of_the_package_has_its_place() -> None:
    known = {*ROOMS, *AROUND, "v1"}
    found = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert found == known
    assert {p.stem for p in PACKAGE.glob("*.py")} == {*HALL, "__init__", "__main__"}


def test_no_file_grows_past_a_screenful_of_screens_without_a_reason() -> None:
    for file in sorted(PACKAGE.rglob("*.py")):
        name = str(file.relative_to(PACKAGE))
        if name.startswith("v1/"):
            continue
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= MOST_LINES or name in LONG, f"{name} has {lines} lines"
    assert all((PACKAGE / name).exists() for name in LONG)


def test_names_say_what_a_file_is() -> None:
    vague = {"utils", "helpers", "common", "base", "manager"}
    for file in PACKAGE.rglob("*.py"):
        assert file.stem.strip("_") not in vague, file
