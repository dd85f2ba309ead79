"""Lists and objects that a dialect spreads over indexed keys: `prefix.0.role`, `prefix.1.role`."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

Tree = dict[str, Any]
_MOST_PARTS: Final = 32
_LONGEST_REMEMBERED: Final = 256


def tree(span: Mapping[str, Any]) -> Tree:
    """Return the attributes of a span as a tree: one level for each part of their keys."""
    root: Tree = {}
    for key, value in span.items():
        *steps, last = _path(key)
        branch = root
        for step in steps:
            deeper = branch.setdefault(step, {})
            branch = deeper if isinstance(deeper, dict) else {}
        branch.setdefault(last, value)
    return root


def _path(key: str) -> list[str]:
    """Return the parts of a key; what is deeper than any dialect goes stays one part."""
    return _short_path(key) if len(key) <= _LONGEST_REMEMBERED else key.split(".", _MOST_PARTS)


@lru_cache(maxsize=65536)
def _short_path(key: str) -> list[str]:
    return key.split(".", _MOST_PARTS)


def inner(branch: Mapping[str, Any], *path: str) -> Tree:
    """Return the branch at a path; an empty one where there is none."""
    found: Any = branch
    for step in path:
        found = found.get(step)
        if not isinstance(found, dict):
            return {}
    return found  # type: ignore[no-any-return]


def items(branch: Mapping[str, Any], *path: str) -> list[Tree]:
    """Return the objects below a branch whose keys are indexes, in the order of these.

    The first need not be 0: SDKs that limit the number of attributes drop the
    oldest.
    """
    held = inner(branch, *path)
    places = [key for key in held if key.isascii() and key.isdigit()]
    if len(places) > 1:
        places.sort(key=_by_number)
    return [held[place] for place in places if isinstance(held[place], dict)]


def _by_number(place: str) -> tuple[int, str]:
    return len(place.lstrip("0")), place.lstrip("0")
