"""Fixtures with real servers; what they printed is shown when a test fails.

A `conftest.py` imports the three names.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Stack

STACKS = pytest.StashKey[list[Stack]]()


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """Start real servers for one test and stop them after it."""
    with Stack(tmp_path / "stack") as started:
        request.node.stash.setdefault(STACKS, []).append(started)
        yield started


@pytest.fixture(scope="module")
def module_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Start real servers for the tests of one file and stop them after the last."""
    with Stack(tmp_path_factory.mktemp("stack")) as started:
        request.node.stash.setdefault(STACKS, []).append(started)
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add the logs of the servers to the report of a test that failed."""
    report = yield
    if report.failed:
        for node in item.listchain():
            for started in node.stash.get(STACKS, []):
                report.sections += [(f"log of {p.name}", p.log()) for p in started.processes]
    return report
