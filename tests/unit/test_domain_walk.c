/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of a domain's books against those of the engine that wrote them; hakctl's output is in
 * tests/proc/test_domains.sh. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/must.h"
#include "tools/domain_walk.h"

#define SUPERSLABS 6u
#define GRANTED    5u
#define SLABS      (SUPERSLABS * HAK_SLABS_PER_SUPERSLAB)
#define MEMBERS    5u /* 1 .. 5 live */
#define TAG        77u

/* A domain's books in a file, as the engine sees them and as a reader does. */
struct books {
	struct hak_domain_view view;
	struct domain_join join;
};

static void setup(struct books *books)
{
	struct hak_domain_state *head = &books->join.head;
	uint64_t size = hak_meta_size(SUPERSLABS);
	void *meta;

	memset(books, 0, sizeof(*books));
	must(hak_sys_memfd(&books->join.meta, "books", size, false) == 0);
	must(hak_sys_map_shared(&meta, NULL, books->join.meta, 0, size) == 0);
	hak_domain_view_init(&books->view, meta, NULL, SUPERSLABS, TAG);
	for (uint32_t i = 0; i < GRANTED * HAK_SLABS_PER_SUPERSLAB; i++)
		books->view.lease[i] = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 0, 0);
	head->superslabs = SUPERSLABS;
	head->high = SUPERSLABS;
	head->tag = TAG;
	books->join.member = 900;
	for (uint32_t k = 1; k <= MEMBERS; k++) {
		head->member[k].id = k;
		head->member[k].state = HAK_MEMBER_ALIVE;
	}
}

static void teardown(struct books *books)
{
	must(hak_sys_unmap(books->view.roots, hak_meta_size(SUPERSLABS)) == 0);
	(void)hak_sys_close(books->join.meta);
}

static struct domain_walk *walk_of(struct books *books)
{
	struct domain_walk *walk;

	if (domain_walk_new(&walk, &books->join) < 0)
		fail_msg("%s", books->join.talk.error);
	return walk;
}

static uint32_t next(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(*seed >> 33) % below;
}

/* A run of a size that comes by chance; false: no room. */
static bool make_run(struct hak_domain_view *view, uint64_t *seed, uint32_t member,
		     uint32_t *ret_first)
{
	uint32_t class = next(seed, HAK_CLASSES);
	uint64_t n = class ? hak_class[class].slabs : 1 + next(seed, 40);

	if (!hak_lease_claim(view, member, GRANTED, next(seed, SLABS), n, ret_first))
		return false;
	hak_lease_commit(view, member, *ret_first, class ? HAK_LEASE_BLOCKS : HAK_LEASE_SPAN, class,
			 n);
	return true;
}

static void except_some(struct hak_domain_view *view, uint64_t *seed, uint32_t first)
{
	uint32_t class = hak_lease_class(view->lease[first]);
	uint32_t slots = class ? hak_class[class].blocks : 1;
	const uint16_t halves[] = { HAK_HALF_PUBLISHED, HAK_HALF_FREED, HAK_HALF_CHANNEL | 3,
				    (uint16_t)(1 + next(seed, MEMBERS)),
				    (uint16_t)(HAK_HALF_T | (1 + next(seed, MEMBERS))) };

	hak_lease_except(view, first);
	for (uint32_t i = 0; i < 20; i++)
		view->half[hak_domain_index(first, next(seed, slots))] =
			halves[next(seed, hak_array_size(halves))];
}

