/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem_domain.hpp - the shared domains of hakmem.h for C++17. <hakmem.hpp> includes it.
 *
 *	hakmem::domain                      a membership, closed when it goes
 *	hakmem::owned<T>                    one T in a block that this process owns
 *	hakmem::channel                     sends and receives owned<T>
 *	hakmem::domain_resource             a std::pmr::memory_resource
 *	hakmem::domain_allocator<T>         for containers that take their allocator as a type
 *	hakmem::domain_offset_allocator<T>  the same, with pointers that are relative: offset_ptr<T>
 *
 * What fails throws std::system_error with the code of hakmem.h and the words of hak_detail(), or
 * std::bad_alloc where memory is short. None may be used in a child after fork() but to be
 * destroyed, where it owns no blocks: the child opens the domain itself.
 */
#ifndef HAKMEM_DOMAIN_HPP
#define HAKMEM_DOMAIN_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <hakmem.h>
#include <hakmem_offset.hpp>

namespace hakmem
{

/* What hakmem.h reports as -errno, with hak_detail()'s words where there are some. */
[[noreturn]] inline void fail(int error, const std::string &what)
{
	const char *detail = hak_detail();

	throw std::system_error(error, std::generic_category(),
				*detail ? what + ": " + detail : what);
}

/* `r` is a result of hakmem.h. */
inline void check(int r, const char *what)
{
	if (r < 0)
		fail(-r, what);
}

inline void *allocate(hak_domain *domain, std::size_t bytes, std::size_t alignment)
{
	void *p = alignment <= 16 ? hak_domain_alloc(domain, bytes)
				  : hak_domain_aligned_alloc(domain, alignment, bytes);

	if (!p && errno != ENOMEM)
		fail(errno, "hak_domain_alloc");
	if (!p)
		throw std::bad_alloc();
	return p;
}

template <typename T> class owned;

/* A handle of the calling process's membership; what was made with it must go before it does. */
class domain
{
	hak_domain *handle_ = nullptr;

      public:
	domain() noexcept = default;
	/* flags: enum hak_domain_flags. */
	explicit domain(const std::string &name, unsigned flags = 0,
			const hak_domain_attr *attr = nullptr)
	{
		int r = hak_domain_open(&handle_, name.c_str(), flags, attr);

		if (r < 0)
			fail(-r, "domain " + name);
	}
	domain(domain &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
	{
	}
	domain &operator=(domain &&other) noexcept
	{
		std::swap(handle_, other.handle_);
		return *this;
	}
	~domain()
	{
		hak_domain_close(handle_);
	}

	static void unlink(const std::string &name)
	{
		int r = hak_domain_unlink(name.c_str());

		if (r < 0)
			fail(-r, "domain " + name);
	}

	hak_domain *get() const noexcept
	{
		return handle_;
	}
	explicit operator bool() const noexcept
	{
		return handle_ != nullptr;
	}
	hak_member self() const noexcept
	{
		return hak_self(handle_);
	}
	bool has(const void *p) const noexcept
	{
		return hak_domain_has(handle_, p) == 1;
	}

	/* The block of a ref. Null: it has been freed. */
	template <typename T> T *find(hak_ref ref) const
	{
		void *p = hak_ref_get(handle_, ref);

		if (!p && errno != ESTALE)
			fail(errno, "hak_ref_get");
		return static_cast<T *>(p);
	}
	hak_ref ref_of(const void *p) const
	{
		hak_ref ref = hak_ref_of(handle_, p);

		if (!ref)
			fail(EINVAL, "hak_ref_of");
		return ref;
	}

	/* A published block, now the caller's. Empty: somebody was faster, or it has been freed. */
	template <typename T> owned<T> claim(hak_ref ref) const;

	/* What a name stands for; 0: nothing. */
	hak_ref root(const std::string &name) const noexcept
	{
		return hak_root_get(handle_, name.c_str());
	}
	/* False: the name does not stand for `expected` any more. */
	bool set_root(const std::string &name, hak_ref ref, hak_ref expected = 0) const
	{
		int r = hak_root_set(handle_, name.c_str(), ref, expected);

		if (r < 0 && r != -EAGAIN)
			fail(-r, "root " + name);
		return r >= 0;
	}
	/* Publishes and names the block in one step; it stays the caller's if this is false. */
	template <typename T>
	bool set_root(const std::string &name, owned<T> &&block, hak_ref expected = 0) const;
};

/*
 * Containers of one process in a domain. A container that lies in a domain may be read by every
 * member, as all pointers in it are valid there, but only be changed by who made it: its resource
 * is an object of that process. Its blocks go with their owner, see hak_publish().
 */
class domain_resource final : public std::pmr::memory_resource
{
	hak_domain *domain_;

