"""EvaluationService/Annotate: hands the request to a function, answers, stores nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from evalspan.receive._intake import Code, Context, Intake, RefusedError
from evalspan.receive._threads import Threads

SERVICE: Final = "evalspan.v1.EvaluationService"


def annotate_handlers(intake: Intake, threads: Threads | None) -> list[grpc.GenericRpcHandler]:
    """The Annotate method; UNIMPLEMENTED where there is nothing to call."""

    async def work(message: bytes) -> bytes:
        return await _annotate(intake, threads, message)

    async def annotate(_: AsyncIterator[Any], context: Context) -> bytes:
        return await intake.answer("annotate", context, work)

    method: grpc.RpcMethodHandler[Any, bytes] = grpc.stream_unary_rpc_method_handler(annotate)
    return [grpc.method_handlers_generic_handler(SERVICE, {"Annotate": method})]


async def _annotate(intake: Intake, threads: Threads | None, message: bytes) -> bytes:
    if threads is None:
        text = "evalspan: no check is marked `inline: true`, so there is nothing to annotate"
        raise RefusedError(Code.UNIMPLEMENTED, "unimplemented", text)
    future = threads.submit(message)
    if future is None:
        text = "evalspan: all Annotate threads are busy (receive.annotate_threads)"
        raise RefusedError(Code.UNAVAILABLE, "busy", text)
    try:
        async with asyncio.timeout(intake.settings.annotate_deadline.total_seconds()):
            answer = await asyncio.wrap_future(future)
    except TimeoutError as error:
        text = "evalspan: the inline checks took too long (receive.annotate_deadline)"
        raise RefusedError(Code.UNAVAILABLE, "deadline", text) from error
    except (DecodeError, ValueError) as error:
        text = f"evalspan: not an AnnotateRequest: {error}"
        raise RefusedError(Code.INVALID_ARGUMENT, "invalid", text) from error
    intake.counters.annotated += 1
    return answer
