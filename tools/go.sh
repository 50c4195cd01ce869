# shellcheck shell=bash
# What every build has in common, to be sourced: the warehouse needs cgo, and
# one setting means that each package is compiled once. Names and users are
# looked up in Go, since a static C library can't.
export CGO_ENABLED=1
export GOFLAGS="${GOFLAGS:-} -tags=netgo,osusergo"
