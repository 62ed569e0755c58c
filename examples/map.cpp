/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.cpp - a std::map that several processes read.
 *
 *	map write apple=3 pear=5	makes a map and names it, in place of the one before
 *	map read apple plum		looks words up in the map of that name
 *	map remove			takes all of it away
 *
 * A domain lies at the same address in every process, so a map with its nodes and strings can be
 * read in place: no copy, no parser. The writer puts all of it into one block, and names the block
 * when it is complete: readers see the old map or the new one, and it outlives the writer.
 */
#include <cstddef>
#include <functional>
#include <iostream>
#include <map>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <string_view>

#include <hakmem.hpp>

/* std::less<> compares with a string_view, so that a look-up allocates nothing. */
using dictionary = std::pmr::map<std::pmr::string, int, std::less<>>;

/* A map at the beginning of its block, and room for what it allocates behind it. */
struct block {
	static constexpr std::size_t room = 1 << 20;

	std::pmr::monotonic_buffer_resource arena;
	dictionary map;
	alignas(std::max_align_t) char bytes[room];

	/* The null resource: what does not fit throws, nothing is ever outside of this block. */
	block() : arena(bytes, room, std::pmr::null_memory_resource()), map(&arena)
	{
	}
};

static void write(const hakmem::domain &domain, char **words)
{
	auto next = hakmem::make_owned<block>(domain);

	for (; *words; words++) {
		std::string_view word = *words;
		std::size_t equals = word.find('=');

		if (equals == word.npos)
			throw std::invalid_argument(std::string(word) + ": no =");
		next->map.emplace(word.substr(0, equals),
				  std::stoi(std::string(word.substr(equals + 1))));
	}
	/* Of two writers at once one finds the name changed, looks again, and comes second. */
	hak_ref old = domain.root("fruit");
	while (!domain.set_root("fruit", std::move(next), old))
		old = domain.root("fruit");
	/* The old map stays until the domain goes: some reader may be in the midst of it. Where
	 * maps change all the time, readers tell the writer which one they are done with. */
}

static void read(const hakmem::domain &domain, char **words)
{
	hak_ref ref = domain.root("fruit");

	if (!ref)
		throw std::runtime_error("there is no map");
	/* A ref is checked: null, not a wild pointer, if somebody freed the block. */
	auto *found = domain.find<const block>(ref);
	if (!found)
		throw std::runtime_error("the map has just been freed");
	for (; *words; words++) {
		auto entry = found->map.find(std::string_view(*words));

		std::cout << *words << ": ";
		if (entry == found->map.end())
			std::cout << "not there\n";
		else
			std::cout << entry->second << '\n';
	}
	std::cout << "of " << found->map.size() << '\n';
}

int main(int argc, char **argv)
{
	std::string_view action = argc > 1 ? argv[1] : "";

	try {
		if (action == "write")
			write(hakmem::domain("map", HAK_CREATE), argv + 2);
		else if (action == "read")
			/* Read-only: a bug in here can not harm the map. */
			read(hakmem::domain("map", HAK_RDONLY), argv + 2);
		else if (action == "remove")
			hakmem::domain::unlink("map");
		else
			throw std::invalid_argument("map write WORD=N... | read WORD... | remove");
	} catch (const std::exception &e) {
		std::cerr << "map: " << e.what() << '\n';
		return 1;
	}
	return 0;
}
