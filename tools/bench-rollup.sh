#!/usr/bin/env bash
# Rolls samples of TSBS's shape up to five minutes, by Weir from week volumes and
# from its archive, and by DuckDB's SQL from the same samples as sorted Parquet.
# Fails where a limit of issue 7 is missed, or where the rows are not equal. All
# figures are kept in .cache/. SAMPLES says how many.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
report=$PWD/.cache/bench-rollup.txt
log=.cache/bench-rollup.log
echo "Weir beside DuckDB, on $(nproc) cores: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"

. tools/go.sh
export WEIR_TEST_BINARY=$PWD/bin/weir
rm -f "$report"
failed=0
go test ./test/bench -run '^TestRollup$' -count=1 -v -timeout=14m -report="$report" -samples="${SAMPLES:-100000000}" 2>&1 |
	tee "$log" | sed -u -n 's/^ *rollup_test.go:[0-9]*: //p' || true
grep -q '^ok' "$log" || failed=1
last=$(tail -n 1 "$report" 2>/dev/null || true)
if [[ $last != bench-rollup:* ]]; then
	last="bench-rollup: FAILED before its end, ${SECONDS} s; see $log"
fi
head -n -1 "$report" 2>/dev/null || true
echo "$last"
exit $failed
