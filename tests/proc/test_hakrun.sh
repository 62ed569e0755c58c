#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hakrun: arguments, environment, what it finds, what it refuses; programs on each kind of memory.
# shellcheck source=tests/proc/tools.sh
. "$(dirname "$0")/tools.sh"
# shellcheck disable=SC2154 # set by run()
: "${HAKRUN:?}" "${HAKMEMD:?}" "${HAKMALLOC:?}"

# ---- arguments ----

run "$HAKRUN" --help
check 'help is on stdout, with the exit statuses' ended 0 'usage: hakrun*exit status: *125*127*' ''
run "$HAKRUN" --version
check 'the version' ended 0 'hakrun [0-9]*.[0-9]*.[0-9]*' ''
while read -r text arguments; do
	# shellcheck disable=SC2086 # several arguments
	run "$HAKRUN" $arguments
	check "usage: $arguments" ended 2 '' "*${text//_/ }*try hakrun --help"
done << 'CASES'
a_program_to_run_is_missing
a_program_to_run_is_missing --embedded
a_program_to_run_is_missing --embedded --
unrecognized_option_'--frobnicate' --frobnicate true
--daemon_and_--libc_exclude_each_other --daemon --libc true
--embedded_and_--daemon_exclude_each_other --embedded --daemon true
option_'--node'_requires_an_argument --node
not_a_node_number --node x true
not_a_node_number --node -1 true
not_a_node_number --node 1024 true
an_empty_path --socket= true
an_empty_path --library= true
CASES

# ---- what cannot work ----

run "$HAKRUN" --daemon --socket "$dir/nowhere" -- sh -c 'echo ran'
check '--daemon without a daemon fails before the program runs' \
	ended 125 '' "hakrun: no daemon at $dir/nowhere: No such file or directory"
run env HAKMEM_SOCKET="$dir/elsewhere" "$HAKRUN" --daemon -- sh -c 'echo ran'
check 'HAKMEM_SOCKET is the default' ended 125 '' "hakrun: no daemon at $dir/elsewhere: *"
run "$HAKRUN" --library "$dir/nothing.so" true
check 'a library that is not there' ended 125 '' "hakrun: $dir/nothing.so: No such file*"
echo text > "$dir/text.so"
run "$HAKRUN" --library "$dir/text.so" true
check 'a library that is none' ended 125 '' "hakrun: $dir/text.so: not a library for this machine"
mkdir "$dir/a blank"
cp "$HAKMALLOC" "$dir/a blank/"
run "$HAKRUN" --library "$dir/a blank/libhakmalloc.so" true
check 'a library whose path the loader would cut' ended 125 '' 'hakrun: * blank/*no path with*'
run "$HAKRUN" --node 1023 true
check 'a node that is not there' ended 125 '' 'hakrun: --node 1023: *no such NUMA node'

# ---- exit statuses ----

run "$HAKRUN" --embedded -- sh -c 'exit 42'
check "the program's exit status" ended 42 '' ''
run "$HAKRUN" --embedded -- no-such-program
check 'a program that is not there' ended 127 '' 'hakrun: no-such-program: No such file*'
run "$HAKRUN" --embedded -- "$dir/text.so"
check 'a file that may not be run' ended 126 '' "hakrun: $dir/text.so: Permission denied"
# shellcheck disable=SC2016 # for the inner shell
run "$HAKRUN" --embedded sh -c 'kill -USR1 $$'
check "the program's signal" ended 138 '' '*'

# ---- environment ----

# What the program sees of the named variable; nothing if it is not set.
sees() # VARIABLE HAKRUN-ARGUMENTS...
{
	local name=$1

	shift
	# shellcheck disable=SC2016 # for the inner shell
	run "$HAKRUN" "$@" -- sh -c 'printenv "$1" || true' - "$name"
}

sees HAKMEM_MODE
check 'no option, no mode' ended 0 '' ''
for mode in embedded libc; do
	sees HAKMEM_MODE --$mode
	check "--$mode" ended 0 "$mode" ''
done
sees HAKMEM_STATS --embedded
check 'no --stats' ended 0 '' ''
sees HAKMEM_STATS --embedded --stats
check '--stats' ended 0 '1' '*'
sees HAKMEM_NODE --node 0
check '--node' ended 0 '0' ''
sees HAKMEM_SOCKET --embedded --socket /some/path
check '--socket' ended 0 /some/path ''
cd "$dir" || exit 1
sees HAKMEM_SOCKET --embedded --socket some/path
check 'a relative socket becomes absolute, for programs that change their directory' \
	ended 0 "$(pwd -P)/some/path" ''
