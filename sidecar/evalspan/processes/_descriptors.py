"""How many files and connections this process may have open."""

import resource
from typing import Final

# Some libraries go through all descriptors that could be open, and systems allow a billion.
_ENOUGH: Final = 65_536


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system lets us; the usual 1024 are few for a server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
