#!/usr/bin/env bash
# Everything that has to hold: vet, every package's tests with the race
# detector in shuffled order, the tests of the real binary, and the limits of
# coverage. All steps run, whatever fails before them. Set-up included.
set -euo pipefail
cd "$(dirname "$0")/.."

# Parts below internal/, with their children, and how many percent of their
# statements have to be covered; the longest first.
measured=(worker:90 store:90 archive:85 journal:90 block:90 pipeline:85 warehouse:85 buffer:90 merge:90 compute:85)
time_limit=1500                                    # seconds on two cores, for the record

tools/prerequisites.sh
. tools/go.sh
mkdir -p .cache
log=.cache/test.log
: >"$log"

failed=()
step() { # NAME COMMAND...: runs a step; its output is shown and kept
	local name=$1
	shift
	echo "== $name"
	if ! "$@" 2>&1 | tee -a "$log"; then
		failed+=("$name")
	fi
}

# A test of the race detector has one processor: where two goroutines of a
# testing/synctest bubble look at timers' channels on two at once, Go 1.26's
# runtime uses one race context from both, and now and then that ends in a
# SIGSEGV of the detector. What it finds does not hang on their number, since
# it goes by what happened before what; two jobs run at a time.
race=(env GOMAXPROCS=1 go test -race -p=1 -shuffle=on -timeout=20m)

step "modules" go mod download
step "packages of Python" tools/parquet-python.sh
step "build" tools/build.sh
step "vet" go vet ./...
step "build without cgo" env CGO_ENABLED=0 go build ./...
step "tests without cgo" env CGO_ENABLED=0 go test -count=1 ./internal/warehouse/...

# A job in the background: its output is shown whole when it ends, so that two
# at a time can be read. What became of it is in its status file.
job() { # NAME COMMAND...
	local name=$1 output=".cache/test-${1// /-}"
	shift
	while (($(jobs -rp | wc -l) >= 2)); do wait -n || true; done
	echo "== $name: began"
	{
		status=0
		"$@" >"$output.log" 2>&1 || status=$?
		echo "$status" >"$output.status"
		flock .cache/test.lock bash -c 'echo "== $1"; tee -a "$3" <"$2"' _ "$name" "$output.log" "$log"
	} &
}

ended() { # NAME: says whether its job passed
	[[ $(cat ".cache/test-${1// /-}.status" 2>/dev/null) == 0 ]]
}

rm -f .cache/test-*.status .cache/cover-*.out
parts=("${measured[@]%:*}")
others=$(go list ./... | grep -v -E "^weir/internal/($(IFS='|'; echo "${parts[*]}"))(/|\$)|^weir/test/(e2e|crash|bench)(/|\$)")
# shellcheck disable=SC2086 # one word a package
job "other packages" "${race[@]}" $others
for part in "${parts[@]}"; do
	# Conformance suites are tests: what of them runs is no measure.
	covered=$(go list "./internal/$part/..." | grep -v 'test$' | paste -sd, -)
	job "$part" "${race[@]}" -coverpkg="$covered" -coverprofile=".cache/cover-$part.out" "./internal/$part/..."
done
wait

figures=() short=()
for each in "${measured[@]}"; do
	part=${each%:*} limit=${each#*:}
	ended "$part" || failed+=("$part")
	profile=.cache/cover-$part.out
	percent=$([[ -f $profile ]] && tools/coverage.sh "$profile" || echo 0.0)
	figures+=("$part $percent (limit $limit)")
	if ((${percent%.*} < limit)); then
		failed+=("coverage of $part")
		short+=("$part lacks $(awk -v p="$percent" -v l="$limit" 'BEGIN { printf "%.1f", l - p }')")
	fi
done
ended "other packages" || failed+=("other packages")

export WEIR_TEST_BINARY=$PWD/bin/weir
WEIR_TEST_STRACE=$(tools/strace.sh)
export WEIR_TEST_STRACE
step "end to end" go test -count=1 -timeout=10m ./test/e2e/...
step "crash, short" go test -count=1 -timeout=5m -short ./test/crash/...

echo "coverage in percent: $(IFS=,; echo "${figures[*]}" | sed 's/,/, /g')"
if ((${#short[@]})); then
	(IFS=,; echo "coverage: ${short[*]}" | sed 's/,/, /g')
fi
if ((${#failed[@]})); then
	(IFS=,; echo "failed: ${failed[*]}" | sed 's/,/, /g')
	echo "test: FAILED ${#failed[@]} steps in ${SECONDS} s; all output is in $log"
	exit 1
fi
echo "test: ok, $(grep -c '^ok' "$log") packages in ${SECONDS} s (limit ${time_limit})"
