/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/life.h"

#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/store.h"
#include "shared/sys.h"

#define NAME "life"

static struct life_page *page_of(const struct life *life)
{
	return life->book.at;
}

static uint64_t draw(void)
{
	uint64_t number;

	do {
		number = hak_sys_random();
	} while (!number);
	return number;
}

static int begin(struct life *life, struct store *store)
{
	uint64_t number = draw();
	int r = book_new(&life->book, BOOK_LIFE, 0, number, sizeof(struct life_page));

	if (r < 0)
		return r;
	/* By chance, so that clients of another line see that it is another. */
	book_set64(&page_of(life)->epoch, hak_sys_random() >> 1);
	book_seal_fixed(&life->book, sizeof(struct book_head));
	(void)store_put(store, NAME, &life->book.fd, 1);
	return 0;
}

static bool go_on(struct life *life, struct store_set *set, const char **ret_fault)
{
	*ret_fault = "not one page";
	if (set->n != 1 ||
	    book_open(&life->book, set->fds[0], BOOK_LIFE, 0, sizeof(struct life_page),
		      sizeof(struct book_head), ret_fault) < 0)
		return false;
	store_keep(set);
	return true;
}

int life_open(struct life *life, struct store *store, bool *ret_first)
{
	struct store_set *set = store_find(store, NAME);
	const char *fault;
	int r = 0;

	*ret_first = !set;
	if (set && !go_on(life, set, &fault)) {
		store_refuse(store, set, "life", fault);
		*ret_first = true;
	}
	if (*ret_first)
		r = begin(life, store);
	if (r < 0) {
		log_plain("cannot start: no memory for the life page: %s", os_text(r));
		return r;
	}
	book_set64(&page_of(life)->epoch, page_of(life)->epoch + 1);
	return 0;
}

void life_deinit(struct life *life)
{
	book_deinit(&life->book);
}

uint64_t life_number(const struct life *life)
{
	return page_of(life)->head.life;
}

uint64_t life_epoch(const struct life *life)
{
	return page_of(life)->epoch;
}

uint64_t life_session(struct life *life)
{
	uint64_t id = page_of(life)->last_session + 1;

	book_set64(&page_of(life)->last_session, id);
	return id;
}

uint64_t life_domain(struct life *life)
{
	uint64_t id = page_of(life)->last_domain + 1;

	book_set64(&page_of(life)->last_domain, id);
	return id;
}
