"""Which dialect a span speaks, and what it does."""

from functools import lru_cache
from typing import Any, Final

import numpy as np

from evalspan.model import ROLES
from evalspan.normalize._attributes import STRING, Attributes
from evalspan.normalize._dialect import Dialect, base, known

NONE: Final = -1
# Longer than what any dialect asks for; claims are remembered by key.
_LONGEST_KEY: Final = 256
_OTHER: Final = ROLES.index("other")


@lru_cache(maxsize=65536)
def _claims_of_key(key: str) -> int:
    """Return a bit for each dialect that claims a span with this key."""
    return sum(
        1 << place
        for place, dialect in enumerate(known())
        if key in dialect.keys or key.startswith(dialect.prefixes or ("\0",))
    )


def _claims_of_scope(scope: str | None) -> int:
    return sum(
        1 << place
        for place, dialect in enumerate(known())
        if any(_matches(scope or "", pattern) for pattern in dialect.scopes)
    )


def _matches(scope: str, pattern: str) -> bool:
    return scope.startswith(pattern.rstrip("*")) if pattern[-1] in ".*" else scope == pattern


def detect(attributes: Attributes, scopes: Any) -> Any:  # noqa: ANN401 - Arrow in, numpy out
    """Return the index of the dialect of each span, -1 where none claims it."""
    count = len(scopes)
    coded = scopes.dictionary_encode()
    by_scope = np.array([_claims_of_scope(s) for s in coded.dictionary.to_pylist()] + [0])
    claims = by_scope[np.asarray(coded.indices.fill_null(len(by_scope) - 1))]
    if len(attributes.key):
        by_key = np.array([_claims_of_key(name[:_LONGEST_KEY]) for name in attributes.names])
        claims |= _any_of(by_key[attributes.key], attributes.offsets)
    lowest = claims & -claims
    place = np.full(count, NONE, np.int64)
    found = lowest > 0
    place[found] = np.log2(lowest[found]).astype(np.int64)
    return place


def _any_of(bits: Any, offsets: Any) -> Any:  # noqa: ANN401 - numpy
    """Join the bits of each span's attributes."""
    joined = np.zeros(len(offsets) - 1, np.int64)
    filled = np.flatnonzero(np.diff(offsets))
    joined[filled] = np.bitwise_or.reduceat(bits, offsets[filled])
    return joined


def roles(attributes: Attributes, dialect: Any) -> Any:  # noqa: ANN401 - numpy
    """Return the role of each span as an index into ROLES."""
    role = np.full(len(dialect), NONE, np.int64)
    for place in np.unique(dialect).tolist():
        if place != NONE:
            spans = dialect == place
            for table in (known()[place], base()):
                _tell(attributes, table, spans, role)
    role[role == NONE] = _OTHER
    return role


def _tell(attributes: Attributes, dialect: Dialect, spans: Any, role: Any) -> None:  # noqa: ANN401
    for key, words in dialect.roles.items():
        rows = attributes.rows(key)
        rows = rows[(attributes.kind[rows] == STRING) & spans[attributes.parent[rows]]]
        if len(rows):
            coded = attributes.take(STRING, rows).dictionary_encode()
            told = [words.get(word, "") for word in coded.dictionary.to_pylist()]
            of_word = np.array([ROLES.index(name) if name else NONE for name in told])
            _fill(role, attributes.parent[rows], of_word[np.asarray(coded.indices)])
    for key, name in dialect.implied.items():
        rows = attributes.rows(key)
        parents = attributes.parent[rows]
        parents = parents[spans[parents]]
        _fill(role, parents, np.full(len(parents), ROLES.index(name)))


def _fill(role: Any, parents: Any, told: Any) -> None:  # noqa: ANN401 - numpy
    free = role[parents] == NONE
    role[parents[free]] = told[free]
