"""Walk the wire format of an OTLP request without decoding it.

Traces and logs have the same skeleton: field 1 of the request is what one
resource sent, field 2 of that what one scope sent, field 2 of that the spans or
log records (the items). `digests` is the fast way over a whole request;
`split` takes a damaged one apart.

An item takes two bytes to send and hundreds as a row. One with ids takes 28, so that a
request cannot have more of those than its bytes have room for; of smaller ones, which are
no spans, `most_small` are looked at one by one and the others counted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NoReturn

from xxhash import xxh3_64_intdigest

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_ITEM_TAG: Final = 0x12  # field 2, length-delimited
_RESOURCE_TAG: Final = 0x0A  # field 1, length-delimited
_MORE: Final = 0x80  # the bit of a byte that says that the number goes on
_MAX_VARINT_BYTES: Final = 10
_MAX_GROUP_DEPTH: Final = 32
_BIGGEST_OF_FIELD_0: Final = 7  # field numbers begin at 1
# What a trace id and a span id take.
SMALL_BYTES: Final = 28
_SOME_SMALL: Final = 100
# Its number (or place), where it begins, and where it ends or would end.
_Field = tuple[int, int, int]
_WIDTHS: Final[dict[int | None, int]] = {_FIXED64: 8, _FIXED32: 4}


class WireError(ValueError):
    """The bytes are no protobuf; the text says what and at which byte."""


class TooManyError(ValueError):
    """There are more small items, or groups of items, than are looked at one by one."""


def most_small(payload: bytes) -> int:
    """Return how many small items, or groups, of a request are looked at one by one."""
    return _SOME_SMALL + len(payload) // (2 * SMALL_BYTES)


@dataclass(frozen=True, slots=True)
class Item:
    """One span or log record of a request: its bytes, what surrounds it, and if it is all there."""

    data: bytes
    resource: bytes
    resource_schema: bytes
    scope: bytes
    scope_schema: bytes
    whole: bool = True

    def request(self) -> bytes:
        """Return a request that holds this item only."""
        return request([self])

    def bare(self) -> "Item":
        """Return this item without what surrounds it."""
        return Item(self.data, b"", b"", b"", b"", self.whole)


def request(items: Iterable[Item]) -> bytes:
    """Return a request that holds these items; what they share stands in it once."""
    return b"".join(
        _field(1, _field(1, resource) + _scopes(same) + _field(3, schema))
        for (resource, schema), same in groupby(
            items, lambda item: (item.resource, item.resource_schema)
        )
    )


def _scopes(items: Iterable[Item]) -> bytes:
    return b"".join(
        _field(2, _field(1, scope) + b"".join(_field(2, i.data) for i in same) + _field(3, schema))
        for (scope, schema), same in groupby(items, lambda item: (item.scope, item.scope_schema))
    )


@dataclass(slots=True)
class _Found:
    """The digests of items, and how many more small ones and groups there may be."""

    small: int
    groups: int
    digests: list[int] = field(default_factory=list)

    def group(self) -> None:
        self.groups -= 1
        if self.groups < 0:
            raise TooManyError

    def add(self, data: memoryview) -> None:
        if len(data) < SMALL_BYTES:
            self.small -= 1
            if self.small < 0:
                raise TooManyError
        self.digests.append(xxh3_64_intdigest(data))


def digests(payload: bytes) -> list[int]:
    """Return the XXH3-64 of the bytes of each item, in order.

    Raises WireError if the skeleton of the request is damaged; the insides of
    the items are not looked at. Raises TooManyError.
    """
    most = most_small(payload)
    found = _Found(most, most)
    view = memoryview(payload)
    for start, stop in _children(payload, 0, len(payload), _RESOURCE_TAG):
        found.group()
        for inner, inner_stop in _children(payload, start, stop, _ITEM_TAG):
            found.group()
            _items(payload, view, inner, inner_stop, found)
    return found.digests


def _items(payload: bytes, view: memoryview, at: int, end: int, found: _Found) -> None:
    """Hash the items of one scope. Runs once per span, so their lengths are read in place."""
    append = found.digests.append
    while at < end:
        if payload[at] != _ITEM_TAG or at + 3 > end:
            at = _item(payload, view, at, end, found)
            continue
        size, high = payload[at + 1], payload[at + 2]
        if size < _MORE or high >= _MORE:
            at = _item(payload, view, at, end, found)
            continue
        at += 3
        stop = at + (high << 7) + size - _MORE
        if stop > end:
            _too_long(stop - at, at, end)
        append(xxh3_64_intdigest(view[at:stop]))
        at = stop


def _item(payload: bytes, view: memoryview, at: int, end: int, found: _Found) -> int:
    """Hash one item of any length, or pass over another field; return where it ends."""
    if payload[at] != _ITEM_TAG:
        return _skip(payload, at, end)
    at, stop = _span_of(payload, at + 1, end)
    found.add(view[at:stop])
    return stop


def _children(payload: bytes, at: int, end: int, tag: int) -> Iterator[tuple[int, int]]:
    while at < end:
        if payload[at] != tag:
            at = _skip(payload, at, end)
            continue
        at, stop = _span_of(payload, at + 1, end)
        yield at, stop
        at = stop


def _span_of(payload: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where a length-delimited field begins and ends."""
    size, at = _varint(payload, at, end)
    if at + size > end:
        _too_long(size, at, end)
    return at, at + size


