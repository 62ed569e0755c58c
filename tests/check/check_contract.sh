#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/crash-contract.md and docs/misdeeds.md name a test for each of their lines: `program/case`.
# Each program is a test that meson knows, each case is in its source.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
# shellcheck source=tests/check/tap.sh
. "$here/tap.sh"
contract= # the file that is looked at

# LINE NAME for each name of a test.
names()
{
	awk -v suites='unit|proc|api|torture|random|misdeeds' '
		{
			rest = $0
			while (match(rest, /`[^`]+`/)) {
				name = substr(rest, RSTART + 1, RLENGTH - 2)
				rest = substr(rest, RSTART + RLENGTH)
				if (name ~ "^(" suites ")_[a-z_]+(/.*)?$")
					print NR, name
			}
		}' "$contract"
}

# The file with a program's cases.
source_of() # PROGRAM
{
	local suite=${1%%_*} name=${1#*_} file

	name=${name%_embedded}
	name=${name%_daemon}
	for file in tests/"$suite/test_$name".{c,sh,py,cpp}; do
		[ -e "$file" ] && printf '%s\n' "$file" && return
	done
	return 1
}

# Its name stands in a list of its suite's, quoted.
is_listed() # PROGRAM
{
	local name=${1#*_}

	name=${name%_embedded}
	name=${name%_daemon}
	grep -qE "'(${1%%_*}_)?$name'" "tests/${1%%_*}/meson.build"
}

unknown_tests()
{
	local line name program case file

	names | while read -r line name; do
		program=${name%%/*}
		case=${name#"$program"}
		case=${case#/}
		if ! file=$(source_of "$program"); then
			printf '%s:%s: no test %s\n' "$contract" "$line" "$program"
			continue
		fi
		is_listed "$program" ||
			printf '%s:%s: %s is in no list of meson\n' "$contract" "$line" "$program"
		[ -z "$case" ] || [ "$case" = '*' ] || grep -qF -- "$case" "$file" ||
			printf '%s:%s: no case "%s" in %s\n' "$contract" "$line" "$case" "$file"
	done
}

# A table without names would pass.
too_few()
{
	local n

	n=$(names | wc -l)
	[ "$n" -ge 80 ] || printf '%s:1: only %d names of tests\n' "$contract" "$n"
}

# Each line of a promise has a test, but for what does not happen.
lines_without()
{
	awk '/^\| / && !/^\| (moment|misdeed \||---)/ &&
	     !/`(unit|proc|api|torture|misdeeds)_/ && !/does not happen/ {
		print FILENAME ":" NR ": no test is named"
	}' "$contract"
}

for contract in docs/crash-contract.md docs/misdeeds.md; do
	verdict "each test that $contract names is there" unknown_tests
	verdict "each line of $contract names one" lines_without
	verdict "$contract names many" too_few
done
tap_done
