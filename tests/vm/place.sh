# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests of placement: daemons with a configuration, full nodes, and what place(1) reports.
# shellcheck source=tests/proc/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/../proc/tools.sh"
# shellcheck disable=SC2154 # out, dir, sock, started come from tools.sh
: "${HAKRUN:?}" "${HAKMEMD:?}" "${HAKCTL:?}"

# A daemon with these lines as its configuration.
daemon_with() # LINE...
{
	printf '%s\n' "$@" >"$dir/conf"
	start "ready on $sock" "$HAKMEMD" --foreground --socket "$sock" --config "$dir/conf"
	daemon=$started
}

# Ends it; what it said is then complete in $dir/said-later.
end_daemon()
{
	stop_daemon
	wait
}

hogs=()
fill() # NODE MIB-TO-LEAVE
{
	start "$1 is full" hog "$1" "$2"
	hogs+=("$started")
}

empty()
{
	kill -KILL "${hogs[@]}"
	wait "${hogs[@]}" 2>/dev/null
	hogs=()
}

# Where malloc's blocks lie: MODE, options of hakrun, `--`, arguments of place.
placed() # MODE [OPTION...] -- MIB SIZE[,SIZE...] NODE...
{
	local options=(--socket "$sock" "--$1")

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	run "$HAKRUN" "${options[@]}" -- place "$@"
}

# Where superslabs lie that the daemon grants.
leased() # NODE COUNT [TIMES]
{
	run lease "$sock" "$@"
}

# So many regions are ready for processes that are not there yet. (It may take a while.)
stock_is() # REGIONS
{
	SECONDS=0
	while [ "$SECONDS" -lt 60 ]; do
		run "$HAKCTL" --socket "$sock" status --json
		ended 0 "*\"stock_regions\": $1,*" '' && return
	done
	return 1
}

# How many of 1000 pages of a part of what was reported last are on the nodes.
share() # PART NODE...
{
	local part=$1 line pages counts node sum=0

	shift
	line=$(grep "^part=$part " <<<"$out") || {
		echo -1
		return
	}
	pages=${line#* pages=}
	pages=${pages%% *}
	counts=${line#* on=}
	IFS=, read -ra counts <<<"${counts%% *}"
	for node in "$@"; do
		sum=$((sum + counts[node]))
	done
	[ "$pages" -gt 0 ] && echo $((sum * 1000 / pages))
}

# So many of 1000 pages are there.
between() # LOW HIGH PART NODE...
{
	local low=$1 high=$2 n

	shift 2
	n=$(share "$@")
	[ "$status" = 0 ] && [ -n "$n" ] && [ "$n" -ge "$low" ] && [ "$n" -le "$high" ]
}

# All but a few pages of each of so many parts are on the node.
all_on() # NODE PARTS
{
	local part

	for ((part = 0; part < $2; part++)); do
		between 990 1000 $part "$1" || return
	done
}

# It got all that it asked for; it was refused some.
granted()
{
	[ "$status" = 0 ] && [[ $out == part=* && $out != *errno=* ]]
}
refused()
{
	[ "$status" = 0 ] && [[ $out == *\ errno=12* ]]
}

# The daemon, which has ended, had said words like these.
said() # PATTERN
{
	# shellcheck disable=SC2254 # a pattern it is
	case $(<"$dir/said-later") in *$1*) ;; *)
		sed 's/^/# /' "$dir/said-later"
		return 1 ;;
	esac
}