static void expect_as_counted(const struct domain_walk *walk, const struct hak_domain_census *c)
{
	uint64_t slabs = 0, claimed = 0, freed = 0, changing = 0;
	struct walk_sum owned = { 0 };

	for (uint32_t k = 0; k < HAK_MEMBERS; k++) {
		const struct walk_member *m = &walk->member[k];

		slabs += m->slabs;
		claimed += m->claimed.n;
		freed += m->freed.n;
		changing += m->changing.n;
		owned.n += m->owned.n - m->changing.n;
		owned.bytes += m->owned.bytes - m->changing.bytes;
	}
	assert_int_equal(walk->free_slabs, c->free);
	assert_int_equal(walk->absent_slabs, c->absent);
	assert_int_equal(slabs, c->blocks + c->spans + c->claimed);
	assert_int_equal(claimed, c->claimed);
	assert_int_equal(walk->member[WALK_ORPHANS].slabs, c->orphaned);
	assert_int_equal(walk->published.n, c->published);
	assert_int_equal(walk->published.bytes, c->published_bytes);
	assert_int_equal(walk->moving.n, c->moving);
	assert_int_equal(walk->moving.bytes, c->moving_bytes);
	assert_int_equal(walk->channel[3].moving.n, c->moving);
	assert_int_equal(freed, c->freed);
	assert_int_equal(changing, c->changing);
	/* Another's or the holder's own, the engine does not ask. */
	assert_int_equal(owned.n, c->adopted);
	assert_int_equal(owned.bytes, c->adopted_bytes);
	assert_int_equal(walk->unclear.n + walk->unclear_slabs, 0);
}

static void sums_are_the_engines(void **state)
{
	uint64_t seed = 1;

	for (uint32_t round = 0; round < 20; round++) {
		struct hak_domain_census census;
		struct domain_walk *walk;
		struct books books;
		uint32_t first;

		setup(&books);
		for (uint32_t i = 0; i < 40; i++) {
			uint32_t member = 1 + next(&seed, MEMBERS);

			if (!make_run(&books.view, &seed, member, &first))
				continue;
			if (next(&seed, 3) == 0)
				except_some(&books.view, &seed, first);
		}
		(void)hak_lease_claim(&books.view, 2, GRANTED, 0, 3, &first);
		hak_domain_count(&books.view, &census);
		walk = walk_of(&books);
		expect_as_counted(walk, &census);
		domain_walk_free(walk);
		teardown(&books);
	}
}

/* Of what is published, or another's, the holder is not said to own for so long. */
static void the_oldest_unpublished_block_is_bounded(void **state)
{
	struct domain_walk *walk;
	struct books books;
	uint32_t first;

	setup(&books);
	must(hak_lease_claim(&books.view, 4, GRANTED, 0, 1, &first));
	hak_lease_commit(&books.view, 4, first, HAK_LEASE_BLOCKS, hak_class_of(100), 1);
	books.view.since[first] = 300;
	must(hak_lease_claim(&books.view, 4, GRANTED, 0, 40, &first));
	hak_lease_commit(&books.view, 4, first, HAK_LEASE_SPAN, 0, 40);
	books.view.since[first] = 100;
	must(hak_lease_claim(&books.view, 3, GRANTED, 0, 1, &first));
	hak_lease_commit(&books.view, 3, first, HAK_LEASE_SPAN, 0, 1);
	walk = walk_of(&books);
	assert_int_equal(walk->member[4].since_ns, hak_since_ns(100));
	assert_int_equal(walk->member[3].since_ns, UINT64_MAX); /* kept, not in use */
	domain_walk_free(walk);

	first = HAK_SLABS_PER_SUPERSLAB;
	assert_int_equal(hak_lease_kind(books.view.lease[first]), HAK_LEASE_SPAN);
	hak_lease_except(&books.view, first);
	books.view.half[hak_domain_index(first, 0)] = HAK_HALF_PUBLISHED;
	walk = walk_of(&books);
	assert_int_equal(walk->member[4].since_ns, hak_since_ns(300));
	domain_walk_free(walk);
	books.view.half[hak_domain_index(first, 0)] = HAK_HALF_T | 5;
	walk = walk_of(&books);
	assert_int_equal(walk->member[4].since_ns, hak_since_ns(300));
	assert_int_equal(walk->member[5].since_ns, hak_since_ns(100));
	domain_walk_free(walk);
	teardown(&books);
}

