#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hakmemd as a service: the units and the user as installed, under systemd, as its administrator and
# its users see it.
# shellcheck source=tests/vm/place.sh
. "$(dirname "$0")/place.sh"
# shellcheck disable=SC2154 # out, status come from tools.sh
sock=/run/hakmem/hakmemd.sock
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
# shellcheck disable=SC2016 # for the inner shell
string='printf -v s %5000000s; echo ${#s}'

property() # UNIT NAME
{
	systemctl show --property="$2" --value "$1"
}

is() # UNIT ACTIVE-STATE
{
	[ "$(property "$1" ActiveState)" = "$2" ]
}

# Waits until a property has a value; systemd announces no such event to a shell. With a deadline.
await() # UNIT NAME VALUE
{
	# shellcheck disable=SC2016 # for the inner shell
	timeout 60 bash -c 'until [ "$(systemctl show --property="$2" --value "$1")" = "$3" ]; do
		read -r -t 0.1 <> <(:)
	done' - "$@"
}

journal_has() # PATTERN
{
	journalctl --sync
	journalctl --unit=hakmemd.service --output=cat | grep -qE "$1"
}

never_had() # PATTERN
{
	! journal_has "$1"
}

# The daemon answers an ordinary user; sets $pid to its process id.
answers()
{
	run "${nobody[@]}" "$HAKCTL" status --json
	pid=$(property hakmemd.service MainPID)
	[ "$status" = 0 ] && [[ $out == *"\"pid\": $pid,"* ]]
}

# The last daemon has adopted so many sessions, by its log.
adopted() # SESSIONS
{
	journalctl --sync
	journalctl --unit=hakmemd.service --output=cat | grep '^hakmemd: info adopted ' |
		tail -n 1 | grep -q " sessions=$1 "
}

# A shell of an ordinary user with memory from the daemon, that makes strings as it is told.
spawn_client()
{
	rm -f "$dir/orders" "$dir/answers"
	mkfifo "$dir/orders" "$dir/answers"
	# shellcheck disable=SC2016 # for the inner shell
	"${nobody[@]}" "$HAKRUN" --daemon -- bash -c 'while read -r n; do
		printf -v "s$n" "%${n}s"
		x=s$n
		echo "${!x}" | wc -c
	done' <"$dir/orders" >"$dir/answers" &
	client=$!
	exec {orders}>"$dir/orders" {answers}<"$dir/answers"
}

client_makes() # LENGTH
{
	local length

	echo "$1" >&"$orders" && read -r -t 60 -u "$answers" length && [ "$length" -gt "$1" ]
}

end_client()
{
	exec {orders}>&- {answers}<&-
	wait "$client"
}

# The id of the client's session; nothing: it has none.
session()
{
	"$HAKCTL" sessions --json | tr -d ' \n' | grep -oE "\"id\":[0-9]+,\"pid\":$client," |
		grep -oE '[0-9]+' | head -n 1
}

client_has_a_session()
{
	[ -n "$(session)" ]
}

# Attached: it is not only in the books.
client_is_back() # SESSION
{
	[ -n "$1" ] && [ "$(session)" = "$1" ] && "$HAKCTL" sessions --json | tr -d ' \n' |
		grep -qE "\"pid\":$client,\"uid\":65534,\"gid\":[0-9]+,\"state\":\"attached\""
}

start_client()
{
	local tries

	# Where the machine is overrun, the first attempt may time out.
	for tries in 1 2 3 4 5; do
		spawn_client
		client_makes 3000000 && client_has_a_session && return
		echo "# attempt $tries: no session"
		end_client
	done
	return 1
}

# ---- units ----

systemd-sysusers
check 'sysusers.d makes the user' grep -q '^hakmem:x:[0-9]*:' /etc/passwd
systemctl daemon-reload
run systemctl enable --now hakmemd.socket
check 'the socket can be enabled and started' ended 0 '*' '*'
check 'its unit listens' is hakmemd.socket active
check 'the service does not run yet' is hakmemd.service inactive
check 'the socket is for everybody' [ "$(stat -c %a $sock)" = 666 ]

# ---- activation ----

check 'an ordinary user who asks gets an answer' answers
first=$pid
check 'the service runs by now' is hakmemd.service active
check 'systemd has heard from it that it is ready' [ "$(property hakmemd.service Type)" = notify ]
check 'it runs as its own user' [ "$(ps -o user= -p "$first")" = hakmem ]
check 'without any capability' grep -q '^CapPrm:	0000000000000000$' "/proc/$first/status"
check 'its rights are as few as promised' \
	systemd-analyze security --threshold=12 --no-pager hakmemd.service
