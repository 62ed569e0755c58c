/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem.hpp: containers of both kinds, over-aligned types, failure, equality. TAP; the library is
 * linked, not preloaded.
 */
#include "libclient/include/hakmem.hpp"

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

static int count, failed;

static void verdict(bool ok, const char *name)
{
	std::printf("%sok %d - %s\n", ok ? "" : "not ", ++count, name);
	failed += !ok;
}

struct alignas(64) line {
	char bytes[64];
};

static bool pmr_containers_live_in_the_heap()
{
	std::pmr::map<int, std::pmr::string> map(hakmem::heap_resource());

	for (int i = 0; i < 1000; i++)
		map[i] = std::string(static_cast<std::size_t>(i), 'x').c_str();
	for (int i = 0; i < 1000; i++) {
		if (map[i].size() != static_cast<std::size_t>(i))
			return false;
		if (i > 100 && !hak_owns(map[i].data()))
			return false;
	}
	return true;
}

static bool typed_containers_live_in_the_heap()
{
	std::vector<int, hakmem::allocator<int>> v;

	for (int i = 0; i < 100000; i++)
		v.push_back(i);
	return hak_owns(v.data()) && v[99999] == 99999;
}

static bool alignment_is_kept()
{
	std::vector<line, hakmem::allocator<line>> v(100);
	void *p = hakmem::heap_resource()->allocate(100, 4096);
	bool ok = reinterpret_cast<std::uintptr_t>(v.data()) % 64 == 0 &&
		  reinterpret_cast<std::uintptr_t>(p) % 4096 == 0;

	hakmem::heap_resource()->deallocate(p, 100, 4096);
	return ok;
}

static bool shortage_throws()
{
	hakmem::allocator<line> a;

	try {
		(void)a.allocate(static_cast<std::size_t>(-1) / 64);
	} catch (const std::bad_alloc &) {
		try {
			(void)a.allocate(static_cast<std::size_t>(-1) / 2);
		} catch (const std::bad_array_new_length &) {
			return true;
		}
	}
	return false;
}

static bool all_are_equal()
{
	hakmem::memory_resource other;

	return other.is_equal(*hakmem::heap_resource()) &&
	       !other.is_equal(*std::pmr::new_delete_resource()) &&
	       hakmem::allocator<int>() == hakmem::allocator<char>();
}

int main()
{
	verdict(pmr_containers_live_in_the_heap(), "pmr containers live in the heap");
	verdict(typed_containers_live_in_the_heap(), "typed containers live in the heap");
	verdict(alignment_is_kept(), "alignment is kept");
	verdict(shortage_throws(), "shortage throws bad_alloc");
	verdict(all_are_equal(), "all of them are equal");
	std::printf("1..%d\n", count);
	return failed != 0;
}
