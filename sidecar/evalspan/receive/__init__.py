"""The receiver: OTLP over gRPC in, bytes on disk, OK out.

In: TraceService/Export, LogsService/Export (identity or gzip), grpc.health.v1, and
EvaluationService/Annotate of our own contract.
Out: `append(signal, bytes)` for every request, not decoded and not re-encoded; the sender hears OK
when the returned future is done. Nothing else is kept.

Settings: `ReceiveSettings`. `Counters` hold what happened; `publish` writes them to a file for
the process that serves metrics.
"""

from evalspan.receive._counters import Counters, publish, write_snapshot
from evalspan.receive._server import ListenError, serve
from evalspan.receive._settings import ReceiveSettings

__all__ = ["Counters", "ListenError", "ReceiveSettings", "publish", "serve", "write_snapshot"]
