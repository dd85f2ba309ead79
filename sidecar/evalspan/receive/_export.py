"""OTLP Export: the bytes of a request go to the log as they came."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final

import grpc

from evalspan.receive._intake import Code, Context, Intake, RefusedError

Append = Callable[[str, bytes], "Future[int]"]
Method = Callable[[AsyncIterator[Any], Context], Awaitable[bytes]]

SERVICES: Final = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}
"""Service of each signal that is stored."""

_METRICS_SERVICE: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}
_ALL_ACCEPTED: Final = b""  # an Export response without partial_success has no fields


def export_handlers(intake: Intake, append: Append) -> list[grpc.GenericRpcHandler]:
    """The three Export methods; metrics only to say where they belong."""
    methods = {service: _export(intake, signal, append) for signal, service in SERVICES.items()}
    methods[_METRICS_SERVICE] = _no_metrics(intake)
    return [
        grpc.method_handlers_generic_handler(
            service, {"Export": grpc.stream_unary_rpc_method_handler(method)}
        )
        for service, method in methods.items()
    ]


def _export(intake: Intake, signal: str, append: Append) -> Method:
    counters = intake.counters

    async def store(message: bytes) -> bytes:
        begun = time.perf_counter()
        try:
            await asyncio.wrap_future(append(signal, message))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise _not_stored(error) from error
            text = f"evalspan: the log is full: {error.strerror}"
            raise RefusedError(Code.RESOURCE_EXHAUSTED, "log_full", text, retry=True) from error
        except Exception as error:
            raise _not_stored(error) from error
        counters.observe_append(time.perf_counter() - begun)
        counters.accepted[signal] += 1
        counters.accepted_bytes[signal] += len(message)
        return _ALL_ACCEPTED

    async def export(_: AsyncIterator[Any], context: Context) -> bytes:
        return await intake.answer(signal, context, store)

    return export


def _not_stored(error: Exception) -> RefusedError:
    text = f"evalspan: not stored: {type(error).__name__}: {error}"
    return RefusedError(Code.UNAVAILABLE, "error", text)


def _no_metrics(intake: Intake) -> Method:
    async def refuse(_: bytes) -> bytes:
        text = "evalspan takes traces and logs; send metrics to Prometheus"
        raise RefusedError(Code.UNIMPLEMENTED, "unimplemented", text)

    async def export(_: AsyncIterator[Any], context: Context) -> bytes:
        return await intake.answer("metrics", context, refuse)

    return export
