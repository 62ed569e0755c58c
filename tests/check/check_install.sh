#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a user gets: meson install, and README's example compiled against it exactly as printed.
#	check_install.sh ROOT BUILD
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"

build=${2:?usage: check_install.sh ROOT BUILD}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

installs()
{
	DESTDIR=$work/root meson install -C "$build" --no-rebuild --quiet >"$work/log" 2>&1 ||
		sed 's/^/install:0: /' "$work/log"
}

there() # NAME...
{
	local name

	for name in "$@"; do
		find "$work/root" -path "*/$name" \( -type f -o -type l \) | grep -q . ||
			printf 'install:0: %s is missing\n' "$name"
	done
}

example() # as README prints it
{
	local pc inc lib

	awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md >"$work/example.c"
	[ -s "$work/example.c" ] || echo "README.md:0: no C example"
	pc=$(dirname "$(find "$work/root" -name hakmem.pc)")
	inc=$(PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_PATH=$pc pkg-config --cflags hakmem)
	lib=$(PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_PATH=$pc pkg-config --libs hakmem)
	# shellcheck disable=SC2086 # lists of flags
	gcc -Wall -Wextra -Werror $inc "$work/example.c" -o "$work/example" $lib ||
		echo "README.md:0: the example does not compile"
	# shellcheck disable=SC2086
	g++ -Wall -Wextra -Werror $inc -x c++ -fsyntax-only "$work/example.c" 2>"$work/cxx" ||
		grep -q 'invalid conversion' "$work/cxx" || sed 's/^/README.md:0: /' "$work/cxx"
	lib=$(dirname "$(find "$work/root" -name libhakclient.so.0)")
	LD_LIBRARY_PATH=$lib HAKMEM_MODE=embedded "$work/example" >"$work/out" 2>&1
	grep -qx '2 MiB held' "$work/out" ||
		sed 's/^/README.md:0: the example prints: /' "$work/out"
}

snippets() # what docs/domains.md shows, each as the body of a function
{
	local n=0 inc

	inc=$(dirname "$(find "$work/root" -name hakmem.h)")
	awk -v dir="$work" '/^```c$/ { on = 1; n++; next } /^```$/ { on = 0 }
		on { print >(dir "/snippet" n) }' docs/domains.md
	for snippet in "$work"/snippet*; do
		n=$((n + 1))
		{
			printf '#include <hakmem.h>\nstruct order { int n; };\nvoid f(void);\n'
			printf 'void f(void)\n{\n'
			cat "$snippet"
			printf '}\n'
		} >"$snippet.c"
		gcc -Wall -Wextra -Werror -I"$inc" -fsyntax-only "$snippet.c" ||
			printf 'docs/domains.md:0: example %d does not compile\n' "$n"
	done
	[ "$n" -ge 2 ] || echo "docs/domains.md:0: its examples are gone"
}

verdict "meson install works with DESTDIR" installs
verdict "everything that users need is installed" there sbin/hakmemd bin/hakctl bin/hakrun \
	bin/hakbench hakmem-bench/hakrecord.so hakmem-bench/python.trace \
	hakbench_lib/trace.py libhakclient.so.0 libhakclient.so libhakmalloc.so libhakclient.a \
	include/hakmem.h include/hakmem.hpp include/hakmem_domain.hpp include/hakmem_offset.hpp \
	hakmem.pc hakmem/hakmemd.conf hakmemd.service \
	hakmemd.socket sysusers.d/hakmem.conf completions/hakctl completions/hakrun
verdict "README's C example compiles as shown and runs" example
verdict "the C in docs/domains.md compiles" snippets
tap_done
