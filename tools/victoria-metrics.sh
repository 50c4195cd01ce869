#!/usr/bin/env bash
# Prints the path of a victoria-metrics to be measured beside Weir: the one
# that is installed, or Debian's, whose package is then downloaded by apt-get
# and unpacked below .cache/. Nothing is installed, no service is set up.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.cache/victoria-metrics
if path=$(command -v victoria-metrics); then
	echo "$path"
	exit
fi
if [[ ! -x $folder/usr/bin/victoria-metrics ]]; then
	if ! command -v apt-get >/dev/null; then
		echo "victoria-metrics is not installed, and there is no apt-get to fetch Debian's package with; install it and try again" >&2
		exit 1
	fi
	echo "victoria-metrics is not installed: downloading Debian's package and unpacking it to $folder" >&2
	rm -rf "$folder"
	mkdir -p "$folder"
	download() { (cd "$folder" && apt-get download -q victoria-metrics libzstd1) >&2; }
	# Without lists of packages nothing can be found; only root may fetch them.
	if ! download; then
		echo "fetching the lists of packages" >&2
		apt-get update -qq >&2
		download
	fi
	for package in "$folder"/*.deb; do
		dpkg-deb -x "$package" "$folder"
	done
fi
path=$PWD/$folder/usr/bin/victoria-metrics
# It needs libzstd of the system; where that is missing, the one unpacked.
if ldd "$path" | grep -q 'libzstd.*not found'; then
	wrapper=$PWD/$folder/victoria-metrics
	libraries=$(dirname "$(find "$PWD/$folder/usr/lib" -name 'libzstd.so.1' | head -n 1)")
	printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$path" >"$wrapper"
	chmod +x "$wrapper"
	path=$wrapper
fi
echo "$path"
