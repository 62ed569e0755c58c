#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# node: worker threads, the thread pool, child processes.

. "$(dirname "$0")/lib.sh"

need node

workers()
{
	node "$HERE/loads/workers.js"
}

same 60 "worker threads, compression and digests in the pool, a child process" workers
