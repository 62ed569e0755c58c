/* SPDX-License-Identifier: Apache-2.0 */
/* The standard containers in a domain, which lies at the same address in every member: plain
 * pointers will do. */
#include "bench/workloads/shared/map_load.hpp"

#include <functional>
#include <map>
#include <new>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "libclient/include/hakmem.h"

static hak_domain *domain;

/* Without state: each process has its own handle of the domain. */
template <class T> struct domain_allocator {
	using value_type = T;

	domain_allocator() = default;
	template <class U> domain_allocator(const domain_allocator<U> &)
	{
	}

	T *allocate(std::size_t n)
	{
		void *p = hak_domain_alloc(domain, n * sizeof(T));

		if (!p)
			throw std::bad_alloc();
		return static_cast<T *>(p);
	}

	void deallocate(T *p, std::size_t)
	{
		hak_domain_free(domain, p);
	}

	template <class U> bool operator==(const domain_allocator<U> &) const
	{
		return true;
	}

	template <class U> bool operator!=(const domain_allocator<U> &) const
	{
		return false;
	}
};

using entry_allocator = domain_allocator<std::pair<const uint64_t, uint64_t>>;
using ordered_map = std::map<uint64_t, uint64_t, std::less<uint64_t>, entry_allocator>;
/* As boost::hash does: a number is its own hash. */
using hashed_map = std::unordered_map<uint64_t, uint64_t, std::hash<uint64_t>,
				      std::equal_to<uint64_t>, entry_allocator>;

static ordered_map *ordered;
static hashed_map *hashes;

static void must(int r, const char *what)
{
	if (r)
		throw std::runtime_error(what);
}

static void *map_place(std::size_t size)
{
	void *p = hak_domain_alloc(domain, size);

	if (!p)
		throw std::bad_alloc();
	return p;
}

bool map_make(const char *name, uint64_t, bool hashed)
{
	return map_tried([&] {
		hak_domain_attr attr = {};
		void *root;

		attr.size = sizeof(attr);
		attr.lifetime = HAK_LIFETIME_MEMBERS;
		must(hak_domain_open(&domain, name, HAK_CREATE | HAK_EXCL, &attr),
		     "the domain cannot be made");
		if (hashed)
			root = hashes = new (map_place(sizeof(*hashes))) hashed_map;
		else
			root = ordered = new (map_place(sizeof(*ordered))) ordered_map;
		must(hak_root_set(domain, "map", hak_ref_of(domain, root), 0),
		     "the map cannot be named");
	});
}

bool map_open(const char *name, bool hashed)
{
	return map_tried([&] {
		must(hak_domain_open(&domain, name, 0, nullptr), "the domain cannot be joined");
		void *root = hak_ref_get(domain, hak_root_get(domain, "map"));

		if (!root)
			throw std::runtime_error("there is no map");
		if (hashed)
			hashes = static_cast<hashed_map *>(root);
		else
			ordered = static_cast<ordered_map *>(root);
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
	domain = hak_domain_close(domain);
}
