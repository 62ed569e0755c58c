#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang and clang++.

. "$(dirname "$0")/lib.sh"

need clang clang++

LOAD_CC=clang LOAD_CC1=clang LOAD_CXX=clang++ LOAD_CC1XX='clang(\+\+)?'
. "$HERE/compile.sh"
