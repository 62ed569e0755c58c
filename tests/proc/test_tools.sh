#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hakctl: arguments, strangers at the socket (lying_daemon.py), and the real daemon.
# shellcheck source=tests/proc/tools.sh
. "$(dirname "$0")/tools.sh"
# shellcheck disable=SC2154 # set by run()
: "${HAKCTL:?}" "${HAKMEMD:?}" "${HAKRUN:?}"
here=$(cd "$(dirname "$0")" && pwd)

# ---- arguments ----

run "$HAKCTL" --help
check 'help is on stdout and names the exit statuses' ended 0 'usage: hakctl*exit status: 0*1*2*' ''
run "$HAKCTL"
check 'no command is a usage error' ended 2 '' 'hakctl: a command is missing*'
run "$HAKCTL" frobnicate
check 'an unknown command is named' ended 2 '' "hakctl: unknown command 'frobnicate'*"
run "$HAKCTL" --frobnicate status
check 'an unknown option is named' ended 2 '' '*--frobnicate*hakctl --help*'
run "$HAKCTL" status sessions
check 'a second command is refused' ended 2 '' "hakctl: unexpected argument 'sessions'*"
run "$HAKCTL" status --socket
check 'an option without its value is refused' ended 2 '' '*--socket*'
run "$HAKCTL" version
check 'the version needs no daemon' ended 0 'hakctl [0-9]*.[0-9]*.[0-9]*, protocol 1 to 3' ''
run "$HAKCTL" --version
check '--version says the same' ended 0 'hakctl [0-9]*.[0-9]*.[0-9]*, protocol 1 to 3' ''
run "$HAKCTL" --json version
check 'the version as JSON' python3 -c '
import json, sys
assert json.load(open(sys.argv[1])).keys() == {
	"version", "protocol_min", "protocol_max"}' "$dir/out"

# ---- nobody, and strangers ----

run "$HAKCTL" --socket "$dir/nowhere" status
check 'no socket' ended 1 '' "hakctl: no daemon at $dir/nowhere: No such file or directory"
run env HAKMEM_SOCKET="$dir/from-environment" "$HAKCTL" status
check 'HAKMEM_SOCKET is the default' ended 1 '' "hakctl: no daemon at $dir/from-environment: *"
run env HAKMEM_SOCKET="$dir/from-environment" "$HAKCTL" --socket "$dir/option" status
check '--socket wins over it' ended 1 '' "hakctl: no daemon at $dir/option: *"
run env HAKMEM_SOCKET= "$HAKCTL" status --socket "$dir/$(printf 'x%.0s' {1..120})"
check 'a path too long for a socket' ended 1 '' '*: File name too long'
: > "$dir/file"
run "$HAKCTL" --socket "$dir/file" sessions
check 'a file that is no socket' ended 1 '' "hakctl: no daemon at $dir/file: Connection refused"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/stale"
run "$HAKCTL" --socket "$dir/stale" sessions
check 'a socket that nobody listens on' ended 1 '' "hakctl: no daemon at $dir/stale: *"

mkdir "$dir/lies"
start ready python3 "$here/lying_daemon.py" "$dir/lies"
liar=$started
lie() # CASE COMMAND...: hakctl against that case
{
	local case=$1

	shift
	run "$HAKCTL" --socket "$dir/lies/$case" "$@"
}

while read -r case text; do
	lie "$case" status
	check "status, $case" ended 1 '' "hakctl: $text"
