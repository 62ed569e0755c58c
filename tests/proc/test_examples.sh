#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The programs of examples/ do what examples/README.md says, beside a daemon.
# shellcheck source=tests/proc/tools.sh
. "$(dirname "$0")/tools.sh"
# shellcheck disable=SC2154 # set by run() and start()
: "${BUILD:?}" "${PYTHON:?}"
examples=$(cd "$(dirname "$0")/../../examples" && pwd)
bin=$BUILD/examples

# The rest of the output of what was started, once it has ended; as run() has it.
ends()
{
	status=0
	wait "$started" || status=$?
	wait "$saying"
	out=$(cat "$dir/said-later")
	err=
}

start_daemon
export HAKMEM_SOCKET=$sock
export HAKMEM_LIBRARY=$BUILD/libclient/libhakclient.so.0
export PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=$examples/../python

run "$bin/messages"
check 'messages: usage' ended 2 '' 'usage: messages*'
start receiving timeout 60 "$bin/messages" receive
saying=$!
run "$bin/messages" send hello shared world
check 'messages: a sender sends' ended 0 '' ''
ends
check 'messages: a receiver prints what was sent' \
	ended 0 "hello"$'\n'"shared"$'\n'"world" ''
run "$bin/messages" send before
check 'messages: sent before there is a receiver' ended 0 '' ''
run "$bin/messages" receive
check 'messages: received after the sender has gone' ended 0 'before' 'receiving'

if [ -x "$bin/map" ]; then
	run "$bin/map" read apple
	check 'map: no domain yet' ended 1 '' 'map: domain map: *'
	run "$bin/map" write apple=3 a-word-too-long-for-a-short-string=7
	check 'map: a writer' ended 0 '' ''
	run "$bin/map" read apple a-word-too-long-for-a-short-string plum
	check 'map: a reader, after the writer has gone' ended 0 \
		"apple: 3"$'\n'"a-word-too-long-*: 7"$'\n'"plum: not there"$'\n'"of 2" ''
	run "$bin/map" write plum=1
	check 'map: another map in its place' ended 0 '' ''
	run "$bin/map" read apple plum
	check 'map: read by its name' ended 0 "apple: not there"$'\n'"plum: 1"$'\n'"of 1" ''
	run "$bin/map" remove
	check 'map: removed' ended 0 '' ''
	run "$bin/map" read apple
	check 'map: and gone' ended 1 '' 'map: domain map: *'
else
	skip 'map' 'it was not built: no C++ compiler'
fi

if "$PYTHON" -c 'import numpy' 2> /dev/null; then
	start receiving timeout 60 "$bin/consumer"
	saying=$!
	run "$PYTHON" "$examples/arrays/producer.py" 3
	check 'arrays: a producer in Python' ended 0 '' ''
	ends
	check 'arrays: a consumer in C sees them' ended 0 \
		"480 x 640, mean 0.0"$'\n'"480 x 640, mean 319.5"$'\n'"480 x 640, mean 639.0" ''
else
	skip 'arrays' 'numpy is not installed'
fi

run "$bin/workers"
check 'workers: some are killed, all jobs are done' ended 0 \
	"worker * died"$'\n'"*400 of 400 jobs done, [0-9]* sent again" ''

stop_daemon
check 'the daemon stops as asked' [ "$status" = 0 ]
all_done
