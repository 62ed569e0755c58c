/* SPDX-License-Identifier: Apache-2.0 */
/* Boost's containers in Boost's shared memory, without a mutex: only one process allocates. */
#include "bench/workloads/shared/map_load.hpp"

#include <boost/functional/hash.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <boost/unordered_map.hpp>

#include <cstdlib>
#include <optional>
#include <string>

namespace ipc = boost::interprocess;

using segment = ipc::basic_managed_shared_memory<
	char, ipc::rbtree_best_fit<ipc::null_mutex_family, ipc::offset_ptr<void>>, ipc::iset_index>;
using entry = std::pair<const uint64_t, uint64_t>;
using entry_allocator = ipc::allocator<entry, segment::segment_manager>;
using ordered_map = ipc::map<uint64_t, uint64_t, std::less<uint64_t>, entry_allocator>;
using hashed_map = boost::unordered_map<uint64_t, uint64_t, boost::hash<uint64_t>,
					std::equal_to<uint64_t>, entry_allocator>;

static constexpr uint64_t room = 1 << 20;
static constexpr uint64_t entry_room = 160; /* a node, what it costs, and its part of the buckets */

static std::optional<segment> memory;
static ordered_map *ordered;
static hashed_map *hashes;

static std::string made;

static void unlink_made()
{
	(void)ipc::shared_memory_object::remove(made.c_str());
}

bool map_make(const char *name, uint64_t entries, bool hashed)
{
	return map_tried([&] {
		made = name;
		(void)std::atexit(unlink_made);
		memory.emplace(ipc::create_only, name, room + entries * entry_room);
		entry_allocator from(memory->get_segment_manager());

		if (hashed)
			hashes = memory->construct<hashed_map>(
				"map")(0, boost::hash<uint64_t>(), std::equal_to<uint64_t>(), from);
		else
			ordered =
				memory->construct<ordered_map>("map")(std::less<uint64_t>(), from);
	});
}

bool map_open(const char *name, bool hashed)
{
	return map_tried([&] {
		memory.emplace(ipc::open_only, name);
		if (hashed)
			hashes = memory->find<hashed_map>("map").first;
		else
			ordered = memory->find<ordered_map>("map").first;
	});
}

bool map_build(uint64_t n, bool hashed)
{
	return map_tried([&] {
		if (hashed)
			map_load_build(*hashes, n);
		else
			map_load_build(*ordered, n);
	});
}

uint64_t map_read(uint64_t n, bool hashed)
{
	return hashed ? map_load_read(*hashes, n) : map_load_read(*ordered, n);
}

void map_close(void)
{
	memory.reset();
}