static void what_a_death_leaves_is_seen(void **state)
{
	struct hak_sweep sweep = { .member = 4 };
	struct domain_walk *walk;
	struct books books;
	uint32_t first, other;

	setup(&books);
	must(hak_lease_claim(&books.view, 4, GRANTED, 0, 1, &first));
	hak_lease_commit(&books.view, 4, first, HAK_LEASE_BLOCKS, hak_class_of(100), 1);
	hak_lease_except(&books.view, first);
	books.view.half[hak_domain_index(first, 3)] = HAK_HALF_PUBLISHED;
	must(hak_lease_claim(&books.view, 4, GRANTED, 0, 40, &other));
	hak_lease_commit(&books.view, 4, other, HAK_LEASE_SPAN, 0, 40);
	books.join.head.member[4].state = HAK_MEMBER_DYING;
	walk = walk_of(&books);
	assert_int_equal(walk->member[4].slabs, 41);
	assert_int_equal(walk->member[WALK_ORPHANS].slabs, 0);
	domain_walk_free(walk);

	hak_domain_sweep_names(&books.view, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&books.view, &sweep, 0, SUPERSLABS);
	books.join.head.member[4].state = HAK_MEMBER_NONE;
	walk = walk_of(&books);
	assert_int_equal(walk->member[4].slabs, 0);
	assert_int_equal(walk->member[WALK_ORPHANS].slabs, 1);
	assert_int_equal(walk->member[WALK_ORPHANS].guests.n, 1);
	assert_int_equal(walk->unnamed.bytes, 112);
	assert_int_equal(walk->free_slabs, GRANTED * HAK_SLABS_PER_SUPERSLAB - 1);
	assert_int_equal(walk->unclear.n + walk->unclear_slabs, 0);
	domain_walk_free(walk);
	teardown(&books);
}

/* ---- while members write ---- */

struct writer {
	struct books *books;
	_Atomic bool stop;
};

static void *write_books(void *arg)
{
	struct writer *writer = arg;
	struct hak_domain_view *view = &writer->books->view;
	uint32_t run[8], n = 0;
	uint64_t seed = 7;

	while (!writer->stop) {
		if (n < hak_array_size(run) && make_run(view, &seed, 1, &run[n])) {
			except_some(view, &seed, run[n]);
			n++;
		} else if (n) {
			hak_lease_release(view, run[--n]);
		}
	}
	while (n)
		hak_lease_release(view, run[--n]);
	return NULL;
}

static void a_walk_beside_writers_ends(void **state)
{
	struct writer writer = { 0 };
	struct books books;
	pthread_t thread;

	setup(&books);
	writer.books = &books;
	must(pthread_create(&thread, NULL, write_books, &writer) == 0);
	for (uint32_t i = 0; i < 2000; i++) {
		struct domain_walk *walk = walk_of(&books);

		/* Every slab is counted once, whatever it is just becoming. */
		assert_int_equal(walk->free_slabs + walk->absent_slabs + walk->unclear_slabs +
					 walk->member[1].slabs,
				 SLABS);
		domain_walk_free(walk);
	}
	writer.stop = true;
	must(pthread_join(thread, NULL) == 0);
	teardown(&books);
}

/* ---- holes ---- */

static void a_hole_stays_one(void **state)
{
	struct stat before, after;
	struct books books;
	uint32_t first;

	setup(&books);
	for (uint32_t i = 0; i < GRANTED * HAK_SLABS_PER_SUPERSLAB; i++) {
		must(hak_lease_claim(&books.view, 1, GRANTED, 0, 1, &first));
		hak_lease_commit(&books.view, 1, first, HAK_LEASE_BLOCKS, 1, 1);
		hak_lease_except(&books.view, first);
	}
	must(fstat(books.join.meta, &before) == 0);
	domain_walk_free(walk_of(&books));
	must(fstat(books.join.meta, &after) == 0);
	assert_int_equal(after.st_blocks, before.st_blocks);
	teardown(&books);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_the_engines),
		cmocka_unit_test(the_oldest_unpublished_block_is_bounded),
		cmocka_unit_test(what_a_death_leaves_is_seen),
		cmocka_unit_test(a_walk_beside_writers_ends),
		cmocka_unit_test(a_hole_stays_one),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
