"""Makes the worlds of this folder importable, and the real servers of tests/stack."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "stack")]

from stack_fixtures import (  # noqa: E402 - found by the path above
    pytest_runtest_makereport,
    stack,
)

__all__ = ["pytest_runtest_makereport", "stack"]