export HAKMEM_FORCE_LIBC_ALLOC=1
sees HAKMEM_FORCE_LIBC_ALLOC --embedded
check '--embedded wins over HAKMEM_FORCE_LIBC_ALLOC' ended 0 '' ''
sees HAKMEM_FORCE_LIBC_ALLOC --libc
check '--libc keeps it' ended 0 1 ''
unset HAKMEM_FORCE_LIBC_ALLOC
library=$(realpath "$HAKMALLOC")
sees LD_PRELOAD
check 'the library beside hakrun is preloaded' ended 0 "$library" ''
run env LD_PRELOAD=libdl.so.2 "$HAKRUN" sh -c 'printenv LD_PRELOAD'
check 'before what is preloaded already' ended 0 "$library:libdl.so.2" ''
run "$HAKRUN" "$HAKRUN" "$HAKRUN" --libc printenv LD_PRELOAD
check 'once, however many hakruns' ended 0 "$library" ''
mkdir -p "$dir/moved/bin" "$dir/moved/lib/some-triplet"
cp "$HAKRUN" "$dir/moved/bin/"
cp "$HAKMALLOC" "$dir/moved/lib/some-triplet/"
run "$dir/moved/bin/hakrun" printenv LD_PRELOAD
check 'an installation that was moved' \
	ended 0 "$(realpath "$dir")/moved/lib/some-triplet/libhakmalloc.so" ''
cp "$dir/text.so" "$dir/moved/lib/libhakmalloc.so"
run "$dir/moved/bin/hakrun" printenv LD_PRELOAD
check 'and what is no library for this machine is passed over' ended 0 '*/some-triplet/*.so' ''
run "$HAKRUN" --embedded -- printf '<%s>' -- --daemon 'a b' ''
check "the program's arguments are the program's" ended 0 '<--><--daemon><a b><>' ''
run "$HAKRUN" --embedded -- grep -c "r-xp.*$library" /proc/self/maps
check 'the library is really loaded' ended 0 '[1-9]' ''

# ---- processors ----

affinity='import os; print(sorted(os.sched_getaffinity(0)))'
run python3 -c '
import os
wanted = set()
for part in open("/sys/devices/system/node/node0/cpulist").read().strip().split(","):
    low, _, high = part.partition("-")
    wanted |= set(range(int(low), int(high or low) + 1))
print(sorted(wanted & os.sched_getaffinity(0)))'
expected=$out
run "$HAKRUN" --node 0 python3 -c "$affinity"
check '--node binds to the processors of the node' [ "$out" = "$expected" ]
first=${expected#[}
first=${first%%[],]*}
run taskset -c "$first" "$HAKRUN" --node 0 python3 -c "$affinity"
check 'of those that may be used' [ "$out" = "[$first]" ]

# ---- programs that the loader preloads nothing into ----

if file -L /sbin/ldconfig 2> /dev/null | grep -q static || ! grep -qa ld-linux /sbin/ldconfig; then
	run "$HAKRUN" --embedded /sbin/ldconfig --version
	check 'a static program gets a warning and runs' \
		ended 0 '*ldconfig*' 'hakrun: warning: /sbin/ldconfig is statically linked*'
	printf '#! /sbin/ldconfig --version\n' > "$dir/script"
	chmod 755 "$dir/script"
	run "$HAKRUN" --embedded "$dir/script"
	check 'a script of a static interpreter too' ended 0 '*' '*script is statically linked*'
else
	skip 'a static program gets a warning and runs' '/sbin/ldconfig is not static here'
fi
printf '#!/bin/sh\necho script\n' > "$dir/plain"
chmod 755 "$dir/plain"
run env PATH="$dir:$PATH" "$HAKRUN" --embedded plain
check 'a script of a usual one does not' ended 0 script ''
cp /bin/true "$dir/suid"
if [ "$(id -u)" = 0 ] && chmod 4755 "$dir/suid"; then
	run setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/moved/bin/hakrun" "$dir/suid"
	check 'a set-user-id program gets a warning and runs' ended 0 '' '*suid is set-user-id*'
	run "$HAKRUN" "$dir/suid"
	check 'but not if it sets the user that one is' ended 0 '' ''
else
	skip 'a set-user-id program gets a warning and runs' 'needs root to make one'
fi

# ---- programs on each kind of memory ----

start_daemon
work='
import collections
d = {str(i): [i] * (i % 50) for i in range(100000)}
print(sum(len(v) for v in d.values()), len(collections.Counter("".join(d))))'
for mode in libc embedded daemon; do
	run "$HAKRUN" --$mode --socket "$sock" -- /bin/true
	check "--$mode true" ended 0 '' ''
	run "$HAKRUN" --$mode --socket "$sock" -- python3 -c "$work"
	check "--$mode python3" ended 0 '2450000 10' ''
	run "$HAKRUN" --$mode --socket "$sock" --node 0 --stats -- python3 -c "$work"
	check "--$mode --stats prints a report" ended 0 '2450000 10' '*hakmem*'
done
run env HAKMEM_SOCKET="$sock" "$HAKRUN" --daemon -- python3 -c "$work"
check '--daemon by HAKMEM_SOCKET' ended 0 '2450000 10' ''
stop_daemon
check 'the daemon ended well' [ "$status" = 0 ]
all_done
