#!/usr/bin/env bash
# Compiles bin/weir: static, without cgo.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/prerequisites.sh

mkdir -p bin
CGO_ENABLED=0 go build -o bin/weir ./cmd/weir
echo "build: bin/weir, $(($(wc -c <bin/weir) / 1000000)) MB, ${SECONDS} s"
