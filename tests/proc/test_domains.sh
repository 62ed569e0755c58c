#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hakctl and domains: books that hold known things, garbage and lies (lying_domains.py), and those
# that real members write (domain_holder.c).

# The books tell of things that are five hours old: a machine that is younger gets another clock.
if [ "$(cut -d. -f1 /proc/uptime)" -lt 86400 ] && [ -z "${HAKMEM_OLDER:-}" ]; then
	as_root=()
	[ "$(id -u)" = 0 ] || as_root=(--map-root-user)
	HAKMEM_OLDER=1 exec unshare "${as_root[@]}" --time --boottime 86400 bash "$0" "$@"
fi
# shellcheck source=tests/proc/tools.sh
. "$(dirname "$0")/tools.sh"
# shellcheck disable=SC2154 # set by run()
: "${BUILD:?}" "${HAKCTL:?}" "${HAKMEMD:?}"
here=$(cd "$(dirname "$0")" && pwd)

# ---- arguments ----

for command in domain who leaks; do
	run "$HAKCTL" "$command"
	check "$command needs a name" ended 2 '' 'hakctl: the name of a domain is missing*'
done
run "$HAKCTL" domains known
check 'domains takes none' ended 2 '' "hakctl: unexpected argument 'known'*"
run "$HAKCTL" orphans known other
check 'orphans takes one' ended 2 '' "hakctl: unexpected argument 'other'*"
run "$HAKCTL" --socket "$dir/nowhere" leaks known
check 'no socket' ended 1 '' "hakctl: no daemon at $dir/nowhere: No such file or directory"

mkdir "$dir/lies"
start ready python3 "$here/lying_domains.py" "$dir/lies"
liar=$started
lie() # CASE COMMAND...: hakctl against that case
{
	local case=$1

	shift
	run "$HAKCTL" --socket "$dir/lies/$case" "$@"
}
holds() # PYTHON...: what it says of the JSON, j
{
	ended 0 '{*}' '' && python3 -c "
import json, sys
j = json.load(open(sys.argv[1]))
$1" "$dir/out"
}

# ---- known things ----

lie known domains
check 'domains as a table; names are text, not commands for a terminal' ended 0 \
	'NAME *LINKED
