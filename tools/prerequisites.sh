#!/usr/bin/env bash
# Checks what has to be installed before anything can be built or tested, and
# names what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
if ! command -v go >/dev/null; then
	missing+=("Go $(awk '$1 == "go" { print $2 }' go.mod) or later: https://go.dev/dl")
elif ! answer=$(go version 2>&1); then
	missing+=("Go as go.mod asks for it: $(head -n 1 <<<"$answer")")
fi

# The warehouse's DuckDB is C++, and the race detector needs a C compiler too.
if command -v go >/dev/null; then
	for variable in CC CXX; do
		compiler=$(go env "$variable")
		if ! command -v "${compiler%% *}" >/dev/null; then
			missing+=("a C and C++ compiler (${compiler%% *} is not found): build-essential on Debian and Ubuntu, gcc-c++ on Fedora, base-devel on Arch, Xcode's command line tools on macOS")
			break
		fi
	done
fi

if ((${#missing[@]})); then
	printf 'to be installed first: %s\n' "${missing[@]}" >&2
	exit 1
fi
