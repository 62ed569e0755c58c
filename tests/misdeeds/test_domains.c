/* SPDX-License-Identifier: Apache-2.0 */
/* Members of domains: all shared metadata scribbled over, and domains that are not the caller's.
 * The bystander is in another domain, unless a case says so. */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"

#define SUPERSLABS 8u
#define A_WHILE_NS UINT64_C(300000000)

static const struct hak_wire_domain_attr own = { .max_size = SUPERSLABS * HAK_SUPERSLAB_SIZE,
						 .lifetime = HAK_WIRE_LIFETIME_MEMBERS };

/* ---- scribblers ---- */

typedef void scribble_fn(struct raw_domain *d);

static uint64_t noise(void)
{
	static uint64_t seed;

	seed = seed ? seed : hak_sys_random() | 1;
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void noise_in(void *at, size_t size)
{
	uint64_t *words = at;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = noise();
}

static void leases(struct raw_domain *d)
{
	noise_in((void *)d->view.lease, (size_t)hak_domain_slabs(&d->view) * 8);
}

/* Every slab belongs to somebody else, or to the daemon. */
static void leases_of_others(struct raw_domain *d)
{
	for (uint32_t i = 0; i < hak_domain_slabs(&d->view); i++)
		d->view.lease[i] =
			hak_lease_make(i % 3 ? (uint32_t)noise() % HAK_MEMBERS : HAK_HOLDER_DAEMON,
				       i % 2 ? HAK_LEASE_CLAIM : HAK_LEASE_SPAN, 0, 0,
				       noise() % 100);
}

static void half_words(struct raw_domain *d)
{
	noise_in((void *)d->view.half, (size_t)SUPERSLABS * HAK_SUPERSLAB_BLOCKS * 2);
}

static void generations(struct raw_domain *d)
{
	noise_in((void *)d->view.generation, (size_t)SUPERSLABS * HAK_SUPERSLAB_BLOCKS);
}

static void hints(struct raw_domain *d)
{
	noise_in((void *)d->view.hint, hak_domain_slabs(&d->view));
	noise_in((void *)d->view.since, (size_t)hak_domain_slabs(&d->view) * 4);
}

static void roots(struct raw_domain *d)
{
	noise_in(d->view.roots, HAK_META_CHANNELS);
}

static void channels(struct raw_domain *d)
{
	noise_in(d->view.channels, HAK_META_LEASES - HAK_META_CHANNELS);
	for (uint32_t i = 0; i < HAK_CHANNELS; i += 16)
		noise_in((void *)hak_channel_ring(&d->view, i), 4096);
}

static void zeroes(struct raw_domain *d)
{
	memset(d->meta, 0, hak_meta_rings(SUPERSLABS));
}

static void ones(struct raw_domain *d)
{
	memset(d->meta, 0xff, hak_meta_rings(SUPERSLABS));
}

static void everything(struct raw_domain *d)
{
	leases(d);
	half_words(d);
	generations(d);
	hints(d);
	roots(d);
	channels(d);
}

static void hole_in_meta(struct raw_domain *d)
{
	must(!hak_sys_punch(d->meta_fd, 0, hak_align_up(hak_meta_size(SUPERSLABS), 4096)));
}

static void hole_in_data(struct raw_domain *d)
{
	must(!hak_sys_punch(d->data_fd, 0, SUPERSLABS * HAK_SUPERSLAB_SIZE));
}

static struct raw_domain open_own(struct raw *raw)
{
	struct raw_domain d;
	struct hak_cqe cqe;

	must(!raw_domain_open(raw, &d, "foe", HAK_WIRE_CREATE, &own));
	must(!raw_domain_grow(raw, d.id, 3, &cqe));
	return d;
}

/* It writes, asks for more, and leaves or dies: somebody has to sweep that. */
static void scribbles(const struct foe *foe, const void *arg)
{
	scribble_fn *const *fn = arg;
	struct raw raw = foe_session(foe), other = foe_session(foe);
	struct raw_domain d = open_own(&raw), o;
	struct hak_cqe cqe;

	must(!raw_domain_open(&other, &o, "foe", 0, NULL));
	(*fn)(&d);
	for (int i = 0; i < 10; i++)
		(void)raw_domain_grow(&raw, d.id, (uint32_t)i % 3, &cqe);
	(*fn)(&d);
	must(!raw_domain_close(&other, &o)); /* swept while the first one is there */
	must(!raw_nop(&raw) && !raw_nop(&other));
}

struct writer {
	struct raw_domain *d;
	_Atomic bool over;
};

static void *keep_scribbling(void *arg)
{
	struct writer *writer = arg;

	while (!writer->over) {
		leases(writer->d);
		roots(writer->d);
		channels(writer->d);
	}
	return NULL;
}

/* Members come, grow it and go while one writes over everything all the time. */
static void scribbles_all_the_time(const struct foe *foe, const void *unused)
{
	const uint64_t until = hak_sys_now_ns() + A_WHILE_NS;
	struct raw raw = foe_session(foe);
	struct raw_domain d = open_own(&raw);
	struct writer writer = { .d = &d };
	pthread_t thread;

	must(!pthread_create(&thread, NULL, keep_scribbling, &writer));
	while (hak_sys_now_ns() < until) {
		struct raw other = foe_session(foe);
		struct raw_domain o;
		struct hak_cqe cqe;
		int r = raw_domain_open(&other, &o, "foe", 0, NULL);

		must(r == 0 || r == -EAGAIN);
		if (r == 0) {
			(void)raw_domain_grow(&other, o.id, 1, &cqe);
			raw_domain_drop(&o);
		}
		raw_close(&other);
	}
	writer.over = true;
	must(!pthread_join(thread, NULL));
	must(!raw_nop(&raw));
}

static void scribbles_and_dies(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d = open_own(&raw);

	everything(&d);
	(void)kill(getpid(), SIGKILL);
}

/* ---- domains of others ---- */

static void expect_open(const struct foe *foe, const char *name, uint32_t flags,
			const struct hak_wire_domain_attr *attr, int code)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;

	must(raw_domain_open(&raw, &d, name, flags, attr) == code);
	must(!raw_nop(&raw));
}

static void another_user_opens(const struct foe *foe, const void *unused)
{
	struct raw raw;

	foe_become(12345);
	expect_open(foe, "bystander", 0, NULL, -EACCES);
	expect_open(foe, "bystander", HAK_WIRE_RDONLY, NULL, -EACCES);
	expect_open(foe, "bystander", HAK_WIRE_CREATE, NULL, -EACCES);
	raw = foe_session(foe);
	must(raw_domain_unlink(&raw, "bystander") < 0);
}

static void grows_anothers(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_cqe cqe;

	must(raw_domain_grow(&raw, foe->domain, 1, &cqe) == -ENOENT);
	must(raw_domain_grow(&raw, foe->domain, 0, &cqe) == -ENOENT);
}

static void reader_grows(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;
	struct hak_cqe cqe;

	must(!raw_domain_open(&raw, &d, "bystander", HAK_WIRE_RDONLY, NULL));
	must(raw_domain_grow(&raw, d.id, 1, &cqe) == -EACCES);
}

static void grows_beyond_the_quota(const struct foe *foe, const void *unused)
{
	struct hak_wire_domain_attr attr = own;
	struct raw raw = foe_session(foe);
	struct raw_domain d;
	struct hak_cqe cqe;

	attr.quota = 2 * HAK_SUPERSLAB_SIZE;
	must(!raw_domain_open(&raw, &d, "quota", HAK_WIRE_CREATE, &attr));
	must(!raw_domain_grow(&raw, d.id, 2, &cqe) && cqe.count == 2);
	must(raw_domain_grow(&raw, d.id, 1, &cqe) == -EDQUOT || cqe.count == 0);
	must(raw_domain_grow(&raw, d.id, HAK_LEASE_MAX, &cqe) < 0 || cqe.count == 0);
	must(d.state->granted == 2);
}

static int sends(struct raw *raw, const struct hak_wire_frame *frame)
{
	char text[HAK_WIRE_TEXT];

	return raw_done(raw, frame, text);
}

static void closes_what_is_not_open(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_CLOSE);
	struct raw raw = foe_session(foe);
	struct raw_domain d = open_own(&raw);

	frame.domain_close.id = foe->domain;
	must(sends(&raw, &frame) < 0);
	frame.domain_close.id = UINT64_MAX;
	must(sends(&raw, &frame) < 0);
	must(!raw_domain_close(&raw, &d));
	frame.domain_close.id = d.id;
	must(sends(&raw, &frame) < 0 && !raw_nop(&raw));
}

static void names_impossible_heirs(const struct foe *foe, const void *unused)
{
	struct hak_wire_domain_attr attr = own;
	struct raw raw = foe_session(foe);
	struct raw_domain d;

	attr.orphan_policy = HAK_WIRE_ORPHAN_HEIR;
	must(!raw_domain_open(&raw, &d, "heirs", HAK_WIRE_CREATE, &attr));
	must(raw_domain_heir(&raw, &d, UINT64_MAX) < 0);
	must(raw_domain_heir(&raw, &d, d.member + 1) < 0);
	must(raw_domain_heir(&raw, &d, HAK_HOLDER_DAEMON) < 0);
	d.id = foe->domain;
	must(raw_domain_heir(&raw, &d, 1) < 0);
}

static void opens_under_bad_names(const struct foe *foe, const void *unused)
{
	static const char *const names[] = { "",          ".",       "..",  ".x",   "a/b",
					     "../../etc", "\x1b[2J", "a b", "\xff", "a\n" };

	for (size_t i = 0; i < hak_array_size(names); i++)
		expect_open(foe, names[i], HAK_WIRE_CREATE, &own, -EINVAL);
}

static void opens_with_a_name_without_end(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	struct raw raw = foe_session(foe);

	memset(frame.domain_open.name, 'x', sizeof(frame.domain_open.name));
	must(!raw_send(raw.sock, &frame, sizeof(frame), NULL, 0));
	foe_expect_evicted(&raw, "not a frame of this protocol");
}