def _too_long(size: int, at: int, end: int) -> NoReturn:
    msg = f"a field of {size} bytes at byte {at} goes beyond its end at byte {end}"
    raise WireError(msg)


def _varint(payload: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(end, at + _MAX_VARINT_BYTES)):
        byte = payload[place]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, place + 1
        shift += 7
    msg = f"a number that does not end at byte {at}"
    raise WireError(msg)


def _skip(payload: bytes, at: int, end: int, depth: int = 0) -> int:
    """Return where the field at `at` ends."""
    start = at
    tag, at = _varint(payload, at, end)
    kind = tag & 7 if tag > _BIGGEST_OF_FIELD_0 else None
    if kind == _BYTES:
        return _span_of(payload, at, end)[1]
    if kind == _GROUP and depth < _MAX_GROUP_DEPTH:
        return _skip_group(payload, at, end, depth)
    if kind == _VARINT:
        return _varint(payload, at, end)[1]
    width = _WIDTHS.get(kind, end + 1)
    if at + width > end:
        msg = f"no field can begin with {tag:#x}, at byte {start}"
        raise WireError(msg)
    return at + width


def _skip_group(payload: bytes, at: int, end: int, depth: int) -> int:
    while True:
        tag, after = _varint(payload, at, end)
        if tag & 7 == _END_GROUP:
            return after
        at = _skip(payload, at, end, depth + 1)


@dataclass(slots=True)
class Split:
    """A request taken apart, as far as it can be read.

    `items` by their place in it. An item that goes beyond its end is there as far as it goes
    and says so. `error` is the first one met. `count` is how many items there are; those that
    are not in `items` are small, and `beyond` is the place of the first of them.
    """

    most: int
    items: dict[int, Item] = field(default_factory=dict)
    error: WireError | None = None
    count: int = 0
    beyond: int | None = None
    small: int = 0

    def places(self, payload: bytes, at: int, end: int) -> Iterator[_Field]:
        """Count the items of a scope; yield the place and bytes of those to be looked at."""
        for number, start, stop in self.fields(payload, at, end):
            if number != 2:  # noqa: PLR2004 - the items of a scope
                continue
            place = self.count
            self.count += 1
            if min(stop, end) - start < SMALL_BYTES:
                self.small += 1
                if self.small > self.most:
                    self.beyond = place if self.beyond is None else self.beyond
                    continue
            yield place, start, stop

    def fields(self, data: bytes, at: int, end: int) -> Iterator[_Field]:
        """Yield the fields of a message, and remember the error that ends them early."""
        try:
            yield from _fields(data, at, end)
        except WireError as error:
            self.error = self.error or error


def split(payload: bytes, most: int) -> Split:
    """Take a request apart into its items, of which at most so many may be small."""
    found = Split(most)
    for number, start, stop in found.fields(payload, 0, len(payload)):
        if number == 1:
            _split_resource(found, payload, start, min(stop, len(payload)))
    return found


def _split_resource(found: Split, payload: bytes, start: int, end: int) -> None:
    resource: tuple[bytes, bytes] | None = None
    for number, at, beyond in found.fields(payload, start, end):
        if number != 2:  # noqa: PLR2004 - the scopes of a resource
            continue
        stop = min(beyond, end)
        leaves = list(found.places(payload, at, stop))
        if not leaves:
            continue
        resource = resource or _surroundings(payload, start, end)
        scope = _surroundings(payload, at, stop)
        found.items |= {
            place: Item(payload[a : min(z, stop)], *resource, *scope, z <= stop)
            for place, a, z in leaves
        }


def _surroundings(payload: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """Return the resource or scope of a group, and its schema URL, as far as it can be read."""
    found = _last(payload, start, end, (1, 3))
    return found[0], found[1]


def _fields(data: bytes, at: int, end: int) -> Iterator[_Field]:
    """Yield the length-delimited fields of a message; one that is cut off, then its error."""
    while at < end:
        if data[at] == _ITEM_TAG and at + 1 < end and (size := data[at + 1]) < _MORE:
            tag, after = _ITEM_TAG, at + 2  # there may be millions of them
        else:
            tag, after = _varint(data, at, end)
            if tag & 7 != _BYTES or tag <= _BIGGEST_OF_FIELD_0:
                at = _skip(data, at, end)
                continue
            size, after = _varint(data, after, end)
        at = after + size
        yield tag >> 3, after, at
        if at > end:
            _too_long(size, after, end)


def _last(data: bytes, at: int, end: int, numbers: tuple[int, ...]) -> list[bytes]:
    """Return the last of each of these fields, as far as it can be read."""
    found = dict.fromkeys(numbers, (0, 0))
    try:
        for number, start, stop in _fields(data, at, end):
            if number in found:
                found[number] = start, min(stop, end)
    except WireError:
        pass
    return [data[start:stop] for start, stop in found.values()]


def varint(value: int) -> bytes:
    """Return a number in the variable form of the wire."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def peek(item: bytes, *numbers: int) -> list[bytes]:
    """Return the bytes of length-delimited fields of an item, as far as it can be read."""
    return _last(item, 0, len(item), numbers)
