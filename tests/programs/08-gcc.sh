#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# gcc and g++.

. "$(dirname "$0")/lib.sh"

need gcc g++

LOAD_CC=gcc LOAD_CC1=cc1 LOAD_CXX=g++ LOAD_CC1XX=cc1plus
. "$HERE/compile.sh"
