#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# redis-server: benchmark, snapshots by a forked child while clients write, loading again.

. "$(dirname "$0")/lib.sh"

need redis-server redis-cli redis-benchmark perl

cli()
{
	redis-cli -s "$1.sock" "${@:2}"
}

# start_redis NAME OPTION...
start_redis()
{
	start_server "ready to accept connections" 60 redis-server --port 0 --unixsocket "$1.sock" \
		--dbfilename "$1.rdb" --save "" --appendonly no --enable-debug-command yes \
		--daemonize no "${@:2}"
	evidence "$1" "$SERVER"
	has_session "$SERVER"
}

# The same data of every type on both sides, through the protocol and inside the server.
fill()
{
	cli "$1" debug populate 100000 key 100
	perl "$HERE/loads/commands.pl" | redis-cli -s "$1.sock" --pipe | grep -o 'errors: .*'
}

await_save()
{
	await_line "Background saving terminated with success" 60
	cli "$1" info persistence | tr -d '\r' | grep '^rdb_last_bgsave_status'
}

# The counters of database 9 are only ever changed together.
counters_agree()
{
	local left right

	left=$(cli "$1" -n 9 get left)
	right=$(cli "$1" -n 9 get right)
	[ "$left" -gt 0 ]
	echo "$2: counters $([ "$left" = "$right" ] && echo agree || echo "differ: $left $right")"
}

# load_snapshot FILE: another server reads it. What stayed the same has the same digest there.
load_snapshot()
{
	cp "$1" copy.rdb
	start_redis copy
	counters_agree copy "$1"
	cli copy -n 9 flushdb
	cli copy debug digest
	cli copy dbsize
	stop_server TERM 20
}

snapshots()
{
	local writer

	start_redis first
	fill first
	cli first debug digest

	# Database 0 stays as it is, database 9 changes as fast as it can: a snapshot holds the one
	# unchanged and the other as it was at one instant.
	redis-benchmark -s first.sock -c 10 -n 100000 --dbnum 9 -r 20000 --csv \
		eval "redis.call('incr', 'left')
			redis.call('append', 'key' .. ARGV[1], ARGV[1])
			return redis.call('incr', 'right')" 0 __rand_int__ >writer.out &
	writer=$!
	while ! [ "$(cli first -n 9 exists right)" = 1 ]; do
		kill -0 "$writer"
	done
	cli first bgsave
	await_save first
	cp first.rdb early.rdb
	cli first bgsave
	await_save first
	cp first.rdb later.rdb
	wait "$writer"
	counters_agree first "the server itself"

	cli first debug reload
	cli first -n 9 flushdb
	cli first debug digest
	stop_server TERM 20

	load_snapshot early.rdb
	load_snapshot later.rdb
}

benchmark()
{
	start_redis bench
	# How fast is not the question: the names of the tests that ran.
	redis-benchmark -s bench.sock -c 20 -n 20000 -P 8 -r 10000 -d 300 --csv | cut -d, -f1
	redis-benchmark -s bench.sock -c 20 -n 20000 --threads 2 -r 10000 -t set,get --csv |
		cut -d, -f1
	cli bench memory usage mylist | grep -c .
	cli bench flushall
	cli bench dbsize
	stop_server TERM 20
}

same 60 "redis-benchmark, plain and pipelined" benchmark
same 90 "BGSAVE while clients write, DEBUG RELOAD, a second server loads the snapshots" snapshots