	void *do_allocate(std::size_t bytes, std::size_t alignment) override
	{
		return hakmem::allocate(domain_, bytes, alignment);
	}

	void do_deallocate(void *p, std::size_t, std::size_t) override
	{
		hak_domain_free(domain_, p);
	}

	bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
	{
		auto *resource = dynamic_cast<const domain_resource *>(&other);

		return resource && resource->domain_ == domain_;
	}

      public:
	explicit domain_resource(const domain &domain) noexcept : domain_(domain.get())
	{
	}
};

/* For containers that take their allocator as a type; equal if they are of the same handle. */
template <typename T, typename Pointer> class basic_domain_allocator
{
	template <typename, typename> friend class basic_domain_allocator;

	hak_domain *domain_;

      public:
	using value_type = T;
	using pointer = Pointer;
	using propagate_on_container_move_assignment = std::true_type;
	using propagate_on_container_swap = std::true_type;
	template <typename U> struct rebind {
		using other = basic_domain_allocator<
			U, typename std::pointer_traits<Pointer>::template rebind<U>>;
	};

	basic_domain_allocator(const domain &domain) noexcept : domain_(domain.get())
	{
	}
	template <typename U, typename P>
	basic_domain_allocator(const basic_domain_allocator<U, P> &other) noexcept
	    : domain_(other.domain_)
	{
	}

	Pointer allocate(std::size_t n)
	{
		if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
			throw std::bad_array_new_length();
		return Pointer(
			static_cast<T *>(hakmem::allocate(domain_, n * sizeof(T), alignof(T))));
	}
	void deallocate(const Pointer &p, std::size_t) noexcept
	{
		hak_domain_free(domain_, std::addressof(*p));
	}

	template <typename U, typename P>
	bool operator==(const basic_domain_allocator<U, P> &other) const noexcept
	{
		return domain_ == other.domain_;
	}
	template <typename U, typename P>
	bool operator!=(const basic_domain_allocator<U, P> &other) const noexcept
	{
		return domain_ != other.domain_;
	}
};

template <typename T> using domain_allocator = basic_domain_allocator<T, T *>;
/* For containers that keep their allocator's kind of pointer, in libstdc++ 12 vector and deque. Its
 * forward_list and unordered_map have plain pointers inside, its list and map do not compile. */
template <typename T> using domain_offset_allocator = basic_domain_allocator<T, offset_ptr<T>>;

/* A T in a block of its own, which the calling process owns: as a unique_ptr. */
template <typename T> class owned
{
	static_assert(!std::is_array_v<T>, "one object a block");

	hak_domain *domain_ = nullptr;
	T *p_ = nullptr;

      public:
	owned() noexcept = default;
	/* Takes over a block that the caller owns and that has a T in it. */
	owned(hak_domain *domain, T *p) noexcept : domain_(domain), p_(p)
	{
	}
	owned(owned &&other) noexcept : domain_(other.domain_), p_(other.release())
	{
	}
	owned &operator=(owned &&other) noexcept
	{
		owned taken(std::move(other));

		std::swap(domain_, taken.domain_);
		std::swap(p_, taken.p_);
		return *this;
	}
	~owned()
	{
		reset();
	}

	T *get() const noexcept
	{
		return p_;
	}
	T &operator*() const noexcept
	{
		return *p_;
	}
	T *operator->() const noexcept
	{
		return p_;
	}
	explicit operator bool() const noexcept
	{
		return p_ != nullptr;
	}
	/* The block is still the process's, and the caller's to look after. */
	T *release() noexcept
	{
		return std::exchange(p_, nullptr);
	}
	void reset() noexcept
	{
		if (!p_)
			return;
		p_->~T();
		hak_domain_free(domain_, release());
	}

	hak_ref ref() const
	{
		hak_ref ref = hak_ref_of(domain_, p_);

		if (!ref)
			fail(EINVAL, "hak_ref_of");
		return ref;
	}
	/* Nobody's from here on; the name to find it by. */
	hak_ref publish()
	{
		hak_ref name = ref();

		check(hak_publish(domain_, p_), "hak_publish");
		release();
		return name;
	}
	/* If it throws, the block is still the caller's: `no_such_process`, the member has gone. */
	void give(hak_member to)
	{
		check(hak_give(domain_, p_, to), "hak_give");
		release();
	}
};

/* The arguments are those of T's constructor. */
template <typename T, typename... Args> owned<T> make_owned(const domain &domain, Args &&...args)
{
	void *p = allocate(domain.get(), sizeof(T), alignof(T));

	try {
		return owned<T>(domain.get(), new (p) T(std::forward<Args>(args)...));
	} catch (...) {
		hak_domain_free(domain.get(), p);
		throw;
	}
}

template <typename T> owned<T> domain::claim(hak_ref ref) const
{
	T *p = find<T>(ref);
	int r = p ? hak_claim(handle_, p) : 0;

	if (r < 0 && r != -EALREADY && r != -EINVAL)
		fail(-r, "hak_claim");
	if (!p || r < 0)
		return {};
	/* Between the two calls another may have claimed and freed it, and the block been used
	 * again: then what was claimed is not what the ref is of, and nobody's loss either. */
	owned<T> block(handle_, p);
	if (find<T>(ref) != p) {
		check(hak_publish(handle_, block.release()), "hak_publish");
		return {};
	}
	return block;
}

template <typename T>
bool domain::set_root(const std::string &name, owned<T> &&block, hak_ref expected) const
{
	bool done = set_root(name, block.ref(), expected);

	if (done)
		block.release();
	return done;
}

/*
 * One end of a channel, or both. A T travels as it is, in its block alone: it may not own others,
 * which would stay behind with their owner, and must mean the same in every program that uses the
 * channel.
 */
class channel
{
	hak_domain *domain_ = nullptr;
	hak_channel *handle_ = nullptr;

