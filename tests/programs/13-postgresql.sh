#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL: a private cluster under pgbench, queries with much memory, dump, restart, recovery.

. "$(dirname "$0")/lib.sh"

LOAD_BIN=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)
need "${LOAD_BIN:-/usr/lib/postgresql}/pgbench" "${LOAD_BIN:-/usr/lib/postgresql}/postgres"

make_cluster()
{
	local owner

	mkdir cluster
	AS_SERVER=()
	# It refuses to run as root.
	if [ "$(id -u)" -eq 0 ]; then
		owner=$(id -un postgres 2>/dev/null || echo nobody)
		chown "$owner" cluster
		AS_SERVER=(setpriv --reuid "$owner" --regid "$(id -g "$owner")" --clear-groups --)
	fi
	cd cluster || exit
	"${AS_SERVER[@]}" "$LOAD_BIN/initdb" -D data -U owner -A trust -E UTF8 --locale=C -N >&2
	cat >settings <<-END
		listen_addresses = ''
		unix_socket_directories = '$PWD'
		fsync = off
		shared_buffers = 64MB
		work_mem = 16MB
		max_wal_size = 512MB
		max_parallel_workers_per_gather = 2
		jit_above_cost = 20000
	END
	cat settings >>data/postgresql.conf
	export PGHOST=$PWD PGUSER=owner PGDATABASE=postgres
}

start_postgres()
{
	start_server "database system is ready to accept connections" 60 \
		"${AS_SERVER[@]}" "$LOAD_BIN/postgres" -D "$PWD/data"
}

sql()
{
	"$LOAD_BIN/psql" -X -A -t -v ON_ERROR_STOP=1 "$@"
}

dump()
{
	# Some versions put a random word into each dump.
	"$LOAD_BIN/pg_dump" "$@" | grep -vE '^\\(un)?restrict '
}

# What 2,000 transactions of four clients with a given seed leave behind, whatever their order was.
balances()
{
	sql <<-'END'
		select count(*), sum(abalance),
		       md5(string_agg(aid || ':' || abalance, ',' order by aid))
		  from pgbench_accounts;
		select count(*), sum(tbalance) from pgbench_tellers;
		select count(*), sum(bbalance) from pgbench_branches;
		select count(*), sum(delta),
		       md5(string_agg(aid || ':' || delta, ',' order by aid, delta))
		  from pgbench_history;
	END
}

transactions()
{
	"$LOAD_BIN/pgbench" -c 4 -j 2 "$@" | grep -E '^number of (transactions|failed)'
}

pgbench()
{
	make_cluster
	start_postgres
	evidence postmaster "$SERVER"
	mv evidence.postmaster ..
	has_session "$SERVER"
	sql -c "select pg_read_file('/proc/self/maps')" >../evidence.backend
	"$LOAD_BIN/pgbench" -i -q -s 5 2>/dev/null
	transactions -t 500 --random-seed=4711
	transactions -t 50 --random-seed=4712 -n -S -C
	balances
	stop_server INT 30
	start_postgres
	balances
	# As after a crash: nothing is written back, the next start recovers from the log.
	stop_server QUIT 30 2>/dev/null || :
	start_postgres
	balances
	stop_server INT 30
}

queries()
{
	make_cluster
	start_postgres
	evidence postmaster "$SERVER"
	mv evidence.postmaster ..
	sql <"$HERE/loads/queries.sql"
	dump -t fixed | sha256sum
	dump --inserts -t 'part*' | sha256sum
	sql -c 'reindex database postgres' -c 'vacuum full'
	stop_server INT 30
	start_postgres
	dump -t fixed | sha256sum
	stop_server INT 30
}

same 120 "queries with joins, groups, JSON, text search, functions; dump, restart, dump" queries
same 120 "pgbench with four clients, restart, recovery" pgbench
