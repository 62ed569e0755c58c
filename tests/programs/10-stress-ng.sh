#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# stress-ng: its malloc stressor in two processes of several threads each, which verifies what it
# wrote.

. "$(dirname "$0")/lib.sh"

need stress-ng

# Process numbers and times differ.
messages()
{
	sed -E 's/\[[0-9]+\]/[N]/; s/[0-9.]+s\b/Ns/; s/\([0-9.]+ secs\)/(N secs)/'
}

stress()
{
	stress-ng --temp-path tmp --verify "$@" 2>&1 | messages
}

malloc()
{
	evidence_of stress-ng stress-ng stress-ng --version
	stress --malloc 2 --malloc-pthreads 2 --malloc-ops 50000
	stress --malloc 2 --malloc-pthreads 2 --malloc-bytes 4M --malloc-max 1000 --malloc-touch \
		--malloc-ops 500
	stress --malloc 1 --malloc-thresh 4K --malloc-zerofree --malloc-ops 10000
}

same 90 "malloc stressors with verification" malloc
