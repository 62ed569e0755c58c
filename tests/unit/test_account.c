/* SPDX-License-Identifier: Apache-2.0 */
/* Charges and limits: all or nothing, exact, without overflow. */
#include "daemon/account.h"
#include "daemon/config.h"
#include "shared/layout.h"
#include "tests/unit/unit.h"

static struct accounts make(uint64_t total, uint64_t uid, uint64_t session)
{
	const struct config config = {
		.total_bytes = total * HAK_SUPERSLAB_SIZE + 12345, /* a part does not count */
		.uid_bytes = uid * HAK_SUPERSLAB_SIZE,
		.session_bytes = session * HAK_SUPERSLAB_SIZE,
		.sessions = 4,
		.uid_sessions = 2,
	};
	struct accounts accounts;

	accounts_init(&accounts, &config);
	/* The list's head points at itself, so it is made where it stays. */
	return accounts;
}

#define ACCOUNTS(name, total, uid, session)               \
	struct accounts name = make(total, uid, session); \
	list_init(&(name).all)

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
	assert_int_equal(account_open(&accounts, 1, &e), ACCOUNT_E_UID);
	assert_int_equal(account_open(&accounts, 2, &c), 0);
	assert_int_equal(account_open(&accounts, 3, &d), 0);
	assert_int_equal(account_open(&accounts, 4, &e), ACCOUNT_E_TOTAL);
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
	assert_int_equal(account_charge(&accounts, a, 0, 7), ACCOUNT_E_SESSION);
	assert_int_equal(account_charge(&accounts, a, 0, 6), 0);
	assert_int_equal(account_charge(&accounts, a, 6, 1), ACCOUNT_E_SESSION);
	assert_int_equal(account_charge(&accounts, a, 0, 3), ACCOUNT_E_UID); /* another session */
	assert_int_equal(account_charge(&accounts, a, 0, 2), 0);
	assert_int_equal(account_charge(&accounts, b, 0, 3), ACCOUNT_E_TOTAL);
	assert_int_equal(account_charge(&accounts, b, 0, 2), 0);
	assert_int_equal(accounts.superslabs, 10);
	assert_int_equal(account_charge(&accounts, b, 2, 1), ACCOUNT_E_TOTAL);
	assert_int_equal(account_charge(&accounts, b, 2, UINT64_MAX), ACCOUNT_E_TOTAL);
	assert_int_equal(accounts.superslabs, 10);
	account_release(&accounts, a, 8);
	assert_int_equal(account_charge(&accounts, b, 2, UINT64_MAX - 1), ACCOUNT_E_TOTAL);
	assert_int_equal(account_charge(&accounts, b, 2, 4), 0);
	account_release(&accounts, b, 6);
	account_close(&accounts, a);
	account_close(&accounts, b);
	accounts_deinit(&accounts);
}

static void reasons_have_the_names_of_the_configuration(void **state)
{
	assert_string_equal(account_bytes_key(ACCOUNT_E_TOTAL), "total-bytes");
	assert_string_equal(account_bytes_key(ACCOUNT_E_UID), "uid-bytes");
	assert_string_equal(account_bytes_key(ACCOUNT_E_SESSION), "session-bytes");
	assert_string_equal(account_sessions_key(ACCOUNT_E_TOTAL), "sessions");
	assert_string_equal(account_sessions_key(ACCOUNT_E_UID), "uid-sessions");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_that_are_not_set_are_the_total),
		cmocka_unit_test(places_are_counted_per_user_and_in_total),
		cmocka_unit_test(charges_are_all_or_nothing),
		cmocka_unit_test(reasons_have_the_names_of_the_configuration),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
