"""Walk the wire format of an OTLP request without decoding it.

Traces and logs have the same skeleton: field 1 of the request is what one
resource sent, field 2 of that what one scope sent, field 2 of that the spans or
log records (the items). `digests` is the fast way over a whole request;
`split` takes a damaged one apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from xxhash import xxh3_64_intdigest

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_ITEM_TAG: Final = 0x12  # field 2, length-delimited
_RESOURCE_TAG: Final = 0x0A  # field 1, length-delimited
_MORE: Final = 0x80  # the bit of a byte that says that the number goes on
_MAX_VARINT_BYTES: Final = 10
_MAX_GROUP_DEPTH: Final = 32
_BIGGEST_OF_FIELD_0: Final = 7  # field numbers begin at 1
# Number, bytes, and whether they are all there.
_Field = tuple[int, bytes, bool]
_WIDTHS: Final[dict[int | None, int]] = {_FIXED64: 8, _FIXED32: 4}


class WireError(ValueError):
    """The bytes are no protobuf; the text says what and at which byte."""


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
        scoped = _field(1, self.scope) + _field(2, self.data) + _field(3, self.scope_schema)
        return _field(
            1,
            _field(1, self.resource) + _field(2, scoped) + _field(3, self.resource_schema),
        )


def digests(payload: bytes) -> list[int]:
    """Return the XXH3-64 of the bytes of each item, in order.

    Raises WireError if the skeleton of the request is damaged; the insides of
    the items are not looked at.
    """
    found: list[int] = []
    view = memoryview(payload)
    for start, stop in _children(payload, 0, len(payload), _RESOURCE_TAG):
        for inner, inner_stop in _children(payload, start, stop, _ITEM_TAG):
            _items(payload, view, inner, inner_stop, found)
    return found


def _items(payload: bytes, view: memoryview, at: int, end: int, found: list[int]) -> None:
    """Hash the items of one scope. Runs once per span, so their lengths are read in place."""
    append = found.append
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


def _item(payload: bytes, view: memoryview, at: int, end: int, found: list[int]) -> int:
    """Hash one item of any length, or pass over another field; return where it ends."""
    if payload[at] != _ITEM_TAG:
        return _skip(payload, at, end)
    at, stop = _span_of(payload, at + 1, end)
    found.append(xxh3_64_intdigest(view[at:stop]))
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


def split(payload: bytes) -> tuple[list[Item], WireError | None]:
    """Take a request apart into its items, as far as it can be read.

    Returns them with the first error, if there is one; items that go beyond
    their end are returned as far as they go and say so.
    """
    items: list[Item] = []
    outer, error = _fields(payload)
    for _, resource_part, _ in _only(outer, 1):
        inner, damage = _fields(resource_part)
        error = error or damage
        resource, schema = _last(inner, 1), _last(inner, 3)
        for _, scope_part, _ in _only(inner, 2):
            leaves, damage = _fields(scope_part)
            error = error or damage
            scope, scope_schema = _last(leaves, 1), _last(leaves, 3)
            items += (
                Item(data, resource, schema, scope, scope_schema, whole)
                for _, data, whole in _only(leaves, 2)
            )
    return items, error


def _fields(data: bytes) -> tuple[list[_Field], WireError | None]:
    """Return the length-delimited fields of a message; a cut one is returned as far as it goes."""
    found: list[_Field] = []
    at, end = 0, len(data)
    try:
        while at < end:
            tag, after = _varint(data, at, end)
            if tag & 7 == _BYTES and tag > _BIGGEST_OF_FIELD_0:
                size, after = _varint(data, after, end)
                at = after + size
                found.append((tag >> 3, data[after:at], at <= end))
                if at > end:
                    _too_long(size, after, end)
            else:
                at = _skip(data, at, end)
    except WireError as error:
        return found, error
    return found, None


def _only(fields: list[_Field], number: int) -> Iterator[_Field]:
    return (field for field in fields if field[0] == number)


def _last(fields: list[_Field], number: int) -> bytes:
    return next((field[1] for field in reversed(fields) if field[0] == number), b"")


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


def peek(item: bytes, number: int) -> bytes:
    """Return the bytes of a length-delimited field of an item, as far as it can be read."""
    return _last(_fields(item)[0], number)
