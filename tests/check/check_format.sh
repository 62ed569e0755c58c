#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Layout of the code as .clang-format says, white space, and spelling.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

text=('*.c' '*.h' '*.cpp' '*.hpp' '*.sh' '*.py' '*.awk' '*.md' '*meson.build' '*.in' '*.sym' '*.scd'
      '.ci/run')

# clang-format shows each place in three lines, of which the first says where. Anything else that it
# says, about its configuration for example, is passed on.
formatted()
{
	# shellcheck disable=SC2016 # an awk program
	sources '*.c' '*.h' '*.cpp' '*.hpp' | xargs -r -d '\n' clang-format --dry-run -Werror 2>&1 |
		awk '/: error: code should be clang-formatted/ {
			split($0, at, ":")
			if (!places[at[1]]++)
				first[at[1]] = at[2]
			quoted = 2
			next
		}
		quoted-- > 0 { next }
		{ print }
		END {
			for (file in places)
				printf "%s:%d: clang-format -i would change it in %d places\n",
					file, first[file], places[file]
		}' | sort
}

white_space()
{
	sources "${text[@]}" | xargs -r -d '\n' grep -nE '[ 	]+$' /dev/null |
		sed -E 's/^([^:]+:[0-9]+):.*/\1: white space at the end of the line/'
}

# Set by hand in awk: clang-format leaves comments and long strings alone. A tab is eight columns.
long_lines()
{
	# shellcheck disable=SC2016 # an awk program
	sources '*.c' '*.h' '*.cpp' '*.hpp' '*.sh' | xargs -r -d '\n' awk '
		{
			width = 0
			for (i = 1; i <= length($0); i++)
				width += substr($0, i, 1) == "\t" ? 8 - width % 8 : 1
			if (width > 100 && $0 !~ /https?:\/\//)
				printf "%s:%d: %d columns, 100 are allowed\n", FILENAME, FNR, width
		}'
}

spelling()
{
	sources "${text[@]}" | xargs -r -d '\n' codespell --ignore-words tests/check/words.txt |
		sed -E 's/^([^:]+:[0-9]+): (.*)/\1: spelling: \2/'
}

if command -v clang-format >/dev/null; then
	verdict 'the code is as clang-format leaves it' formatted
else
	tap_skip 'the code is as clang-format leaves it' 'clang-format is not installed'
fi
verdict 'no white space at the end of a line' white_space
verdict 'no line is longer than 100 columns' long_lines
if command -v codespell >/dev/null; then
	verdict 'no known misspelling' spelling
else
	tap_skip 'no known misspelling' 'codespell is not installed'
fi
tap_done
