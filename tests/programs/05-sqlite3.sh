#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# sqlite3: a million rows.

. "$(dirname "$0")/lib.sh"

need sqlite3

rows()
{
	sqlite3 -bail rows.db <"$HERE/loads/rows.sql"
	sqlite3 rows.db .dump | sha256sum
}

in_memory()
{
	sqlite3 -bail :memory: <"$HERE/loads/rows.sql"
}

same 90 "a million rows, indexes, groups, joins, JSON, integrity check" rows
same 90 "the same in memory" in_memory
