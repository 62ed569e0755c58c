#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run_oddities.sh glibc|embedded|daemon PROGRAMS SOURCES
#
# Ordinary and odd programs in odd surroundings; one TAP line each. PROGRAMS is the folder of the
# odd_* programs, SOURCES the root of the sources. The shell itself is never preloaded. In daemon
# mode it runs under with_daemon.sh, which sets HAKMEM_MODE and HAKMEM_SOCKET.
# A program ends with 0: good; 77: this machine does not permit the situation; else: bad.
set -u

mode=$1 programs=$2 sources=$3
readonly deadline=60
case $mode in
glibc) preload= ;;
*) preload=${HAKMALLOC:?names the preload library} ;;
esac
tmp=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-odd-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
mkdir "$tmp/empty"
count=0 failed=0

say()
{
	count=$((count + 1))
	echo "$1 $count - $2"
	[ "$1" = ok ] || {
		failed=1
		echo "# $3"
		sed 's/^/#   /' "$tmp/output"
	}
}

# Runs a program with the library preloaded and all its output in a file.
preloaded()
{
	timeout -k 5 $deadline env LD_PRELOAD="$preload" "$@" > "$tmp/output" 2>&1 < /dev/null
}

verdict()
{
	case $2 in
	0) say ok "$1" ;;
	77) say ok "$1 # SKIP $(tail -n 1 "$tmp/output" | sed 's/^# //') not permitted here" ;;
	*) say "not ok" "$1" "status $2" ;;
	esac
}

good()
{
	local name=$1

	shift
	preloaded "$@"
	verdict "$name" $?
}

# The same under a limit of ulimit: good_under '-v 60000' name program...
good_under()
{
	local limit=$1 name=$2

	shift 2
	# Where libc serves, its arenas reserve 128 MiB of address space for each new thread.
	# shellcheck disable=SC2086 # the option and its value are two words
	(ulimit $limit && export MALLOC_ARENA_MAX=1 && preloaded "$@")
	verdict "$name" $?
}

# Either all goes well, or the process is ended by a message, the allocator's or libc's. A crash
# without one is corruption.
good_or_reported()
{
	local name=$1 status

	shift
	preloaded "$@"
	status=$?
	if [ $status = 134 ] &&
		grep -Eq 'hakmem|free\(\): |munmap_chunk\(\): |double free' "$tmp/output"; then
		status=0
	fi
	verdict "$name" $status
}

# The process is ended by our message.
reported() # NAME REGEX PROGRAM...
{
	local name=$1 regex=$2 status

	shift 2
	preloaded "$@"
	status=$?
	if [ $status = 134 ] && grep -Eq "^hakmem: $regex" "$tmp/output"; then
		status=0
	elif [ $status = 0 ]; then
		status=1
	fi
	verdict "$name" $status
}

whole_life()
{
	good 'allocation from preinit_array to the last destructor' "$programs/odd_lifecycle"
	good 'C++ thread_local and static destructors' "$programs/odd_thread_local"
	good 'an unmodified program with threads and a fork' "$programs/odd_work"
	good '500 threads alive at once, twice' "$programs/odd_threads" many
	good 'threads with the smallest stack' "$programs/odd_threads" small
	good 'cancelled threads: malloc is no cancellation point' "$programs/odd_threads" cancel
	good 'pthread_exit in all threads, the main thread too' "$programs/odd_threads" end
	good 'signals at 1 kHz, and allocation in handlers' "$programs/odd_signals"
	good 'a plugin loaded, unloaded and loaded again' \
		"$programs/odd_plugin" "$programs/libapi_plugin.so"
}

descriptors()
{
	good 'all descriptors closed one by one' "$programs/odd_descriptors" close
	good 'all descriptors closed by close_range' "$programs/odd_descriptors" close-range
	good 'every descriptor replaced by dup2' "$programs/odd_descriptors" replace
	# Standard error must be closed, not a file, so this one runs without its output.
	: > "$tmp/output"
	# shellcheck disable=SC2016 # expanded by the inner shell
	timeout -k 5 $deadline bash -c 'exec env LD_PRELOAD="$1" "$2" standard <&- >&- 2>&-' \
		bash "$preload" "$programs/odd_descriptors"
	verdict 'started with 0, 1 and 2 closed' $?
	good 'no descriptor can be opened (RLIMIT_NOFILE 3)' "$programs/odd_descriptors" limit
}

limits()
{
	good_under '-v 400000' 'ulimit -v 400000' "$programs/odd_work"
	good_under '-v 400000' 'ulimit -v 400000, asking until refused' \
		"$programs/odd_work" overdraw
	good_under '-v 60000' 'ulimit -v 60000' "$programs/odd_work"
	good_under '-v 60000' 'ulimit -v 60000, asking until refused' \
		"$programs/odd_work" overdraw
	# Between these the big reservations succeed one after the other.
	good_under '-v 1500000' 'ulimit -v 1500000' "$programs/odd_work" hold 100000000
	good_under '-v 3000000' 'ulimit -v 3000000' "$programs/odd_work" hold 100000000
	good_under '-v 8000000' 'ulimit -v 8000000' "$programs/odd_work" hold 100000000
	good_under '-f 0' 'no file may grow (RLIMIT_FSIZE 0)' "$programs/odd_work" hold 100000000
	good_under '-s unlimited' 'bottom-up address layout' "$programs/odd_work" hold 100000000
	good 'no address randomisation' setarch -R "$programs/odd_work" hold 100000000
}

