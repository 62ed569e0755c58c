#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# bash: thousands of forks, in subshells, pipelines, command substitutions and background jobs.

. "$(dirname "$0")/lib.sh"

need bash

script()
{
	bash "$HERE/loads/script.sh"
}

same 90 "pipelines, subshells, substitutions, here-documents, background jobs" script
