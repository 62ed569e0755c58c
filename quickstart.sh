#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds into build/, and shows the main job: an unmodified program that
# allocates from superslabs which hakmemd owns. Leaves nothing behind but build/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

DEADLINE=30 # seconds, for every single wait

daemon=
dir=

heading()
{
	printf '\n== %s\n' "$*"
}

die()
{
	printf 'quickstart: %s\n' "$*" >&2
	exit 1
}

clean_up()
{
	[ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
	[ -z "$dir" ] || rm -rf "$dir"
}
trap clean_up EXIT

# Passes lines on until one begins with the text; fails at the end of input or at the deadline.
await() # FD TEXT
{
	local line

	while IFS= read -r -t "$DEADLINE" -u "$1" line; do
		printf '  %s\n' "$line"
		[[ $line != "$2"* ]] || return 0
	done
	return 1
}

# Passes the rest on. 0: the writer closed it; 1: the deadline came first.
drain() # FD
{
	local line status=0

	while IFS= read -r -t "$DEADLINE" -u "$1" line || { status=$?; false; }; do
		printf '  %s\n' "$line"
	done
	[ "$status" -le 128 ]
}

heading 'Set-up and build'
scripts/setup.sh build
[ -e build/build.ninja ] || meson setup build >/dev/null
ninja -C build --quiet daemon/hakmemd tools/hakctl tools/hakrun libclient/libhakmalloc.so ||
	die 'the build failed'
printf '  built in build/\n'

heading 'The daemon, on a private socket'
dir=$(mktemp -d)
socket=$dir/hakmemd.sock
mkfifo "$dir/daemon" "$dir/program" "$dir/go"
build/daemon/hakmemd --foreground --socket "$socket" 2>"$dir/daemon" &
daemon=$!
exec 3<"$dir/daemon"
await 3 'hakmemd: ready on ' || die 'the daemon did not start'

heading 'An unmodified program: python3 builds a million objects'
cat >"$dir/program.py" <<'PYTHON'
import sys

words = {f"key {i}": [i, str(i) * 3] for i in range(300_000)}
blobs = [bytes([i % 256]) * 100_000 for i in range(500)]
print(f"holding {4 * len(words) + len(blobs)} objects", flush=True)
sys.stdin.readline()
assert sum(value[0] for value in words.values()) == 300_000 * 299_999 // 2
assert all(blob.count(i % 256) == len(blob) for i, blob in enumerate(blobs))
print("every byte is as it was written", flush=True)
PYTHON
build/tools/hakrun --daemon --socket "$socket" --stats -- \
	/usr/bin/python3 "$dir/program.py" >"$dir/program" 2>&1 <"$dir/go" &
program=$!
exec 5<"$dir/program" 4>"$dir/go" # in the order in which the program opens its ends
await 5 'holding ' || die 'the program did not get as far as this'

heading 'Meanwhile: hakctl sessions'
sessions=$(build/tools/hakctl --socket "$socket" sessions) || die 'hakctl failed'
printf '%s\n' "$sessions" | sed 's/^/  /'
grep -qw "$program" <<<"$sessions" || die "the daemon has no session of process $program"

heading 'The program goes on, ends, and reports'
echo >&4
exec 4>&-
drain 5 || die 'the program hangs'
wait "$program" || die "the program failed with status $?"

heading 'Afterwards: hakctl status'
build/tools/hakctl --socket "$socket" status | sed 's/^/  /'

heading 'The daemon is asked to end'
kill -TERM "$daemon"
drain 3 || die 'the daemon does not end'
wait "$daemon" || die "the daemon ended with status $?"
daemon=
[ ! -e "$socket" ] || die 'the daemon left its socket behind'

heading 'Done. Try it yourself:'
printf '  build/tools/hakrun --embedded -- PROGRAM     no daemon: the allocator in the process\n'
printf '  ./test.sh                                    all tests, about ten minutes\n'