      public:
	channel() noexcept = default;
	/* flags: HAK_SEND, HAK_RECV or both. */
	channel(const domain &domain, const std::string &name, unsigned flags,
		std::uint32_t capacity = 0)
	    : domain_(domain.get())
	{
		int r = hak_channel_open(&handle_, domain_, name.c_str(), capacity, flags);

		if (r < 0)
			fail(-r, "channel " + name);
	}
	channel(channel &&other) noexcept
	    : domain_(other.domain_), handle_(std::exchange(other.handle_, nullptr))
	{
	}
	channel &operator=(channel &&other) noexcept
	{
		std::swap(domain_, other.domain_);
		std::swap(handle_, other.handle_);
		return *this;
	}
	~channel()
	{
		hak_channel_close(handle_);
	}

	hak_channel *get() const noexcept
	{
		return handle_;
	}

	/* False: full for timeout_ms (-1: waits for ever, 0: not at all), and the block is still
	 * the caller's, as it is when this throws: `broken_pipe`, all receivers have gone. */
	template <typename T> bool send(owned<T> &&block, int timeout_ms = -1) const
	{
		static_assert(std::is_trivially_destructible_v<T>, "a T that may own other blocks");
		int r = hak_channel_send(handle_, block.get(), timeout_ms);

		if (r == -EAGAIN || r == -ETIMEDOUT)
			return false;
		check(r, "hak_channel_send");
		block.release();
		return true;
	}

	/* Empty: nothing came. Throws: `broken_pipe`, nothing is there and all senders have gone;
	 * `message_size`, it was too small for a T, and has been freed. */
	template <typename T> owned<T> recv(int timeout_ms = -1) const
	{
		static_assert(std::is_trivially_destructible_v<T>, "a T that may own other blocks");
		void *p = nullptr;
		int r = hak_channel_recv(handle_, &p, timeout_ms);

		if (r == -EAGAIN || r == -ETIMEDOUT)
			return {};
		check(r, "hak_channel_recv");
		if (hak_domain_usable_size(domain_, p) < sizeof(T)) {
			hak_domain_free(domain_, p);
			fail(EMSGSIZE, "hak_channel_recv");
		}
		return owned<T>(domain_, static_cast<T *>(p));
	}
};

} /* namespace hakmem */

#endif
