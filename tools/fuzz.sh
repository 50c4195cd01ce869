#!/usr/bin/env bash
# Runs every fuzz test of the repository, one after the other, each for TIME.
# An input that fails is kept by go in the testdata/fuzz folder beside its
# test, where each later `go test` tries it again: commit it with the mend.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${TIME:-30s}
mkdir -p .cache
log=.cache/fuzz.log
: >"$log"
. tools/go.sh

# A line a fuzz test: its package's folder and its name.
targets=$(go list -f '{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}
{{end}}' ./... | xargs grep -s -E '^func Fuzz[A-Za-z0-9_]*\(' |
	sed -E "s|^$PWD/(.*)/[^/:]+:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|" | sort)
if [[ -z $targets ]]; then
	echo "fuzz: FAILED: found no fuzz test"
	exit 1
fi

format='%-62s %12s %12s  %s\n'
# shellcheck disable=SC2059 # the format is above
printf "$format" "fuzz test" executions "new inputs" result
failed=() executions=0 n=0
while read -r folder name; do
	n=$((n + 1))
	output=.cache/fuzz-$name.log
	result=ok
	go test "./$folder" -run='^$' -fuzz="^$name\$" -fuzztime="$time" >"$output" 2>&1 </dev/null || result=FAILED
	cat "$output" >>"$log"
	# fuzz: elapsed: 30s, execs: 123 (41/sec), new interesting: 4 (total: 9)
	last=$(grep -E '^fuzz: elapsed: .*execs: ' "$output" | tail -n 1 || true)
	execs=$(sed -nE 's/.*execs: ([0-9]+).*/\1/p' <<<"$last")
	new=$(sed -nE 's/.*new interesting: ([0-9]+).*/\1/p' <<<"$last")
	executions=$((executions + ${execs:-0}))
	if [[ $result == ok && ${execs:-0} == 0 ]]; then
		result="FAILED: nothing was executed"
	fi
	# shellcheck disable=SC2059
	printf "$format" "$folder $name" "${execs:-0}" "${new:-0}" "$result"
	if [[ $result != ok ]]; then
		failed+=("$name")
		grep -v '^fuzz: elapsed' "$output" | head -n 30 | sed 's/^/    /'
		if kept=$(sed -nE 's/^ *Failing input written to (.*)$/\1/p' "$output" | tail -n 1) && [[ -n $kept ]]; then
			echo "    the input is kept in $folder/$kept; commit it with the mend"
		fi
	fi
	rm -f "$output"
done <<<"$targets"

echo "all output is in $log"
if ((${#failed[@]})); then
	names=${failed[*]}
	echo "fuzz: FAILED ${#failed[@]} of $n: ${names:0:50} (${SECONDS} s)"
	exit 1
fi
echo "fuzz: ok, $n fuzz tests for $time each, $((executions / 1000)) k executions in ${SECONDS} s (limit 900)"
