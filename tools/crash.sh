#!/usr/bin/env bash
# Kills the real process at random moments while clients send, and then looks
# for every acknowledged sample. KILLS says how often, SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
export CGO_ENABLED=0 # as tools/build.sh has it, so that packages are compiled once
log=.cache/crash.log
export WEIR_TEST_BINARY=$PWD/bin/weir
arguments=(-kills="${KILLS:-30}")
if [[ -n "${SEED:-}" ]]; then
	arguments+=(-seed="$SEED")
fi

if ! go test ./test/crash -run TestCrash -count=1 -v -timeout="$((300 + 20 * ${KILLS:-30}))s" "${arguments[@]}" 2>&1 | tee "$log"; then
	echo "crash: FAILED in ${SECONDS} s; the seed is above; all output is in $log"
	exit 1
fi
echo "crash: ok, ${KILLS:-30} kills in ${SECONDS} s"
