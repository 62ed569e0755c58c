#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every script passes shellcheck, and is executable if it is meant to be called.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

scripts()
{
	sources '*.sh' '.ci/run'
}

shellchecked()
{
	scripts | xargs -r -d '\n' shellcheck -x -f gcc | sed -E 's/^([^:]+:[0-9]+):[0-9]+:/\1:/'
}

# A script that is called by its name is executable; a fragment that is sourced has no #! line.
modes()
{
	local file first

	scripts | while IFS= read -r file; do
		IFS= read -r first <"$file"
		case $first in
		'#!'*) [ -x "$file" ] || printf '%s:1: has #!, is not executable\n' "$file" ;;
		*) [ ! -x "$file" ] || printf '%s:1: is executable, has no #!\n' "$file" ;;
		esac
	done
}

if command -v shellcheck >/dev/null; then
	verdict 'shellcheck finds nothing' shellchecked
else
	tap_skip 'shellcheck finds nothing' 'shellcheck is not installed'
fi
verdict 'scripts are executable, fragments are not' modes
tap_done
