#!/usr/bin/env bash
# Checks what has to be installed before anything can be built or tested, and
# names what is missing. Argument "race": the race detector's needs too.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
if ! command -v go >/dev/null; then
	missing+=("Go $(awk '$1 == "go" { print $2 }' go.mod) or later: https://go.dev/dl")
elif ! answer=$(go version 2>&1); then
	missing+=("Go as go.mod asks for it: $(head -n 1 <<<"$answer")")
fi

if [[ "${1:-}" == race ]] && command -v go >/dev/null; then
	compiler=$(go env CC)
	if ! command -v "${compiler%% *}" >/dev/null; then
		missing+=("a C compiler for the race detector (${compiler%% *} is not found): gcc or clang")
	fi
fi

if ((${#missing[@]})); then
	printf 'to be installed first: %s\n' "${missing[@]}" >&2
	exit 1
fi
