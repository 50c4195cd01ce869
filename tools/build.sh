#!/usr/bin/env bash
# Compiles bin/weir: static where the C library can be linked so, else against
# the machine's own.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/prerequisites.sh
. tools/go.sh

mkdir -p bin .cache
how=static
# The linker warns of what DuckDB would need shared libraries for: extensions,
# which are never loaded, and "~" in paths, which are absolute.
if ! go build -ldflags '-s -w -linkmode external -extldflags -static' -o bin/weir ./cmd/weir 2>.cache/build.log; then
	how=dynamic
	go build -ldflags '-s -w' -o bin/weir ./cmd/weir
fi
echo "build: bin/weir, ${how}, $(($(wc -c <bin/weir) / 1000000)) MB, ${SECONDS} s"
