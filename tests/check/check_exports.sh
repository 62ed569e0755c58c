#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the shipped libraries need and show: check_exports.sh ROOT BUILD
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

build=${2:?usage: check_exports.sh ROOT BUILD}
client=$build/libclient/libhakclient.so
preload=$build/libclient/libhakmalloc.so
archive=$build/libclient/libhakclient.a

needs_libc_only() # LIBRARY
{
	readelf -dW "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' |
		grep -vE '^(libc\.so\.6|ld-linux[a-z0-9_-]*\.so\.[0-9]+)$' |
		sed "s|^|$1:0: needs |"
}

# The names between global: and local: of a version script, one a line.
script_names() # SCRIPT
{
	sed 's/#.*//' "$1" | tr '\n\t' '  ' | sed -E 's#/\*([^*]|\*[^/])*\*/##g' |
		grep -oE '[^{};: ]+ *[;:]' | tr -d ' ' |
		awk '/:$/ { global = $0 == "global:"; next } global { print }' | tr -d ';' | sort -u
}

exported() # LIBRARY
{
	# Version nodes are absolute symbols: they are no functions or data of ours.
	nm -D --defined-only --extern-only -f posix "$1" |
		awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' | sort -u
}

exports_match() # LIBRARY SCRIPT
{
	local script_list export_list name line

	script_list=$(script_names "$2")
	export_list=$(exported "$1")
	[ -n "$script_list" ] || printf '%s:1: no global names found\n' "$2"
	comm -23 <(printf '%s\n' "$script_list") <(printf '%s\n' "$export_list") |
		while IFS= read -r name; do
			line=$(grep -nwF -- "$name" "$2" | head -n 1 | cut -d: -f1)
			printf '%s:%s: %s is promised, but not exported\n' "$2" "$line" "$name"
		done
	comm -13 <(printf '%s\n' "$script_list") <(printf '%s\n' "$export_list") |
		sed "s|.*|$1:0: exports &, which $2 does not name|"
}

# Lazy binding could enter the dynamic linker from malloc; code in data pages helps attackers only.
linked_tightly() # LIBRARY
{
	local dynamic

	dynamic=$(readelf -dW "$1")
	case $dynamic in
	*BIND_NOW* | *'Flags: '*NOW*) ;;
	*) printf '%s:0: binds lazily\n' "$1" ;;
	esac
	case $dynamic in
	*NODELETE*) ;;
	*) printf '%s:0: can be unloaded\n' "$1" ;;
	esac
	case $dynamic in
	*TEXTREL*) printf '%s:0: has text relocations\n' "$1" ;;
	esac
	case $(readelf -lW "$1" | grep GNU_STACK) in
	*E\ *) printf '%s:0: executable stack\n' "$1" ;;
	esac
}

# In a static link our internal names meet those of the program.
archive_names()
{
	nm --defined-only --extern-only -f posix "$archive" 2>/dev/null |
		awk -v file="$archive" 'NF >= 2 && $1 !~ /^(hak_|HAK_|_hak_)/ && $2 ~ /^[A-Z]$/ {
			print file ":0: the global name " $1 " does not begin with hak_" }'
}

for library in "$client" "$preload" "$archive"; do
	[ -e "$library" ] || {
		printf 'Bail out! %s is not built\n' "$library"
		exit 1
	}
done
verdict 'libhakclient.so needs libc only' needs_libc_only "$client"
verdict 'libhakmalloc.so needs libc only' needs_libc_only "$preload"
verdict 'libhakclient.so exports what its version script names' \
	exports_match "$client" libclient/hakclient.sym
verdict 'libhakmalloc.so exports what its version script names' \
	exports_match "$preload" libclient/hakmalloc.sym
verdict 'libhakclient.so is bound at once and stays' linked_tightly "$client"
verdict 'libhakmalloc.so is bound at once and stays' linked_tightly "$preload"
verdict 'every global name in libhakclient.a begins with hak_' archive_names
tap_done
