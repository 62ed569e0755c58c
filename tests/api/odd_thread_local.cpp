/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C++ objects whose destructors free and allocate when a thread ends, when the process ends, and in
 * a thread that is still running while the process ends.
 */
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/api/blocks.h"

namespace
{

std::atomic<int> destroyed;

struct keeper {
	std::map<std::string, std::vector<std::string>> map;

	keeper()
	{
		for (int i = 0; i < 200; i++)
			map["key number " + std::to_string(i)].assign(
				static_cast<std::size_t>(i % 10), std::string(100, 'x'));
	}

	~keeper()
	{
		CHECK(map.size() == 200);
		map["one more, in the destructor"].emplace_back(3000, 'y');
		blocks_churn(1, 300);
		destroyed++;
	}
};

thread_local keeper of_thread, second_of_thread;
keeper of_process;

std::mutex lock;
std::condition_variable changed;
bool running;

} /* namespace */

int main()
{
	std::vector<std::thread> threads;

	for (int i = 0; i < 16; i++)
		threads.emplace_back([] {
			blocks_churn(of_thread.map.size() + second_of_thread.map.size(), 500);
		});
	for (auto &thread : threads)
		thread.join();
	CHECK(destroyed == 32);

	/* exit() runs under this one, which allocates to the end. */
	std::thread([] {
		{
			std::lock_guard<std::mutex> guard(lock);
			running = true;
		}
		changed.notify_one();
		for (unsigned i = 0;; i++)
			blocks_churn(i, 100);
	}).detach();
	std::unique_lock<std::mutex> guard(lock);
	CHECK(changed.wait_for(guard, std::chrono::milliseconds(API_DEADLINE_MS),
			       [] { return running; }));
	CHECK(of_thread.map.size() == 200 && of_process.map.size() == 200);
	return 0;
}
