#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# perl: hashes, regular expressions, sorting, fork with copy-on-write data, interpreter threads.

. "$(dirname "$0")/lib.sh"

need perl

hashes()
{
	perl "$HERE/loads/hashes.pl"
}

forks()
{
	perl "$HERE/loads/forks.pl"
}

threads()
{
	perl "$HERE/loads/threads.pl"
}

same 60 "hashes, regular expressions and sorting" hashes
same 60 "forked children and their parent each keep their own data" forks
same 60 "interpreter threads clone, compute and end" threads
