"""A request of the log on its way through this room."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Signal = Literal["traces", "logs"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or what is left of one, with the items counted on the wire.

    `parts` are the places that its items had in the request that came; None: all from 0 on.
    """

    payload: bytes
    offset: int
    received_ns: int
    digests: Sequence[int]
    parts: Sequence[int] | None = None

    def part(self, place: int) -> int:
        """Return which item of the request that came stands at this place here."""
        return place if self.parts is None else self.parts[place]
