# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the families of compilers: with and without the library they must make the same
# objects, byte for byte. LOAD_CC and LOAD_CXX are the commands, LOAD_CC1 and LOAD_CC1XX the
# programs which do the work behind them.

# A copy, so that both sides read the same even while somebody edits it. Both compile in this
# folder, whose name is part of the debug information.
LOAD_SOURCES=$WORK/$FAMILY.sources
mkdir "$LOAD_SOURCES"
(cd "$ROOT" && cp -r --parents -t "$LOAD_SOURCES" shared tiny libclient daemon tools)
cp "$HERE/loads/templates.cpp" "$LOAD_SOURCES"

project()
{
	local objects=$PWD source flags=(-std=gnu17 -D_GNU_SOURCE -fPIC -I. -Ilibclient/include)

	evidence_of cc "$LOAD_CC1" "$LOAD_CC" -fsyntax-only -x c /dev/null
	cd "$LOAD_SOURCES" || exit
	find . -name '*.c' -printf '%P\n' | sort >"$objects/list"
	while read -r source; do
		"$LOAD_CC" "${flags[@]}" -O2 -g -c "$source" -o "$objects/${source//\//-}.o"
	done <"$objects/list"
	cd "$objects" || exit
	sha256sum ./*.o
}

templates()
{
	local objects=$PWD

	evidence_of cxx "$LOAD_CC1XX" "$LOAD_CXX" -fsyntax-only -x c++ /dev/null
	cd "$LOAD_SOURCES" || exit
	"$LOAD_CXX" -std=c++20 -O2 -c templates.cpp -o "$objects/templates.o"
	cd "$objects" || exit
	"$LOAD_CXX" -o templates templates.o -pthread
	sha256sum templates.o templates
	evidence_of program templates ./templates
	./templates
}

same 120 "objects of this project's sources, byte for byte" project
same 120 "a C++ file heavy with templates: object, program and what it prints" templates
