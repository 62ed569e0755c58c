/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/shared/memory_boost.h"

#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>

#include <cstdio>
#include <new>
#include <optional>

namespace ipc = boost::interprocess;

template <class Mutexes>
using segment =
	ipc::basic_managed_shared_memory<char, ipc::rbtree_best_fit<Mutexes, ipc::offset_ptr<void>>,
					 ipc::iset_index>;

/* One of the two. */
static std::optional<segment<ipc::mutex_family>> guarded;
static std::optional<segment<ipc::null_mutex_family>> bare;

template <class Call> static int tried(Call call)
{
	try {
		call();
	} catch (const std::exception &e) {
		(void)std::fprintf(stderr, "boost: %s\n", e.what());
		return -1;
	}
	return 0;
}

int boost_make(const char *name, uint64_t bytes, int alone)
{
	return tried([&] {
		if (alone)
			bare.emplace(ipc::create_only, name, bytes);
		else
			guarded.emplace(ipc::create_only, name, bytes);
	});
}

int boost_open(const char *name)
{
	return tried([&] { guarded.emplace(ipc::open_only, name); });
}

void boost_unlink(const char *name)
{
	(void)ipc::shared_memory_object::remove(name);
}

void boost_close(void)
{
	bare.reset();
	guarded.reset();
}

void *memory_alloc(size_t size)
{
	return bare ? bare->allocate(size, std::nothrow) : guarded->allocate(size, std::nothrow);
}

void memory_free(void *p)
{
	if (bare)
		bare->deallocate(p);
	else
		guarded->deallocate(p);
}

/* It knows no owners. Handles are offsets, and never 0: the segment's own data come first. */
uint64_t memory_hand(void *p, uint64_t)
{
	return static_cast<uint64_t>(guarded->get_handle_from_address(p));
}

void *memory_taken(uint64_t name)
{
	return guarded->get_address_from_handle(
		static_cast<segment<ipc::mutex_family>::handle_t>(name));
}
