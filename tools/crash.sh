#!/usr/bin/env bash
# Kills the real process at random moments while clients send, a hand seals and
# discards weeks and everything is merged and swept, and then looks for every
# acknowledged sample; then once more while pipelines run, load, export and
# archive. KILLS says how often each test kills, SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
. tools/go.sh
log=.cache/crash.log
export WEIR_TEST_BINARY=$PWD/bin/weir
# Up to 50 kills end within 15 minutes; who asks for more has more time.
kills=${KILLS:-50}
timeout=$((kills <= 50 ? 840 : 840 + 10 * (kills - 50)))s
arguments=(-kills="$kills")
if [[ -n "${SEED:-}" ]]; then
	arguments+=(-seed="$SEED")
fi

if ! go test ./test/crash -run TestCrash -count=1 -v -timeout="$timeout" "${arguments[@]}" 2>&1 | tee "$log"; then
	echo "crash: FAILED in ${SECONDS} s; the seed is above; all output is in $log"
	exit 1
fi
# The figures of all runs in one line: what was lost and doubled beside 0.
echo "crash: ok, $(awk '/^crash: / {
	for (i = 2; i < NF; i++) { if ($(i+1) ~ /^kills/) k += $i; if ($(i+1) ~ /^merges/) m += $i
		if ($(i+1) ~ /^runs/) p += $i; if ($(i+1) ~ /^samples/) s += $i } }
	END { printf "%d kills, %d merges, %d runs, %d k samples, lost 0 (limit 0), doubled 0 (0)", k, m, p, s / 1000 }' "$log"), ${SECONDS} s"
