/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operator new and delete in all their forms, as C++17 has them, and what the standard library and
 * the language build on them. Prints TAP; each case is a function that returns or CHECKs.
 */
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <list>
#include <malloc.h>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/api/api.h"

namespace
{

constexpr std::align_val_t wide{ 256 };

/* The 20 replaceable functions, as the x86-64 and AArch64 C++ ABI names them. */
const char *const operators[] = {
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
	"_ZdlPv",
	"_ZdaPv",
	"_ZdlPvm",
	"_ZdaPvm",
	"_ZdlPvRKSt9nothrow_t",
	"_ZdaPvRKSt9nothrow_t",
	"_ZdlPvSt11align_val_t",
	"_ZdaPvSt11align_val_t",
	"_ZdlPvmSt11align_val_t",
	"_ZdaPvmSt11align_val_t",
	"_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

void operators_come_from_the_preloaded_library()
{
	for (const char *name : operators) {
		Dl_info info{};
		void *address = api_symbol(name);

		CHECK(address != nullptr);
		CHECK(dladdr(address, &info) != 0);
		if ((strstr(info.dli_fname, "libhakmalloc.so") != nullptr) !=
		    (api_preloaded() != 0)) {
			std::fprintf(stderr, "# %s comes from %s\n", name, info.dli_fname);
			CHECK(!"operator from the right library");
		}
	}
}

void check_block(void *p, std::size_t size, std::size_t align)
{
	CHECK(p != nullptr);
	CHECK((reinterpret_cast<std::uintptr_t>(p) & (align - 1)) == 0);
	CHECK(malloc_usable_size(p) >= size);
	api_fill(p, size, size);
	CHECK(api_filled(p, size, size));
}

void every_new_goes_with_every_delete_of_its_kind()
{
	const std::nothrow_t &quiet = std::nothrow;

	for (std::size_t size : { 0ul, 1ul, 8ul, 24ul, 100ul, 1000ul, 5000ul, 40000ul, 3000000ul })
		for (int i = 0; i < 24; i++) {
			void *p = i % 2 ? ::operator new(size) : ::operator new(size, quiet);
			void *a = i % 2 ? ::operator new[](size) : ::operator new[](size, quiet);
			void *w = i % 2 ? ::operator new(size, wide)
					: ::operator new(size, wide, quiet);
			void *wa = i % 2 ? ::operator new[](size, wide)
					 : ::operator new[](size, wide, quiet);

			check_block(p, size, 16);
			check_block(a, size, 16);
			check_block(w, size, 256);
			check_block(wa, size, 256);
			switch (i % 3) {
			case 0:
				::operator delete(p);
				::operator delete[](a);
				::operator delete(w, wide);
				::operator delete[](wa, wide);
				break;
			case 1:
				::operator delete(p, size);
				::operator delete[](a, size);
				::operator delete(w, size, wide);
				::operator delete[](wa, size, wide);
				break;
			default:
				::operator delete(p, quiet);
				::operator delete[](a, quiet);
				::operator delete(w, wide, quiet);
				::operator delete[](wa, wide, quiet);
			}
		}
}

void delete_takes_null()
{
	::operator delete(api_hide(nullptr));
	::operator delete[](api_hide(nullptr));
	::operator delete (api_hide(nullptr), std::size_t{ 8 });
	::operator delete[](api_hide(nullptr), std::size_t{ 8 });
	::operator delete(api_hide(nullptr), wide);
	::operator delete[](api_hide(nullptr), wide);
	::operator delete(api_hide(nullptr), 8, wide);
	::operator delete[](api_hide(nullptr), 8, wide);
	::operator delete(api_hide(nullptr), std::nothrow);
	::operator delete[](api_hide(nullptr), std::nothrow);
	::operator delete(api_hide(nullptr), wide, std::nothrow);
	::operator delete[](api_hide(nullptr), wide, std::nothrow);
}

void every_alignment_is_kept()
{
	for (std::size_t align = 1; align <= 4 * MIB; align *= 2)
		for (std::size_t size : { 0ul, 1ul, 17ul, 1000ul, 70000ul }) {
			std::align_val_t value{ align };
			void *p[8];

			for (void *&q : p) {
				q = ::operator new(size, value);
				check_block(q, size, align);
			}
			for (void *q : p)
				::operator delete(q, size, value);
		}
}

template <typename F> bool throws_bad_alloc(F f)
{
	try {
		(void)f();
	} catch (const std::bad_alloc &e) {
		return e.what() != nullptr;
	}
	return false;
}

void huge_requests_throw_bad_alloc_or_return_null()
{
	for (std::size_t size : { SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1, SIZE_MAX / 2 }) {
		std::size_t n = api_hide_size(size);

		CHECK(throws_bad_alloc([n] { return api_hide(::operator new(n)); }));
		CHECK(throws_bad_alloc([n] { return api_hide(::operator new[](n)); }));
		CHECK(api_hide(::operator new(n, std::nothrow)) == nullptr);
		CHECK(api_hide(::operator new[](n, std::nothrow)) == nullptr);
		/* libstdc++ 12 rounds the size up to the alignment, to 0, and succeeds. */
		if (!api_preloaded() && n > SIZE_MAX - 256)
			continue;
		CHECK(throws_bad_alloc([n] { return api_hide(::operator new(n, wide)); }));
		CHECK(throws_bad_alloc([n] { return api_hide(::operator new[](n, wide)); }));
		CHECK(api_hide(::operator new(n, wide, std::nothrow)) == nullptr);
		CHECK(api_hide(::operator new[](n, wide, std::nothrow)) == nullptr);
	}
	/* The compiler's own check of new T[n], and a container's. */
	CHECK(throws_bad_alloc([] { return api_hide(new long[api_hide_size(SIZE_MAX / 4)]); }));
	CHECK(throws_bad_alloc([] {
		std::vector<char> v;

		v.reserve(api_hide_size(SIZE_MAX / 2));
		return v.capacity();
	}));
}

int handler_calls;

void handler_that_gives_up()
{
	if (++handler_calls % 3 == 0)
		std::set_new_handler(nullptr);
}

struct handler_error : std::exception {
};

void handler_that_throws()
{
	handler_calls++;
	throw handler_error{};
}

void new_handler_is_called_until_it_gives_up()
{
	std::size_t n = api_hide_size(SIZE_MAX / 2);
	std::function<bool()> forms[] = {
		[n] { return throws_bad_alloc([n] { return api_hide(::operator new(n)); }); },
		[n] { return throws_bad_alloc([n] { return api_hide(::operator new[](n)); }); },
		[n] { return throws_bad_alloc([n] { return api_hide(::operator new(n, wide)); }); },
		[n] {
			return throws_bad_alloc(
				[n] { return api_hide(::operator new[](n, wide)); });
		},
		[n] { return ::operator new(n, std::nothrow) == nullptr; },
		[n] { return ::operator new[](n, std::nothrow) == nullptr; },
		[n] { return ::operator new(n, wide, std::nothrow) == nullptr; },
		[n] { return ::operator new[](n, wide, std::nothrow) == nullptr; },
	};

	for (auto &form : forms) {
		handler_calls = 0;
		std::set_new_handler(handler_that_gives_up);
		CHECK(form());
		CHECK(handler_calls == 3);
	}
}

void new_handler_may_throw()
{
	std::size_t n = api_hide_size(SIZE_MAX / 2);
	int caught = 0;

	handler_calls = 0;
	std::set_new_handler(handler_that_throws);
	try {
		(void)::operator new(n);
	} catch (const handler_error &) {
		caught++;
	}
	std::set_new_handler(nullptr);
	CHECK(caught == 1 && handler_calls == 1);
}

/* A constructor that throws: the matching delete is called by the compiler. */
struct alignas(512) fragile {
	explicit fragile(int how)
	{
		if (how)
			throw how;
	}
	char space[1000];
};

void exceptions_in_constructors_free_the_block()
{
	int caught = 0;

	for (int i = 1; i <= 20000; i++) {
		try {
			delete new fragile(i % 2);
			delete[] new fragile[3]{ fragile(0), fragile(0), fragile(i % 3) };
		} catch (int) {
			caught++;
		}
	}
	CHECK(caught >= 10000);
}

void containers_work()
{
	std::map<std::string, std::vector<int>> map;
	std::unordered_map<int, std::unique_ptr<std::string>> hash;
	std::deque<std::shared_ptr<std::list<long>>> deque;

	for (int i = 0; i < 20000; i++) {
		map["key" + std::to_string(i % 997)].push_back(i);
		hash[i % 4001] =
			std::make_unique<std::string>(static_cast<std::size_t>(i % 300), 'x');
		deque.push_back(std::make_shared<std::list<long>>(i % 7, i));
		if (i % 3 == 0)
			deque.pop_front();
	}
	CHECK(map.size() == 997 && map["key5"][1] == 1002);
	CHECK(hash.size() == 4001 && hash[3]->size() == 16007 % 300);
	for (auto &[key, text] : hash)
		CHECK(text->find_first_not_of('x') == std::string::npos);
	CHECK(deque.back()->size() == 19999 % 7);
}

void polymorphic_resources_work()
{
	std::pmr::synchronized_pool_resource pool{ std::pmr::new_delete_resource() };
	std::pmr::monotonic_buffer_resource arena{ &pool };
	std::pmr::map<int, std::pmr::string> map{ &pool };
	std::pmr::vector<std::pmr::string> vector{ &arena };

	for (int i = 0; i < 5000; i++) {
		map[i] = "a string that is too long for the small buffer " + std::to_string(i);
		vector.emplace_back(map[i]);
		if (i % 2)
			map.erase(i);
	}
	CHECK(map.size() == 2500 && vector.size() == 5000);
	CHECK(vector[4999].substr(47) == "4999");
	for (std::size_t align = 1; align <= 64 * KIB; align *= 4) {
		void *p = std::pmr::new_delete_resource()->allocate(100, align);

		check_block(p, 100, align);
		std::pmr::new_delete_resource()->deallocate(p, 100, align);
	}
}

void exceptions_cross_threads()
{
	std::vector<std::future<std::string>> futures;
	int caught = 0;

	for (int i = 0; i < 32; i++)
		futures.push_back(std::async(std::launch::async, [i] {
			std::string text(static_cast<std::size_t>(i) * 1000, 'y');

			if (i % 2)
				throw std::runtime_error("from thread " + std::to_string(i));
			return text;
		}));
	for (auto &future : futures) {
		try {
			std::string text = future.get();

			CHECK(text.size() % 2000 == 0);
		} catch (const std::runtime_error &e) {
			CHECK(strncmp(e.what(), "from thread", 11) == 0);
			caught++;
		}
	}
	CHECK(caught == 16);
}

struct {
	const char *name;
	void (*run)();
} const cases[] = {
#define CASE(f)       \
	{             \
#f, f \
	}
	CASE(operators_come_from_the_preloaded_library),
	CASE(every_new_goes_with_every_delete_of_its_kind),
	CASE(delete_takes_null),
	CASE(every_alignment_is_kept),
	CASE(huge_requests_throw_bad_alloc_or_return_null),
	CASE(new_handler_is_called_until_it_gives_up),
	CASE(new_handler_may_throw),
	CASE(exceptions_in_constructors_free_the_block),
	CASE(containers_work),
	CASE(polymorphic_resources_work),
	CASE(exceptions_cross_threads),
};

} /* namespace */

/* Each case in a child of its own: one that crashes does not hide the others. */
int main()
{
	int failed = 0, n = 0;

	std::printf("1..%zu\n", API_COUNT(cases));
	for (auto &test : cases) {
		std::fflush(stdout);
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			test.run();
			_exit(0);
		}
		int status = api_wait(pid);
		bool good = api_exited_cleanly(status);

		failed += !good;
		std::printf("%s %d - %s\n", good ? "ok" : "not ok", ++n, test.name);
		if (!good)
			std::printf("# wait status 0x%x\n", static_cast<unsigned>(status));
	}
	return failed ? 1 : 0;
}
