#!/usr/bin/env bash
# Generates the processor's telemetry, its documentation and the generated tests out of
# processor/evalspanprocessor/metadata.yaml.
#
#   processor/generate.sh          writes them
#   processor/generate.sh --check  writes nothing; fails when the committed files differ
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
component="$here/evalspanprocessor"

if [ "${1:-}" != "--check" ]; then
  cd "$component" && exec go generate .
fi

# The generator writes beside its input, so it works on a copy at the same depth.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/evalspanprocessor"
cp "$component/metadata.yaml" "$component/doc.go" "$component/go.mod" "$work/evalspanprocessor/"
cp -r "$here/tools" "$work/tools"
(cd "$work/evalspanprocessor" && go generate .)
different=0
while IFS= read -r -d '' file; do
  diff -u "$component/$file" "$work/evalspanprocessor/$file" || different=1
done < <(cd "$work/evalspanprocessor" && find . -type f -print0 | LC_ALL=C sort -z)
if [ "$different" = 1 ]; then
  echo "processor: generated files differ; run processor/generate.sh" >&2
fi
exit "$different"
