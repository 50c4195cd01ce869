#!/usr/bin/env bash
# Measures Weir beside Debian's victoria-metrics: one machine, one client, the
# same bytes, in turns. Fails where a limit of issue 6 is missed, or where the
# answers of the two are not equal. All figures are kept in .cache/.
# VALUES says how many values are sent, ROUNDS how often.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
report=$PWD/.cache/bench-peers.txt
log=.cache/bench-peers.log
peer=$(tools/victoria-metrics.sh)
packages=$(dpkg-query -W -f='${Version}' victoria-metrics 2>/dev/null) ||
	packages=$(basename "$(ls .cache/victoria-metrics/victoria-metrics_*.deb 2>/dev/null)" | cut -d_ -f2)
echo "Weir beside victoria-metrics ${packages:-of unknown version} ($peer)"
echo "on $(nproc) cores: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"

. tools/go.sh
export WEIR_TEST_BINARY=$PWD/bin/weir
arguments=(-peer="$peer" -report="$report" -values="${VALUES:-20000000}" -rounds="${ROUNDS:-2}")
rm -f "$report"
failed=0
go test ./test/bench -run '^TestPeers$' -count=1 -timeout=14m "${arguments[@]}" 2>&1 | tee "$log" | grep --line-buffered -v -E '^(ok|FAIL|---|    )|^bench-peers:|^$' || true
last=$(tail -n 1 "$report" 2>/dev/null || true)
if [[ $last != bench-peers:* ]]; then
	last="bench-peers: FAILED before its end, ${SECONDS} s; see $log"
	grep -E '^    [a-z_]*\.go:' "$log" | head -n 20 || true
fi
grep -q '^ok' "$log" || failed=1
echo "figures are kept in .cache/bench-peers.txt"
echo "$last"
exit $failed
