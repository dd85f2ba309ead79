#!/usr/bin/env bash
# Builds the Collector with the evalspan processor: collector-config/build.sh OUTPUT_DIR
# writes OUTPUT_DIR/otelcol-evalspan. Does nothing when no source has changed since.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 OUTPUT_DIR" >&2
  exit 2
fi
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
processor="$here/../processor"
mkdir -p "$1"
output="$(cd "$1" && pwd)"
binary="$output/otelcol-evalspan"
stamp="$output/otelcol-evalspan.sources"

if ! command -v go >/dev/null; then
  echo "collector: cannot build $binary without Go (1.26 or newer)" >&2
  exit 1
fi

# Two builds at once would write one file.
exec 9>"$output/otelcol-evalspan.lock"
if command -v flock >/dev/null; then flock 9; fi

sources() {
  go version
  cd "$here/.."
  find processor collector-config/builder.yaml collector-config/build.sh \
    -type f ! -name '*_test.go' ! -path '*/testdata/*' ! -name '*.md' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum
}
now="$(sources | sha256sum | cut -d' ' -f1)"
if [ -x "$binary" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
  echo "collector: $binary is up to date"
  exit 0
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
(cd "$processor/tools" && go build -o "$work/builder" go.opentelemetry.io/collector/cmd/builder)
# Paths in the manifest are relative to the working directory.
(cd "$here" && env "dist.output_path=$work/source" "$work/builder" --config=builder.yaml)
mv "$work/source/otelcol-evalspan" "$binary"
echo "$now" >"$stamp"
echo "collector: built $binary"
