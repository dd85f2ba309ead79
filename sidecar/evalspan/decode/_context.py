"""What a batch of items has in common: request, resource, scope; and what was mended."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from evalspan.decode import _json
from evalspan.decode._request import Request

# Characters that the resources, or the scopes, of a batch may take, all copies together. A column
# of text holds two thousand million bytes.
_MOST_TEXT: Final = 256 << 20
_NAMES: Final = (
    "service.name",
    "service.version",
    "deployment.environment.name",
    "deployment.environment",
)


@dataclass(slots=True)
class Repairs:
    """What was mended, per row."""

    notes: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def note(self, rows: Any, what: str) -> None:  # noqa: ANN401 - numpy array of rows
        """Remember that text of these rows was no UTF-8."""
        self.say(rows, f"utf8:{what}")

    def say(self, rows: Any, what: str) -> None:  # noqa: ANN401 - numpy array of rows
        """Remember `what` for these rows, once."""
        for row in rows.tolist():
            if what not in self.notes[row]:
                self.notes[row].append(what)

    def column(self, count: int) -> Any:  # noqa: ANN401 - Arrow array
        """Return the `repaired` column."""
        if not self.notes:
            return pa.nulls(count, pa.string())
        return pa.array([";".join(self.notes.get(row, ())) or None for row in range(count)])


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a record batch, flat, with the request and context that each came in.

    `struct` holds the items; the numpy arrays have one element for each:
    its request (index into `requests`), its part of that request, its digest,
    its resource and scope (index into the texts).
    """

    struct: Any
    requests: Sequence[Request]
    request: Any
    part: Any
    digest: Any
    resource: Any
    scope: Any
    resources: Sequence[tuple[str, dict[str, str], str | None]]
    scopes: Sequence[tuple[str, str, str | None]]

    def __len__(self) -> int:
        return len(self.struct)

    def keep(self, rows: Any) -> "Items":  # noqa: ANN401 - numpy array of rows
        """Return these rows only."""
        return Items(
            self.struct.take(pa.array(rows)),
            self.requests,
            self.request[rows],
            self.part[rows],
            self.digest[rows],
            self.resource[rows],
            self.scope[rows],
            self.resources,
            self.scopes,
        )

    def received(self) -> Any:  # noqa: ANN401 - numpy array
        """When each item was accepted, nanoseconds."""
        return np.array([r.received_ns for r in self.requests], np.int64)[self.request]


def count(arrow: Any) -> int:  # noqa: ANN401 - Arrow record batch
    """Count the items of a decoded record batch of requests."""
    scoped = arrow.column(0).flatten().field(1).flatten()
    return len(scoped.field(1).flatten())


def items(batch: Sequence[Request], arrow: Any) -> Items:  # noqa: ANN401 - Arrow record batch
    """Flatten a record batch of requests to its items."""
    parts = arrow.column(0)
    of_request = _repeat(parts)
    by_resource = parts.flatten()
    scoped_lists = by_resource.field(1)
    of_resource = _repeat(scoped_lists)
    by_scope = scoped_lists.flatten()
    lists = by_scope.field(1)
    of_scope = _repeat(lists)
    resource = of_resource[of_scope]
    request = of_request[resource]
    sizes = np.array([len(r.digests) for r in batch], np.int64)
    starts = np.cumsum(sizes) - sizes
    part = np.arange(len(request)) - np.repeat(starts, sizes)
    for start, size, known in zip(starts, sizes, (r.parts for r in batch), strict=True):
        if known is not None:
            part[start : start + size] = known
    digest = np.array([d for r in batch for d in r.digests], np.uint64).view(np.int64)
    resource_texts, resource_index = _texts(by_resource, "resource", resource, _json.resource)
    scope_texts, scope_index = _texts(by_scope, "scope", of_scope, _json.scope)
    return Items(
        struct=lists.flatten(),
        requests=batch,
        request=request,
        part=part,
        digest=digest,
        resource=resource_index,
        scope=scope_index,
        resources=resource_texts,
        scopes=scope_texts,
    )


def _repeat(lists: Any) -> Any:  # noqa: ANN401 - Arrow list array in, numpy out
    """Return for each element the row of the list that it stands in."""
    return np.repeat(np.arange(len(lists)), np.asarray(lists.value_lengths().fill_null(0)))


def _texts(owners: Any, name: str, owner: Any, read: Any) -> tuple[list[Any], Any]:  # noqa: ANN401
    """Read each distinct (bytes, schema URL) once.

    `owner` is the row of each item. Returns the texts, and for each item the
    index of its own. What would take too much room, standing on as many items as
    it does, is left out.
    """
    seen: dict[tuple[bytes, bytes], int] = {}
    found = owners.field(name).to_pylist()
    schemas = owners.field("schema_url").to_pylist()
    index = [
        seen.setdefault((data or b"", schema or b""), len(seen))
        for data, schema in zip(found, schemas, strict=True)
    ]
    of_item = np.array(index, np.int64)[owner]
    counts = np.bincount(of_item, minlength=len(seen))
    texts = [read(*key) for key in seen]
    for place in too_long([len(text) for text, _, _ in texts], counts):
        text, known, _ = texts[place]
        texts[place] = (_json.left_out(text), known, name)
    for place in too_long([_longest_name(known) for _, known, _ in texts], counts):
        text, known, _ = texts[place]
        texts[place] = (text, type(known)(), name)
    return texts, of_item


def _longest_name(known: dict[str, str] | str) -> int:
    """Return the length of the longest name that stands in a column of its own."""
    if isinstance(known, str):
        return len(known)
    return max(len(known.get(key, "")) for key in _NAMES)


def too_long(lengths: Sequence[int], counts: Any) -> list[int]:  # noqa: ANN401 - numpy
    """Return which texts to leave out, the dearest first, for all their copies to have room."""
    room = np.array(lengths, np.int64) * counts
    left, out = int(room.sum()), []
    for place in np.argsort(-room, kind="stable").tolist():
        if left <= _MOST_TEXT:
            break
        left -= int(room[place])
        out.append(place)
    return out


def spread(texts: Sequence[str | None], index: Any) -> Any:  # noqa: ANN401 - Arrow array
    """Return a text column that has `texts[i]` for each i of `index`."""
    return pa.array(texts, pa.string()).take(pa.array(index))
