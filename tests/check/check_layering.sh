#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Who may include what. The picture is in CONTRIBUTING.md; a wrong direction shows in the #include
# line itself, because every path is written from the root.
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

# Every #include line, as FILE:LINE:"path" or FILE:LINE:<path>.
all_includes=$(code '*.c' '*.h' '*.cpp' '*.hpp' |
	sed -nE 's/^([^:]+:[0-9]+):[ \t]*#[ \t]*include[ \t]*(["<][^">]*[">]).*/\1:\2/p')
[ -n "$all_includes" ] || {
	printf 'Bail out! no #include found under %s\n' "$PWD"
	exit 1
}

includes() # FILES
{
	grep -E "^($1):" <<<"$all_includes"
}

# Quoted includes from a folder must match the expression.
direction() # FOLDER ALLOWED
{
	includes "$1/[^:]*" | grep -F ':"' | grep -vE ":\"($2)" |
		explain "$1/ may not include this"
}

# A foreign library enters by one file, so that it can be replaced there.
door() # HEADERS ALLOWED_FILES
{
	grep -E ":[<\"]($1)" <<<"$all_includes" | grep -vE "^($2):" |
		explain "only ${2//\\/} may include this"
}

# The client runs inside other people's programs: C and Linux headers only.
foreign_headers()
{
	local libc='assert|cpuid|ctype|dlfcn|elf|endian|errno|execinfo|fcntl|features|immintrin'

	libc+='|inttypes|limits|link|locale|malloc|math|poll|pthread|sched|signal|stdalign|stdarg'
	libc+='|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syscall'
	libc+='|threads|time|ucontext|unistd|wchar'
	includes '(shared|tiny|libclient)/[^:]*\.[ch]' | grep -F ':<' |
		grep -vE ":<(((sys|linux|asm)/[a-z0-9_-]+|$libc)\.h)>" |
		explain 'the client needs nothing but libc'
}

# x.c includes x.h before anything else: so every header is proved to compile alone.
own_header_first()
{
	local file header

	sources 'shared/*.c' 'tiny/*.c' 'libclient/*.c' 'daemon/*.c' 'tools/*.c' |
		while IFS= read -r file; do
			header=${file%.c}.h
			[ -e "$header" ] || continue
			includes "${file//./\\.}" | head -n 1 | grep -vF "\"$header\"" |
				explain "\"$header\" comes first"
		done
}

wrong_paths()
{
	local file line path

	grep -F ':"' <<<"$all_includes" | while IFS=: read -r file line path; do
		path=${path//\"/}
		[ -e "$path" ] || printf '%s:%s: no such file, seen from the root: %s\n' \
			"$file" "$line" "$path"
		[ "${path%.c}" = "$path" ] || printf '%s:%s: includes a .c file\n' "$file" "$line"
	done
}

# errno becomes -errno in few places. The malloc contract makes libclient/ set it, and the files
# named here save and restore it around other people's calls.
errno_readers()
{
	local doors='shared/(sys|sys_memory|fdpass)\.c|shared/sys_call\.h|(daemon|tools)/os\.c'
	local contract='libclient/(alloc|interpose|interpose_cxx|libc_mode|client|fork)\.c'
	local setting='libclient/[^:]*:[0-9]+:[[:space:]]*errno = [^;]*;$'

	code 'shared/*.[ch]' 'tiny/*.[ch]' 'libclient/*.[ch]' 'daemon/*.[ch]' 'tools/*.[ch]' |
		grep -vE '^[^:]+:[0-9]+:[[:space:]]*#[[:space:]]*include' | grep -E '\berrno\b' |
		grep -vE "^(($doors|$contract):|$setting)" |
		explain 'functions return -errno, which sys.c, fdpass.c and os.c make of it'
}

verdict 'shared/ includes shared/ only' direction shared 'shared/'
verdict 'tiny/ includes shared/ and tiny/ only' direction tiny '(shared|tiny)/'
verdict 'libclient/ includes shared/, tiny/ and itself only' \
	direction libclient '(shared|tiny|libclient)/'
verdict 'the public headers include no other of ours' direction libclient/include 'none of ours'
verdict 'daemon/ includes shared/ and daemon/ only' direction daemon '(shared|daemon)/'
verdict 'tools/ includes the public header, the wire formats and the layout of domains only' \
	direction tools \
	'(libclient/include|tools)/|shared/(base|wire|report\w*|refusal|fdpass|sys|domain\w*)\.h'
verdict 'bench/ includes no internals of daemon/ or libclient/' \
	direction bench '(libclient/include|shared|tiny|bench)/'
verdict 'examples/ include no header of ours by path' direction examples 'none of ours'
verdict 'liburing enters by daemon/loop.c' door 'liburing' 'daemon/loop\.c'
verdict 'libnuma enters by daemon/numa.c' door 'numa(if|compat1)?\.h' 'daemon/numa\.c'
verdict 'libsystemd enters by daemon/notify.c' door 'systemd/' 'daemon/notify\.c'
verdict 'inih enters by daemon/config.c' door 'ini\.h' 'daemon/config\.c'
verdict 'jansson enters by tools/' door 'jansson' 'tools/[a-z_]+\.[ch]'
verdict 'shared/, tiny/ and libclient/ need libc only' foreign_headers
verdict 'a file includes its own header first' own_header_first
verdict 'includes are paths from the root to headers' wrong_paths
verdict 'errno is read where it becomes -errno' errno_readers
tap_done
