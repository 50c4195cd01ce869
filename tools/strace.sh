#!/usr/bin/env bash
# Prints the path of a strace for the test that looks at system calls: the one
# that is installed, or Debian's, whose package is then downloaded by apt-get
# and unpacked below .cache/. Nothing is installed. Without any it prints
# nothing, says why, and the test is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.cache/strace
if path=$(command -v strace); then
	echo "$path"
	exit
fi
if [[ ! -x $folder/usr/bin/strace ]]; then
	rm -rf "$folder"
	mkdir -p "$folder"
	download() { (cd "$folder" && apt-get download -q strace libunwind8 >&2); }
	if ! command -v apt-get >/dev/null || ! { download || { apt-get update -qq >&2 && download; }; }; then
		echo "strace is not installed and could not be downloaded: what is synced before an answer is not looked at" >&2
		exit
	fi
	for package in "$folder"/*.deb; do
		dpkg-deb -x "$package" "$folder"
	done
fi
path=$PWD/$folder/usr/bin/strace
if ! "$path" -V >/dev/null 2>&1; then # a library of the system is missing: take the one unpacked
	wrapper=$PWD/$folder/strace
	libraries=$(dirname "$(find "$PWD/$folder/usr/lib" -name 'libunwind-ptrace.so.*' | head -n 1)")
	printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$path" >"$wrapper"
	chmod +x "$wrapper"
	path=$wrapper
fi
echo "$path"
