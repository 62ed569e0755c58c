/* SPDX-License-Identifier: Apache-2.0 */
/* Charges and limits: all or nothing, exact, without overflow. */
#include <errno.h>

#include "daemon/account.h"
#include "daemon/config.h"
#include "daemon/limits.h"
#include "shared/layout.h"
#include "tests/unit/unit.h"

#define FILES 1064u /* 1000 of them for clients */

static struct config make(uint64_t total, uint64_t uid, uint64_t session)
{
	return (struct config){
		.total_bytes = total * HAK_SUPERSLAB_SIZE + 12345, /* a part does not count */
		.uid_bytes = uid * HAK_SUPERSLAB_SIZE,
		.session_bytes = session * HAK_SUPERSLAB_SIZE,
		.sessions = 4,
		.uid_sessions = 2,
	};
}

#define ACCOUNTS(name, total, uid, session)                            \
	const struct config name##_config = make(total, uid, session); \
	struct accounts name;                                          \
	accounts_init(&(name), &name##_config, FILES)

static void limits_that_are_not_set_are_the_total(void **state)
{
	ACCOUNTS(accounts, 7, 0, 0);

	assert_int_equal(accounts.max_total, 7);
	assert_int_equal(accounts.max_uid, 7);
	assert_int_equal(accounts.max_session, 7);
	accounts_deinit(&accounts);
}

static void places_are_counted_per_user_and_in_total(void **state)
{
	struct account *a, *b, *c, *d, *e = NULL;
	ACCOUNTS(accounts, 10, 0, 0);

	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open(&accounts, 1, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(account_open(&accounts, 1, &e), HAK_REFUSAL_UID_SESSIONS);
	assert_int_equal(account_open(&accounts, 2, &c), 0);
	assert_int_equal(account_open(&accounts, 3, &d), 0);
	assert_int_equal(account_open(&accounts, 4, &e), HAK_REFUSAL_SESSIONS);
	assert_null(e);
	assert_null(account_close(&accounts, b));
	assert_int_equal(account_open(&accounts, 4, &e), 0);
	account_close(&accounts, a);
	account_close(&accounts, c);
	account_close(&accounts, d);
	account_close(&accounts, e);
	account_close(&accounts, NULL);
	accounts_deinit(&accounts);
}

static void charges_are_all_or_nothing(void **state)
{
	struct account *a, *b;
	ACCOUNTS(accounts, 10, 8, 6);

	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open(&accounts, 2, &b), 0);
	assert_int_equal(account_charge(&accounts, a, 0, 7), HAK_REFUSAL_SESSION_BYTES);
	assert_int_equal(account_charge(&accounts, a, 0, 6), 0);
	assert_int_equal(account_charge(&accounts, a, 6, 1), HAK_REFUSAL_SESSION_BYTES);
	assert_int_equal(account_charge(&accounts, a, 0, 3),
			 HAK_REFUSAL_UID_BYTES); /* another session */
	assert_int_equal(account_charge(&accounts, a, 0, 2), 0);
	assert_int_equal(account_charge(&accounts, b, 0, 3), HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(account_charge(&accounts, b, 0, 2), 0);
	assert_int_equal(accounts.superslabs, 10);
	assert_int_equal(account_charge(&accounts, b, 2, 1), HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(account_charge(&accounts, b, 2, UINT64_MAX), HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(accounts.superslabs, 10);
	account_release(&accounts, a, 8);
	assert_int_equal(account_charge(&accounts, b, 2, UINT64_MAX - 1), HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(account_charge(&accounts, b, 2, 4), 0);
	account_release(&accounts, b, 6);
	account_close(&accounts, a);
	account_close(&accounts, b);
	accounts_deinit(&accounts);
}

/* A domain keeps the account alive, and is bound by its own limit instead of the session's. */
static void domains_are_charged_to_who_made_them(void **state)
{
	struct config config = make(10, 8, 6);
	struct accounts accounts;
	struct account *a, *b;

	config.domains = 2;
	config.uid_domains = 1;
	accounts_init(&accounts, &config, FILES);
	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open_domain(&accounts, a, 64), 0);
	assert_int_equal(account_open_domain(&accounts, a, 64), HAK_REFUSAL_UID_DOMAINS);
	assert_int_equal(account_open_member(&accounts, a), 0);
	assert_int_equal(a->descriptors, LIMIT_CONN_FDS + LIMIT_DOMAIN_FDS + LIMIT_MEMBER_FDS);
	assert_int_equal(account_charge_domain(&accounts, a, 0, 3, 11), HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(account_charge_domain(&accounts, a, 0, 3, 9), HAK_REFUSAL_UID_BYTES);
	assert_int_equal(account_charge_domain(&accounts, a, 0, 3, 4), HAK_REFUSAL_DOMAIN_BYTES);
	assert_int_equal(account_charge_domain(&accounts, a, 0, 7, 7), 0);
	assert_int_equal(account_charge(&accounts, a, 0, 2), HAK_REFUSAL_UID_BYTES);
	account_close_member(&accounts, a);
	account_close(&accounts, a);
	assert_int_equal(accounts.superslabs, 7);
	assert_int_equal(account_open(&accounts, 1, &b), 0);
	assert_ptr_equal(a, b);
	account_close(&accounts, b);
	account_release(&accounts, a, 7);
	assert_null(account_close_domain(&accounts, a, 64));
	assert_int_equal(account_open(&accounts, 2, &a), 0);
	assert_int_equal(account_open(&accounts, 3, &b), 0);
	assert_int_equal(account_open_domain(&accounts, a, 64), 0);
	assert_int_equal(account_open_domain(&accounts, b, 64), 0);
	accounts.max_uid_domains = 2;
	assert_int_equal(account_open_domain(&accounts, b, 64), HAK_REFUSAL_DOMAINS);
	assert_int_equal(accounts.hits.domains, 1);
	account_close(&accounts, a);
	account_close(&accounts, b);
	account_close_domain(&accounts, a, 64);
	account_close_domain(&accounts, b, 64);
	accounts_deinit(&accounts);
}

/* A charge that is tried ahead of need, or again, does not look like a refusal. */
static void a_user_has_half_of_the_addresses_at_most(void **state)
{
	struct config config = make(10, 8, 6);
	struct accounts accounts;
	struct account *a, *b;

	config.domains = config.uid_domains = 4;
	accounts_init(&accounts, &config, FILES);
	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open(&accounts, 2, &b), 0);
	assert_int_equal(account_open_domain(&accounts, a, LIMIT_UID_ADDRESSES - 2), 0);
	assert_int_equal(account_open_domain(&accounts, a, 3), -E2BIG);
	assert_int_equal(account_open_domain(&accounts, a, UINT64_MAX), -E2BIG);
	assert_int_equal(accounts.domains, 1);
	assert_int_equal(account_open_domain(&accounts, a, 2), 0);
	assert_int_equal(account_open_domain(&accounts, b, LIMIT_UID_ADDRESSES), 0);
	account_close_domain(&accounts, a, LIMIT_UID_ADDRESSES - 2);
	assert_int_equal(account_open_domain(&accounts, a, 3), 0);
	account_close_domain(&accounts, a, 3);
	account_close_domain(&accounts, a, 2);
	account_close_domain(&accounts, b, LIMIT_UID_ADDRESSES);
	account_close(&accounts, a);
	account_close(&accounts, b);
	accounts_deinit(&accounts);
}

static void a_limit_is_hit_when_somebody_was_told(void **state)
{
	struct account *a, *b;
	ACCOUNTS(accounts, 10, 8, 6);

	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open(&accounts, 2, &b), 0);
	assert_int_equal(account_charge(&accounts, a, 0, 11), HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(account_charge(&accounts, a, 0, 9), HAK_REFUSAL_UID_BYTES);
	assert_int_equal(accounts.hits.bytes + a->hits.bytes + b->hits.bytes, 0);
	account_refused(&accounts, a, HAK_REFUSAL_TOTAL_BYTES);
	assert_int_equal(accounts.hits.bytes, 1);
	assert_int_equal(a->hits.bytes, 0);
	account_refused(&accounts, a, HAK_REFUSAL_UID_BYTES);
	account_refused(&accounts, a, HAK_REFUSAL_SESSION_BYTES);
	account_refused(&accounts, a, HAK_REFUSAL_MEMORY);
	assert_int_equal(accounts.hits.bytes, 1);
	assert_int_equal(a->hits.bytes, 1);
	assert_int_equal(b->hits.bytes, 0);
	account_close(&accounts, a);
	account_close(&accounts, b);
	accounts_deinit(&accounts);
}

static void descriptors_are_counted_for_connections_and_sessions(void **state)
{
	struct config config = make(10, 0, 0);
	struct accounts accounts;
	struct account *a, *b, *c = NULL;

	config.descriptors = 2 * LIMIT_SESSION_FDS + LIMIT_CONN_FDS + LIMIT_ASK_FDS;
	config.uid_descriptors = LIMIT_SESSION_FDS + 2 * LIMIT_CONN_FDS;
	accounts_init(&accounts, &config, FILES);
	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open_session(&accounts, a), 0);
	assert_int_equal(accounts.descriptors, LIMIT_SESSION_FDS);
	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_open_session(&accounts, a), HAK_REFUSAL_UID_DESCRIPTORS);
	assert_int_equal(a->descriptors, LIMIT_SESSION_FDS + LIMIT_CONN_FDS);
	assert_int_equal(a->hits.descriptors, 1);
	assert_int_equal(account_open(&accounts, 2, &b), 0);
	assert_int_equal(account_open_session(&accounts, b), 0);
	assert_int_equal(account_open(&accounts, 3, &c), 0);
	assert_int_equal(accounts.descriptors, 2 * (LIMIT_SESSION_FDS + LIMIT_CONN_FDS));
	assert_int_equal(account_open_session(&accounts, c), HAK_REFUSAL_DESCRIPTORS);
	account_close(&accounts, c);
	account_close_session(&accounts, b);
	account_close(&accounts, b);
	account_close_session(&accounts, a);
	account_close(&accounts, a);
	account_close(&accounts, a);
	assert_int_equal(accounts.descriptors, 0);
	accounts_deinit(&accounts);
}

/* A user of whom nothing is charged yet is no exception. */
static void a_first_connection_is_bound_by_its_users_descriptors(void **state)
{
	struct config config = make(10, 0, 0);
	struct accounts accounts;
	struct account *a = NULL;

	config.uid_descriptors = 1;
	accounts_init(&accounts, &config, FILES);
	assert_int_equal(account_open(&accounts, 1, &a), HAK_REFUSAL_UID_DESCRIPTORS);
	assert_null(a);
	accounts_deinit(&accounts);
}

static void descriptors_are_never_more_than_the_system_allows(void **state)
{
	struct config config = make(10, 0, 0);
	struct accounts accounts;

	accounts_init(&accounts, &config, FILES);
	assert_int_equal(accounts.max_descriptors, 1000);
	assert_int_equal(accounts.max_uid_descriptors, 1000);
	config.descriptors = 5000;
	accounts_limit(&accounts, &config, FILES);
	assert_int_equal(accounts.max_descriptors, 1000);
	config.descriptors = 500;
	config.uid_descriptors = 600;
	accounts_limit(&accounts, &config, FILES);
	assert_int_equal(accounts.max_descriptors, 500);
	assert_int_equal(accounts.max_uid_descriptors, 500);
	accounts_limit(&accounts, &config, 64);
	assert_int_equal(accounts.max_descriptors, 48);
	accounts_deinit(&accounts);
}

static void a_refusal_of_bytes_is_explained(void **state)
{
	uint64_t limit = 1, used = 2;
	struct account *a;
	ACCOUNTS(accounts, 10, 8, 6);

	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_charge(&accounts, a, 0, 5), 0);
	assert_false(account_bytes_of(&accounts, a, 5, HAK_REFUSAL_MEMORY, &limit, &used));
	assert_int_equal(limit + used, 3);
	assert_true(account_bytes_of(&accounts, a, 3, HAK_REFUSAL_SESSION_BYTES, &limit, &used));
	assert_int_equal(limit, 6 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(used, 3 * HAK_SUPERSLAB_SIZE);
	assert_true(account_bytes_of(&accounts, a, 3, HAK_REFUSAL_UID_BYTES, &limit, &used));
	assert_int_equal(limit, 8 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(used, 5 * HAK_SUPERSLAB_SIZE);
	assert_true(account_bytes_of(&accounts, a, 3, HAK_REFUSAL_TOTAL_BYTES, &limit, &used));
	assert_int_equal(limit, 10 * HAK_SUPERSLAB_SIZE);
	account_release(&accounts, a, 5);
	account_close(&accounts, a);
	accounts_deinit(&accounts);
}

static void a_limit_lowered_below_use_takes_nothing_and_grants_nothing(void **state)
{
	struct account *a;
	struct config small = make(3, 0, 0);
	ACCOUNTS(accounts, 10, 0, 0);

	assert_int_equal(account_open(&accounts, 1, &a), 0);
	assert_int_equal(account_charge(&accounts, a, 0, 5), 0);
	small.sessions = 1;
	accounts_limit(&accounts, &small, FILES);
	assert_int_equal(accounts.superslabs, 5);
	assert_int_equal(account_charge(&accounts, a, 5, 1), HAK_REFUSAL_TOTAL_BYTES);
	account_release(&accounts, a, 2);
	assert_int_equal(account_charge(&accounts, a, 3, 1), HAK_REFUSAL_TOTAL_BYTES);
	account_release(&accounts, a, 1);
	assert_int_equal(account_charge(&accounts, a, 2, 1), 0);
	assert_int_equal(account_charge(&accounts, a, 3, 1), HAK_REFUSAL_TOTAL_BYTES);
	account_release(&accounts, a, 3);
	account_close(&accounts, a);
	accounts_deinit(&accounts);
}

/* Against a model: after every charge that succeeds all three sums are within their limits, and
 * each that is refused would have passed the very limit that is named. */
static void no_sequence_passes_a_limit(void **state)
{
	enum {
		SESSIONS = 6,
		USERS = 3
	};
	uint64_t seed = hak_sys_random(), held[SESSIONS] = { 0 }, uid[USERS] = { 0 }, total = 0;
	struct account *of[SESSIONS];
	struct config config = make(40, 20, 9);
	struct accounts accounts;

	print_message("# seed %llu\n", (unsigned long long)seed);
	config.sessions = config.uid_sessions = SESSIONS;
	accounts_init(&accounts, &config, FILES);
	for (uint32_t s = 0; s < SESSIONS; s++)
		assert_int_equal(account_open(&accounts, s % USERS, &of[s]), 0);
	for (int i = 0; i < 200000; i++) {
		uint32_t s = (uint32_t)(seed >> 33) % SESSIONS, u = s % USERS;
		uint64_t n = (seed >> 40) % 8 + 1;
		int r;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (held[s] >= n && seed >> 63) {
			account_release(&accounts, of[s], n);
			held[s] -= n, uid[u] -= n, total -= n;
			continue;
		}
		r = account_charge(&accounts, of[s], held[s], n);
		if (r == 0) {
			held[s] += n, uid[u] += n, total += n;
			assert_true(held[s] <= 9 && uid[u] <= 20 && total <= 40);
		} else {
			assert_true(r == HAK_REFUSAL_TOTAL_BYTES ? total + n > 40
				    : r == HAK_REFUSAL_UID_BYTES ? uid[u] + n > 20
								 : held[s] + n > 9);
		}
		assert_int_equal(accounts.superslabs, total);
		assert_int_equal(of[s]->superslabs, uid[u]);
	}
	for (uint32_t s = 0; s < SESSIONS; s++) {
		account_release(&accounts, of[s], held[s]);
		account_close(&accounts, of[s]);
	}
	accounts_deinit(&accounts);
}

#define SECOND UINT64_C(1000000000)

static void a_rate_is_kept_over_every_interval(void **state)
{
	struct bucket bucket = { 0 };
	uint64_t now = 5 * SECOND, taken = 0;

	for (uint64_t t = 0; t <= 10 * SECOND; t += SECOND / 7) {
		for (;;) {
			bucket_fill(&bucket, 3, now + t);
			if (!bucket_has(&bucket, 3))
				break;
			bucket_take(&bucket, 3);
			taken++;
		}
		/* Exactly: the burst, and three for each second, without a rounding. */
		assert_int_equal(taken, 3 + t * 3 / SECOND);
		assert_true(bucket_wait_ns(&bucket, 3) <= SECOND / 3 + 1);
	}
	/* An hour of silence is worth one burst. */
	bucket_fill(&bucket, 3, now + 3600 * SECOND);
	assert_int_equal(bucket.credit, 3 * BUCKET_ONE);
	assert_int_equal(bucket_used(&bucket, 3, now + 3600 * SECOND), 0);
}

static void the_wait_is_exact(void **state)
{
	struct bucket bucket = { 0 };
	uint64_t wait;

	bucket_fill(&bucket, 7, 5 * SECOND);
	for (int i = 0; i < 7; i++)
		bucket_take(&bucket, 7);
	assert_int_equal(bucket_used(&bucket, 7, 5 * SECOND), 7);
	wait = bucket_wait_ns(&bucket, 7);
	bucket_fill(&bucket, 7, 5 * SECOND + wait - 1);
	assert_false(bucket_has(&bucket, 7));
	bucket_fill(&bucket, 7, 5 * SECOND + wait);
	assert_true(bucket_has(&bucket, 7));
	assert_int_equal(bucket_wait_ns(&bucket, 7), 0);
}

static void a_rate_that_changes_needs_no_new_bucket(void **state)
{
	struct bucket bucket = { 0 };

	bucket_fill(&bucket, LIMIT_REQUESTS_MAX, 5 * SECOND);
	assert_int_equal(bucket.credit, LIMIT_REQUESTS_MAX * BUCKET_ONE);
	bucket_fill(&bucket, 2, 5 * SECOND);
	assert_int_equal(bucket.credit, 2 * BUCKET_ONE);
	bucket_fill(&bucket, 0, 6 * SECOND); /* no limit */
	assert_true(bucket_has(&bucket, 0));
	bucket_take(&bucket, 0);
	bucket_fill(&bucket, 5, 7 * SECOND);
	assert_int_equal(bucket.credit, 5 * BUCKET_ONE);
}

static void a_request_is_metered_by_session_and_user(void **state)
{
	struct config config = make(10, 0, 0);
	struct bucket one = { 0 }, two = { 0 };
	struct accounts accounts;
	struct account *a;

	config.session_requests = 10;
	config.uid_requests = 15;
	accounts_init(&accounts, &config, FILES);
	assert_int_equal(account_open(&accounts, 1, &a), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(account_ask(&accounts, a, &one, 5 * SECOND), 0);
	assert_int_equal(account_ask(&accounts, a, &one, 5 * SECOND), SECOND / 10);
	assert_int_equal(a->hits.requests, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(account_ask(&accounts, a, &two, 5 * SECOND), 0);
	/* The user's tokens are out, the session's are not: none of them is taken. */
	assert_int_equal(account_ask(&accounts, a, &two, 5 * SECOND), SECOND / 15 + 1);
	assert_int_equal(bucket_used(&two, 10, 5 * SECOND), 5);
	assert_int_equal(a->hits.requests, 1);
	assert_int_equal(account_ask(&accounts, a, &two, 5 * SECOND + SECOND / 15 + 1), 0);
	account_close(&accounts, a);
	accounts_deinit(&accounts);
}

static void reasons_have_the_names_of_the_configuration(void **state)
{
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_NONE), "");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_TOTAL_BYTES), "total-bytes");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_UID_BYTES), "uid-bytes");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_SESSION_BYTES), "session-bytes");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_ADDRESSES), "addresses");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_MEMORY), "memory");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_SESSIONS), "sessions");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_UID_SESSIONS), "uid-sessions");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_DESCRIPTORS), "descriptors");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_UID_DESCRIPTORS), "uid-descriptors");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_NODE_BYTES), "node-bytes");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_DOMAIN_BYTES), "domain-bytes");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_DOMAINS), "domains");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_UID_DOMAINS), "uid-domains");
	assert_string_equal(hak_refusal_name(HAK_REFUSAL_UID_DOMAINS + 1), "unknown");
	assert_false(hak_refusal_is_limit(HAK_REFUSAL_NONE));
	assert_true(hak_refusal_is_limit(HAK_REFUSAL_TOTAL_BYTES));
	assert_false(hak_refusal_is_limit(HAK_REFUSAL_ADDRESSES));
	assert_false(hak_refusal_is_limit(HAK_REFUSAL_MEMORY));
	assert_true(hak_refusal_is_limit(HAK_REFUSAL_NODE_BYTES));
	assert_false(hak_refusal_is_limit(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_that_are_not_set_are_the_total),
		cmocka_unit_test(places_are_counted_per_user_and_in_total),
		cmocka_unit_test(charges_are_all_or_nothing),
		cmocka_unit_test(domains_are_charged_to_who_made_them),
		cmocka_unit_test(a_user_has_half_of_the_addresses_at_most),
		cmocka_unit_test(a_limit_is_hit_when_somebody_was_told),
		cmocka_unit_test(descriptors_are_counted_for_connections_and_sessions),
		cmocka_unit_test(a_first_connection_is_bound_by_its_users_descriptors),
		cmocka_unit_test(descriptors_are_never_more_than_the_system_allows),
		cmocka_unit_test(a_refusal_of_bytes_is_explained),
		cmocka_unit_test(a_limit_lowered_below_use_takes_nothing_and_grants_nothing),
		cmocka_unit_test(no_sequence_passes_a_limit),
		cmocka_unit_test(a_rate_is_kept_over_every_interval),
		cmocka_unit_test(the_wait_is_exact),
		cmocka_unit_test(a_rate_that_changes_needs_no_new_bucket),
		cmocka_unit_test(a_request_is_metered_by_session_and_user),
		cmocka_unit_test(reasons_have_the_names_of_the_configuration),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
