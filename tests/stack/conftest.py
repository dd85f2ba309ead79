"""Real servers for the tests in this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from stack_fixtures import module_stack, pytest_runtest_makereport, stack

__all__ = ["module_stack", "pytest_runtest_makereport", "stack"]
