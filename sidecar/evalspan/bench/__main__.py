"""Command line of the benchmarks."""

import importlib
import inspect
import json
import pkgutil
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import evalspan.bench

Figures = dict[str, float | int | str]


def names() -> list[str]:
    """Names of all benchmarks: the files of this folder."""
    files = pkgutil.iter_modules(evalspan.bench.__path__)
    return sorted(file.name for file in files if not file.name.startswith("_"))


def main(
    name: Annotated[str, typer.Argument(help="Name of the benchmark, e.g. bfcl_streams.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of its data, where it reads any.", exists=True, file_okay=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    write: Annotated[
        Path | None,
        typer.Option(help="Folder to write results.json and RESULTS.md into."),
    ] = None,
) -> None:
    """Run a benchmark and print its figures.

    Example: python -m evalspan.bench bfcl_streams --data recorded/dev --json
    """
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        message = f"no benchmark {name!r}{hint}. There are: {', '.join(known)}"
        raise typer.BadParameter(message)
    module = importlib.import_module(f"evalspan.bench.{name}")
    if data is None and "data" in inspect.signature(module.run).parameters:
        message = f"{name} reads recorded data: name its folder with --data"
        raise typer.BadParameter(message)
    figures: Figures = module.run(*([data] if data is not None else []))
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: figures}, indent=2) + "\n"
        (write / "results.json").write_text(text, encoding="utf-8")
        (write / "RESULTS.md").write_text(module.page(figures), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(figures))
        return
    table = Table("figure", "value", title=name)
    for key, value in figures.items():
        table.add_row(key, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
