"""Decode many requests at once; where one cannot be, find the span that is to blame."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from evalspan.decode import _lens, _walker
from evalspan.decode._quarantine import Quarantine
from evalspan.decode._request import Request, Signal

# Stands for every item of a request that is set aside.
ALL: Final = -1
# So often is it tried to decode a part of one request; what is not known to be good by then is bad.
_MOST_TRIALS: Final = 4096
_DISAGREE: Final = "the decoder and the wire disagree on how many items there are"
Accept = Callable[[Any], int]


def requests(
    signal: Signal,
    payload: bytes,
    offset: int,
    received_ns: int,
    quarantine: Quarantine,
    aside: Mapping[int, str],
) -> list[Request]:
    """Count the items of one request on the wire.

    A damaged request comes back as one of the items that can still be read; what cannot be
    is quarantined, as one item at least. So is one of which items are to be set `aside`
    (part → reason), and one of more small items than are looked at.
    """
    if not aside:
        try:
            return [Request(payload, offset, received_ns, _walker.digests(payload))]
        except (_walker.WireError, _walker.TooManyError):
            pass
    whole = Request(payload, offset, received_ns, ())
    before = quarantine.count
    found = _walker.split(payload, _walker.most_small(payload))
    kept = _sorted_out(signal, whole, found, quarantine, aside)
    if aside and not found.count and quarantine.count == before:
        quarantine.set_aside(signal, whole, 0, None, aside.get(ALL, ""))
    quarantine.uncounted[signal] += quarantine.count - before
    return [_left(whole, kept)] if kept else []


def _sorted_out(
    signal: Signal,
    whole: Request,
    found: _walker.Split,
    quarantine: Quarantine,
    aside: Mapping[int, str],
) -> dict[int, _walker.Item]:
    """Quarantine what is damaged, set aside or too much; return the other items."""
    kept: dict[int, _walker.Item] = {}
    reason = f"cut off or garbled: {found.error}"
    damaged = False
    for part, item in found.items.items():
        told = aside.get(part, aside.get(ALL))
        if not item.whole:
            quarantine.add(signal, whole, part, item, reason)
            damaged = True
        elif told is not None:
            quarantine.set_aside(signal, whole, part, item, told)
        else:
            kept[part] = item
    if found.error and not damaged:
        quarantine.add(signal, whole, found.count, None, reason)
    if found.beyond is not None:
        left = found.count - len(found.items)
        reason = (
            "too small for ids and too many to be looked at: "
            f"{left} of {found.count} items, each of less than {_walker.SMALL_BYTES} bytes"
        )
        quarantine.add(signal, whole, found.beyond, None, reason)
    return kept


def _left(whole: Request, items: Mapping[int, _walker.Item]) -> Request:
    """Return what is left of a request: these items, by their places in the one that came."""
    return Request(
        _walker.request(items.values()),
        whole.offset,
        whole.received_ns,
        [xxh3_64_intdigest(item.data) for item in items.values()],
        list(items),
    )


def items_of(request: Request) -> list[_walker.Item]:
    """Take a request apart that was counted before: all of its items."""
    return list(_walker.split(request.payload, len(request.digests)).items.values())


def decoded(
    signal: Signal,
    batch: Sequence[Request],
    quarantine: Quarantine,
    accept: Accept,
) -> Iterator[tuple[Sequence[Request], Any]]:
    """Yield (requests, record batch) so that all readable requests are in one of them.

    `accept` counts the items of a record batch; it must agree with the wire.
    """
    if not batch:
        return
    count = sum(len(request.digests) for request in batch)
    arrow, reason = _tried(signal, [request.payload for request in batch], count, accept)
    if not reason:
        yield batch, arrow
    elif len(batch) > 1:
        middle = len(batch) // 2
        yield from decoded(signal, batch[:middle], quarantine, accept)
        yield from decoded(signal, batch[middle:], quarantine, accept)
    else:
        good = _sifted(signal, batch[0], reason, quarantine, accept)
        yield from decoded(signal, good, quarantine, accept)


def _tried(signal: Signal, payloads: list[bytes], count: int, accept: Accept) -> tuple[Any, str]:
    """Decode requests of so many items; return the record batch, or what is wrong."""
    handler = _lens.TRACES if signal == "traces" else _lens.LOGS
    try:
        arrow = handler.list_to_record_batch(payloads)
    except ValueError as error:
        return None, f"cannot be decoded: {error}"
    return (arrow, "") if accept(arrow) == count else (None, _DISAGREE)


def _sifted(
    signal: Signal, request: Request, reason: str, quarantine: Quarantine, accept: Accept
) -> list[Request]:
    """Quarantine what is to blame in a request that cannot be decoded; return the rest of it.

    Items are tried without what surrounds them, which may be long. If that is to blame, all
    of them are.
    """
    items = items_of(request)
    if not items:
        quarantine.uncounted[signal] += 1
        quarantine.add(signal, request, 0, None, reason)
        return []
    bare = [item.bare() for item in items]

    def fails(part: range) -> str:
        payload = _walker.request(bare[part.start : part.stop])
        return _tried(signal, [payload], len(part), accept)[1]

    bad = _bad(len(items), fails) or dict.fromkeys(range(len(items)), reason)
    for place, why in sorted(bad.items()):
        quarantine.add(signal, request, request.part(place), items[place], why)
    good = {request.part(n): item for n, item in enumerate(items) if n not in bad}
    return [_left(request, good)] if good else []


def _bad(count: int, fails: Callable[[range], str]) -> dict[int, str]:
    """Return the places that fail, by halving: the larger parts first, so that little is unknown.

    Nothing if they fail together only.
    """
    whole = range(count)
    why = fails(whole)
    parts, found = deque([(whole, why)] if why else []), dict[int, str]()
    left = _MOST_TRIALS
    while parts:
        part, why = parts.popleft()
        if len(part) == 1 or left <= 0:
            found |= dict.fromkeys(part, why)
            continue
        middle = len(part) // 2
        halves = [(half, fails(half)) for half in (part[:middle], part[middle:])]
        parts += [(half, how) for half, how in halves if how]
        left -= len(halves)
    return found