check 'its system calls are filtered' grep -q '^Seccomp:	2$' "/proc/$first/status"
check 'the journal has its lines' journal_has "^hakmemd: ready on $sock\$"
leased 3 4
check 'it may place memory: a lease is on the node that was asked for' between 1000 1000 0 3
run "${nobody[@]}" "$HAKRUN" --daemon --stats -- bash -c "$string"
check 'a program of an ordinary user has its memory from it' ended 0 5000000 '*daemon*'

# ---- restart with a client alive ----

check 'a client has a session' start_client
had=$(session)
systemctl restart hakmemd.service
check 'restart: another process answers' answers
check 'restart: it is another one' [ "$pid" != "$first" ]
check 'restart: it has adopted the session' adopted 1
check 'restart: the client has the same' [ "$(session)" = "$had" ]
check 'restart: the client keeps its memory and gets more' client_makes 30000000
check 'restart: from the same session' client_is_back "$had"
check 'restart: the old one was parked' journal_has 'parked sessions='
check 'restart: nothing was aborted' never_had 'bug|core-dump'
check 'restart: the client ends well' end_client

# ---- a crash ----

check 'a client has a session with the new one' start_client
check 'its number is a new one' [ "$(session)" != "$had" ]
first=$pid
had=$(session)
systemctl kill --signal=KILL --kill-who=main hakmemd.service
await hakmemd.service NRestarts 1
check 'killed: systemd has started another' answers
check 'killed: it is another one' [ "$pid" != "$first" ]
check 'killed: it has adopted the session' adopted 1
check 'killed: the client has the same' [ "$(session)" = "$had" ]
check 'killed: the client keeps its memory and gets more' client_makes 30000000
check 'killed: from the same session' client_is_back "$had"
check 'killed: the client ends well' end_client

# ---- a daemon that hangs ----

mkdir -p /etc/systemd/system/hakmemd.service.d
printf '[Service]\nWatchdogSec=2\n' >/etc/systemd/system/hakmemd.service.d/test.conf
systemctl daemon-reload
systemctl restart hakmemd.service
check 'watchdog: it answers' answers
first=$pid
kill -STOP "$first"
await hakmemd.service NRestarts 1
check 'watchdog: one that hangs is replaced' answers
check 'watchdog: by another process' [ "$pid" != "$first" ]
check 'watchdog: systemd says why' journal_has '[Ww]atchdog timeout'

# ---- a limit of memory ----

printf '[Service]\nMemoryMax=96M\n' >/etc/systemd/system/hakmemd.service.d/test.conf
systemctl daemon-reload
systemctl restart hakmemd.service
check 'MemoryMax: it answers' answers
first=$pid
leased 0 4 20
check 'MemoryMax: who wants more is refused' refused
check 'MemoryMax: most of it was granted' \
	[ "$(sed -n 's/.* pages=\([0-9]*\) .*/\1/p' <<<"$out")" -ge 16384 ]
check 'MemoryMax: the daemon lives' answers
check 'MemoryMax: it is the same' [ "$pid" = "$first" ]
rm /etc/systemd/system/hakmemd.service.d/test.conf
systemctl daemon-reload
systemctl restart hakmemd.service

# ---- the end ----

check 'the end: it answers' answers
run systemctl stop hakmemd.service
check 'stop: the service stops' is hakmemd.service inactive
check 'stop: with success' [ "$(property hakmemd.service Result)" = success ]
check 'stop: the next one who asks starts it again' answers
run systemctl stop hakmemd.socket hakmemd.service
check 'stop of both: nobody listens' [ ! -e $sock ]
run "${nobody[@]}" "$HAKRUN" --daemon -- true
check 'stop of both: a program that insists is not started' \
	ended 125 '' "hakrun: no daemon at $sock*"
run "${nobody[@]}" env HAKMEM_MODE=auto "$HAKRUN" -- bash -c "$string"
check 'stop of both: one that does not has private memory' ended 0 5000000 '*'
# shellcheck disable=SC2154 # from tools.sh
[ "$failed" = 0 ] || journalctl --unit=hakmemd.service --no-pager | sed 's/^/# /'
all_done