known  *  4  *6.0 MiB  *8.0 MiB  *8.0 MiB  *0640  *1001  *1 h 00 m  yes
?[[]31mxxxxxxxxxxxxxxxxxxxxxxxxxxx  *0  *16.0 EiB  0000  *no
?2J *yes' ''
lie known --json domains
check 'and as JSON' holds '
a, b, c = j["domains"]
age = a.pop("age_ns")
assert 3600 * 10**9 <= age < 3900 * 10**9, age
assert a == {"name": "known", "id": 1234, "members": 4, "members_dying": 1, "members_total": 11,
    "granted_bytes": 6 << 20, "quota_bytes": 8 << 20, "max_bytes": 8 << 20, "refused": 3,
    "mode": "0640", "uid": 1001, "gid": 1002, "unlinked": False, "lifetime": "unlinked",
    "orphan_policy": "publish", "base": "00000a0000000000"}, a
assert (b["name"], b["unlinked"]) == ("?[31m" + "x" * 27, True), b
assert b["lifetime"] == "members" and b["id"] == b["max_bytes"] == 2**63 - 1, b'

lie known domain known
check 'a domain: its members, not the one who asks' ended 0 "NAME*
id 1234, at 0xa0000000000 in every member, orphans: publish, lifetime: unlinked
11 members since it was made, 1 dying, 3 requests for memory refused

MEMBER *
 *1 *$liar *1001 member *1 h 00 m *192.0 KiB *16  python3
 *2 *1073741824 *1002 member *2 h 00 m *256.0 KiB *16  -
 *3 *$liar *1003 dying *3 h 00 m *64.0 KiB *0  -
 *4 *$liar *1004 reader *0 *0  python3

free *" ''
check 'a domain: what is where' ended 0 '*
free  *5.1 MiB
held  *512.0 KiB
orphaned  *64.0 KiB
unclear  *384.0 KiB changing *
published  *192.1 KiB in 4 blocks
under way  * 16 in 1 block in channels
owned  * 32 in 2 blocks *
adopted  * 16 in 1 block *
given back  * 16 in 1 block *
unclear  * 32 in 2 blocks *' ''
check 'a domain: sizes, roots and channels' ended 0 '*BLOCKS OF*
 *16  *2  128.0 KiB  *8
 *64  *1   64.0 KiB  *2
 *5.0 KiB  *2  128.0 KiB  *0
 *spans  *3  192.0 KiB  *1
*ROOT *
old block  *0280e04000000000 stale *-  *-
*first  *0280e06000000000 good  * 0  *16
span  *0280002000001000 good  *0x10000  192.0 KiB
*CHANNEL *
jobs  *8  *1  *16  *1  *0
answers  *1  *0  *0  *1  *1
broken  *0 *' ''
lie known --json domain known
check 'and as JSON: the record' holds '
assert j.keys() == {"domain", "members", "states", "classes", "roots", "channels"}, j.keys()
d = j["domain"]
assert d["name"] == "known" and d["granted_bytes"] == 6 << 20 and len(d) == 17, d'
check 'and as JSON: members' holds '
a, b, c, d = j["members"]
none = {"count": 0, "bytes": 0}
def several(n, bytes):
    return {"count": n, "bytes": bytes}
def without_age(m):
    return {k: v for k, v in m.items() if k != "age_ns"}
assert without_age(a) == {"number": 1, "pid": a["pid"], "uid": 1001, "comm": "python3",
    "state": "member", "held_bytes": 3 << 16, "held_slabs": 3, "runs": several(2, 3 << 16),
    "blocks": 4096 + 25, "spans": none, "claimed": none, "owned": several(1, 16),
    "adopted": none, "changing": several(1, 16), "given_back": several(1, 16),
    "guests": several(4, 64)}, a
assert without_age(b) == {"number": 2, "pid": 2**30, "uid": 1002, "comm": None,
    "state": "member", "held_bytes": 4 << 16, "held_slabs": 4, "runs": none, "blocks": 0,
    "spans": several(1, 3 << 16), "claimed": several(1, 1 << 16), "owned": several(1, 16),
    "adopted": several(1, 16), "changing": none, "given_back": none,
    "guests": several(1, 3 << 16)}, b
assert (c["state"], c["comm"], c["held_slabs"]) == ("dying", None, 1), c
assert (d["state"], d["comm"], d["held_slabs"]) == ("reader", "python3", 0), d
hour = 3600 * 10**9
assert all(h * hour <= m["age_ns"] < (h + .1) * hour
           for m, h in zip(j["members"], (1, 2, 3, 1))), j'
check 'and as JSON: states and sizes' holds '
def several(n, bytes):
    return {"count": n, "bytes": bytes}
assert j["states"] == {"free_bytes": 81 << 16, "held_bytes": 8 << 16, "orphaned_bytes": 1 << 16,
    "unclear_bytes": 6 << 16, "published": several(4, 32 + 64 + (3 << 16)),
    "moving": several(1, 16), "owned": several(2, 32), "adopted": several(1, 16),
    "given_back": several(1, 16), "unclear": several(2, 32)}, j["states"]
assert [tuple(c.values()) for c in j["classes"]] == [
    (None, 3, 1), (16, 2, 8), (64, 1, 2), (5120, 2, 0)], j["classes"]
assert j["classes"][0].keys() == {"block_bytes", "slabs", "excepted"}, j'
check 'and as JSON: roots and channels' holds '
roots = {r["name"]: r for r in j["roots"]}
assert roots["first"] == {"name": "first", "ref": "0280e06000000000", "state": "good",
    "offset": 0, "bytes": 16}, roots
assert (roots["span"]["offset"], roots["span"]["bytes"]) == (1 << 16, 3 << 16), roots
assert {n: r["state"] for n, r in roots.items() if r["offset"] is None} == {"old block": "stale",
    "old slab": "stale", "tag": "foreign", "between": "stale", "beyond": "foreign",
    "?[2J" + "e" * 28: "stale"}, roots
jobs, answers, broken = j["channels"]
assert jobs == {"name": "jobs", "capacity": 8, "messages": {"count": 1, "bytes": 16},
    "senders": [1], "receivers": []}, jobs
assert (answers["capacity"], answers["senders"], answers["receivers"]) == (1, [2], [1]), answers
assert (broken["name"], broken["capacity"]) == ("broken", 0), broken'

lie known who known
check 'who has what' ended 0 "MEMBER *
 *1 *$liar member  192.0 KiB *4121 *0 *1 *16 *4 *64  python3
 *2 *1073741824 member  256.0 KiB *0  192.0 KiB *1 *16 *1  192.0 KiB  -
*" ''
lie known --json who known
check 'and as JSON' holds '
assert j["domain"] == "known" and [m["held_slabs"] for m in j["members"]] == [3, 4, 1, 0], j
assert [m["owned"]["bytes"] for m in j["members"]] == [16, 16, 0, 0], j'

lie known leaks known
check 'what may have been forgotten' ended 0 'published *192.1 KiB in 4 blocks
unnamed * 80 in 2 blocks *
*ROOT *
old block *stale*
*CHANNEL *
jobs *8 *1 *16 *1 *0

MEMBER *OLDEST <= *
 *1 *1 *16  192.0 KiB *20 m ?? s  python3
 *2 *1 *16  256.0 KiB *10 m ?? s  -
 *3 *0 *0   64.0 KiB *3 h 00 m  -
 *4 *0 *0 *0 *-  python3
*A time is kept for a slab, *' ''
check 'and nothing else' ended 0 '*' '' && ! ended 0 '*first*' '' && ! ended 0 '*answers*' ''
lie known --json leaks known
check 'and as JSON' holds '
assert j.keys() == {"domain", "published", "unnamed", "channels", "roots", "members",
                    "unclear_bytes", "unclear"}, j.keys()
assert j["unnamed"] == {"count": 2, "bytes": 80}, j
assert [c["name"] for c in j["channels"]] == ["jobs"], j
assert len(j["roots"]) == 6 and all(r["state"] != "good" for r in j["roots"]), j
a = j["members"][0]
assert a.keys() == set("""number pid uid comm state age_ns held_bytes owned
oldest_at_most_ns""".split()), a
assert a["owned"] == {"count": 1, "bytes": 16}, a
old = [m["oldest_at_most_ns"] for m in j["members"]]
minute = 60 * 10**9
assert 20 * minute <= old[0] < 21 * minute and 10 * minute <= old[1] < 11 * minute, old
assert old[2] == j["members"][2]["age_ns"] and old[3] is None, old'

lie known orphans known
check 'whose holder died' ended 0 'NAME *
known  *1   64.0 KiB  *1  *64  *1   64.0 KiB' ''
lie known orphans
check 'in all domains with a name, even one that none can have' ended 0 "NAME *
known  *1   64.0 KiB  *1  *64  *1   64.0 KiB
?2J *not a domain's name: ?2J" ''
lie known --json orphans
check 'and as JSON' holds '
a, b = j["domains"]
assert a == {"name": "known", "slabs": 1, "bytes": 1 << 16, "error": None,
    "outliving": {"count": 1, "bytes": 64}, "dying_members": 1, "dying_slabs": 1,
    "dying_bytes": 1 << 16}, a
assert b["error"] == "not a domain\x27s name: ?2J" and b["slabs"] == 0, b'

# ---- garbage ----

for case in zero ones noise-1 noise-2 noise-4 high; do
	for command in domain who leaks orphans; do
		lie "$case" "$command" known
		check "$command of books with $case" ended 0 '*' ''
	done
	lie "$case" --json domain known
	check "its sums with $case stay within what is granted" holds '
s = j["states"]
slabs = [s[k + "_bytes"] for k in ("free", "held", "orphaned", "unclear")]
assert sum(slabs) <= 8 << 20 and sum(c["slabs"] << 16 for c in j["classes"]) <= sum(slabs), s
assert all(s[k]["bytes"] <= sum(slabs) for k in ("published", "moving", "owned")), s'
	lie "$case" --json leaks known
	check "leaks with $case are JSON" holds 'assert j["domain"] == "known", j'
done

# ---- lies ----

while read -r case text; do
	lie "$case" domain known
	check "a domain, $case" ended 1 '' "hakctl: $text"
done << 'CASES'
cut report malformed: domain known with cut books
short-state domain known: its state: No data available
magic domain known is of another version
version domain known is of another version
superslabs report malformed: domain known with 4294967295 superslabs
no-superslabs report malformed: domain known with 0 superslabs
no-books report malformed: domain known without its books
denied domain known: Permission denied: mode 0600, of? uid 7
unsaid domain known: No such file or directory
done domain known: Protocol error
other report malformed: the answer to another question
CASES
lie known leaks .hidden
check 'a name that none can have' ended 1 '' "hakctl: not a domain's name: .hidden"
lie denied orphans
check 'all orphans: what may not be read is listed with the reason' \
	ended 0 'NAME *'$'\n''known *domain known: Permission denied: *'$'\n'* ''
lie denied orphans known
check 'the orphans of one that may not be read' \
	ended 1 '' 'hakctl: domain known: Permission denied: *'

kill "$liar"
wait "$liar" 2> /dev/null
run cat "$dir/said-later"
check 'no look made books larger, and no question was an unexpected one' ended 0 '' ''

# ---- the real daemon, and members ----

start_daemon
export HAKMEM_SOCKET=$sock
run "$HAKCTL" domains
check 'no domains' ended 0 'NAME *LINKED' ''
run "$HAKCTL" --json domains
check 'no domains as JSON' ended 0 '*"domains": []*' ''
run "$HAKCTL" domain orders
check 'a domain that is not there' ended 1 '' 'hakctl: domain orders: No such file or directory*'
start ready env HAKMEM_MODE=daemon "$BUILD/tests/proc/domain_holder" first orders
first=$started
start ready env HAKMEM_MODE=daemon "$BUILD/tests/proc/domain_holder" second orders
second=$started

run "$HAKCTL" domains
check 'the domain is listed' ended 0 \
	'NAME *orders  *2 *MiB   64.0 MiB  256.0 MiB  0600 * yes' ''
run "$HAKCTL" --json domain orders
check 'members, states, sizes' holds '
def several(n, bytes):
    return {"count": n, "bytes": bytes}
d, s = j["domain"], j["states"]
assert (d["name"], d["members"], d["mode"], d["unlinked"]) == ("orders", 2, "0600", False), d
assert (d["quota_bytes"], d["max_bytes"]) == (64 << 20, 256 << 20), d
assert [m["comm"] for m in j["members"]] == ["domain_holder"] * 2, j["members"]
assert s["published"] == several(6, 4 * 112 + 48 + (192 << 10)), s
assert s["owned"] == s["adopted"] == several(2, 128), s
assert s["moving"] == several(2, 512) and s["unclear"] == several(0, 0), s
assert s["unclear_bytes"] == 0, s
assert s["orphaned_bytes"] == 0 and s["held_bytes"] == sum(m["held_bytes"] for m in j["members"]), s
assert s["free_bytes"] + s["held_bytes"] == d["granted_bytes"], s
excepted = {c["block_bytes"]: c["excepted"] for c in j["classes"]}
assert (excepted[None], excepted[48], excepted[64], excepted[112]) == (1, 1, 2, 4), excepted
roots = {r["name"]: (r["state"], r["bytes"]) for r in j["roots"]}
assert roots == {"config": ("good", 112), "gone": ("stale", None)}, roots
channels = {c.pop("name"): c for c in j["channels"]}
assert channels == {
    "jobs": {"capacity": 8, "messages": several(2, 512), "senders": [1], "receivers": []},
    "answers": {"capacity": 64, "messages": several(0, 0), "senders": [], "receivers": [2]},
}, channels'
run "$HAKCTL" --json who orders
check 'who has what' holds "
a, b = j['members']
assert a['pid'] == $first and b['pid'] == $second, j
assert a['owned'] == a['adopted'] == {'count': 2, 'bytes': 128} and b['owned']['count'] == 0, j
assert a['spans'] == {'count': 1, 'bytes': 192 << 10} and b['spans']['count'] == 0, j
assert (a['guests']['count'], b['guests']['count']) == (7, 3), j
assert b['age_ns'] <= a['age_ns'] < 300e9, j"
run "$HAKCTL" --json leaks orders
check 'what may have been forgotten' holds '
assert j["unnamed"] == {"count": 5, "bytes": 3 * 112 + 48 + (192 << 10)}, j
assert [r["name"] for r in j["roots"]] == ["gone"], j
assert [c["name"] for c in j["channels"]] == ["jobs"], j
assert len(j["members"]) == 2 and j["unclear"]["count"] == 0, j'
run "$HAKCTL" who orders
check 'who has what, as a table' ended 0 "MEMBER *
 *1 *$first member  *192.0 KiB  *2  *128  *7  *192.9 KiB  domain_holder
 *2 *$second member  * 0  * 0  *3  *176  domain_holder" ''
run "$HAKCTL" leaks orders
check 'what may have been forgotten, as a table' ended 0 \
	'published  *192.5 KiB in 6 blocks
unnamed  *192.4 KiB in 5 blocks*gone  * stale *jobs  *8  *2  *512  *1  *0*' ''

if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups "$HAKCTL" --version > /dev/null 2>&1
then
	run setpriv --reuid=65534 --clear-groups "$HAKCTL" leaks orders
	check 'who may not read it is told so' \
		ended 1 '' 'hakctl: domain orders: Permission denied: *'
	run setpriv --reuid=65534 --clear-groups "$HAKCTL" orphans
	check 'and sees it listed' ended 0 'NAME *orders *Permission denied: *' ''
else
	skip 'who may not read it is told so' 'not root, or no setpriv'
fi

kill -KILL "$second"
wait "$second" 2> /dev/null
swept=no
SECONDS=0
while [ "$SECONDS" -lt 20 ] && [ "$swept" = no ]; do
	run "$HAKCTL" --json orphans
	! holds '(d,) = j["domains"]; sys.exit(d["slabs"] != 2 or d["dying_members"])' || swept=yes
done
check 'the slabs of a member that was killed are orphans' [ "$swept" = yes ]
check 'with what outlived it' holds '
assert j == {"domains": [{"name": "orders", "slabs": 2, "bytes": 2 << 16, "error": None,
    "outliving": {"count": 3, "bytes": 48 + 128}, "dying_members": 0, "dying_slabs": 0,
    "dying_bytes": 0}]}, j'
run "$HAKCTL" orphans orders
check 'as a table' ended 0 'NAME *orders  *2  128.0 KiB  *3  *176  *0  *0' ''
kill -KILL "$first"
wait "$first" 2> /dev/null

start ready "$BUILD/tests/proc/domain_holder" vandal noise
vandal=$started
for command in domain who leaks orphans; do
	run "$HAKCTL" "$command" noise
	check "$command of a domain whose books are noise" ended 0 '*' ''
done
run "$HAKCTL" --json domain noise
check 'its slabs are unclear, mostly, and its members known' holds "
s = j['states']
assert 3 << 20 < s['unclear_bytes'] <= 6 << 20 and s['held_bytes'] <= 3 << 20, s
assert [m['pid'] for m in j['members']] == [$vandal], j['members']"
kill -KILL "$vandal"
wait "$vandal" 2> /dev/null
stop_daemon
check 'the daemon ended well' [ "$status" = 0 ]
all_done
