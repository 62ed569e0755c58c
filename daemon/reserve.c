/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reserve.h"

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/session.h"
#include "shared/check.h"

void reserve_init(struct reserve *reserve, struct hak_reserve *shared, struct reserve_text *text)
{
	*reserve = (struct reserve){ .shared = shared, .text = text };
}

void reserve_want(struct reserve *reserve, uint32_t n)
{
	book_set32(&reserve->text->wanted, n);
}

static void note_taken(struct session *session, uint32_t i)
{
	struct reserve *reserve = &session->reserve;

	book_set64(&reserve->text->granted[i], 0);
	reserve->ready--;
	session->granted++;
	session->daemon->stats.leases++;
}

bool reserve_collect(struct session *session)
{
	struct reserve *reserve = &session->reserve;

	for (uint32_t i = 0; reserve->ready && i < HAK_RESERVE_SLOTS; i++) {
		uint64_t granted = reserve->text->granted[i];
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
	struct reserve_text *text = reserve->text;
	uint32_t i = 0;

	while (i < HAK_RESERVE_SLOTS && text->granted[i])
		i++;
	hak_assert(i < HAK_RESERVE_SLOTS);
	book_set64(&text->generation, text->generation + 1);
	book_set64(&text->granted[i],
		   hak_reserve_word(HAK_RESERVE_READY, text->generation, superslab));
	reserve->ready++;
	book_before_other();
	hak_reserve_grant(reserve->shared, i, text->granted[i]);
}

bool reserve_has(const struct reserve *reserve, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; reserve->ready && i < HAK_RESERVE_SLOTS; i++) {
		if (reserve->text->granted[i] &&
		    hak_reserve_superslab(reserve->text->granted[i]) - first < count)
			return true;
	}
	return false;
}

/* True: the superslab in this slot is nobody's again. */
static bool revoke(struct session *session, uint32_t i)
{
	struct reserve *reserve = &session->reserve;
	struct reserve_text *text = reserve->text;
	uint64_t granted = text->granted[i];

	if (!granted)
		return false;
	book_set32(&text->revoking, i + 1);
	book_before_other();
	/* What was taken, or spoilt, is found by the next collect. */
	if (hak_reserve_revoke(reserve->shared, i, granted)) {
		region_unlease(&session->region, hak_reserve_superslab(granted), 1);
		book_set64(&text->granted[i], 0);
		reserve->ready--;
		placement_release(&session->daemon->placement, &session->placed,
				  hak_reserve_superslab(granted), 1);
	}
	session_book_count(session);
	book_set32(&text->revoking, 0);
	return !text->granted[i];
}

uint32_t reserve_revoke(struct session *session)
{
	struct reserve *reserve = &session->reserve;
	uint32_t revoked = 0;

	for (uint32_t i = 0; reserve->ready && i < HAK_RESERVE_SLOTS; i++)
		revoked += revoke(session, i);
	reserve_want(reserve, 0);
	if (revoked)
		account_release(&session->daemon->accounts, session->account, revoked);
	return revoked;
}

void reserve_adopt(struct session *session)
{
	struct reserve *reserve = &session->reserve;
	struct reserve_text *text = reserve->text;

	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		uint64_t granted = text->granted[i], word;

		if (!granted)
			continue;
		if (!region_leased(&session->region, hak_reserve_superslab(granted), 1)) {
			book_set64(&text->granted[i], 0); /* revoked */
			continue;
		}
		reserve->ready++;
		word = hak_reserve_look(reserve->shared, i);
		/* The client goes on meanwhile: what it can take is not stored a second time, or it
		 * might take it twice. */
		if (word == granted || word == hak_reserve_taken(granted))
			continue;
		/* Not yet seen by the client, or revoked but for what we would have done next. */
		book_before_other();
		hak_reserve_grant(reserve->shared, i, granted);
	}
	session_book_count(session);
	book_set32(&text->revoking, 0);
	(void)reserve_collect(session);
}

bool reserves_revoke(struct daemon *daemon)
{
	struct list *at, *tmp;
	uint32_t n = 0;

	list_for_each(at, tmp, &daemon->sessions) n +=
		reserve_revoke(hak_container_of(at, struct session, link));
	return n;
}
