/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/account.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/config.h"
#include "daemon/limits.h"
#include "shared/check.h"
#include "shared/layout.h"

/* Descriptors beyond those of a connection. */
#define SESSION_FDS (LIMIT_SESSION_FDS - LIMIT_CONN_FDS)

/* What clients may use up, of all that this process can open. */
static uint64_t client_files(uint64_t files)
{
	return files > 4 * LIMIT_SPARE_FDS ? files - LIMIT_SPARE_FDS : files / 4 * 3;
}

static uint32_t smaller(uint64_t a, uint64_t b)
{
	uint64_t min = a < b ? a : b;

	return min < UINT32_MAX ? (uint32_t)min : UINT32_MAX;
}

void accounts_limit(struct accounts *accounts, const struct config *config, uint64_t files)
{
	uint64_t room = client_files(files);

	accounts->max_sessions = config->sessions;
	accounts->max_uid_sessions = config->uid_sessions;
	accounts->max_descriptors = smaller(config->descriptors ? config->descriptors : room, room);
	accounts->max_uid_descriptors =
		smaller(config->uid_descriptors ? config->uid_descriptors : room,
			accounts->max_descriptors);
	accounts->max_domains = config->domains;
	accounts->max_uid_domains = config->uid_domains;
	accounts->max_domain = config_domain_bytes(config) / HAK_SUPERSLAB_SIZE;
	accounts->max_session_requests = config->session_requests;
	accounts->max_uid_requests = config->uid_requests;
	accounts->max_total = config->total_bytes / HAK_SUPERSLAB_SIZE;
	accounts->max_uid = config_uid_bytes(config) / HAK_SUPERSLAB_SIZE;
	accounts->max_session = config_session_bytes(config) / HAK_SUPERSLAB_SIZE;
}

void accounts_init(struct accounts *accounts, const struct config *config, uint64_t files)
{
	*accounts = (struct accounts){ 0 };
	list_init(&accounts->all);
	accounts_limit(accounts, config, files);
}

