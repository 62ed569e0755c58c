/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem.hpp - hakmem for C++17: the process heap for containers, and shared domains.
 *
 *	hakmem::heap_resource()          a std::pmr::memory_resource, the same object for everyone
 *	hakmem::allocator<T>             for containers that take their allocator as a type
 *	hakmem::domain and its kin       in <hakmem_domain.hpp>
 *
 * The first two are stateless: memory from one may be given back through the other, or with
 * hak_free(). Thread-safe. They throw std::bad_alloc where memory is short.
 */
#ifndef HAKMEM_HPP
#define HAKMEM_HPP

#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>

#include <hakmem.h>
#include <hakmem_domain.hpp>

namespace hakmem
{

/* A block of at least `bytes`, aligned to `alignment` (a power of two up to 1 GiB). */
inline void *allocate(std::size_t bytes, std::size_t alignment)
{
	void *p = alignment <= 16 ? hak_malloc(bytes) : hak_aligned_alloc(alignment, bytes);

	if (!p)
		throw std::bad_alloc();
	return p;
}

class memory_resource final : public std::pmr::memory_resource
{
	void *do_allocate(std::size_t bytes, std::size_t alignment) override
	{
		return hakmem::allocate(bytes, alignment);
	}

	void do_deallocate(void *p, std::size_t, std::size_t) override
	{
		hak_free(p);
	}

	bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
	{
		return dynamic_cast<const memory_resource *>(&other) != nullptr;
	}
};

/* Lives as long as the program; never null. */
inline std::pmr::memory_resource *heap_resource() noexcept
{
	/* Never destroyed: containers with static storage may outlive any other object. */
	static memory_resource *const resource = new memory_resource;

	return resource;
}

template <typename T> class allocator
{
      public:
	using value_type = T;

	allocator() noexcept = default;
	template <typename U> allocator(const allocator<U> &) noexcept
	{
	}

	T *allocate(std::size_t n)
	{
		if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
			throw std::bad_array_new_length();
		return static_cast<T *>(hakmem::allocate(n * sizeof(T), alignof(T)));
	}

	void deallocate(T *p, std::size_t) noexcept
	{
		hak_free(p);
	}
};

template <typename T, typename U>
bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
	return true;
}

template <typename T, typename U>
bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
	return false;
}

} /* namespace hakmem */

#endif
