#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# python: its own regression tests. A test that fails here without the library does not count, and
# every other must end with it as it ended without it.

. "$(dirname "$0")/lib.sh"

LOAD_PYTHON=/usr/bin/python3
need "$LOAD_PYTHON"
"$LOAD_PYTHON" -c 'import test.test_dict, test.test_mmap' 2>/dev/null || {
	missing "python's own test suite"
	exit 0
}

regression_tests()
{
	"$LOAD_PYTHON" "$HERE/loads/regression.py" "$@"
}

types()
{
	regression_tests test_dict test_list test_set test_bytes test_unicode test_array \
		test_deque test_gc test_memoryview test_re test_json test_pickle test_zlib \
		test_ctypes test_mmap
}

threads()
{
	regression_tests test_thread test_threading test_threading_local test_fork1
}

# Two tests count the descriptors of a fresh process. In daemon mode it has two more from its first
# malloc on, its socket and its region, above 1000 or, under a lower limit, right below that.
processes()
{
	local ignored=()

	[ "$MODE" = embedded ] || ignored=(-i test_pass_fds_redirected
		-i test_close_fds_when_max_fd_is_lowered)
	regression_tests test_os test_posix test_subprocess "${ignored[@]}"
}

# Of the tests of multiprocessing those with processes, without those that measure time; of those
# where each process is a new interpreter, which takes its time, a few kinds.
by_fork()
{
	multiprocessing test_multiprocessing_fork Process Pool PoolWorkerLifetime \
		PoolWorkerErrors Queue Connection SharedMemory Heap Value Array SharedCTypes \
		Semaphore Event Lock SubclassingProcess PicklingConnections ListenerClient Finalize
}

by_spawn()
{
	multiprocessing test_multiprocessing_spawn Pool Queue Connection SharedMemory \
		SharedCTypes Heap SubclassingProcess PicklingConnections
}

# multiprocessing MODULE CLASS...
multiprocessing()
{
	local module=$1 class match=()

	for class in "${@:2}"; do
		match+=(-m "*.WithProcessesTest$class.*")
	done
	regression_tests "$module" "${match[@]}"
}

# Each line of the output is a test and how it ended.
tests_agree()
{
	"$LOAD_PYTHON" "$HERE/loads/regression.py" --compare "$DIR/plain.out" "$DIR/hak.out"
}

regression()
{
	run_both parallel "$1" "$3"
	finish "regression tests of $2" statuses_are_zero tests_agree
}

regression 200 "types and modules that allocate much, mmap" types
regression 200 "threads and fork" threads
regression 200 "os, posix and subprocess" processes
regression 200 "multiprocessing by fork" by_fork
regression 200 "multiprocessing by spawn" by_spawn
