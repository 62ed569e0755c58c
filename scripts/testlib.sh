# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What test.sh and .ci/run share: build directories, test runs, and one sum over all of them.
# Nothing here stops at the first failure: every part that can run does, and counts.

total_passed=0
total_failed=0
total_skipped=0
jobs=$(nproc)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1

heading()
{
	printf '\n=== %s\n' "$*"
}

add() # PASSED FAILED SKIPPED
{
	total_passed=$((total_passed + $1))
	total_failed=$((total_failed + $2))
	total_skipped=$((total_skipped + $3))
}

# A step that is no test but must work. Its output is shown if it fails.
step() # WHAT COMMAND [ARG...]
{
	local what=$1 log

	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		rm -f "$log"
		return 0
	fi
	printf 'FAILED   %s: %s\n' "$what" "$*"
	tail -n 200 "$log" | sed 's/^/    | /'
	rm -f "$log"
	add 0 1 0
	return 1
}

# The build directory gets exactly these options, whether it is new or not.
build() # LABEL DIR [MESON OPTION...]
{
	local label=$1 dir=$2

	shift 2
	heading "build $label"
	if [ -e "$dir/build.ninja" ]; then
		step "configure $label" meson setup --reconfigure "$dir" "$@" || return
	else
		step "configure $label" meson setup "$dir" "$@" || return
	fi
	step "build $label" ninja -C "$dir" -j "$jobs"
}

run_suites() # LABEL DIR SUITE...
{
	local label=$1 dir=$2 suite args=() counts

	shift 2
	for suite in "$@"; do
		args+=(--suite "$suite")
	done
	heading "test $label: $*"
	rm -f "$dir"/meson-logs/testlog*
	meson test -C "$dir" --no-rebuild --num-processes "$jobs" "${args[@]}" |
		grep -E '^ *[0-9]+/[0-9]+ '
	counts=$(python3 "$root/scripts/count_tests.py" "$label" "$dir" "$root" "$@") || {
		printf 'FAILED   %s: no counts from %s\n' "$label" "$dir"
		add 0 1 0
		return
	}
	printf '%s\n' "$counts" | sed '$d'
	# shellcheck disable=SC2046 # three numbers
	add $(printf '%s\n' "$counts" | tail -n 1)
}

# The last line of all, and the exit status.
report()
{
	printf '\n%d passed, %d failed, %d skipped\n' \
		"$total_passed" "$total_failed" "$total_skipped"
	[ "$total_failed" -eq 0 ] && [ "$total_passed" -gt 0 ]
}