void accounts_deinit(struct accounts *accounts)
{
	hak_assert(list_empty(&accounts->all) && !accounts->sessions && !accounts->superslabs &&
		   !accounts->descriptors && !accounts->domains);
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

static struct account *add(struct accounts *accounts, uid_t uid)
{
	struct account *account = calloc(1, sizeof(*account));

	if (!account)
		return NULL;
	account->uid = uid;
	list_init(&account->link);
	list_add(&accounts->all, &account->link);
	return account;
}

/* True if `more` on top of `held` passes `max`; no overflow for any input. */
static bool passes(uint64_t held, uint64_t more, uint64_t max)
{
	return held > max || more > max - held;
}

/* 0, or which limit `more` descriptors of this user (NULL: a new one) would pass, if `spare` of all
 * are to be left. */
static int test_descriptors(struct accounts *accounts, struct account *account, uint32_t more,
			    uint32_t spare)
{
	if (passes(accounts->descriptors, (uint64_t)more + spare, accounts->max_descriptors)) {
		accounts->hits.descriptors++;
		return HAK_REFUSAL_DESCRIPTORS;
	}
	if (passes(account ? account->descriptors : 0, more, accounts->max_uid_descriptors)) {
		if (account)
			account->hits.descriptors++;
		return HAK_REFUSAL_UID_DESCRIPTORS;
	}
	return 0;
}

static void add_descriptors(struct accounts *accounts, struct account *account, uint32_t more)
{
	accounts->descriptors += more;
	account->descriptors += more;
}

static void drop_descriptors(struct accounts *accounts, struct account *account, uint32_t less)
{
	hak_assert(less <= account->descriptors && less <= accounts->descriptors);
	accounts->descriptors -= less;
	account->descriptors -= less;
}

int account_open(struct accounts *accounts, uid_t uid, struct account **ret_account)
{
	struct account *account;
	int r;

	if (accounts->sessions >= accounts->max_sessions) {
		accounts->hits.sessions++;
		return HAK_REFUSAL_SESSIONS;
	}
	account = find(accounts, uid);
	if (account && account->sessions >= accounts->max_uid_sessions) {
		account->hits.sessions++;
		return HAK_REFUSAL_UID_SESSIONS;
	}
	r = test_descriptors(accounts, account, LIMIT_CONN_FDS, 0);
	if (r)
		return r;
	if (!account)
		account = add(accounts, uid);
	if (!account)
		return -ENOMEM;
	account->sessions++;
	accounts->sessions++;
	add_descriptors(accounts, account, LIMIT_CONN_FDS);
	*ret_account = account;
	return 0;
}

int account_adopt_session(struct accounts *accounts, uid_t uid, uint64_t superslabs,
			  struct account **ret_account)
{
	struct account *account = find(accounts, uid);

	if (!account)
		account = add(accounts, uid);
	if (!account)
		return -ENOMEM;
	account->sessions++;
	accounts->sessions++;
	add_descriptors(accounts, account, LIMIT_SESSION_FDS);
	account->superslabs += superslabs;
	accounts->superslabs += superslabs;
	*ret_account = account;
	return 0;
}

/* Nothing is charged to it any more: it goes. Returns NULL. */
static struct account *settle(struct account *account)
{
	if (account->sessions || account->domains)
		return NULL;
	hak_assert(!account->superslabs && !account->descriptors);
	list_del(&account->link);
	free(account);
	return NULL;
}

struct account *account_close(struct accounts *accounts, struct account *account)
{
	if (!account)
		return NULL;
	hak_assert(account->sessions && accounts->sessions);
	accounts->sessions--;
	drop_descriptors(accounts, account, LIMIT_CONN_FDS);
	account->sessions--;
	return settle(account);
}

int account_open_session(struct accounts *accounts, struct account *account)
{
	int r = test_descriptors(accounts, account, SESSION_FDS, LIMIT_ASK_FDS);

	if (r)
		return r;
	add_descriptors(accounts, account, SESSION_FDS);
	return 0;
}

void account_close_session(struct accounts *accounts, struct account *account)
{
	drop_descriptors(accounts, account, SESSION_FDS);
}

static void add_domain(struct accounts *accounts, struct account *account, uint64_t addresses)
{
	account->addresses += addresses;
	accounts->domains++;
	account->domains++;
	add_descriptors(accounts, account, LIMIT_DOMAIN_FDS);
}

int account_open_domain(struct accounts *accounts, struct account *account, uint64_t addresses)
{
	int r;

	if (accounts->domains >= accounts->max_domains) {
		accounts->hits.domains++;
		return HAK_REFUSAL_DOMAINS;
	}
	if (account->domains >= accounts->max_uid_domains) {
		account->hits.domains++;
		return HAK_REFUSAL_UID_DOMAINS;
	}
	if (passes(account->addresses, addresses, LIMIT_UID_ADDRESSES)) {
		account->hits.domains++;
		return -E2BIG;
	}
	r = test_descriptors(accounts, account, LIMIT_DOMAIN_FDS, LIMIT_ASK_FDS);
	if (r)
		return r;
	add_domain(accounts, account, addresses);
	return 0;
}

int account_adopt_domain(struct accounts *accounts, uid_t uid, uint64_t addresses,
			 uint64_t superslabs, struct account **ret_account)
{
	struct account *account = find(accounts, uid);

	if (!account)
		account = add(accounts, uid);
	if (!account)
		return -ENOMEM;
	add_domain(accounts, account, addresses);
	account->superslabs += superslabs;
	accounts->superslabs += superslabs;
	*ret_account = account;
	return 0;
}

void account_adopt_member(struct accounts *accounts, struct account *account)
{
	add_descriptors(accounts, account, LIMIT_MEMBER_FDS);
}

struct account *account_close_domain(struct accounts *accounts, struct account *account,
				     uint64_t addresses)
{
	hak_assert(account->domains && accounts->domains && addresses <= account->addresses);
	account->addresses -= addresses;
	accounts->domains--;
	account->domains--;
	drop_descriptors(accounts, account, LIMIT_DOMAIN_FDS);
	return settle(account);
}

int account_open_member(struct accounts *accounts, struct account *account)
{
	int r = test_descriptors(accounts, account, LIMIT_MEMBER_FDS, LIMIT_ASK_FDS);

	if (r)
		return r;
	add_descriptors(accounts, account, LIMIT_MEMBER_FDS);
	return 0;
}

void account_close_member(struct accounts *accounts, struct account *account)
{
	drop_descriptors(accounts, account, LIMIT_MEMBER_FDS);
}

/* `own`: which limit `max` is. */
static int charge(struct accounts *accounts, struct account *account, uint64_t held, uint64_t max,
		  enum hak_refusal own, uint64_t superslabs)
{
	/* The widest first: where limits are equal, it is the one to change. */
	if (passes(accounts->superslabs, superslabs, accounts->max_total))
		return HAK_REFUSAL_TOTAL_BYTES;
	if (passes(account->superslabs, superslabs, accounts->max_uid))
		return HAK_REFUSAL_UID_BYTES;
	if (passes(held, superslabs, max))
		return (int)own;
	account->superslabs += superslabs;
	accounts->superslabs += superslabs;
	return 0;
}

int account_charge(struct accounts *accounts, struct account *account, uint64_t held,
		   uint64_t superslabs)
{
	return charge(accounts, account, held, accounts->max_session, HAK_REFUSAL_SESSION_BYTES,
		      superslabs);
}

int account_charge_domain(struct accounts *accounts, struct account *account, uint64_t held,
			  uint64_t max, uint64_t superslabs)
{
	return charge(accounts, account, held, max, HAK_REFUSAL_DOMAIN_BYTES, superslabs);
}

void account_refused(struct accounts *accounts, struct account *account, uint32_t refusal)
{
	accounts->hits.bytes += refusal == HAK_REFUSAL_TOTAL_BYTES;
	account->hits.bytes += refusal == HAK_REFUSAL_UID_BYTES;
}

void account_release(struct accounts *accounts, struct account *account, uint64_t superslabs)
{
	hak_assert(superslabs <= account->superslabs && superslabs <= accounts->superslabs);
	account->superslabs -= superslabs;
	accounts->superslabs -= superslabs;
}

bool account_bytes_of(const struct accounts *accounts, const struct account *account, uint64_t held,
		      uint32_t refusal, uint64_t *ret_limit, uint64_t *ret_used)
{
	uint64_t limit, used;

	switch (refusal) {
	case HAK_REFUSAL_TOTAL_BYTES:
		limit = accounts->max_total;
		used = accounts->superslabs;
		break;
	case HAK_REFUSAL_UID_BYTES:
		limit = accounts->max_uid;
		used = account->superslabs;
		break;
	case HAK_REFUSAL_SESSION_BYTES:
		limit = accounts->max_session;
		used = held;
		break;
	default:
		return false;
	}
	*ret_limit = limit * HAK_SUPERSLAB_SIZE;
	*ret_used = used * HAK_SUPERSLAB_SIZE;
	return true;
}

uint64_t account_ask(const struct accounts *accounts, struct account *account,
		     struct bucket *session, uint64_t now_ns)
{
	uint64_t session_wait, uid_wait;

	bucket_fill(session, accounts->max_session_requests, now_ns);
	bucket_fill(&account->requests, accounts->max_uid_requests, now_ns);
	session_wait = bucket_wait_ns(session, accounts->max_session_requests);
	uid_wait = bucket_wait_ns(&account->requests, accounts->max_uid_requests);
	if (session_wait || uid_wait) {
		if (uid_wait > session_wait)
			account->hits.requests++;
		return session_wait > uid_wait ? session_wait : uid_wait;
	}
	bucket_take(session, accounts->max_session_requests);
	bucket_take(&account->requests, accounts->max_uid_requests);
	return 0;
}
