"""The server around the methods: listening, TLS, health, shutdown."""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from evalspan.receive._annotate import SERVICE, annotate_handlers
from evalspan.receive._connections import connection_options
from evalspan.receive._counters import Counters
from evalspan.receive._export import SERVICES, Append, export_handlers
from evalspan.receive._intake import Intake
from evalspan.receive._settings import ReceiveSettings
from evalspan.receive._threads import Threads

_STREAMS_PER_CONNECTION: Final = 1000
# The Collector's keepalive asks every 10 s; what comes a moment early is no abuse.
_SHORTEST_PING_MS: Final = 5_000
# For connections to end by themselves: the time of one ping. Those that only watch never do.
_FAREWELL_SECONDS: Final = 1.0


class ListenError(RuntimeError):
    """The address cannot be listened on; the text says what to do."""


async def serve(
    settings: ReceiveSettings,
    append: Append,
    annotate: Callable[[bytes], bytes] | None,
    counters: Counters,
    stop: asyncio.Event,
    *,
    listening: Callable[[int], None] | None = None,
) -> None:
    """Receive until `stop` is set, then finish what was accepted.

    `append(signal, bytes)` stores a request of signal `traces` or `logs`; OK is answered when its
    future is done. An `OSError` with ENOSPC or EDQUOT means full (RESOURCE_EXHAUSTED with
    RetryInfo), every other exception UNAVAILABLE. `annotate` answers a serialized AnnotateRequest
    in a thread; a ValueError or DecodeError of it means INVALID_ARGUMENT. `listening` is called
    once with the port. Raises `ListenError`.
    """
    intake = Intake(settings, counters)
    threads = None
    if annotate is not None:
        threads = Threads(annotate, settings.annotate_threads, settings.annotate_waiting)
    server = grpc.aio.server(options=_options(settings))
    server.add_generic_rpc_handlers(
        [*export_handlers(intake, append), *annotate_handlers(intake, threads)]
    )
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in [*SERVICES.values(), *([SERVICE] if threads else [])]:
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    counters.port = _listen(server, settings)
    await server.start()
    try:
        if listening:
            listening(counters.port)
        await stop.wait()
    finally:
        intake.stopping = True
        await servicer.enter_graceful_shutdown()
        await _finish(server, intake, settings.shutdown_grace.total_seconds())
        if threads:
            threads.close()


async def _finish(server: grpc.aio.Server, intake: Intake, grace_seconds: float) -> None:
    """Wait for the calls in flight, then close the connections, not long for who only watches.

    Who is still sending after `grace_seconds` is cut off and counts as cancelled. New calls are
    refused meanwhile. The connections are not told to end before every answer is given: gRPC
    would close each together with its last answer, and a connection that is closed while the
    sender writes is reset, which loses what it has not read. Told afterwards, it answers a ping
    first, which proves that it has read all.
    """
    try:
        await asyncio.wait_for(intake.idle(), grace_seconds)
    except TimeoutError:
        await server.stop(None)
    else:
        await server.stop(_FAREWELL_SECONDS)


def _options(settings: ReceiveSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_mib * 2**20),
        # two sidecars on one port would each get a part of the traffic, silently
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
        # a Collector with keepalive on is not an attack
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _SHORTEST_PING_MS),
        *connection_options(),
    ]


def _listen(server: grpc.aio.Server, settings: ReceiveSettings) -> int:
    credentials = _credentials(settings)
    try:
        if credentials:
            port = server.add_secure_port(settings.listen, credentials)
        else:
            port = server.add_insecure_port(settings.listen)
    except RuntimeError as error:
        message = (
            f"cannot listen on {settings.listen}: the address is taken or is none of this "
            "machine's. Another sidecar runs, or a Collector's own OTLP receiver, which has the "
            "same default port (`ss -ltnp` shows who): stop it or set receive.listen"
        )
        if credentials:
            message += ". Or tls_certificate and tls_key do not hold a certificate and its key"
        raise ListenError(message) from error
    return 0 if settings.listen.startswith("unix:") else port


def _credentials(settings: ReceiveSettings) -> grpc.ServerCredentials | None:
    if not settings.tls_certificate or not settings.tls_key:
        return None
    authority = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
    return grpc.ssl_server_credentials(
        [(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )
