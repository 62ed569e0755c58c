/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/account.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/config.h"
#include "shared/check.h"
#include "shared/layout.h"

void accounts_init(struct accounts *accounts, const struct config *config)
{
	uint64_t total = config->total_bytes;
	uint64_t uid = config->uid_bytes ? config->uid_bytes : total;
	uint64_t session = config->session_bytes ? config->session_bytes : total;

	*accounts = (struct accounts){
		.max_sessions = config->sessions,
		.max_uid_sessions = config->uid_sessions,
		.max_total = total / HAK_SUPERSLAB_SIZE,
		.max_uid = uid / HAK_SUPERSLAB_SIZE,
		.max_session = session / HAK_SUPERSLAB_SIZE,
	};
	list_init(&accounts->all);
}

void accounts_deinit(struct accounts *accounts)
{
	hak_assert(list_empty(&accounts->all) && !accounts->sessions && !accounts->superslabs);
}

static struct account *find(struct accounts *accounts, uid_t uid)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &accounts->all)
	{
		struct account *account = hak_container_of(at, struct account, link);

		if (account->uid == uid)
			return account;
	}
	return NULL;
}

int account_open(struct accounts *accounts, uid_t uid, struct account **ret_account)
{
	struct account *account;

	if (accounts->sessions >= accounts->max_sessions)
		return ACCOUNT_E_TOTAL;
	account = find(accounts, uid);
	if (account && account->sessions >= accounts->max_uid_sessions)
		return ACCOUNT_E_UID;
	if (!account) {
		account = calloc(1, sizeof(*account));
		if (!account)
			return -ENOMEM;
		account->uid = uid;
		list_init(&account->link);
		list_add(&accounts->all, &account->link);
	}
	account->sessions++;
	accounts->sessions++;
	*ret_account = account;
	return 0;
}

struct account *account_close(struct accounts *accounts, struct account *account)
{
	if (!account)
		return NULL;
	hak_assert(account->sessions && accounts->sessions);
	accounts->sessions--;
	if (--account->sessions == 0) {
		hak_assert(!account->superslabs);
		list_del(&account->link);
		free(account);
	}
	return NULL;
}

/* True if `more` on top of `held` passes `max`; no overflow for any input. */
static bool passes(uint64_t held, uint64_t more, uint64_t max)
{
	return held > max || more > max - held;
}

int account_charge(struct accounts *accounts, struct account *account, uint64_t held,
		   uint64_t superslabs)
{
	/* The widest first: where limits are equal, it is the one to change. */
	if (passes(accounts->superslabs, superslabs, accounts->max_total))
		return ACCOUNT_E_TOTAL;
	if (passes(account->superslabs, superslabs, accounts->max_uid))
		return ACCOUNT_E_UID;
	if (passes(held, superslabs, accounts->max_session))
		return ACCOUNT_E_SESSION;
	account->superslabs += superslabs;
	accounts->superslabs += superslabs;
	return 0;
}

void account_release(struct accounts *accounts, struct account *account, uint64_t superslabs)
{
	hak_assert(superslabs <= account->superslabs && superslabs <= accounts->superslabs);
	account->superslabs -= superslabs;
	accounts->superslabs -= superslabs;
}

const char *account_bytes_key(int reason)
{
	return reason == ACCOUNT_E_SESSION ? "session-bytes"
	       : reason == ACCOUNT_E_UID   ? "uid-bytes"
					   : "total-bytes";
}

const char *account_sessions_key(int reason)
{
	return reason == ACCOUNT_E_UID ? "uid-sessions" : "sessions";
}
