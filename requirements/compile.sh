#!/usr/bin/env bash
# Pins every dependency with its hashes: run.txt to run, test.txt to test and develop.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  uv pip compile --universal --python-version 3.11 --prerelease if-necessary-or-explicit \
    --generate-hashes --no-emit-index-url --no-header --quiet "$@" pyproject.toml
}
compile --extra demo --group build --output-file requirements/run.txt
compile --extra demo --group test --constraint requirements/run.txt --output-file requirements/test.txt
