"""How many connections there may be, and how long one may say nothing."""

import resource
from typing import Final

# What the log, the health of the process and its libraries open besides connections.
_OTHERS: Final = 128
# One takes about 20 KiB before it has sent anything.
_MOST_CONNECTIONS: Final = 4096
_GREETING_MS: Final = 10_000
# A sender that has nothing to send connects anew when it has.
_IDLE_MS: Final = 300_000


def connection_options() -> list[tuple[str, int]]:
    """Options of the gRPC server; a connection beyond the limit is closed as soon as it comes."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        ("grpc.max_allowed_incoming_connections", most_connections(descriptors)),
        ("grpc.server_handshake_timeout_ms", _GREETING_MS),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
    ]


def most_connections(descriptors: int) -> int:
    """Of a process that may have so many descriptors; the log always keeps its own."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(descriptors - min(_OTHERS, descriptors // 2), _MOST_CONNECTIONS)
