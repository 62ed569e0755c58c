#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The hot path, instruction by instruction, in the shipped library: check_fastpath.sh ROOT BUILD
# A comment that claims a number does not fail when the number changes; this does.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

library=${2:?usage: check_fastpath.sh ROOT BUILD}/libclient/libhakmalloc.so

body() # SYMBOL: its instructions, one a line, without addresses and padding
{
	objdump -d --no-show-raw-insn --disassemble="$1" "$library" |
		sed -nE 's/^ +[0-9a-f]+:\t//p' | sed -E 's/ +#.*//' |
		awk '{ print } /^ret/ { exit }'
}

at_most() # SYMBOL INSTRUCTIONS BRANCHES
{
	local code insns branches

	code=$(body "$1")
	insns=$(printf '%s\n' "$code" | grep -c .)
	branches=$(printf '%s\n' "$code" | grep -cE '^j[a-z]+ ')
	[ "$insns" -gt 2 ] || printf '%s:0: %s is not there\n' "$library" "$1"
	[ "$insns" -le "$2" ] ||
		printf '%s:0: %s has %d instructions, %d allowed\n' "$library" "$1" "$insns" "$2"
	[ "$branches" -le "$3" ] ||
		printf '%s:0: %s has %d branches, %d are allowed\n' "$library" "$1" "$branches" "$3"
}

nothing_dear() # SYMBOL: no lock, no call, no fence, no system call
{
	body "$1" | grep -nE '^(lock|xchg|call|mfence|lfence|sfence|syscall|div|idiv)' |
		sed "s|^|$library:|; s|\$| in $1|"
}

if [ "$(uname -m)" != x86_64 ]; then
	tap_skip "instruction counts" "counted on x86-64 only"
	tap_done
fi
if ! readelf -dW "$library" | grep -q 'STATIC_TLS'; then
	tap_skip "instruction counts" "built with another TLS model than initial-exec"
	tap_done
fi
verdict "malloc is at most 12 instructions and 2 branches" at_most malloc 12 2
verdict "free is at most 12 instructions and 1 branch" at_most free 12 1
verdict "operator new is malloc" at_most _Znwm 12 2
verdict "operator delete is free" at_most _ZdlPv 12 1
verdict "sized operator delete is free" at_most _ZdlPvm 12 1
# calloc of up to 32 bytes skips two stores; more than 64 are another function's, and memset's.
verdict "calloc of up to 64 bytes is at most twice malloc" at_most calloc 24 4
verdict "realloc in its class is at most twice malloc" at_most realloc 24 4
for symbol in malloc free _Znwm _ZdlPv; do
	verdict "$symbol takes no lock and calls nothing on its way" nothing_dear "$symbol"
done
tap_done