sandboxes()
{
	good 'seccomp: socket, connect, memfd_create answer EPERM from the start' \
		"$programs/odd_sandbox" seccomp-eperm
	good 'seccomp: they kill from the first allocation on' "$programs/odd_sandbox" seccomp-kill
	good 'seccomp: they kill, and the process forks' "$programs/odd_sandbox" seccomp-fork
	good 'chroot into an empty folder' "$programs/odd_sandbox" chroot "$tmp/empty"
	good 'unshare of user, mount and network' "$programs/odd_sandbox" unshare
	good 'setuid to nobody' "$programs/odd_sandbox" setuid
	good 'clearenv and exec' "$programs/odd_sandbox" clearenv
}

foreign_pointers()
{
	good "blocks of libc's own malloc go to libc's free" "$programs/odd_foreign" libc
	good "blocks of libc's own malloc are resized" "$programs/odd_foreign" resize
	for deed in libc-thread resize-thread stack global mapping interior twice twice-huge; do
		good_or_reported "free of what must not be freed: $deed" \
			"$programs/odd_foreign" $deed
	done
}

checked()
{
	local at='0x[0-9a-f]+' deed=$programs/odd_foreign where

	where="\\(a block of [0-9]+ bytes, size class [0-9]+, in the slab at $at\\)"
	export HAKMEM_FASTLANE_DIRECT=0
	good 'checked: from preinit_array to the last destructor' "$programs/odd_lifecycle"
	good 'checked: a program with threads and a fork' "$programs/odd_work"
	good 'checked: 500 threads alive at once, twice' "$programs/odd_threads" many
	reported 'checked: a block freed twice' "double free of $at $where" "$deed" twice
	reported 'checked: a pointer into a block freed' \
		"free of the inside of $at $where" "$deed" interior
	reported 'checked: a block written to after its free' \
		"write after free to, or past the end of, $at, at byte 500 $where" "$deed" written
	reported 'checked: a large block freed twice' \
		"double free of $at \\(a large block of 4194304 bytes, in the span at $at\\)" \
		"$deed" twice-huge
	unset HAKMEM_FASTLANE_DIRECT
}

late_load()
{
	local all=$preload

	preload=
	good 'dlopen of the library itself in a running program' "$programs/odd_late" "$all"
	preload=$all
}

# The library is linked, because ld.so ignores the LD_PRELOAD of a set-user-id program by itself.
set_user_id()
{
	local name='set-user-id program: the environment has no say'
	local program=$tmp/odd_suid

	if [ "$(id -u)" != 0 ]; then
		echo 'setting an owner is' > "$tmp/output"
		verdict "$name" 77
		return
	fi
	cp "$preload" "$tmp/libhakmalloc.so"
	if ! "${CC:-cc}" -D_GNU_SOURCE -fno-builtin -I"$sources" "$sources/tests/api/odd_suid.c" \
		-Wl,--no-as-needed "$tmp/libhakmalloc.so" -Wl,-rpath,"$tmp" -o "$program" \
		> "$tmp/output" 2>&1; then
		verdict "$name" 1
		return
	fi
	chown nobody "$program" && chmod u+s "$program"
	timeout -k 5 $deadline setpriv --reuid=65533 --regid=65533 --clear-groups \
		env HAKMEM_FORCE_LIBC_ALLOC=1 HAKMEM_MODE=libc HAKMEM_STATS=1 \
		HAKMEM_SOCKET="$tmp/no-such-socket" "$program" > "$tmp/output" 2>&1
	verdict "$name" $?
	if [ -s "$tmp/output" ]; then
		say 'not ok' 'set-user-id program: the library is silent' 'it said:'
	else
		say ok 'set-user-id program: the library is silent'
	fi
}

# sanitized COMPILER KIND RUNTIME: built with -fsanitize=KIND, the program keeps the sanitizer's
# malloc. RUNTIME comes first in LD_PRELOAD where it is a shared library; empty: it is static.
sanitized()
{
	local compiler=$1 kind=$2 runtime=$3 program=$tmp/odd_$1_$2 all=$preload status
	local name="$1 -fsanitize=$2"

	if ! "$compiler" -g -fsanitize="$kind" -D_GNU_SOURCE -fno-builtin -pthread -I"$sources" \
		"$sources/tests/api/odd_asan.c" -o "$program" > "$tmp/output" 2>&1; then
		verdict "$name" 1
		return
	fi
	preload="$runtime $preload"
	good "$name runs" "$program"
	if [ "$kind" = address ]; then
		preloaded "$program" overflow
		status=$?
		[ $status != 0 ] && grep -q heap-buffer-overflow "$tmp/output"
		verdict "$name still finds an overflow" $?
	fi
	preload=$all
}

sanitizers()
{
	sanitized gcc address "$(gcc -print-file-name=libasan.so)"
	sanitized gcc thread "$(gcc -print-file-name=libtsan.so)"
	sanitized clang address ''
	sanitized clang thread ''
}

whole_life
descriptors
limits
sandboxes
if [ "$mode" != glibc ]; then
	foreign_pointers
	checked
	late_load
	set_user_id
	sanitizers
fi
echo "1..$count"
exit $failed
