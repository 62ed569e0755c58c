#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds, and runs every test that finishes in about ten minutes: all
# suites but `programs` in a normal build, then unit and random tests under ASan and UBSan, and
# under TSan. The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. scripts/testlib.sh

if ! scripts/setup.sh build; then
	add 0 1 0
	report
	exit 1
fi

if build normal build -Dwerror=true -Dtests=true; then
	run_suites normal build check models unit random api proc bench
fi

# The libraries that replace malloc are not built here: sanitizers have their own.
if build asan build-asan -Dwerror=true -Db_sanitize=address,undefined; then
	run_suites asan build-asan unit random
fi
export CC=clang CXX=clang++ # gcc's TSan knows no fences
if build tsan build-tsan -Dwerror=true -Db_sanitize=thread -Db_lundef=false; then
	run_suites tsan build-tsan unit random
fi

report
