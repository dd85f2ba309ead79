#!/usr/bin/env bash
# Generates the Python and Go code of proto/evalspan/v1/evalspan.proto.
#
#   proto/generate.sh          writes the code
#   proto/generate.sh --check  writes nothing; fails when the committed code differs
#
# EVALSPAN_PYTHON names the interpreter that has grpcio-tools, mypy-protobuf and opentelemetry-proto
# (default: .venv/bin/python). Without Go, only the Python half is made, and it says so.
# OTLP's own messages come as descriptors from the installed opentelemetry-proto package.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${EVALSPAN_PYTHON:-$root/.venv/bin/python}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/python" "$work/go" "$work/bin"

python_dir="sidecar/evalspan/v1"
go_module="github.com/evalspan/evalspan/processor/evalspanprocessor"
go_dir="processor/evalspanprocessor/internal/evalspanv1"

"$python" - "$work/otlp.binpb" <<'PYTHON'
"""Writes trace.proto and everything it imports as one FileDescriptorSet."""

import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

files = descriptor_pb2.FileDescriptorSet()


def add(file) -> None:
    for dependency in file.dependencies:
        add(dependency)
    if file.name not in {known.name for known in files.file}:
        file.CopyToProto(files.file.add())


add(trace_pb2.DESCRIPTOR)
Path(sys.argv[1]).write_bytes(files.SerializeToString(deterministic=True))
PYTHON

protoc() {
  "$python" -m grpc_tools.protoc --proto_path="$root/proto" \
    --descriptor_set_in="$work/otlp.binpb" "$@" evalspan/v1/evalspan.proto
}

# The two mypy plugins stand beside the interpreter.
PATH="$(dirname "$("$python" -c 'import sys; print(sys.executable)')"):$PATH" protoc \
  --python_out="$work/python" --grpc_python_out="$work/python" \
  --mypy_out="$work/python" --mypy_grpc_out="$work/python"

have_go=yes
if command -v go >/dev/null; then
  (cd "$root/processor/tools" && go build -o "$work/bin/" \
    google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc)
  protoc \
    --plugin="protoc-gen-go=$work/bin/protoc-gen-go" \
    --plugin="protoc-gen-go-grpc=$work/bin/protoc-gen-go-grpc" \
    --go_out="$work/go" --go_opt="module=$go_module" \
    --go-grpc_out="$work/go" --go-grpc_opt="module=$go_module"
else
  have_go=no
  echo "proto: no go on PATH, the Go half was left out" >&2
fi

# each FROM TO: calls "$action" for every generated file.
each() {
  local file
  for file in "$1"/*; do "$action" "$file" "$root/$2/$(basename "$file")"; done
}
write() { mkdir -p "$(dirname "$2")" && cp "$1" "$2" && echo "proto: wrote ${2#"$root/"}"; }
different=0
check() {
  diff -u "$2" "$1" || { different=1; echo "proto: ${2#"$root/"} differs; run make proto" >&2; }
}

action=write
if [ "${1:-}" = "--check" ]; then action=check; fi
each "$work/python/evalspan/v1" "$python_dir"
if [ "$have_go" = yes ]; then each "$work/go/internal/evalspanv1" "$go_dir"; fi
exit "$different"
