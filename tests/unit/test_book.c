/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/book.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit/unit.h"

#define SIZE UINT64_C(8192)
#define LIFE UINT64_C(0x1122334455667788)

struct text {
	struct book_head head;
	uint64_t fixed[3];
	uint64_t variable;
	uint64_t bits[4];
};
#define FIXED offsetof(struct text, variable)

static struct text *make(struct book *book)
{
	struct text *text;

	assert_int_equal(book_new(book, BOOK_SESSION, 7, LIFE, SIZE), 0);
	text = book->at;
	text->fixed[0] = 1;
	text->fixed[2] = 3;
	book_seal_fixed(book, FIXED);
	return text;
}

/* Opens it as the next daemon does; 0 and the same fault each time. */
static int open_again(const struct book *book, const char **ret_fault)
{
	struct book again;
	int fd = dup(book->fd);
	int r = book_open(&again, fd, BOOK_SESSION, LIFE, SIZE, FIXED, ret_fault);

	if (r < 0) {
		assert_int_equal(again.fd, -1);
		assert_null(again.at);
		assert_non_null(*ret_fault);
		hak_sys_close(fd);
		return r;
	}
	assert_null(*ret_fault);
	assert_memory_equal(again.at, book->at, SIZE);
	book_deinit(&again);
	return 0;
}

static void is_found_as_it_was_left(void **state)
{
	unsigned fds = unit_count_fds();
	struct book book;
	struct book_head head;
	struct text *text = make(&book);
	const char *fault;

	(void)state;
	book_set64(&text->variable, 99);
	assert_int_equal(open_again(&book, &fault), 0);
	assert_true(book_look(book.fd, &head));
	assert_int_equal(head.id, 7);
	assert_int_equal(head.kind, BOOK_SESSION);
	book_deinit(&book);
	book_deinit(&book);
	assert_int_equal(unit_count_fds(), fds);
}

static void each_bit_of_head_and_fixed_part_counts(void **state)
{
	struct book book;
	unsigned char *bytes;
	const char *fault;

	(void)state;
	bytes = (unsigned char *)make(&book);
	for (size_t i = 0; i < FIXED * 8; i++) {
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_true(open_again(&book, &fault) < 0);
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	for (size_t i = FIXED; i < SIZE; i++)
		bytes[i] ^= 0xff;
	assert_int_equal(open_again(&book, &fault), 0);
	book_deinit(&book);
}

static void what_is_no_such_book_is_refused(void **state)
{
	struct book book, other;
	struct text *text;
	const char *fault;
	int fd;

	(void)state;
	text = make(&book);
	text->head.version++;
	assert_int_equal(open_again(&book, &fault), -EPROTO);
	assert_string_equal(fault, "a book of another version");
	text->head.version--;

	assert_int_equal(book_open(&other, book.fd, BOOK_DOMAIN, LIFE, SIZE, FIXED, &fault),
			 -EINVAL);
	assert_string_equal(fault, "a book of another kind");
	assert_int_equal(book_open(&other, book.fd, BOOK_SESSION, 5, SIZE, FIXED, &fault), -EINVAL);
	assert_string_equal(fault, "a book of another daemon");
	assert_int_equal(book_open(&other, book.fd, BOOK_SESSION, 0, SIZE / 2, FIXED, &fault),
			 -EINVAL);
	assert_string_equal(fault, "of the wrong size");
	book_deinit(&book);

	assert_int_equal(book_new(&book, BOOK_SESSION, 7, LIFE, SIZE), 0);
	assert_int_equal(open_again(&book, &fault), -EINVAL);
	assert_string_equal(fault, "a book that was not finished");
	book_deinit(&book);

	/* The very same bytes in a file that somebody could cut off. */
	text = make(&book);
	fd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(pwrite(fd, text, SIZE, 0), SIZE);
	assert_int_equal(book_open(&other, fd, BOOK_SESSION, LIFE, SIZE, FIXED, &fault), -EINVAL);
	assert_string_equal(fault, "its size is not sealed");
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(book_open(&other, fd, BOOK_SESSION, LIFE, SIZE, FIXED, &fault), -EINVAL);
	assert_string_equal(fault, "no book");
	hak_sys_close(fd);
	assert_int_equal(book_open(&other, -1, BOOK_SESSION, LIFE, SIZE, FIXED, &fault), -EINVAL);
	book_deinit(&book);
}

static void is_named_before_it_is_valid(void **state)
{
	struct book book;
	const char *fault;

	(void)state;
	assert_int_equal(book_new(&book, BOOK_SESSION, 0, 0, SIZE), 0);
	book_name(&book, 7, LIFE);
	book_seal_fixed(&book, FIXED);
	assert_int_equal(open_again(&book, &fault), 0);
	assert_int_equal(book_head(&book)->id, 7);
	book_deinit(&book);
}

static unsigned left;

static void stop_at_last(void)
{
	if (!left--)
		_exit(0);
}

static void a_store_comes_with_all_before_and_none_after(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 6; n++) {
		struct book book;
		struct text *text = make(&book);
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (!pid) {
			left = n;
			book_before_store = stop_at_last;
			book_set64(&text->variable, 1);
			book_fill(text->bits, 60, 140, true); /* four words */
			book_set64(&text->variable, 2);
			_exit(1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_int_equal(text->variable, n > 0);
		assert_int_equal(text->bits[0], n > 1 ? UINT64_C(0xf) << 60 : 0);
		assert_int_equal(text->bits[1], n > 2 ? UINT64_MAX : 0);
		assert_int_equal(text->bits[2], n > 3 ? UINT64_MAX : 0);
		assert_int_equal(text->bits[3], n > 4 ? 0xff : 0);
		book_deinit(&book);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found_as_it_was_left),
		cmocka_unit_test(each_bit_of_head_and_fixed_part_counts),
		cmocka_unit_test(what_is_no_such_book_is_refused),
		cmocka_unit_test(is_named_before_it_is_valid),
		cmocka_unit_test(a_store_comes_with_all_before_and_none_after),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
