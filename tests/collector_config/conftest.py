"""A real Collector on free ports, and stubs of what it sends to."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "stack"))

from collector_runs import Collector, start_collector
from otlp_stub import OtlpStub
from processes import BUILT, absent


@pytest.fixture(scope="session")
def binary() -> Path:
    path = Path(os.environ.get("EVALSPAN_COLLECTOR", BUILT / "otelcol-evalspan"))
    if not os.access(path, os.X_OK):
        absent(f"the Collector {path}")
    return path


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def stub(cleanup: ExitStack) -> Callable[[], OtlpStub]:
    return lambda: cleanup.enter_context(OtlpStub())


@pytest.fixture
def sidecar(stub: Callable[[], OtlpStub]) -> OtlpStub:
    return stub()


@pytest.fixture
def backend(stub: Callable[[], OtlpStub]) -> OtlpStub:
    return stub()


@pytest.fixture
def run(
    binary: Path, sidecar: OtlpStub, backend: OtlpStub, tmp_path: Path, cleanup: ExitStack
) -> Callable[..., Collector]:
    """Start the Collector with these arguments; it is stopped when the test ends."""

    def started(*arguments: str, ready: str = "health") -> Collector:
        environment = {
            "EVALSPAN_SIDECAR_ENDPOINT": sidecar.endpoint,
            "EVALSPAN_BACKEND_ENDPOINT": backend.endpoint,
            "EVALSPAN_STORAGE_DIRECTORY": str(tmp_path / "storage"),
        }
        collector = start_collector([binary, *arguments], tmp_path, environment, ready)
        cleanup.callback(collector.stop)
        return collector

    return started
