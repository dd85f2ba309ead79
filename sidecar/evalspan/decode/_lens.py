"""OTLP seen through a lens: the official messages with a few fields left as bytes.

The wire format does not tell text from bytes, nor bytes from a message. Read as
bytes, text that is no UTF-8 cannot make a decoder refuse a whole request, and
arrays, maps, resources, scopes and events stay as they came until something
needs them.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

import ptars
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "opentelemetry.proto."
# Indexes into the string tables of profiles; they mean nothing on spans and logs.
_UNUSED: Final = frozenset({"string_value_strindex", "key_strindex"})
_OPAQUE: Final = frozenset(
    {
        "AnyValue.array_value",
        "AnyValue.kvlist_value",
        "ResourceSpans.resource",
        "ScopeSpans.scope",
        "Span.events",
        "ResourceLogs.resource",
        "ScopeLogs.scope",
    },
)


def _with_dependencies(file: Any, seen: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401
    for dependency in file.dependencies:
        yield from _with_dependencies(dependency, seen)
    if file.name not in seen:
        seen[file.name] = file
        yield file


def _loosen(message: Any, opaque: Collection[str]) -> None:  # noqa: ANN401
    for nested in message.nested_type:
        _loosen(nested, opaque)
    kept = [_Field.FromString(f.SerializeToString()) for f in message.field]
    kept = [field for field in kept if field.name not in _UNUSED]
    for field in kept:
        if f"{message.name}.{field.name}" in opaque:
            field.ClearField("type_name")
            field.type = _Field.TYPE_BYTES
        elif field.type == _Field.TYPE_STRING:
            field.type = _Field.TYPE_BYTES
    del message.field[:]
    message.field.extend(kept)


def _pool(opaque: Collection[str]) -> Any:  # noqa: ANN401 - a DescriptorPool
    pool = descriptor_pool.DescriptorPool()
    seen: dict[str, Any] = {}
    for root in (trace_service_pb2.DESCRIPTOR, logs_service_pb2.DESCRIPTOR):
        for file in _with_dependencies(root, seen):
            copy = descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)
            del copy.service[:]
            for message in copy.message_type:
                _loosen(message, opaque)
            pool.AddSerializedFile(copy.SerializeToString())
    return pool


_FLAT: Final = _pool(_OPAQUE)
_DEEP: Final = _pool(frozenset())


def _handler(name: str) -> Any:  # noqa: ANN401 - a ptars MessageHandler
    descriptor = _FLAT.FindMessageTypeByName(_PACKAGE + name)
    return ptars.HandlerPool([descriptor.file]).get_for_message(descriptor)


def _message(name: str) -> Any:  # noqa: ANN401 - a message class
    return GetMessageClass(_DEEP.FindMessageTypeByName(_PACKAGE + name))


TRACES: Final = _handler("collector.trace.v1.ExportTraceServiceRequest")
LOGS: Final = _handler("collector.logs.v1.ExportLogsServiceRequest")
EVENT: Final = _handler("trace.v1.Span.Event")
Resource: Final = _message("resource.v1.Resource")
Scope: Final = _message("common.v1.InstrumentationScope")
AnyValue: Final = _message("common.v1.AnyValue")
