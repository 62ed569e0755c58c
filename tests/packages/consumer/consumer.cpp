/* SPDX-License-Identifier: Apache-2.0 */
/* consumer.cpp - a container of the standard library in the process's heap of hakmem. */
#include <cstdio>
#include <hakmem.hpp>
#include <memory_resource>
#include <string>
#include <vector>

int main()
{
	std::pmr::vector<std::pmr::string> words(hakmem::heap_resource());

	for (int i = 0; i < 1000; i++)
		words.emplace_back("a string that is too long to lie in its object");
	std::puts(words.back().size() == 46 ? "hello" : "no");
	return 0;
}
