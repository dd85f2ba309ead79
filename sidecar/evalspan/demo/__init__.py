"""The demo's app: web pages to schema.org, a support agent and reviews, against the stand-in.

In: an OTLP endpoint, the stand-in model server's address and a prompt version. Out: real spans of
real SDKs and instrumentors, and a `RunSummary`. `spawn_app` runs it in a process of its own, apart
from the sidecar, as an app is; `python -m evalspan.demo.app --help` does it by hand. Version v2 of
the prompt drops one rule, which breaks one customer of eight and moves the average little.

Settings: the number of calls. Needs the extra `demo`.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CALLS",
    "CONFIG",
    "PROMPTS",
    "PROMPT_VERSIONS",
    "SCHEMA",
    "Progress",
    "RunSummary",
    "prompt_text",
    "spawn_app",
]

CALLS = 640
"""Extraction calls for each prompt version: 80 for each of the eight customers."""

PROMPT_VERSIONS = ("v1", "v2")
PROMPTS = Path(__file__).with_name("prompts")
SCHEMA = Path(__file__).with_name("schema_org.schema.json")
CONFIG = Path(__file__).with_name("evalspan.yaml")

Progress = Callable[[int, int], None]
"""Is told how many pieces of work are done, and of how many."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one run of the app did. `unparsable` is what the app itself noticed."""

    version: str
    calls: int
    support_runs: int
    reviews: int
    unparsable: int
    spans_sent: int
    spans_failed: int
    wall_seconds: float


def prompt_text(name: str, version: str) -> str:
    """The text of a prompt; FileNotFoundError where there is no such name and version."""
    return (PROMPTS / f"{name}.{version}.txt").read_text("utf-8").strip()


def spawn_app(
    endpoint: str,
    model_server_url: str,
    version: str,
    calls: int = CALLS,
    progress: Progress | None = None,
) -> RunSummary:
    """Run the app in its own process and wait for it; RuntimeError with its words if it fails."""
    where = ["--endpoint", endpoint, "--model-server", model_server_url]
    what = ["--prompt-version", version, "--calls", str(calls)]
    command = [sys.executable, "-m", "evalspan.demo.app", *where, *what]
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as app:  # noqa: S603 - our own module
            for line in app.stdout or ():
                last = json.loads(line)
                if progress and "done" in last:
                    progress(last["done"], last["total"])
        said.seek(0)
        if app.returncode or "summary" not in last:
            message = f"the demo app ended with {app.returncode}: {said.read()[-2000:]}"
            raise RuntimeError(message)
    return RunSummary(**last["summary"])