static void opens_with(const struct foe *foe, const void *arg)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;

	must(raw_domain_open(&raw, &d, "odd", HAK_WIRE_CREATE, arg) < 0);
	must(!raw_nop(&raw));
}

static void opens_with_unknown_flags(const struct foe *foe, const void *unused)
{
	expect_open(foe, "odd", UINT32_MAX, &own, -EINVAL);
	expect_open(foe, "odd", 16, NULL, -EINVAL);
}

static void makes_domains_until_refused(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;
	char name[32];
	int r = 0, n = 0;

	for (; r == 0 && n < 1000; n++) {
		(void)snprintf(name, sizeof(name), "d%d", n);
		r = raw_domain_open(&raw, &d, name, HAK_WIRE_CREATE, &own);
	}
	must((r == -EDQUOT || r == -EMFILE) && n == 65);
}

/* A member that is stopped holds nobody up, another's sweep included. */
static void a_member_is_stopped(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d = open_own(&raw);
	const uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	uint64_t events;
	int status;
	pid_t pid[2];

	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		must(pid[i] >= 0);
		if (!pid[i]) {
			struct raw r = foe_session(foe);
			struct raw_domain o;

			must(!raw_domain_open(&r, &o, "foe", 0, NULL));
			(void)raise(SIGSTOP);
			_exit(1);
		}
		must(waitpid(pid[i], &status, WUNTRACED) == pid[i] && WIFSTOPPED(status));
	}
	events = d.state->last_event;
	must(!kill(pid[0], SIGKILL) && waitpid(pid[0], &status, 0) == pid[0]);
	while (d.state->last_event < events + 2) /* DIED and SWEPT */
		must(hak_sys_now_ns() < until);
	must(!kill(pid[1], SIGKILL) && waitpid(pid[1], &status, 0) == pid[1]);
}

#define SCRIBBLE(title, what)                                                \
	{                                                                    \
		.name = title, .fn = scribbles, .arg = &(scribble_fn *const) \
		{                                                            \
			what                                                 \
		}                                                            \
	}
#define ODD(title, ...)                                                                      \
	{                                                                                    \
		.name = title, .fn = opens_with, .arg = &(const struct hak_wire_domain_attr) \
		{                                                                            \
			__VA_ARGS__                                                          \
		}                                                                            \
	}

static const struct foe_case cases[] = {
	SCRIBBLE("noise over lease words", leases),
	SCRIBBLE("lease words that name others", leases_of_others),
	SCRIBBLE("noise over half-words", half_words),
	SCRIBBLE("noise over generations", generations),
	SCRIBBLE("noise over the page map's hints", hints),
	SCRIBBLE("noise over roots", roots),
	SCRIBBLE("noise over channels", channels),
	SCRIBBLE("noise over all shared metadata", everything),
	SCRIBBLE("metadata all zero", zeroes),
	SCRIBBLE("metadata all ones", ones),
	SCRIBBLE("metadata punched", hole_in_meta),
	SCRIBBLE("a domain's memory punched", hole_in_data),
	{ .name = "metadata written over all the time", .fn = scribbles_all_the_time },
	{ .name = "death after writing over all", .fn = scribbles_and_dies, .end = -SIGKILL },
	{ .name = "another user opens a domain", .fn = another_user_opens, .root = true },
	{ .name = "another's domain grown", .fn = grows_anothers },
	{ .name = "a domain grown by a reader", .fn = reader_grows },
	{ .name = "a domain grown beyond its quota", .fn = grows_beyond_the_quota },
	{ .name = "a domain closed that is not open", .fn = closes_what_is_not_open },
	{ .name = "heirs that cannot be", .fn = names_impossible_heirs },
	{ .name = "domains under names that are none", .fn = opens_under_bad_names },
	{ .name = "a domain's name without an end",
	  .fn = opens_with_a_name_without_end,
	  .log = "not a frame of this protocol",
	  .evicted = 1 },
	ODD("a domain of 2^64 - 1 bytes", .max_size = UINT64_MAX),
	ODD("a domain of one byte", .max_size = 1),
	ODD("a domain of the sign bit", .max_size = UINT64_C(1) << 63),
	ODD("a quota beyond the size", .max_size = HAK_SUPERSLAB_SIZE, .quota = UINT64_MAX),
	ODD("a mode beyond permission bits", .mode = UINT32_MAX),
	ODD("a policy that is none", .orphan_policy = UINT32_MAX),
	ODD("a lifetime that is none", .lifetime = UINT32_MAX),
	ODD("a domain on node 2^32 - 2", .node = UINT32_MAX),
	{ .name = "a domain with unknown flags", .fn = opens_with_unknown_flags },
	{ .name = "domains up to the limit", .fn = makes_domains_until_refused },
	{ .name = "a member is stopped", .fn = a_member_is_stopped },
};

int main(void)
{
	return foe_main("domains", cases, sizeof(cases) / sizeof(cases[0]));
}
