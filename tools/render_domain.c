/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/render_domain.h"

#include <stdio.h>

#include "libclient/include/hakmem.h"
#include "shared/sys.h"
#include "tools/render.h"
#include "tools/text.h"

const char *domain_comm(char ret[DOMAIN_COMM], const struct domain_look *look, uint32_t number)
{
	char path[32];
	ssize_t n;

	ret[0] = 0;
	/* The number of a process that is gone may be another's now. */
	if (domain_walk_state(look->walk, number) == HAK_MEMBER_DYING)
		return ret;
	(void)snprintf(path, sizeof(path), "/proc/%u/comm",
		       look->walk->join->head.member[number].pid);
	n = hak_sys_read_file(path, ret, DOMAIN_COMM);
	if (n <= 0) {
		ret[0] = 0;
		return ret;
	}
	if (ret[n - 1] == '\n')
		ret[n - 1] = 0;
	text_make_plain(ret, DOMAIN_COMM);
	return ret;
}

const char *domain_state_name(enum hak_member_state state)
{
	return state == HAK_MEMBER_ALIVE    ? "member"
	       : state == HAK_MEMBER_READER ? "reader"
	       : state == HAK_MEMBER_DYING  ? "dying"
					    : "unknown";
}

const char *domain_ref_name(enum walk_ref kind)
{
	return kind == WALK_REF_GOOD ? "good" : kind == WALK_REF_STALE ? "stale" : "foreign";
}

const char *domain_policy_name(uint32_t policy)
{
	return policy == HAK_ORPHAN_FREE || policy == HAK_ORPHAN_DEFAULT ? "free"
	       : policy == HAK_ORPHAN_PUBLISH                            ? "publish"
	       : policy == HAK_ORPHAN_HEIR                               ? "heir"
									 : "unknown";
}

const char *domain_lifetime_name(uint32_t lifetime)
{
	return lifetime == HAK_LIFETIME_MEMBERS ? "members" : "unlinked";
}

uint64_t domain_member_age(const struct domain_look *look, uint32_t number)
{
	return render_since(look->now_ns, look->walk->join->head.member[number].since_ns);
}

bool domain_oldest(const struct domain_look *look, uint32_t number, uint64_t *ret_ns)
{
	uint64_t since_ns = look->walk->member[number].since_ns;
	uint64_t age = domain_member_age(look, number);

	if (since_ns == UINT64_MAX)
		return false;
	/* A block may be older than its owner, who was given it; owned for longer it is not. */
	*ret_ns = render_since(look->now_ns, since_ns);
	if (*ret_ns > age)
		*ret_ns = age;
	return true;
}

uint32_t domain_count(const uint64_t members[HAK_MEMBERS / 64])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < HAK_MEMBERS / 64; i++)
		n += (uint32_t)__builtin_popcountll(members[i]);
	return n;
}

bool domain_is_stuck(const struct walk_channel *channel)
{
	return channel->moving.n && !domain_count(channel->receivers);
}

static void add(struct walk_sum *sum, const struct walk_sum *more)
{
	sum->n += more->n;
	sum->bytes += more->bytes;
}

struct walk_member domain_total(const struct domain_walk *walk)
{
	struct walk_member total = { 0 };

	for (uint32_t k = 0; k < HAK_MEMBERS; k++) {
		const struct walk_member *m = &walk->member[k];

		if (k != WALK_ORPHANS)
			total.slabs += m->slabs;
		add(&total.owned, &m->owned);
		add(&total.adopted, &m->adopted);
		add(&total.changing, &m->changing);
		add(&total.freed, &m->freed);
	}
	return total;
}
