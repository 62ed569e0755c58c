#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks one Promela model exhaustively: run.sh MODEL.pml [WORD]
# Its tests are named in the model, one a line (with WORD, only those lines that contain it):
#	* holds safety|liveness           DEFINES | NAME    no error in all states
#	* fails deadlock|assertion|cycle  DEFINES | NAME    a bug is switched on, and found as this
# DEFINES are separated by commas, or `-`. A liveness test adds LIVE and is run under weak fairness.
# A search that was cut short fails, and so does a safety test in which a statement is never
# reached: a model that cannot get anywhere holds every property.
set -uo pipefail

MAX_CPU_SECONDS=100 # for one search; the longest needs about 5

model=$(readlink -f "${1:?usage: run.sh MODEL.pml [WORD]}")
word=${2:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

declare -A finding=(
	[deadlock]='invalid end state'
	[assertion]='assertion violated'
	[cycle]='acceptance cycle'
)
count=0
failed=0

verify() # safety|liveness DEFINES: leaves defines and pan.out
{
	local cflags=(-O1 -w -DCOLLAPSE -DVECTORSZ=2048) args=(-m2000000 -w22)

	rm -f pan ./*.trail
	defines=()
	[ "$2" = - ] || mapfile -t defines < <(tr ',' '\n' <<<"$2" | sed 's/^/-D/')
	if [ "$1" = safety ]; then
		cflags+=(-DSAFETY)
	else
		defines+=(-DLIVE)
		cflags+=(-DNFAIR=3)
		args+=(-a -f)
	fi
	spin "${defines[@]}" -a "$model" >spin.out 2>&1 && cc "${cflags[@]}" -o pan pan.c &&
		(ulimit -t "$MAX_CPU_SECONDS" && exec ./pan "${args[@]}" >pan.out 2>&1) 2>>spin.out
}

# What is wrong with a model that should hold, one a line.
objections() # safety|liveness
{
	grep -qE 'State-vector .* errors: 0$' pan.out || grep -E '^pan:|errors:' pan.out
	grep -E 'max search depth too small|Search not completed|out of memory' pan.out
	[ "$1" = liveness ] || sed -nE '/"-end-"/d
		s/^\t.*\/(.*:[0-9]+), state [0-9]+, (.*)/never reached: \1: \2/p' pan.out
}

result() # OK NAME
{
	count=$((count + 1))
	if "$1"; then
		printf 'ok %d - %s (%s states)\n' "$count" "$2" \
			"$(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' pan.out)"
	else
		failed=$((failed + 1))
		printf 'not ok %d - %s\n' "$count" "$2"
	fi
}

try() # holds|fails KIND DEFINES NAME
{
	local mode=$2 defines wrong

	case $2 in
	deadlock | assertion) mode=safety ;;
	cycle) mode=liveness ;;
	esac
	if ! verify "$mode" "$3" || [ ! -s pan.out ]; then
		wrong="no verdict: $(cat spin.out)"
	elif [ "$1" = holds ]; then
		wrong=$(objections "$mode")
	else
		wrong=
		grep -qF "${finding[$2]}" pan.out ||
			wrong="no ${finding[$2]}: $(grep -E '^pan:|errors:' pan.out)"
	fi
	[ -z "$wrong" ] && result true "$4" && return
	result false "$4"
	printf '%s\n' "$wrong" | sed 's/^/# /'
	if [ "$1" = holds ] && compgen -G '*.trail' >/dev/null; then
		spin "${defines[@]}" -p -k ./*.trail "$model" 2>&1 | tail -n 60 | sed 's/^/# /'
	fi
}

tests=$(sed -nE "s/^ \* (holds|fails) +([a-z]+) +(\S+) +\| (.*)/\1 \2 \3 \4/p" "$model" |
	grep -F -- "$word")
[ -n "$tests" ] || {
	printf 'Bail out! %s names no tests\n' "$model"
	exit 1
}
while read -r verdict kind list name; do
	rm -f pan.out
	try "$verdict" "$kind" "$list" "$name"
done <<<"$tests"
printf '1..%d\n' "$count"
[ "$failed" -eq 0 ]
