/* SPDX-License-Identifier: Apache-2.0 */
/* hak_detail(): the words for every reason, each thread's own. */
#include "libclient/detail.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "libclient/include/hakmem.h"
#include "tests/unit/unit.h"

#define MIB (UINT64_C(1) << 20)

static const char *words(int32_t result, uint32_t refusal, uint64_t limit, uint64_t used)
{
	const struct hak_cqe cqe = {
		.result = result, .refusal = refusal, .limit = limit, .used = used
	};
	const struct hak_refused refused = hak_refused_of(&cqe);

	hak_detail_refused(&refused);
	return hak_detail();
}

static void without_a_failure_there_are_no_words(void **state)
{
	assert_string_equal(hak_detail(), "");
}

static void every_reason_has_its_words(void **state)
{
	char want[160];

	(void)snprintf(want, sizeof(want),
		       "quota of 512 MiB reached by uid %u (510 MiB in use; uid-bytes)",
		       (unsigned)geteuid());
	assert_string_equal(words(-EDQUOT, HAK_REFUSAL_UID_BYTES, 512 * MIB, 510 * MIB), want);
	assert_string_equal(words(-EDQUOT, HAK_REFUSAL_SESSION_BYTES, 2048 * MIB, 0),
			    "quota of 2 GiB reached by this process (0 MiB in use; session-bytes)");
	assert_string_equal(
		words(-ENOMEM, HAK_REFUSAL_TOTAL_BYTES, 1026 * MIB, 1024 * MIB),
		"limit of 1026 MiB for all processes reached (1 GiB in use; total-bytes)");
	assert_string_equal(words(-ENOMEM, HAK_REFUSAL_ADDRESSES, 0, 0),
			    "no neighbouring superslabs for so large a block are free");
	assert_string_equal(words(-ENOMEM, HAK_REFUSAL_MEMORY, 0, 0),
			    "the machine has no memory to give");
	/* From an older daemon, and from a newer one. */
	assert_string_equal(words(-EDQUOT, 0, 0, 0), "refused by hakmemd: Disk quota exceeded");
	assert_string_equal(words(-ENOMEM, 99, 1, 2), "refused by hakmemd: Cannot allocate memory");
}

/* Whatever numbers a daemon sends, the text ends within its buffer. */
static void absurd_numbers_make_a_text_that_ends(void **state)
{
	for (uint32_t refusal = 0; refusal < 12; refusal++) {
		const char *text = words(INT32_MIN, refusal, UINT64_MAX, UINT64_MAX);

		assert_true(strlen(text) > 10 && strlen(text) < 128);
	}
}

static void wrong_arguments_are_explained(void **state)
{
	struct hak_info info = { .size = 3 };
	struct hak_options options = { .size = sizeof(options), .mode = 77 };

	errno = 0;
	assert_null(hak_aligned_alloc(24, 8));
	assert_int_equal(errno, EINVAL);
	assert_string_equal(hak_detail(), "the alignment is not a power of two");
	assert_int_equal(hak_info_get(&info), -EINVAL);
	assert_string_equal(hak_detail(), "hak_info.size is not the size of a struct hak_info");
	assert_int_equal(hak_init(&options), -EINVAL);
	assert_string_equal(hak_detail(), "hak_init: size, mode, node or socket is out of range");
	/* The last failure counts. */
	assert_non_null(strstr(words(-ENOMEM, HAK_REFUSAL_MEMORY, 0, 0), "no memory"));
}

static void *other_thread(void *arg)
{
	(void)arg;
	assert_string_equal(hak_detail(), "");
	hak_detail_say("of the other");
	assert_string_equal(hak_detail(), "of the other");
	return NULL;
}

static void each_thread_has_its_own(void **state)
{
	const char *mine = words(-ENOMEM, HAK_REFUSAL_MEMORY, 0, 0);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(mine, "the machine has no memory to give");
	assert_string_equal(hak_detail(), "the machine has no memory to give");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_failure_there_are_no_words),
		cmocka_unit_test(every_reason_has_its_words),
		cmocka_unit_test(absurd_numbers_make_a_text_that_ends),
		cmocka_unit_test(wrong_arguments_are_explained),
		cmocka_unit_test(each_thread_has_its_own),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("detail", tests, NULL, NULL);
}
