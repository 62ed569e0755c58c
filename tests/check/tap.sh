# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# TAP for checks of form. A check is a command that prints one violation a line, as
# FILE:LINE: MESSAGE, and nothing when all is well; what it says on stderr is a violation too, so
# that a broken check cannot pass. Source this file with the root of the tree to look at, then:
#	verdict "shared/ includes only shared/" command args...
#	tap_done

check_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
cd "${1:-$check_dir/../..}" || exit 1

tap_count=0
tap_failed=0

verdict() # NAME COMMAND [ARG...]
{
	local name=$1 violations

	shift
	violations=$("$@" 2>&1)
	tap_count=$((tap_count + 1))
	if [ -z "$violations" ]; then
		printf 'ok %d - %s\n' "$tap_count" "$name"
		return
	fi
	tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' "$tap_count" "$name"
	printf '%s\n' "$violations" | sed 's/^/# /'
}

tap_skip() # NAME REASON
{
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

tap_done()
{
	printf '1..%d\n' "$tap_count"
	[ "$tap_failed" -eq 0 ]
	exit
}

# Files of the project, tracked or not yet, by pattern; * matches a slash too.
sources() # PATTERN...
{
	local pattern

	if [ "$(git rev-parse --show-prefix 2>/dev/null)" = "" ] && [ -e .git ]; then
		git ls-files -co --exclude-standard -- "$@"
	else
		for pattern in "$@"; do
			find . -path './build*' -prune -o -type f -path "./$pattern" -print
		done | sed 's|^\./||'
	fi | sort -u | while IFS= read -r file; do
		[ ! -e "$file" ] || printf '%s\n' "$file" # deleted, but still in the index
	done
}

# C code without comments and strings, as FILE:LINE:TEXT.
code() # PATTERN...
{
	local files

	mapfile -t files < <(sources "$@")
	[ ${#files[@]} -eq 0 ] || awk -f "$check_dir/lex.awk" "${files[@]}"
}

# FILE:LINE:TEXT becomes FILE:LINE: MESSAGE: TEXT
explain() # MESSAGE
{
	awk -v message="$1" '{
		match($0, /^[^:]+:[0-9]+:/)
		where = substr($0, 1, RLENGTH)
		text = substr($0, RLENGTH + 1)
		sub(/^[ \t]+/, "", text)
		print where " " message ": " text
	}'
}
