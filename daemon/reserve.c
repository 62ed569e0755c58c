/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reserve.h"

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/session.h"
#include "shared/check.h"

void reserve_init(struct reserve *reserve, struct hak_reserve *shared)
{
	*reserve = (struct reserve){ .shared = shared };
}

static void note_taken(struct session *session, uint32_t i)
{
	struct reserve *reserve = &session->reserve;

	reserve->granted[i] = 0;
	reserve->ready--;
	session->granted++;
	session->daemon->stats.leases++;
}

bool reserve_collect(struct session *session)
{
	struct reserve *reserve = &session->reserve;

	for (uint32_t i = 0; reserve->ready && i < HAK_RESERVE_SLOTS; i++) {
		uint64_t granted = reserve->granted[i];
		uint64_t word;

		if (!granted)
			continue;
		word = hak_reserve_look(reserve->shared, i);
		if (word == granted)
			continue;
		if (word != hak_reserve_taken(granted))
			return false;
		note_taken(session, i);
	}
	return true;
}

void reserve_grant(struct session *session, uint32_t superslab)
{
	struct reserve *reserve = &session->reserve;
	uint32_t i = 0;

	while (i < HAK_RESERVE_SLOTS && reserve->granted[i])
		i++;
	hak_assert(i < HAK_RESERVE_SLOTS);
	reserve->granted[i] = hak_reserve_word(HAK_RESERVE_READY, ++reserve->generation, superslab);
	reserve->ready++;
	hak_reserve_grant(reserve->shared, i, reserve->granted[i]);
}

bool reserve_has(const struct reserve *reserve, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; reserve->ready && i < HAK_RESERVE_SLOTS; i++) {
		if (reserve->granted[i] &&
		    hak_reserve_superslab(reserve->granted[i]) - first < count)
			return true;
	}
	return false;
}

uint32_t reserve_revoke(struct session *session)
{
	struct reserve *reserve = &session->reserve;
	uint32_t revoked = 0;

	for (uint32_t i = 0; reserve->ready && i < HAK_RESERVE_SLOTS; i++) {
		uint64_t granted = reserve->granted[i];

		/* What was taken, or spoilt, is found by the next collect. */
		if (!granted || !hak_reserve_revoke(reserve->shared, i, granted))
			continue;
		reserve->granted[i] = 0;
		reserve->ready--;
		region_unlease(&session->region, hak_reserve_superslab(granted));
		placement_release(&session->daemon->placement, &session->placed,
				  hak_reserve_superslab(granted), 1);
		revoked++;
	}
	reserve->wanted = 0;
	if (revoked)
		account_release(&session->daemon->accounts, session->account, revoked);
	return revoked;
}

bool reserves_revoke(struct daemon *daemon)
{
	struct list *at, *tmp;
	uint32_t n = 0;

	list_for_each(at, tmp, &daemon->sessions) n +=
		reserve_revoke(hak_container_of(at, struct session, link));
	return n;
}
