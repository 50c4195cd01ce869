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
go vet ./... || fail "go vet"
go test -count=1 ./internal/arch || fail "the tree's rules, internal/arch"
"$linter" run --allow-serial-runners ./... || fail "lint; the rules are in .golangci.yml"
others=$(go list ./... | grep -v -E '^weir/(internal/(arch|warehouse)|test/(e2e|crash|bench))(/|$)')
# Only the warehouse needs cgo; without it tests link in a fraction of the time,
# and all that holds without it is tried. `make test` has cgo throughout.
# shellcheck disable=SC2086 # one word a package
{ CGO_ENABLED=0 go test -short $others ./internal/warehouse/... && go test -short ./internal/warehouse/...; } >.cache/check.log 2>&1 || {
	grep -v -E '^(ok|\?)' .cache/check.log || true
	fail "short tests; all output is in .cache/check.log"
}
echo "check: ok, $(grep -c '^ok' .cache/check.log) packages in ${SECONDS} s (limit 120)"
