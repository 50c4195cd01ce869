#!/usr/bin/env bash
# Runs the Go benchmarks, those of the whole server (below test/) too. BENCH
# chooses them, COUNT says how often each runs (six or more for benchstat).
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
export CGO_ENABLED=0 # as tools/build.sh has it, so that packages are compiled once
result=.cache/bench.txt
export WEIR_TEST_BINARY=$PWD/bin/weir
if ! go test -run='^$' -bench="${BENCH:-.}" -benchmem -count="${COUNT:-1}" -p=1 -timeout=60m ./... 2>&1 |
	grep --line-buffered -v 'no test files' | tee "$result"; then
	echo "bench: FAILED in ${SECONDS} s; all output is in $result"
	exit 1
fi
echo "bench: $(grep -c '^Benchmark.*ns/op' "$result" || true) figures in ${SECONDS} s, kept in $result"
