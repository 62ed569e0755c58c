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

same 90 "a million rows, indexes, groups, joins, JSON, integrity check" rows
