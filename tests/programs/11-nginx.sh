#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx: files served under load, compressed and in ranges, a change of configuration by SIGHUP,
# quiet end.

. "$(dirname "$0")/lib.sh"

need nginx wrk python3 xz

configuration()
{
	cat <<-END
		daemon off;
		worker_processes 2;
		pid nginx.pid;
		error_log stderr notice;
		events { worker_connections 512; }
		http {
			types { text/plain txt; application/octet-stream bin; }
			access_log access.log;
			client_body_temp_path tmp/body;
			proxy_temp_path tmp/proxy;
			fastcgi_temp_path tmp/fastcgi;
			uwsgi_temp_path tmp/uwsgi;
			scgi_temp_path tmp/scgi;
			gzip on;
			gzip_types text/plain;
			gzip_comp_level 6;
			server {
				listen 127.0.0.1:$1;
				listen unix:nginx.sock;
				root files;
				autoindex on;
				location /proxy/ { proxy_pass http://unix:nginx.sock:/; }
				add_header X-Generation $2;
			}
		}
	END
}

make_files()
{
	mkdir files
	seq 20000 >files/numbers.txt
	seq 400000 | xz -0 >files/noise.bin
	for i in {1..40}; do
		seq "$i" $((i * 50)) >"files/small$i.txt"
	done
}

# Another process may take the port between the question and the use: then ask again.
start_nginx()
{
	local try

	for try in {1..5}; do
		PORT=$(bare python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
		configuration "$PORT" 1 >nginx.conf
		start_server "start worker process " 20 nginx -p "$PWD/" -e stderr -c nginx.conf &&
			return
		echo "port $PORT was taken, try $try" >&2
	done
	return 1
}

# The workers have dropped root where the master had it. They are forked: whether one needs a
# session of its own depends on what it inherits.
look_at_workers()
{
	local pid

	for pid in $(bare cat "/proc/$SERVER/task/$SERVER/children"); do
		evidence "worker$1.$((++workers))" "$pid"
	done
}

load()
{
	wrk -t 2 -c 40 -d "$1" "http://127.0.0.1:$PORT/$2" >wrk.out
	grep -E '^  (Non-2xx|Socket errors)' wrk.out || echo "$2: no error under load"
	grep -q '^Requests/sec: *[1-9]' wrk.out
}

serve()
{
	local workers=0

	make_files
	start_nginx
	evidence master "$SERVER"
	has_session "$SERVER"
	bare python3 "$HERE/loads/fetch.py" "$PORT"
	look_at_workers 1
	load 2 numbers.txt
	load 1 proxy/small7.txt

	# A new generation of workers while the old one is still busy.
	wrk -t 1 -c 10 -d 1 "http://127.0.0.1:$PORT/small3.txt" >busy.out &
	configuration "$PORT" 2 >nginx.conf
	kill -HUP "$SERVER"
	await_line "reconfiguring" 10
	await_line "exited with code 0" 30
	await_line "exited with code 0" 30
	wait $!
	# A worker that leaves closes idle connections, which wrk may be about to use: read errors.
	sed -E 's/^(  Socket errors: .*) read [0-9]+/\1 read N/' busy.out |
		grep -E '^  (Non-2xx|Socket errors)' |
		grep -v 'connect 0, read N, write 0, timeout 0' ||
		echo "no error while the workers changed"
	bare python3 "$HERE/loads/fetch.py" "$PORT"
	look_at_workers 2
	stop_server QUIT 20
	echo "ended"
}

same 120 "files served identically, under load, and through a reload by SIGHUP" serve
