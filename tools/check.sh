#!/usr/bin/env bash
# What to run before every commit: format, vet, lint, the tree's rules and the
# short tests. Stops at the first failure. Usage: check.sh LINTER
set -euo pipefail
cd "$(dirname "$0")/.."
linter=$1

fail() {
	echo "check: FAILED: $1 (${SECONDS} s)"
	exit 1
}

mkdir -p .cache
. tools/go.sh
export GOLANGCI_LINT_CACHE=$PWD/.cache/lint

unformatted=$(git ls-files -co --exclude-standard -- '*.go' | while read -r f; do [[ -f $f ]] && echo "$f"; done | xargs -r gofmt -l)
if [[ -n $unformatted ]]; then
	echo "$unformatted"
	fail "not formatted; run gofmt -w on the files above"
fi
CGO_ENABLED=0 go test -count=1 ./internal/arch || fail "the tree's rules, internal/arch"
# Only the warehouse needs cgo; without it all compiles once for lint and tests,
# links in a fraction of the time, and is known to work. `make test` has cgo
# throughout. The linter vets too.
CGO_ENABLED=0 "$linter" run --allow-serial-runners ./... || fail "lint; the rules are in .golangci.yml"
"$linter" run --allow-serial-runners ./internal/warehouse/... ./test/bench || fail "lint of what needs cgo"
others=$(go list ./... | grep -v -E '^weir/(internal/(arch|warehouse)|test/(e2e|crash|bench))(/|$)')
# shellcheck disable=SC2086 # one word a package
{ CGO_ENABLED=0 go test -short -vet=off $others ./internal/warehouse/... && go test -short -vet=off ./internal/warehouse/...; } >.cache/check.log 2>&1 || {
	grep -v -E '^(ok|\?)' .cache/check.log || true
	fail "short tests; all output is in .cache/check.log"
}
echo "check: ok, $(grep -c '^ok' .cache/check.log) packages in ${SECONDS} s (limit 120)"
