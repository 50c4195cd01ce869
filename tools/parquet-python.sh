#!/usr/bin/env bash
# Prints the path of a Python that has the packages of parquet-requirements.txt:
# they are installed by pip below .cache/, once for each version. Without Python
# or pip it fails and says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=tools/parquet-requirements.txt
folder=$PWD/.cache/parquet
done=$folder/requirements.txt # copied once all is there

if ! cmp -s "$requirements" "$done"; then
	if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
		echo "Python 3.10 or later with pip and venv is needed, to read Parquet with other programs: python3-venv on Debian and Ubuntu, python3 elsewhere" >&2
		exit 1
	fi
	# A lock, since tests of several packages may ask at once.
	mkdir -p .cache
	exec 9>.cache/parquet.lock
	flock 9
	if ! cmp -s "$requirements" "$done"; then
		rm -rf "$folder"
		python3 -m venv "$folder" >&2
		if ! "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2; then
			echo "the packages of $requirements could not be installed by pip: see above; it needs a package index, such as PyPI" >&2
			exit 1
		fi
		cp "$requirements" "$done"
	fi
fi
echo "$folder/bin/python"
