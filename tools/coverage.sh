#!/usr/bin/env bash
# Says which part of the statements a coverage profile saw run, in percent
# with one decimal. A statement that several test binaries saw counts once.
# Usage: coverage.sh PROFILE
set -euo pipefail

awk '
	/^mode:/ { next }
	{ statements[$1] = $2; if ($3 > 0) ran[$1] = 1 }
	END {
		for (place in statements) {
			all += statements[place]
			if (place in ran) seen += statements[place]
		}
		if (all == 0) { print "0.0"; exit }
		# Cut off, not rounded: a limit is not met by rounding.
		printf "%.1f\n", int(1000 * seen / all) / 10
	}' "$1"
