/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/book.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/os.h"
#include "shared/check.h"
#include "shared/sys.h"

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

void (*book_before_store)(void);

static uint64_t fnv(uint64_t sum, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	while (n--)
		sum = (sum ^ *p++) * FNV_PRIME;
	return sum;
}

/* Never 0, which says that there is none yet. */
static uint64_t sum_of(const struct book *book, size_t fixed_bytes)
{
	struct book_head head = *book_head(book);
	uint64_t sum;

	head.sum = 0;
	sum = fnv(FNV_BASIS, &head, sizeof(head));
	sum = fnv(sum, hak_at(book->at, sizeof(head)), fixed_bytes - sizeof(head));
	return sum ? sum : 1;
}

int book_new(struct book *book, enum book_kind kind, uint64_t id, uint64_t life, uint64_t size)
{
	struct book new = BOOK_NULL;
	int r;

	hak_assert(size >= sizeof(struct book_head));
	*book = new;
	new.size = size;
	r = hak_sys_memfd(&new.fd, "hakmem-book", size, true);
	if (r < 0)
		return r;
	r = hak_sys_map_shared(&new.at, NULL, new.fd, 0, size);
	if (r < 0) {
		book_deinit(&new);
		return r;
	}
	*book_head(&new) = (struct book_head){
		.magic = BOOK_MAGIC,
		.version = BOOK_VERSION,
		.kind = kind,
		.id = id,
		.size = size,
		.life = life,
	};
	*book = new;
	return 0;
}

void book_name(struct book *book, uint64_t id, uint64_t life)
{
	hak_assert(!book_head(book)->sum);
	book_head(book)->id = id;
	book_head(book)->life = life;
}

void book_seal_fixed(struct book *book, size_t fixed_bytes)
{
	hak_assert(fixed_bytes >= sizeof(struct book_head) && fixed_bytes <= book->size);
	hak_assert(!book_head(book)->sum);
	book_set64(&book_head(book)->sum, sum_of(book, fixed_bytes));
}

/* That it is a file of ours in the making: nobody can take bytes away under the mapping. */
static const char *file_fault(int fd, uint64_t size)
{
	const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "no file";
	seals = os_result(fcntl(fd, F_GET_SEALS));
	if (seals < 0 || (seals & sealed) != sealed)
		return "its size is not sealed";
	if (st.st_size < 0 || (uint64_t)st.st_size != size)
		return "of the wrong size";
	return NULL;
}

static const char *head_fault(const struct book_head *head, enum book_kind kind, uint64_t life,
			      uint64_t size)
{
	if (head->kind != kind)
		return "a book of another kind";
	if (head->size != size)
		return "a book of another size";
	if (life && head->life != life)
		return "a book of another daemon";
	if (!head->sum)
		return "a book that was not finished";
	return NULL;
}

bool book_look(int fd, struct book_head *ret_head)
{
	return pread(fd, ret_head, sizeof(*ret_head), 0) == (ssize_t)sizeof(*ret_head) &&
	       ret_head->magic == BOOK_MAGIC;
}

int book_open(struct book *book, int fd, enum book_kind kind, uint64_t life, uint64_t size,
	      size_t fixed_bytes, const char **ret_fault)
{
	struct book old = { .fd = fd, .size = size };
	struct book_head head;
	int r;

	*book = (struct book)BOOK_NULL;
	/* The version comes first: a book of another one may have another size. */
	*ret_fault = "no book";
	if (!book_look(fd, &head))
		return -EINVAL;
	*ret_fault = "a book of another version";
	if (head.version != BOOK_VERSION)
		return -EPROTO;
	*ret_fault = file_fault(fd, size);
	if (!*ret_fault)
		*ret_fault = head_fault(&head, kind, life, size);
	if (*ret_fault)
		return -EINVAL;
	*ret_fault = "can't be mapped";
	r = hak_sys_map_shared(&old.at, NULL, fd, 0, size);
	if (r < 0)
		return r;
	if (book_head(&old)->sum != sum_of(&old, fixed_bytes)) {
		(void)hak_sys_unmap(old.at, size);
		*ret_fault = "its sum is wrong";
		return -EINVAL;
	}
	*ret_fault = NULL;
	*book = old;
	return 0;
}

void book_deinit(struct book *book)
{
	if (book->at)
		(void)hak_sys_unmap(book->at, book->size);
	hak_sys_close(book->fd);
	*book = (struct book)BOOK_NULL;
}

void book_fill(uint64_t *bits, uint32_t first, uint32_t count, bool value)
{
	while (count) {
		uint32_t bit = first % 64;
		uint32_t n = 64 - bit < count ? 64 - bit : count;
		uint64_t mask = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << bit;
		uint64_t *word = &bits[first / 64];

		book_set64(word, value ? *word | mask : *word & ~mask);
		first += n;
		count -= n;
	}
}
