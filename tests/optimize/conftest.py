"""Makes the scripted world importable: as the tests' module and as a user's extension."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
