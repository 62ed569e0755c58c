#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs in the clean system, as root: one step of deb.sh. Exit status 0: it went well.
set -euo pipefail
cd /try

files() # all but what packages' own tools keep
{
	find / -xdev \( -path /try -o -path /proc -o -path /dev -o -path /run -o -path /tmp -o \
		-path '/var/cache/*' -o -path '/var/log/*' -o -path '/var/lib/dpkg/*' -o \
		-path '/var/lib/systemd/*' -o -path '/root/*' \) -prune -o -print | LC_ALL=C sort
}

installed()
{
	files >before
	dpkg -i ./*.deb
	[ "$(dpkg-query -W -f '${db:Status-Status}' hakmemd)" = installed ]
	hakctl --version
	hakrun --help >/dev/null
	hakbench list >/dev/null
}

units()
{
	id hakmem
	systemd-analyze verify --man=no /lib/systemd/system/hakmemd.socket
	[ -L /etc/systemd/system/sockets.target.wants/hakmemd.socket ]
	hakmemd --check-config
}

daemon()
{
	export HAKMEM_SOCKET=/run/try.sock
	hakmemd --socket "$HAKMEM_SOCKET"
	trap 'pkill hakmemd' EXIT
}

serves()
{
	daemon
	hakctl status
	# shellcheck disable=SC2016 # Perl's
	hakrun --daemon -- perl -e 'my @a = map { "x" x $_ } 1 .. 5000; print scalar @a' >out
	[ "$(cat out)" = 5000 ]
	[ "$(hakrun -- perl -e 'print 1')" = 1 ]
}

by_pkg_config()
{
	daemon
	# shellcheck disable=SC2046 # lists of flags
	gcc -Wall -Wextra -Werror $(pkg-config --cflags hakmem) consumer/consumer.c -o c \
		$(pkg-config --libs hakmem)
	[ "$(./c)" = hello ]
	# A static one as well: all of it comes from libc.
	# shellcheck disable=SC2046
	gcc -static $(pkg-config --cflags hakmem) consumer/consumer.c -o c \
		$(pkg-config --static --libs hakmem)
	[ "$(./c)" = hello ]
}

by_cmake()
{
	daemon
	cmake -S consumer -B cmake
	cmake --build cmake
	[ "$(cmake/consumer)" = hello ]
	[ "$(cmake/consumer_cxx)" = hello ]
}

by_python()
{
	daemon
	python3 - <<-'END'
		import hakmem
		with hakmem.Domain("try", create=True) as domain:
		    block = domain.alloc(5)
		    block.view()[:] = b"hello"
		    assert bytes(block.view()) == b"hello"
	END
}

purged()
{
	local left

	rm -rf cmake c out
	dpkg --purge hakmemd libhakclient0 libhakclient-dev hakmem-tools python3-hakmem
	files >after
	# Debian keeps a package's user, and systemd-sysusers rewrites the tables that name it.
	left=$(diff before after | grep -vE '^[<>] /etc/(passwd|group|shadow|gshadow)-?$' |
		grep '^[<>]' || true)
	printf '%s' "$left"
	[ -z "$left" ]
}

"$1"
