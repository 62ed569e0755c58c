#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tar, xz and sort with several threads.

. "$(dirname "$0")/lib.sh"

need tar xz sort awk

# Numbers in an order that looks random and is the same everywhere.
shuffled()
{
	awk 'BEGIN {
		x = 1
		for (i = 0; i < 1000000; i++) {
			x = (x * 48271) % 2147483647
			print x, i % 977
		}
	}'
}

sorting()
{
	shuffled >lines
	evidence_of sort sort sort --parallel=2 /dev/null
	# So little memory that it merges through temporary files.
	sort --parallel=2 -S 24M lines | sha256sum
	sort --parallel=2 -S 200M -k2,2n -k1,1nr lines | sha256sum
	sort --parallel=2 -k2,2 -u lines | sha256sum
}

archives()
{
	mkdir tree
	for i in {1..200}; do
		mkdir -p "tree/$((i % 13))"
		seq "$i" $((i * 40)) >"tree/$((i % 13))/file$i"
	done
	evidence_of tar tar tar -cf /dev/null tree
	evidence_of xz liblzma.so.5 xz -T2 -0 --block-size=64KiB -c /etc/passwd
	tar --sort=name --owner=0 --group=0 --mtime=@0 -cf tree.tar tree
	sha256sum tree.tar
	xz -T2 -3 --block-size=256KiB -k tree.tar
	sha256sum tree.tar.xz
	xz -T2 -dc tree.tar.xz | cmp - tree.tar
	mkdir out
	tar -xJf tree.tar.xz -C out
	diff -r tree out/tree
	echo "unpacked files are equal"
}

same 90 "sort of a million lines with two threads" sorting
same 60 "tar and xz with two threads, there and back" archives
