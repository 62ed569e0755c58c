#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Placement where node 2 has a processor and no memory, and node 3 memory and no processors.
# shellcheck source=tests/vm/place.sh
. "$(dirname "$0")/place.sh"
# shellcheck disable=SC2154 # sock comes from tools.sh

start_daemon
run "$HAKCTL" --socket "$sock" status --json
check 'the daemon sees the three nodes that have memory' ended 0 '*"nodes": 3,*' ''
run "$HAKRUN" --socket "$sock" --daemon --node 3 -- true
check 'nothing can run on a node without processors' ended 125 '' 'hakrun: --node 3: *'
run env HAKMEM_NODE=3 "$HAKRUN" --socket "$sock" --daemon -- place 32 1000,4000000 0
check 'but a client can have memory from it' all_on 3 2
for node in 0 1; do
	placed daemon --node $node -- 32 1000,4000000 -
	check "nobody on node $node gets memory from it unasked" all_on $node 2
done
check 'a region is ready on each node with both' stock_is 2
run taskset -c "$(</sys/devices/system/node/node2/cpulist)" lease "$sock" 2 2
check 'and serves who runs on the one without memory' between 1000 1000 0 1
leased 3 16
check 'a lease comes from the node without processors' between 1000 1000 0 3
leased 2 16
check 'a node without memory: the nearest that has some' between 1000 1000 0 1
placed daemon --node 2 -- 32 1000,4000000 -
check 'and so for who runs there' all_on 1 2
fill 1 64
leased 1 4 16
check 'a full node: the nearer one with processors comes first' between 300 1000 0 0
check 'and the far one is not touched' between 1000 1000 0 0 1
fill 0 64
leased 1 4 32
check 'both full: the far one serves' between 200 1000 0 3
empty
end_daemon

daemon_with '[numa]' 'policy = preferred' 'node = 3'
leased 0 16
check 'preferred: memory is on the node without processors' between 1000 1000 0 3
check 'preferred: and there a region is ready, whoever comes' stock_is 1
end_daemon

daemon_with '[numa]' 'policy = interleave'
leased 0 15
for node in 0 1 3; do
	check "interleave: node $node has its third" between 330 337 0 $node
done
end_daemon
all_done
