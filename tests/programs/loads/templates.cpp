/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Much to instantiate for the compiler, much to allocate for the program: containers of containers,
 * regular expressions, variants, shared pointers, threads, polymorphic allocators, exceptions.
 * It prints figures which depend on nothing but this file.
 */
#include <algorithm>
#include <any>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace
{

/* Its own generator: distributions differ between libraries. */
class numbers
{
      public:
	explicit numbers(unsigned seed) : engine(seed)
	{
	}
	unsigned below(unsigned limit)
	{
		return static_cast<unsigned>(engine() % limit);
	}

      private:
	std::mt19937_64 engine;
};

struct alignas(128) wide {
	unsigned char bytes[128];
};

using value = std::variant<int, double, std::string, std::vector<int>, std::map<std::string, int>>;

template <std::size_t... I> auto tuples(std::index_sequence<I...>)
{
	return std::make_tuple(std::map<std::string, std::array<int, I + 1>>{ { "k", {} } }...);
}

std::size_t size_of(const value &v)
{
	return std::visit(
		[](const auto &x) -> std::size_t {
			if constexpr (requires { x.size(); })
				return x.size();
			else
				return static_cast<std::size_t>(x);
		},
		v);
}

std::size_t variants(unsigned seed)
{
	numbers random(seed);
	std::deque<value> all;
	std::size_t sum = 0;

	for (int i = 0; i < 40000; i++) {
		switch (random.below(5)) {
		case 0:
			all.emplace_back(i);
			break;
		case 1:
			all.emplace_front(i / 2.0);
			break;
		case 2:
			all.emplace_back(std::string(random.below(300), 'x'));
			break;
		case 3:
			all.emplace_back(std::vector<int>(random.below(200), i));
			break;
		default:
			all.emplace_back(
				std::map<std::string, int>{ { "a", i }, { std::to_string(i), 1 } });
		}
		if (all.size() > 5000 && random.below(3) == 0)
			all.pop_front();
	}
	for (const value &v : all)
		sum += size_of(v);
	return sum;
}

std::size_t trees(unsigned seed)
{
	numbers random(seed);
	std::map<std::string, std::unordered_map<int, std::set<std::string>>> tree;
	std::size_t sum = 0;

	for (int i = 0; i < 60000; i++) {
		auto &leaf = tree["branch" + std::to_string(random.below(200))][i % 37];

		leaf.insert("leaf" + std::to_string(random.below(1000)));
		if (random.below(50) == 0)
			tree.erase("branch" + std::to_string(random.below(200)));
	}
	for (const auto &[name, inner] : tree)
		for (const auto &[key, leaves] : inner)
			sum += name.size() * leaves.size() + static_cast<unsigned>(key);
	return sum;
}

std::string expressions()
{
	const std::regex word(R"(([a-z]+)(\d{1,3})(?:-(x+))?)");
	std::string text;
	std::size_t found = 0;

	for (int i = 0; i < 1500; i++)
		text += "word" + std::to_string(i % 700) + (i % 3 ? "-xx " : " ");
	for (std::sregex_iterator m(text.begin(), text.end(), word), end; m != end; ++m)
		found += m->str(1).size() + m->str(3).size();
	return std::to_string(found) + " " +
	       std::to_string(std::regex_replace(text, word, "<$2$1>").size());
}

std::size_t pooled(unsigned seed)
{
	std::pmr::synchronized_pool_resource pool;
	std::pmr::vector<std::pmr::string> strings(&pool);
	numbers random(seed);

	for (int i = 0; i < 30000; i++)
		strings.emplace_back(random.below(120), 'p');
	std::ranges::sort(strings, std::greater{}, &std::pmr::string::size);
	return static_cast<std::size_t>(
		std::ranges::count_if(strings, [](const auto &s) { return s.size() > 100; }));
}

/* What one thread allocates another frees. */
std::size_t handed_over()
{
	std::vector<std::future<std::vector<std::shared_ptr<std::list<int>>>>> makers;
	std::size_t sum = 0;

	for (unsigned t = 0; t < 4; t++)
		makers.push_back(std::async(std::launch::async, [t] {
			std::vector<std::shared_ptr<std::list<int>>> made;

			for (unsigned i = 0; i < 4000; i++)
				made.push_back(std::make_shared<std::list<int>>(
					i % 20, static_cast<int>(t)));
			return made;
		}));
	for (auto &maker : makers)
		for (const auto &list : maker.get())
			sum += list->size();
	return sum;
}

int thrown()
{
	int caught = 0;

	for (int i = 0; i < 2000; i++) {
		try {
			std::any held = std::string(static_cast<std::size_t>(i), 'e');

			if (i % 2)
				throw std::runtime_error(std::any_cast<std::string>(held));
			(void)std::any_cast<int>(held);
		} catch (const std::bad_any_cast &) {
			caught++;
		} catch (const std::exception &e) {
			caught += std::string(e.what()).size() == static_cast<std::size_t>(i)
					  ? 1
					  : -1000;
		}
	}
	return caught;
}

bool aligned()
{
	std::vector<std::unique_ptr<wide[]>> all;

	for (std::size_t n = 1; n < 200; n++) {
		all.push_back(std::make_unique<wide[]>(n));
		if (reinterpret_cast<std::uintptr_t>(all.back().get()) % alignof(wide))
			return false;
	}
	return true;
}

} /* namespace */

int main()
{
	const auto maps = tuples(std::make_index_sequence<12>{});
	std::ostringstream out;
	std::vector<std::thread> threads;
	std::vector<std::size_t> sums(8);

	for (unsigned t = 0; t < 4; t++)
		threads.emplace_back([t, &sums] {
			sums[t * 2] = variants(t);
			sums[t * 2 + 1] = trees(t);
		});
	for (std::thread &thread : threads)
		thread.join();
	out << "sums";
	for (std::size_t sum : sums)
		out << ' ' << sum;
	out << "\nexpressions " << expressions() << "\npooled " << pooled(7) << "\nhanded over "
	    << handed_over() << "\nthrown " << thrown() << "\naligned " << aligned() << "\ntuples "
	    << std::tuple_size_v<std::remove_cv_t<decltype(maps)>> << '\n';
	std::cout << out.str();
	return 0;
}
