#!/usr/bin/env bash
# Runs Go benchmarks: by default those of the whole server, BENCH=. all that
# there are. COUNT says how often each runs (six or more for benchstat).
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
result=.cache/bench.txt
export WEIR_TEST_BINARY=$PWD/bin/weir
packages=./test/bench
time=1x # a run of the whole server is one operation
if [[ "${BENCH:-Ingest}" != Ingest ]]; then
	packages=./...
	time=1s
fi
if ! go test -run='^$' -bench="${BENCH:-Ingest}" -benchtime="$time" -benchmem -count="${COUNT:-1}" -p=1 -timeout=60m "$packages" 2>&1 |
	grep --line-buffered -v 'no test files' | tee "$result"; then
	echo "bench: FAILED in ${SECONDS} s; all output is in $result"
	exit 1
fi
figure() { awk -v unit="$1" '/^BenchmarkIngest-/ {for (i = 2; i < NF; i++) if ($(i+1) == unit) print $i}' "$result" | tail -n 1; }
if [[ -n "$(figure cpu-ns/value)" ]]; then
	echo "bench: $(figure cpu-ns/value) ns CPU a value, peak $(figure peak-MiB) MiB, $(figure item-B/value) B a value at rest"
else
	echo "bench: $(grep -c '^Benchmark.*ns/op' "$result" || true) figures in ${SECONDS} s, kept in $result"
fi