done << 'CASES'
hang-up the daemon at * hung up without an answer
silence no answer from the daemon at * within 5 s
garbage report malformed: not a frame of this protocol
short report malformed: not a frame of this protocol
long report malformed: not a frame of this protocol
reserved report malformed: not a frame of this protocol
bye report malformed: the answer to another question
refused refused: no?[[]31m entry
no-file report malformed: no records attached
two-files report malformed: not a frame of this protocol
pipe report malformed: the records are in no file
other-question report malformed: the answer to another question
no-record report malformed: not one record
two-records report malformed: not one record
size-zero report malformed: 1 records of 0 bytes
cut-file report malformed: 159 bytes for 1 records of 160 bytes
huge-count report malformed: 18446744073709551615 records of 160 bytes
overflow report malformed: * records of 2147483648 bytes
huge-record report malformed: 1 records of 4294967295 bytes
CASES

lie status status
check 'a version is text, not commands for a terminal' ended 0 'hakmemd ?]0;titlezzzzzzz at *' ''
lie status --json status
check 'a status as JSON, number by number' python3 -c '
import json, sys
s = json.load(open(sys.argv[1]))
assert s["version"] == "?]0;titlezzzzzzz", s
assert (s["pid"], s["epoch"], s["uptime_ns"]) == (77, "fedcba9876543210", 5), s
names = "sessions sessions_total leased_bytes frozen_bytes huge_bytes requests_total leases_total"
names += " returns_total reclaimed_total refused_total evicted_total"
assert [s[n] for n in names.split()] == list(range(100, 111)), s' "$dir/out"
lie old-status --json status
check 'the fields that an older daemon does not know are 0' python3 -c '
import json, sys
s = json.load(open(sys.argv[1]))
assert (s["evicted_total"], s["limit_bytes"], s["open_fds"]) == (110, 0, 0), s' "$dir/out"
lie new-sessions sessions
check 'names of processes are text, not commands for a terminal' \
	ended 0 '*  ?[[]2J"\\????'$'\n''* D *  qqqqqqqqqqqqqqqq' ''
lie new-sessions --json sessions
check 'and JSON; numbers beyond 2^63 - 1 stay below' python3 -c '
import json, sys
a, b = json.load(open(sys.argv[1]))["sessions"]
assert a["comm"] == "?[2J\"\\????" and b["comm"] == "q" * 16, (a, b)
assert (a["id"], a["pid"], a["uid"], a["gid"]) == (7, 4242, 1000, 100), a
assert (a["state"], b["state"]) == ("attached", "detached"), (a, b)
assert (a["superslabs"], a["frozen"], a["huge"], a["bytes"]) == (2, 1, 2, 4 << 20), a
assert a["requests"] == a["granted"] == 2**63 - 1, a
assert (a["returned"], a["refused"]) == (6, 5), a' "$dir/out"
lie limits limits
check 'keys are text, not commands for a terminal' \
	ended 0 '*'$'\n''?[[]2Jkey * uid 1000 *none*5 /s *9'$'\n''? * ? 3 * 4 * 5 * 6' ''
lie limits --json limits
check 'limits as JSON, number by number' python3 -c '
import json, sys
a, b = json.load(open(sys.argv[1]))["limits"]
assert a == {"key": "?[2Jkey", "scope": "uid", "uid": 1000, "unit": "per_second", "limit": None,
             "used": 5, "hits": 9}, a
assert b == {"key": "?", "scope": "unknown", "unit": "unknown", "limit": 4, "used": 5,
             "hits": 6}, b' "$dir/out"
lie refusals status
check 'why it refused, in words' \
	ended 0 '*last refusal 3 s ago, to pid 42 of uid 1000: uid-bytes*' ''
lie refusals --json status
check 'and as JSON' python3 -c '
import json, sys
assert json.load(open(sys.argv[1]))["last_refusal"] == {"reason": "uid-bytes", "session": 7,
    "pid": 42, "uid": 1000, "age_ns": 3 * 10**9}' "$dir/out"
lie old-sessions --json sessions
check 'sessions of an older daemon' python3 -c '
import json, sys
(s,) = json.load(open(sys.argv[1]))["sessions"]
assert (s["comm"], s["superslabs"], s["idle_ns"] > 0) == ("old", 0, True), s' "$dir/out"

kill "$liar"

# ---- the real daemon ----

start_daemon
run "$HAKCTL" --socket "$sock" status
check 'status as a table' ended 0 "hakmemd * at $sock, pid *sessions*leased*" ''
run "$HAKCTL" --socket "$sock" --json status
check 'status as JSON has all keys and only these' python3 -c '
import json, sys
s = json.load(open(sys.argv[1]))
keys = """version pid epoch uptime_ns sessions sessions_total leased_bytes frozen_bytes huge_bytes
requests_total leases_total returns_total reclaimed_total refused_total evicted_total limit_bytes
nodes ring_wait open_fds stock_bytes stock_regions turned_away_total slowed_total
last_refusal""".split()
assert s.keys() == set(keys), s.keys() ^ set(keys)
text = ("version", "epoch", "ring_wait")
assert s.pop("last_refusal") is None, s
assert all(type(s[k]) is (str if k in text else int) for k in s), s
assert s["sessions"] == 0 and s["limit_bytes"] > 0 and s["nodes"] > 0 and s["open_fds"] > 3, s
assert 0 < s["uptime_ns"] < 600e9 and s["ring_wait"] in ("io_uring", "threads"), s' "$dir/out"
run "$HAKCTL" --socket "$sock" limits
check 'limits as a table' ended 0 \
	"LIMIT *BINDS*VALUE*IN USE*HITS*total-bytes * all *iB * 0 *uid-sessions * uid $(id -u) *" ''
run "$HAKCTL" --socket "$sock" --json limits
check 'limits as JSON: all of the daemon, and of the user who asks' python3 -c '
import json, os, sys
limits = json.load(open(sys.argv[1]))["limits"]
by_key = {l["key"]: l for l in limits}
assert list(by_key) == """total-bytes sessions descriptors domains greeting-timeout node-bytes
uid-bytes uid-sessions uid-descriptors uid-requests uid-domains""".split(), by_key
for l in limits:
    scope = l["key"].split("-")[0] if l["key"].startswith(("uid", "node")) else "daemon"
    assert l["scope"] == scope and l.get("uid") == (os.geteuid() if scope == "uid" else None), l
    assert ("node" in l) == (scope == "node"), l
    assert l["hits"] == 0 and l["unit"] in ("bytes", "count", "per_second", "ns"), l
assert by_key["sessions"]["limit"] == 4096 and by_key["sessions"]["used"] == 1, limits
assert by_key["greeting-timeout"]["limit"] == 5 * 10**9, limits
assert by_key["greeting-timeout"]["used"] is None, limits' "$dir/out"
run "$HAKCTL" --socket "$sock" --json sessions
check 'no sessions are an empty list' ended 0 '*"sessions": []*' ''
run sh -c '"$1" --socket "$2" status > /dev/full' - "$HAKCTL" "$sock"
check 'output that can not be written is an error' \
	ended 1 '' 'hakctl: the output could not be written'

if [ -e "${HAKMALLOC:-}" ]; then
	# shellcheck disable=SC2016 # python
	start holding "$HAKRUN" --daemon --socket "$sock" --library "$HAKMALLOC" -- python3 -c '
import signal
blocks = [bytearray(1 << 20) for i in range(32)]
print("holding", flush=True)
signal.pause()'
	client=$started
	run "$HAKCTL" --socket "$sock" --json sessions
	check 'a program shows up with what it holds' python3 -c '
import json, os, sys
(s,) = json.load(open(sys.argv[1]))["sessions"]
keys = """id pid uid gid state comm age_ns superslabs frozen huge bytes requests granted returned
refused reserve idle_ns slowed last_refusal""".split()
assert s.keys() == set(keys), s.keys() ^ set(keys)
assert s["pid"] == int(sys.argv[2]) and s["comm"] == "python3", s
assert s["slowed"] == 0 and s["last_refusal"] is None, s
assert (s["uid"], s["gid"], s["state"]) == (os.geteuid(), os.getegid(), "attached"), s
assert s["superslabs"] >= 16 and s["bytes"] == s["superslabs"] << 21 and s["requests"] > 0, s
assert 0 <= s["idle_ns"] <= s["age_ns"] < 300e9, s' "$dir/out" "$client"
	run "$HAKCTL" --socket "$sock" --json limits
	check 'and with its limits' python3 -c '
import json, os, sys
limits = json.load(open(sys.argv[1]))["limits"]
(quota,) = [l for l in limits if l["key"] == "session-bytes"]
(user,) = [l for l in limits if l["key"] == "uid-bytes"]
(total,) = [l for l in limits if l["key"] == "total-bytes"]
assert quota["scope"] == "session" and quota["session"] > 0 and quota["unit"] == "bytes", quota
assert 32 << 20 <= quota["used"] == user["used"] == total["used"] <= quota["limit"], limits
(rate,) = [l for l in limits if l["key"] == "session-requests"]
assert (rate["limit"], rate["unit"], rate["hits"]) == (100000, "per_second", 0), rate' "$dir/out"
	run "$HAKCTL" --socket "$sock" sessions
	check 'and in the table' ended 0 "*ID*PID*COMMAND*$client*A*MiB*python3" ''
	kill -KILL "$client"
	wait "$client" 2> /dev/null
	gone=no
	SECONDS=0
	while [ "$SECONDS" -lt 20 ] && [ "$gone" = no ]; do
		run "$HAKCTL" --socket "$sock" --json sessions
		! ended 0 '*"sessions": []*' '' || gone=yes
	done
	check 'and is gone after kill -9' [ "$gone" = yes ]
else
	skip 'a program shows up with what it holds' 'no libhakmalloc.so in this build'
fi
stop_daemon
check 'the daemon ended well' [ "$status" = 0 ]
run "$HAKCTL" --socket "$sock" status
check 'and is not there any more' ended 1 '' "hakctl: no daemon at $sock: *"
all_done
