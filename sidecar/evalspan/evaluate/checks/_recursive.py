"""Schemas whose list of mistakes grows without bound."""

from collections.abc import Iterator
from typing import Any

_CHOICES = frozenset({"anyOf", "oneOf"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def branches_into_itself(schema: object) -> bool:
    """Whether a choice of the schema is recursive, as an expression tree is.

    Each level of an answer then multiplies the mistakes, those of every choice that was tried.
    A reference that is not a plain path within the schema counts as recursive.
    """
    if not any(_CHOICES & part.keys() for part in _objects(schema)):
        return False
    open_paths: set[str] = set()
    done: set[str] = set()

    def leads_back(path: str) -> bool:
        if path in open_paths:
            return True
        if path in done:
            return False
        found, target = _at(schema, path)
        if not found:
            return True
        open_paths.add(path)
        back = any(leads_back(reference) for reference in _references(target))
        open_paths.discard(path)
        done.add(path)
        return back

    return leads_back("#")


def _objects(node: object) -> Iterator[dict[str, Any]]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _references(node: object) -> Iterator[str]:
    for part in _objects(node):
        yield from (str(part[key]) for key in _REFERENCES if isinstance(part.get(key), str))


def _at(schema: object, path: str) -> tuple[bool, object]:
    """Return what a path such as `#/$defs/node` leads to, and whether there is anything."""
    if not path.startswith("#"):
        return False, None
    node = schema
    for key in filter(None, path[1:].split("/")):
        name = key.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and name in node:
            node = node[name]
        else:
            return False, None
    return True, node
