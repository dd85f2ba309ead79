"""Scores as the metrics read them, and real servers, for the tests in this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "stack"))

from stack_fixtures import pytest_runtest_makereport, stack

__all__ = ["pytest_runtest_makereport", "stack"]
