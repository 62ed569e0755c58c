# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of the tools share: TAP, a private directory, commands with a deadline whose
# status, output and errors are kept, and a daemon. HAKMEMD, HAKCTL, HAKRUN and HAKMALLOC name
# the programs.

dir=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-tools-XXXXXX") || exit 1
chmod 755 "$dir"
count=0
failed=0
daemon=
sock=$dir/daemon.sock
unset HAKMEM_MODE HAKMEM_SOCKET HAKMEM_NODE HAKMEM_STATS HAKMEM_FORCE_LIBC_ALLOC LD_PRELOAD

finish()
{
	[ -z "$daemon" ] || kill -KILL "$daemon" 2> /dev/null
	rm -rf "$dir"
}
trap finish EXIT

# Runs a command; sets status, and out and err to what it wrote.
run()
{
	status=0
	timeout 60 "$@" > "$dir/out" 2> "$dir/err" < /dev/null || status=$?
	out=$(tr -d '\0' < "$dir/out")
	err=$(tr -d '\0' < "$dir/err")
}

# One line of TAP: the test passes if the command does.
check() # NAME COMMAND...
{
	local name=$1

	shift
	count=$((count + 1))
	if "$@"; then
		printf 'ok %d - %s\n' "$count" "$name"
	else
		failed=$((failed + 1))
		printf 'not ok %d - %s\n' "$count" "$name"
		printf '%s\n' "expected: $*" "status: $status" "out: $out" "err: $err" |
			sed 's/^/# /' | cat -v
	fi
}

skip() # NAME REASON
{
	count=$((count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$count" "$1" "$2"
}

# The command ended with that status; what it wrote matches the patterns (of case).
ended() # STATUS OUT ERR
{
	# shellcheck disable=SC2254 # patterns they are
	[ "$status" = "$1" ] && case $out in $2) ;; *) return 1 ;; esac &&
		case $err in $3) ;; *) return 1 ;; esac
}

# Starts a program in the background and waits until it says the words on its standard output or
# error; its process id is in $started. The words come through a pipe: no polling, a deadline.
start() # WORDS COMMAND...
{
	local words=$1 line pipe

	shift
	rm -f "$dir/says"
	mkfifo "$dir/says"
	"$@" > "$dir/says" 2>&1 < /dev/null &
	started=$!
	exec {pipe}< "$dir/says"
	while IFS= read -r -t 60 -u "$pipe" line; do
		case $line in *"$words"*)
			cat <&"$pipe" > "$dir/said-later" &
			exec {pipe}<&-
			return 0 ;;
		esac
		printf '# %s: %s\n' "$1" "$line"
	done
	exec {pipe}<&-
	echo "Bail out! $1 did not say \"$words\""
	exit 1
}

start_daemon()
{
	start "ready on $sock" timeout 300 "$HAKMEMD" --foreground --socket "$sock"
	daemon=$started
}

# SIGTERM and its exit status; timeout passes the signal on.
stop_daemon()
{
	kill -TERM "$daemon"
	status=0
	wait "$daemon" || status=$?
	daemon=
}

all_done()
{
	printf '1..%d\n' "$count"
	[ "$failed" -eq 0 ]
	exit
}
