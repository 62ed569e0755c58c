#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Limits that keep the code readable, and things that must not be left behind.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

MAX_FILE=500
MAX_FUNCTION=70

all_code=('*.c' '*.h' '*.cpp' '*.hpp')

long_files()
{
	sources "${all_code[@]}" '*.sh' '*.py' '*.awk' '*meson.build' |
		xargs -r -d '\n' awk -v max="$MAX_FILE" '
			FNR == max + 1 { print FILENAME ":" FNR ": longer than " max " lines" }'
}

# In kernel style only a function has its opening brace alone in column 0, and in C++ namespaces and
# classes.
long_functions()
{
	# shellcheck disable=SC2016 # an awk program
	sources "${all_code[@]}" | xargs -r -d '\n' awk -v max="$MAX_FUNCTION" '
		FNR == 1 { start = type = 0 }
		/^[A-Za-z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^(template <.*> )?(namespace|class|struct) [^()]*$/ { type = FNR }
		/^\{/ && type != FNR - 1 { start = FNR }
		/^\}/ && start {
			if (FNR - start - 1 > max)
				printf "%s:%d: %s() has %d lines, %d are allowed\n",
					FILENAME, start, name, FNR - start - 1, max
			start = 0
		}'
}

line_comments()
{
	code "${all_code[@]}" | grep -F 'LINE_COMMENT' | explain 'comments are written /* so */'
}

dead_code()
{
	code "${all_code[@]}" | grep -E '^[^:]+:[0-9]+:[[:space:]]*#[[:space:]]*if[[:space:]]+0\b' |
		explain 'delete what is switched off'
}

# Written in pieces, so that this file does not find itself.
leftovers()
{
	sources "${all_code[@]}" '*.sh' '*.py' '*meson.build' |
		xargs -r -d '\n' grep -nE '\b(TO''DO|FIX''ME|X''XX)\b' /dev/null |
		explain 'unfinished'
}

# A test waits for the event with a deadline; a test that sleeps is slow or wrong.
sleepers()
{
	code 'tests/*.c' 'tests/*.h' 'tests/*.cpp' |
		grep -E '\b(u|nano|clock_nano)?sleep[[:space:]]*\(' | explain 'wait for the event'
	sources '*.sh' '*.py' '.ci/run' | grep -vF tests/check/check_size.sh | xargs -r -d '\n' \
		grep -nE '(^|[;&|(]|\b(do|then|else))\s*sleep\s|\btime\.sleep\b' /dev/null |
		explain 'wait for the event'
}

# A source that no build file names is not compiled, and a test like that reads as if it lived.
unbuilt_sources()
{
	local file dir base named

	sources '*.c' '*.cpp' | while IFS= read -r file; do
		dir=$(dirname "$file")
		base=$(basename "$file")
		base=${base%.*}
		base=${base#test_}
		base=${base#bench_}
		named="(^|['\"/ _(])$base(\.c|\.cpp)?(['\" )]|\$)"
		while :; do
			! grep -qsE "$named" "$dir"/meson.build "$dir"/*.sh || continue 2
			[ "$dir" != . ] || break
			dir=$(dirname "$dir")
		done
		printf '%s:1: no meson.build above it names this file\n' "$file"
	done
}

verdict "no file is longer than $MAX_FILE lines" long_files
verdict "no function is longer than $MAX_FUNCTION lines" long_functions
verdict 'no line comments' line_comments
verdict 'no code behind #if 0' dead_code
verdict 'no marks of unfinished work' leftovers
verdict 'no test sleeps' sleepers
verdict 'every source is built' unbuilt_sources
tap_done
