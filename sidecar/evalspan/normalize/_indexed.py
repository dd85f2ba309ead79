"""Lists and objects that a dialect spreads over indexed keys: `prefix.0.role`, `prefix.1.role`."""

from collections.abc import Mapping
from typing import Any


def tree(span: Mapping[str, Any], prefix: str) -> list[Any]:
    """Return the elements below `prefix` in the order of their indexes.

    The first need not be 0: SDKs that limit the number of attributes drop the
    oldest.
    """
    root: dict[str, Any] = {}
    for key, value in span.items():
        if key.startswith(prefix):
            _put(root, key[len(prefix) :].split("."), value)
    return items(root)


def items(branch: Any) -> list[Any]:  # noqa: ANN401 - a branch of the tree or nothing
    """Return the objects of a branch whose keys are indexes, in their order."""
    if not isinstance(branch, dict):
        return []
    places = sorted(int(key) for key in branch if key.isascii() and key.isdigit() and len(key) < 10)  # noqa: PLR2004 - no list is longer
    found = (branch.get(str(place)) for place in places)
    return [item for item in found if isinstance(item, dict)]


def _put(branch: dict[str, Any], path: list[str], value: Any) -> None:  # noqa: ANN401
    for step in path[:-1]:
        deeper = branch.setdefault(step, {})
        if not isinstance(deeper, dict):
            return
        branch = deeper
    branch.setdefault(path[-1], value)
