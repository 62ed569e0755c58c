# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by every family of the battery (see run.sh). The one verb is
#
#	same [-s] SECONDS "what it shows" function
#
# which runs the function twice, without and with the preload library, each in an empty directory,
# an empty environment and a shell of its own with the helpers of inside.sh, side by side (-s: one
# after the other). Variables named LOAD_x reach the function. The check holds when
#
#	- both ended with status 0 within SECONDS,
#	- both printed the same on stdout,
#	- the library said nothing on stderr,
#	- there is evidence: each file evidence.* that the function left names the library with it,
#	  none names it without it, and there is at least one,
#	- mappings among the evidence show the memory of the daemon, or none of it.

# A family started by hand runs through run.sh, which has what it needs.
FAMILY=$(basename "$0" .sh)
FAMILY=${FAMILY#[0-9][0-9]-}
[ -n "${HAK_RUN:-}" ] || exec "$(dirname "$0")/run.sh" "$FAMILY"

set -uo pipefail

# The shell waits in `wait`, so that a signal is served at once; timeout passes it on to its group.
# A second signal must not cut the wait short: run.sh removes the files when this shell is gone.
# shellcheck disable=SC2046 # one word for each job
trap 'trap "" TERM; kill -TERM $(jobs -p) 2>/dev/null; wait; exit 143' TERM

comment()
{
	sed 's/^/#   /'
}

ok()
{
	printf 'ok - %s: %s\n' "$FAMILY" "$1"
}

not_ok()
{
	printf 'not ok - %s: %s\n' "$FAMILY" "$1"
}

# need PROGRAM...: without one of them the family ends here, as a failure unless told otherwise.
need()
{
	local program

	for program in "$@"; do
		command -v "$program" >/dev/null || [ -e "$program" ] || {
			missing "$program"
			exit 0
		}
	done
}

missing()
{
	if [ -n "${HAK_PROGRAMS_ALLOW_MISSING:-}" ]; then
		ok "everything # SKIP $1 is not installed"
	else
		not_ok "$1 is not installed"
	fi
}

run_side()
{
	local side=$1 dir=$2 seconds=$3 name with=() load=()

	mkdir -p "$dir/$side/home" "$dir/$side/tmp"
	# For the programs that drop root.
	chmod 711 "$dir" "$dir/$side"
	if [ "$side" = hak ]; then
		with=(LD_PRELOAD="$HAK_LIB")
		[ "$MODE" = embedded ] || with+=(HAKMEM_MODE=daemon HAKMEM_SOCKET="$SOCKET")
	fi
	for name in "${!LOAD_@}"; do
		load+=("$name=${!name}")
	done
	cd "$dir/$side" || exit 1
	# A shell starts what it runs in the background with SIGINT and SIGQUIT ignored.
	exec env -i --default-signal PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		HOME="$PWD/home" TMPDIR="$PWD/tmp" LC_ALL=C.UTF-8 TZ=UTC \
		HERE="$HERE" ROOT="$ROOT" WORK="$WORK" SIDE="$side" MODE="$MODE" \
		HAKCTL="$HAKCTL" HAK_LIB="$HAK_LIB" SOCKET="$SOCKET" "${load[@]}" \
		timeout --kill-after=5 "$seconds" env "${with[@]}" /bin/bash ../workload
}

# run_both serial|parallel SECONDS FUNCTION: leaves directory and statuses in DIR, STATUS_x.
run_both()
{
	local order=$1 seconds=$2 function=$3 plain

	DIR=$WORK/$FAMILY.$function
	mkdir -p "$DIR"
	{
		declare -f
		printf '. %q\n%s\n' "$HERE/inside.sh" "$function"
	} >"$DIR/workload"
	run_side plain "$DIR" "$seconds" >"$DIR/plain.out" 2>"$DIR/plain.err" </dev/null &
	plain=$!
	[ "$order" = parallel ] || wait "$plain"
	run_side hak "$DIR" "$seconds" >"$DIR/hak.out" 2>"$DIR/hak.err" </dev/null &
	wait $!
	STATUS_HAK=$?
	wait "$plain"
	STATUS_PLAIN=$?
}

statuses_are_zero()
{
	[ "$STATUS_PLAIN$STATUS_HAK" = 00 ] && return 0
	printf '# status without the library %d, with it %d\n' "$STATUS_PLAIN" "$STATUS_HAK"
	[ "$STATUS_HAK" -eq 0 ] || tail -n 12 "$DIR/hak.err" | comment
	[ "$STATUS_PLAIN" -eq 0 ] || tail -n 12 "$DIR/plain.err" | comment
	return 1
}

outputs_are_equal()
{
	[ -s "$DIR/plain.out" ] || {
		echo "# it printed nothing that could be compared"
		return 1
	}
	cmp -s "$DIR/plain.out" "$DIR/hak.out" && return 0
	echo "# output without (-) and with (+) the library:"
	diff -u "$DIR/plain.out" "$DIR/hak.out" | head -n 20 | comment
	return 1
}

library_was_silent()
{
	grep -q 'hakmem' "$DIR/hak.err" || return 0
	echo "# the library wrote on stderr:"
	grep -m 5 'hakmem' "$DIR/hak.err" | comment
	return 1
}

library_was_in_use()
{
	local file files

	files=$(cd "$DIR/hak" && compgen -G 'evidence.*') || {
		echo "# nothing shows that the library was in use"
		return 1
	}
	for file in $files; do
		grep -qF "$HAK_LIB" "$DIR/hak/$file" || {
			echo "# the library was not in use: $file"
			return 1
		}
		! grep -qF "$HAK_LIB" "$DIR/plain/$file" || {
			echo "# the library was in use where it should not: $file"
			return 1
		}
	done
}

# Memory of the daemon is a mapping of a region; only our library has one. Evidence without
# a stack is no list of mappings.
memory_is_where_it_should_be()
{
	local file expected=0

	[ "${HAK_LIB##*/}" = libhakmalloc.so ] || return 0
	[ "$MODE" = embedded ] || expected=1
	for file in "$DIR"/hak/evidence.*; do
		grep -qF '[stack]' "$file" || continue
		[ "$(grep -cm 1 '/memfd:hakmem-region' "$file")" = "$expected" ] || {
			echo "# not the memory of $MODE mode: ${file##*/}"
			return 1
		}
	done
}

# finish NAME TEST...: the verdict of a check, and the room that it took.
finish()
{
	local name=$1 findings status=0 check

	findings=$(
		for check in "${@:2}" library_was_silent library_was_in_use \
			memory_is_where_it_should_be; do
			"$check" || exit 1
		done
	) || status=1
	if [ "$status" -eq 0 ]; then
		ok "$name"
	else
		not_ok "$name"
	fi
	[ -z "$findings" ] || printf '%s\n' "$findings"
	[ ! -s "$DIR/hak/sessions" ] || cat "$DIR/hak/sessions" >>"$WORK/sessions"
	[ -n "${HAK_KEEP:-}" ] || rm -rf "$DIR"
}

same()
{
	local order=parallel

	[ "$1" != -s ] || {
		order=serial
		shift
	}
	run_both "$order" "$1" "$3"
	finish "$2" statuses_are_zero outputs_are_equal
}
