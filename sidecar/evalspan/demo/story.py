"""The demo told from its start to its end: `evalspan demo`.

The app, the SDKs, the instrumentors, the sidecar are the real ones; the model
server is a stand-in whose answers follow a written scenario.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from evalspan import pipeline
from evalspan.demo import CALLS, SCHEMA, spawn_app
from evalspan.demo._sidecar import sidecar
from evalspan.demo._tell import Teller
from evalspan.testing import ModelServer

# The stand-in answers after this long: at no latency at all noise would be all there is to compare.
MODEL_LATENCY_SECONDS: Final = 0.02
WAIT_SECONDS: Final = 120.0


def run(folder: Path, *, keep: bool = False, calls: int = CALLS) -> int:
    """Tell the whole story once; returns the exit code, 0 where it came to its end."""
    console = Console(highlight=False)
    tell = Teller(console)
    started = time.monotonic()
    _prepare(folder)
    with ModelServer(latency_seconds=MODEL_LATENCY_SECONDS) as server, _environment(server.url):
        tell.start(server.url)
        with sidecar(folder) as (settings, alive), _bars(console) as bars:
            tell.listens(settings)
            for version in ("v1", "v2"):
                _send(bars, settings, server.url, version, calls)
            _wait(bars, "storing and scoring", lambda: _scored(settings), alive)
            regression = _wait(bars, "looking for a change", lambda: _regression(settings), alive)
            bars.stop()
            ended = _tell(tell, settings, regression, console)
            tell.where(settings, folder, time.monotonic() - started)
            if keep:
                tell.keeping()
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return ended


def _tell(tell: Teller, settings: Any, regression: Mapping[str, Any], console: Console) -> int:  # noqa: ANN401 - Settings
    tell.scores(
        pipeline.pass_rates(settings, "prod", since="1d", check=None, by=["prompt_version"])
    )
    by = ["prompt_version", "customer"]
    tell.slices(pipeline.pass_rates(settings, "prod", since="1d", check="json_schema", by=by))
    tell.regression(regression)
    _, findings = pipeline.find_causes(settings, "prod", regression["id"])
    tell.causes(findings)
    with _bars(console) as bars:
        task = bars.add_task("taking cases", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total)

        outcome, _ = pipeline.improve(settings, "prod", regression["id"], progress)
    tell.outcome(outcome)
    book = pipeline.read_ledger(settings)
    tell.ledger(book)
    return 0 if outcome["accepted"] and book.balanced else 1


def _prepare(folder: Path) -> None:
    """Empty the folder."""
    marker = folder / ".evalspan-demo"
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; choose another --folder"
        raise pipeline.ConfigError(message)
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        message = f"{folder} holds something that is not of a demo; choose another --folder"
        raise pipeline.ConfigError(message)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()
    shutil.copy(SCHEMA, folder / SCHEMA.name)


@contextmanager
def _environment(model_server: str) -> Iterator[None]:
    """Point the SDKs at the stand-in; it takes any key."""
    told = {
        "OPENAI_API_KEY": "demo",
        "OPENAI_BASE_URL": f"{model_server}/v1",
        "ANTHROPIC_API_KEY": "demo",
        "ANTHROPIC_BASE_URL": model_server,
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _send(bars: Progress, settings: Any, url: str, version: str, calls: int) -> None:  # noqa: ANN401 - Settings
    task = bars.add_task(f"the app with prompt {version}", total=None)

    def progress(done: int, total: int) -> None:
        bars.update(task, completed=done, total=total)

    spawn_app(f"http://{settings.receive.listen}", url, version, calls, progress)


def _wait(bars: Progress, what: str, ready: Any, alive: Callable[[], None]) -> Any:  # noqa: ANN401 - a function and its answer
    task = bars.add_task(what, total=None)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        alive()
        found = ready()
        if found:
            bars.update(task, completed=1, total=1)
            return found
        time.sleep(0.25)
    message = f"{what}: nothing within {WAIT_SECONDS:.0f} s; see sidecar.log in the demo's folder"
    raise TimeoutError(message)


def _scored(settings: Any) -> bool:  # noqa: ANN401 - Settings
    """Whether everything stored was asked about and answered, by judges too.

    All of it from one reading of the ledger: what settles between two readings is
    expected in the second one only, and a judge's answers to it would be missed.
    """
    book = pipeline.read_ledger(settings)
    stored = sum(line.stored for line in book.lines if line.subject == "spans")
    expected = max((line.expected for line in book.checks), default=0)
    return book.pending == 0 and 0 < stored <= expected


def _regression(settings: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - Settings
    rows = pipeline.read_side_of(settings, "prod").regressions(only_open=True)
    worse = [row for row in rows.iter_rows(named=True) if row["direction"] == "regression"]
    return max(worse, key=lambda row: row["evidence_nats"] or 0.0, default=None)
