/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/domain_join.h"

#include <errno.h>
#include <string.h>

#include "libclient/include/hakmem.h"
#include "shared/sys.h"
#include "tools/os.h"
#include "tools/text.h"

enum {
	FD_DATA,
	FD_META,
	FD_STATE,
	FD_EVENTS,
	FDS
};

/* A session, which members need; of what comes with it, nothing is. */
static int greet(struct domain_join *join)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_HELLO);
	int fds[FDS], r;

	frame.hello.version_min = HAK_WIRE_VERSION_DOMAINS;
	frame.hello.version_max = HAK_WIRE_VERSION_MAX;
	frame.hello.layout_version = HAK_LAYOUT_VERSION;
	memcpy(frame.hello.comm, "hakctl", sizeof("hakctl"));
	r = talk_ask(&join->talk, &frame, &frame, fds, FDS);
	for (unsigned i = 0; i < FDS && r == 0; i++)
		hak_sys_close(fds[i]);
	if (r == 0 && frame.type != HAK_WIRE_WELCOME)
		r = talk_fail(&join->talk, "report malformed: the answer to another question");
	return r;
}

static int enter(struct domain_join *join, const char *name, struct hak_wire_domain *ret)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	int fds[FDS], r;

	memcpy(frame.domain_open.name, name, strlen(name)); /* hak_name_key() liked it */
	frame.domain_open.flags = HAK_RDONLY;
	r = talk_ask(&join->talk, &frame, &frame, fds, FDS);
	if (r < 0)
		return r;
	join->meta = fds[FD_META];
	join->state = fds[FD_STATE];
	hak_sys_close(fds[FD_DATA]);
	hak_sys_close(fds[FD_EVENTS]);
	if (frame.type == HAK_WIRE_DONE) {
		text_make_plain(frame.done.text, sizeof(frame.done.text));
		return talk_fail(&join->talk, "domain %s: %s%s%s", name,
				 os_text(frame.done.code ? frame.done.code : -EPROTO),
				 *frame.done.text ? ": " : "", frame.done.text);
	}
	if (frame.type != HAK_WIRE_DOMAIN)
		return talk_fail(&join->talk, "report malformed: the answer to another question");
	*ret = frame.domain;
	return 0;
}

/* The numbers that everything else is bounded by. */
static int check(struct domain_join *join, const char *name, const struct hak_wire_domain *domain)
{
	struct hak_domain_state *head = &join->head;
	uint64_t size;
	int r;

	if (join->meta < 0 || join->state < 0)
		return talk_fail(&join->talk, "report malformed: domain %s without its books",
				 name);
	r = os_read_at(join->state, head, sizeof(*head), 0);
	if (r < 0)
		return talk_fail(&join->talk, "domain %s: its state: %s", name, os_text(r));
	if (head->magic != HAK_STATE_MAGIC || head->version != HAK_DOMAIN_VERSION)
		return talk_fail(&join->talk, "domain %s is of another version", name);
	if (!head->superslabs || head->superslabs > HAK_DOMAIN_SUPERSLABS_MAX ||
	    head->superslabs != domain->superslabs || head->id != domain->id)
		return talk_fail(&join->talk, "report malformed: domain %s with %u superslabs",
				 name, head->superslabs);
	if (os_file_size(join->meta, &size) < 0 || size < hak_meta_size(head->superslabs))
		return talk_fail(&join->talk, "report malformed: domain %s with cut books", name);
	if (head->high > head->superslabs)
		head->high = head->superslabs;
	join->member = domain->member;
	return 0;
}

int domain_join(struct domain_join *join, const char *path, const char *name)
{
	struct hak_wire_domain domain = { 0 };
	int r = talk_init(&join->talk, path);

	join->meta = -1;
	join->state = -1;
	if (r == 0 && !hak_name_key(name))
		r = talk_fail(&join->talk, "not a domain's name: %s", name);
	if (r == 0)
		r = greet(join);
	if (r == 0)
		r = enter(join, name, &domain);
	return r == 0 ? check(join, name, &domain) : r;
}

void domain_leave(struct domain_join *join)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_BYE);

	/* At once, so that whoever looks next does not find this reader. */
	if (join->talk.sock >= 0)
		(void)talk_ask(&join->talk, &frame, NULL, NULL, 0);
	talk_deinit(&join->talk);
	join->meta = hak_sys_close(join->meta);
	join->state = hak_sys_close(join->state);
}
