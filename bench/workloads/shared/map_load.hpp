/* SPDX-License-Identifier: Apache-2.0 */
/* map_load.hpp - the same work for every kind of map. */
#ifndef BENCH_SHARED_MAP_LOAD_HPP
#define BENCH_SHARED_MAP_LOAD_HPP

#include <cstdio>
#include <exception>

#include "bench/workloads/shared/map_side.h"

template <class Map> void map_load_build(Map &map, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		map.emplace(map_key(i), i);
}

/* i * STEP + n / 3 mod n comes to every entry, if STEP, a prime, does not divide n; or to some more
 * often. */
template <class Map> uint64_t map_load_read(const Map &map, uint64_t n)
{
	constexpr uint64_t step = 1000003;
	uint64_t found = 0;

	for (uint64_t i = 0, at = n / 3; i < n; i++, at = (at + step) % n) {
		auto entry = map.find(map_key(at));

		found += entry != map.end() && entry->second == at;
	}
	return found;
}

template <class Call> bool map_tried(Call call)
{
	try {
		call();
	} catch (const std::exception &e) {
		(void)std::fprintf(stderr, "%s\n", e.what());
		return false;
	}
	return true;
}

#endif
