#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy and cppcheck find nothing in what is installed. What each is asked, and what not and
# why, is in .clang-tidy, and below.
build=$(cd "$2" && pwd) || exit 1
# shellcheck source=tap.sh
. "$(dirname "$0")/tap.sh"
dirs=(daemon shared libclient tiny tools)

tidied()
{
	local log

	log=$(mktemp) || return
	sources "${dirs[@]/%//*.c}" | sort -u |
		xargs -d '\n' -n 8 -P "$(nproc)" clang-tidy -p "$build" --quiet >"$log" 2>/dev/null
	grep -E '^[^ ]+:[0-9]+:[0-9]+: (warning|error):|^error:' "$log" | sort -u
	rm -f "$log"
}

# objectIndex takes a pointer into the array of lease words for one to a single word.
checked()
{
	cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=objectIndex \
		--template='{file}:{line}: {severity}: {message} [{id}]' --template-location='' \
		-I. -Ilibclient/include "${dirs[@]}"
}

[ -e "$build/compile_commands.json" ] || {
	echo "Bail out! no compile_commands.json in $build"
	exit 1
}
verdict 'clang-tidy finds nothing' tidied
verdict 'cppcheck finds nothing' checked
tap_done
