#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hakctl audit: a daemon with members and programs adds up, also while they come and go; a client
# that touches what it was never granted, and books that are noise, are named.
# shellcheck source=tests/proc/tools.sh
. "$(dirname "$0")/tools.sh"
# shellcheck disable=SC2154 # set by run()
: "${BUILD:?}" "${HAKCTL:?}" "${HAKMEMD:?}" "${HAKRUN:?}"

run "$HAKCTL" audit all
check 'takes no name' ended 2 '' "hakctl: unexpected argument 'all'*"
run "$HAKCTL" --socket "$dir/nowhere" audit
check 'no socket' ended 1 '' "hakctl: no daemon at *"

start_daemon
export HAKMEM_SOCKET=$sock
run "$HAKCTL" audit
check 'a daemon without clients adds up' ended 0 \
	'WHERE*CHARGED*UNLEASED*daemon*stock*all equations hold' ''

start ready "$BUILD/tests/proc/domain_holder" first books
first=$started
start ready "$BUILD/tests/proc/domain_holder" second books
second=$started
"$HAKRUN" sleep 60 &
program=$!
run "$HAKCTL" audit
check 'members and a program add up' ended 0 \
	'*session *session *books *GRANTED*PUBLISHED*books *all equations hold' ''
run "$HAKCTL" --json audit
check 'and as JSON, byte for byte' python3 -c '
import json, sys
j = json.load(open(sys.argv[1]))
assert j["clean"] is True and j["faults"] == [], j
sessions = [a for a in j["accounts"] if a["scope"] == "session"]
domains = [a for a in j["accounts"] if a["scope"] == "domain"]
assert len(sessions) >= 3 and [d["name"] for d in domains] == ["books"], j["accounts"]
for a in sessions + domains:
	assert a["charged_bytes"] == sum(a[k + "_bytes"] for k in
		("leased", "frozen", "reserve", "building", "waste")), a
	assert a["unleased_touched_bytes"] == 0, a
total, = [a for a in j["accounts"] if a["scope"] == "daemon"]
uids = [a for a in j["accounts"] if a["scope"] == "uid"]
nodes = [a for a in j["accounts"] if a["scope"] == "node"]
for parts in (sessions + domains, uids, nodes):
	assert total["charged_bytes"] == sum(a["charged_bytes"] for a in parts), parts
assert 0 < total["open_fds"]
b, = j["domains"]
states = ("free", "claimed", "holders", "owned", "changing", "published", "moving", "freed",
	"orphaned", "tails")
assert b["granted_bytes"] == domains[0]["leased_bytes"] > 0, b
assert b["granted_bytes"] == sum(b[k + "_bytes"] for k in states), b
assert b["published_bytes"] >= 192 << 10 and b["moving_bytes"] > 0 and b["owned_bytes"] == 128, b
' "$dir/out"
kill -KILL "$program" "$first"
wait "$program" "$first" 2> /dev/null
run "$HAKCTL" audit
check 'right after two of them were killed' ended 0 '*all equations hold' ''

# Processes come and go meanwhile.
(while :; do "$HAKRUN" true; done) &
churn=$!
calm=0
for _ in {1..50}; do
	run "$HAKCTL" audit
	[ "$status" = 0 ] || break
	calm=$((calm + 1))
done
kill "$churn"
wait "$churn" 2> /dev/null
check 'fifty times, while processes come and go' [ "$calm" = 50 ]

start ready "$BUILD/tests/proc/audit_trespasser"
trespasser=$started
run "$HAKCTL" audit
check 'who touches what it was never granted is named' ended 1 \
	'*fault: session * (*, raw): bytes in the file * > bytes leased or filled *1 eq*' ''
run "$HAKCTL" --json audit
check 'and in JSON' python3 -c '
import json, sys
j = json.load(open(sys.argv[1]))
f, = j["faults"]
assert not j["clean"] and f["equation"] == "unleased-touched" and f["left"] > f["right"], f
assert "pid" in f["text"]
s, = [a for a in j["accounts"] if a["scope"] == "session" and a["id"] == f["id"]]
assert s["unleased_touched_bytes"] == f["left"] - f["right"] >= 2 << 20, s
' "$dir/out"
kill -KILL "$trespasser"
wait "$trespasser" 2> /dev/null

start ready "$BUILD/tests/proc/domain_holder" vandal noise
vandal=$started
run "$HAKCTL" audit
check 'books that are noise are named' ended 1 '*fault: domain noise: *' ''
kill -KILL "$vandal" "$second"
wait "$vandal" "$second" 2> /dev/null
stop_daemon
check 'the daemon ends' [ "$status" = 0 ]
all_done
