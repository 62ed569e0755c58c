/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>

#include "tiny/lock.h"

#define THREADS 4
#define ROUNDS  50000

static struct hak_lock lock;
static uint64_t counter; /* under the lock */

static void a_zeroed_one_is_free(void **state)
{
	(void)state;
	assert_true(hak_lock_try(&lock));
	assert_false(hak_lock_try(&lock));
	hak_lock_drop(&lock);
	assert_true(hak_lock_try(&lock));
	hak_lock_drop(&lock);
	assert_int_equal(lock.word, 0);
}

static void *count(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		hak_lock_take(&lock);
		counter++;
		hak_lock_drop(&lock);
	}
	return unused;
}

static void one_thread_at_a_time(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(counter, (uint64_t)THREADS * ROUNDS);
	assert_int_equal(lock.word, 0);
}

static void *take_once(void *unused)
{
	hak_lock_take(&lock);
	counter++;
	hak_lock_drop(&lock);
	return unused;
}

/* Held until a waiter has said in the word that it goes to sleep: it must be woken. */
static void a_sleeper_is_woken(void **state)
{
	pthread_t thread[2];

	(void)state;
	counter = 0;
	hak_lock_take(&lock);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_once, NULL), 0);
	while (lock.word != 2)
		(void)sched_yield();
	assert_int_equal(counter, 0);
	hak_lock_drop(&lock);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(counter, 2);
	assert_int_equal(lock.word, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zeroed_one_is_free),
		cmocka_unit_test(one_thread_at_a_time),
		cmocka_unit_test(a_sleeper_is_woken),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
