/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem_offset.hpp - hakmem::offset_ptr<T>, a pointer that is relative to its own address.
 * <hakmem.hpp> includes it.
 */
#ifndef HAKMEM_OFFSET_HPP
#define HAKMEM_OFFSET_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

namespace hakmem
{

/*
 * A pointer as the distance from itself: valid at any address, as long as both ends move together.
 * A domain lies at the same address in every member, so plain pointers do inside of it; this is for
 * blocks that are copied as bytes, to a file or into another domain.
 */
template <typename T> class offset_ptr
{
	/* Not 0, which is a pointer to itself: the end of an empty list may be one. */
	static constexpr std::intptr_t none = 1;

	std::intptr_t offset_ = none;

	void set(const volatile void *p) noexcept
	{
		offset_ = p ? static_cast<std::intptr_t>(reinterpret_cast<std::uintptr_t>(p) -
							 reinterpret_cast<std::uintptr_t>(this))
			    : none;
	}

      public:
	using element_type = T;
	using value_type = std::remove_cv_t<T>;
	using difference_type = std::ptrdiff_t;
	using pointer = T *;
	using reference = std::add_lvalue_reference_t<T>;
	using iterator_category = std::random_access_iterator_tag;
	template <typename U> using rebind = offset_ptr<U>;

	offset_ptr() noexcept = default;
	offset_ptr(std::nullptr_t) noexcept
	{
	}
	offset_ptr(T *p) noexcept
	{
		set(p);
	}
	offset_ptr(const offset_ptr &other) noexcept
	{
		set(other.get());
	}
	template <typename U, typename = std::enable_if_t<std::is_convertible_v<U *, T *>>>
	offset_ptr(const offset_ptr<U> &other) noexcept
	{
		set(static_cast<T *>(other.get()));
	}
	/* From void, and down from a base, by static_cast only. */
	template <typename U, typename = std::enable_if_t<!std::is_convertible_v<U *, T *>>,
		  typename = decltype(static_cast<T *>(std::declval<U *>()))>
	explicit offset_ptr(const offset_ptr<U> &other) noexcept
	{
		set(static_cast<T *>(other.get()));
	}
	offset_ptr &operator=(const offset_ptr &other) noexcept
	{
		set(other.get());
		return *this;
	}

	template <typename U = T> static offset_ptr pointer_to(U &object) noexcept
	{
		return offset_ptr(std::addressof(object));
	}

	T *get() const noexcept
	{
		auto here = reinterpret_cast<std::uintptr_t>(this);

		return offset_ == none
			       ? nullptr
			       : reinterpret_cast<T *>(here + static_cast<std::uintptr_t>(offset_));
	}
	explicit operator bool() const noexcept
	{
		return offset_ != none;
	}
	reference operator*() const noexcept
	{
		return *get();
	}
	T *operator->() const noexcept
	{
		return get();
	}
	template <typename U = T> U &operator[](difference_type i) const noexcept
	{
		return get()[i];
	}

	offset_ptr &operator+=(difference_type n) noexcept
	{
		set(get() + n);
		return *this;
	}
	offset_ptr &operator-=(difference_type n) noexcept
	{
		return *this += -n;
	}
	offset_ptr &operator++() noexcept
	{
		return *this += 1;
	}
	offset_ptr &operator--() noexcept
	{
		return *this += -1;
	}
	offset_ptr operator++(int) noexcept
	{
		offset_ptr before(*this);

		*this += 1;
		return before;
	}
	offset_ptr operator--(int) noexcept
	{
		offset_ptr before(*this);

		*this += -1;
		return before;
	}
	friend offset_ptr operator+(const offset_ptr &p, difference_type n) noexcept
	{
		return offset_ptr(p.get() + n);
	}
	friend offset_ptr operator+(difference_type n, const offset_ptr &p) noexcept
	{
		return offset_ptr(p.get() + n);
	}
	friend offset_ptr operator-(const offset_ptr &p, difference_type n) noexcept
	{
		return offset_ptr(p.get() - n);
	}
	friend difference_type operator-(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return a.get() - b.get();
	}
	friend bool operator==(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return a.get() == b.get();
	}
	friend bool operator!=(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return a.get() != b.get();
	}
	friend bool operator<(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return std::less<const volatile void *>()(a.get(), b.get());
	}
	friend bool operator>(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return b < a;
	}
	friend bool operator<=(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return !(b < a);
	}
	friend bool operator>=(const offset_ptr &a, const offset_ptr &b) noexcept
	{
		return !(a < b);
	}
};

} /* namespace hakmem */

#endif
