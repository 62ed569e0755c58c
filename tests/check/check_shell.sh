#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every script passes shellcheck, and can be called if it is meant to be.
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

# What a user calls by its name, and whatever claims to be callable.
modes()
{
	local file first

	for file in quickstart.sh test.sh .ci/run; do
		[ -x "$file" ] || printf '%s:1: is not executable\n' "$file"
	done
	scripts | while IFS= read -r file; do
		[ -x "$file" ] || continue
		IFS= read -r first <"$file"
		[ "${first#\#!}" != "$first" ] || printf '%s:1: executable, without #!\n' "$file"
	done
}

if command -v shellcheck >/dev/null; then
	verdict 'shellcheck finds nothing' shellchecked
else
	tap_skip 'shellcheck finds nothing' 'shellcheck is not installed'
fi
verdict 'scripts are executable' modes
tap_done
