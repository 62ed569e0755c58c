#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The hot path, instruction by instruction, in the shipped library: check_fastpath.sh ROOT BUILD
# A comment that claims a number does not fail when the number changes; this does.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

preload=${2:?usage: check_fastpath.sh ROOT BUILD}/libclient/libhakmalloc.so
client=$2/libclient/libhakclient.so
library=$preload

body() # SYMBOL: its instructions, one a line, without addresses and padding
{
	objdump -d --no-show-raw-insn --disassemble="$1" "$library" |
		sed -nE 's/^ +[0-9a-f]+:\t//p' | sed -E 's/ +#.*//' |
		awk '{ print } /^ret/ { exit }'
}

at_most() # SYMBOL INSTRUCTIONS BRANCHES
{
	at_most_of "$1" "$(body "$1")" "$2" "$3"
}

at_most_of() # NAME CODE INSTRUCTIONS BRANCHES
{
	local code=$2 insns branches

	insns=$(printf '%s\n' "$code" | grep -c .)
	branches=$(printf '%s\n' "$code" | grep -cE '^j[a-z]+ ')
	[ "$insns" -gt 2 ] || printf '%s:0: %s is not there\n' "$library" "$1"
	[ "$insns" -le "$3" ] ||
		printf '%s:0: %s has %d instructions, %d allowed\n' "$library" "$1" "$insns" "$3"
	[ "$branches" -le "$4" ] ||
		printf '%s:0: %s has %d branches, %d are allowed\n' "$library" "$1" "$branches" "$4"
}

# The pair of a domain: the budget is 27 instructions and 4 branches for the two together.
pair_at_most() # SYMBOL SYMBOL INSTRUCTIONS BRANCHES
{
	local code

	code=$(body "$1" && body "$2")
	at_most_of "$1 and $2" "$code" "$3" "$4"
}

# A block of another's slab: from the call to the stores, both functions, without the branches that
# are not taken. Counted from the top of each to its first way out.
abroad() # INSTRUCTIONS
{
	local hot cold

	hot=$(objdump -d --no-show-raw-insn --disassemble=hak_domain_free "$library" |
		sed -nE 's/^ +[0-9a-f]+:\t//p' | grep -vcE '^nop|^ret|^xchg +%ax,%ax')
	cold=$(body hak_domain_free_cold | grep -c .)
	# Not run in the hot part: the store and the push behind the branch.
	[ $((hot - 2 + cold)) -le "$1" ] ||
		printf '%s:0: a free abroad has %d instructions, %d allowed\n' "$library" \
			$((hot - 2 + cold)) "$1"
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
library=$client
verdict "allocate and free in a domain are at most 27 instructions and 4 branches together" \
	pair_at_most hak_domain_alloc hak_domain_free 27 4
for symbol in hak_domain_alloc hak_domain_free; do
	verdict "$symbol takes no lock and calls nothing on its way" nothing_dear "$symbol"
done
verdict "a block of another member's slab is freed in at most 60 instructions" abroad 60
verdict "and without a lock" nothing_dear hak_domain_free_cold
tap_done
