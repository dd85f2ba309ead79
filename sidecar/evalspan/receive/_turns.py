"""Who comes next of those that wait, and who is sent away when they are too many."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Final
from urllib.parse import unquote

# What one IPv6 host is usually given: it may send from any address of it.
_HOST_PREFIX_BITS: Final = 64


@dataclass(eq=False, slots=True)
class Turn:
    """A request that waits; `given` gets True when it is its turn, False when it is sent away."""

    peer: str
    size_bytes: int
    given: "asyncio.Future[bool]"
    waits: bool = False


@dataclass(slots=True)
class _Address:
    """The connections of one address, the one whose turn is next first."""

    connections: OrderedDict[str, deque[Turn]] = field(default_factory=OrderedDict)
    waiting: int = 0


class Turns:
    """Addresses take turns, and of each its connections; a connection's requests keep order."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self.waiting = 0
        """How many wait."""

    def add(self, turn: Turn) -> None:
        """Put a request behind those of its connection."""
        address = self._addresses.setdefault(address_of(turn.peer), _Address())
        address.connections.setdefault(turn.peer, deque()).append(turn)
        address.waiting += 1
        self.waiting += 1
        turn.waits = True

    def next(self) -> Turn:
        """The request that is next; it stays where it is. KeyError where none waits."""
        address = next(iter(self._addresses.values()))
        return next(iter(address.connections.values()))[0]

    def take(self) -> Turn:
        """Remove the next request; its connection and address are behind the others then."""
        turn = self.next()
        name = address_of(turn.peer)
        address = self._addresses[name]
        address.connections.move_to_end(turn.peer)
        self._addresses.move_to_end(name)
        self.remove(turn)
        return turn

    def take_excess(self) -> Turn:
        """Remove the last request of the connection that waits most at the busiest address.

        Of equals it is the one that came last.
        """
        address = max(reversed(self._addresses.values()), key=lambda one: one.waiting)
        turn = max(reversed(address.connections.values()), key=len)[-1]
        self.remove(turn)
        return turn

    def remove(self, turn: Turn) -> None:
        """Forget a request, if it still waits."""
        if not turn.waits:
            return
        turn.waits = False
        name = address_of(turn.peer)
        address = self._addresses[name]
        turns = address.connections[turn.peer]
        turns.remove(turn)
        address.waiting -= 1
        self.waiting -= 1
        if not turns:
            del address.connections[turn.peer]
        if not address.waiting:
            del self._addresses[name]


def address_of(peer: str) -> str:
    """Where a peer is, as gRPC writes them: `ipv4:192.0.2.1:4000`, `ipv6:%5B::1%5D:4000`.

    Without the port; of IPv6 the network of the host.
    """
    address, _, _ = unquote(peer).rpartition(":")
    if not address.startswith("ipv6:"):
        return address
    host, _, _ = address.removeprefix("ipv6:").strip("[]").partition("%")
    return str(IPv6Network((host, _HOST_PREFIX_BITS), strict=False))
