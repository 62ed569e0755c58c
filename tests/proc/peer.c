/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/proc/peer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/sys.h"

struct peer_board *peer_board;
hak_domain *peer_domain;

struct order {
	peer_fn *fn;
	uint64_t arg;
};

static void __attribute__((noreturn)) serve(const char *socket, unsigned mode)
{
	const struct hak_options options = { .size = sizeof(options),
					     .socket = socket,
					     .mode = mode };
	struct order order;

	must(!hak_init(&options));
	while (recv(0, &order, sizeof(order), 0) == sizeof(order)) {
		int64_t result = order.fn(order.arg);

		must(send(0, &result, sizeof(result), 0) == sizeof(result));
	}
	_exit(0);
}

struct peer peer_new(struct rig *rig, unsigned mode)
{
	struct peer peer;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	peer.pid = fork();
	assert_true(peer.pid >= 0);
	if (!peer.pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* What CMocka does with a crash is the test's: it would go on with it, twice. */
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)dup2(ends[1], 0);
		/* Nothing of the test's may stay open: the end of orders is an end of file. */
		(void)close_range(3, ~0U, 0);
		serve(rig->socket, mode);
	}
	close(ends[1]);
	peer.sock = ends[0];
	return peer;
}

struct peer peer_member(struct rig *rig, unsigned mode)
{
	struct peer peer = peer_new(rig, mode);

	assert_int_equal(peer_do(&peer, peer_join, 0), 0);
	return peer;
}

void peer_begin(const struct peer *peer, peer_fn *fn, uint64_t arg)
{
	const struct order order = { fn, arg };

	assert_int_equal(send(peer->sock, &order, sizeof(order), MSG_NOSIGNAL), sizeof(order));
}

int64_t peer_result(const struct peer *peer)
{
	struct pollfd p = { .fd = peer->sock, .events = POLLIN };
	int64_t result;

	if (poll(&p, 1, 2 * RIG_DEADLINE_MS) <= 0)
		fail_msg("peer %d hangs", (int)peer->pid);
	if (recv(peer->sock, &result, sizeof(result), 0) != sizeof(result))
		fail_msg("peer %d died", (int)peer->pid);
	return result;
}

int64_t peer_do(const struct peer *peer, peer_fn *fn, uint64_t arg)
{
	peer_begin(peer, fn, arg);
	return peer_result(peer);
}

void peer_end(struct peer *peer)
{
	close(peer->sock);
	assert_int_equal(rig_reap(peer->pid), 0);
}

void peer_kill(struct peer *peer)
{
	(void)kill(peer->pid, SIGKILL);
	assert_int_equal(rig_reap(peer->pid), -SIGKILL);
	close(peer->sock);
}

/* ---- for orders ---- */

int64_t peer_join(uint64_t flags)
{
	struct hak_domain_attr attr = { .size = sizeof(attr) };
	unsigned how = (unsigned)flags | (flags & HAK_RDONLY ? 0 : HAK_CREATE);
	int r;

	attr.quota = peer_board->word[PEER_WORDS - 1];
	attr.orphan_policy = (unsigned)peer_board->word[PEER_WORDS - 2];
	attr.lifetime = HAK_LIFETIME_MEMBERS;
	r = hak_domain_open(&peer_domain, "test", how, &attr);
	if (r < 0)
		(void)fprintf(stderr, "open: %s (%s)\n", strerror(-r), hak_detail());
	return r;
}

hak_member peer_await_event(unsigned type)
{
	struct pollfd p = { .fd = hak_event_fd(peer_domain), .events = POLLIN };
	struct hak_event event;
	int r;

	for (;;) {
		r = hak_event_next(peer_domain, &event);
		if (!r && event.type == type)
			return event.member;
		must(!r || r == -EAGAIN);
		if (r == -EAGAIN)
			must(poll(&p, 1, RIG_DEADLINE_MS) == 1);
	}
}

int64_t peer_await_swept(uint64_t unused)
{
	(void)unused;
	return (int64_t)peer_await_event(HAK_EVENT_SWEPT);
}

struct hak_domain_stat peer_stat(void)
{
	struct hak_domain_stat s = { .size = sizeof(s) };

	must(!hak_domain_stat_get(peer_domain, &s));
	return s;
}

void peer_fill(void *p, size_t size, unsigned salt)
{
	memset(p, (int)((size * 31 + salt) % 255 + 1), size);
}

bool peer_is_filled(const void *p, size_t size, unsigned salt)
{
	const unsigned char *c = p;

	return c[0] == (size * 31 + salt) % 255 + 1 && !memcmp(c, c + 1, size - 1);
}

int peer_setup(void **state)
{
	void *board;
	int fd = -1;

	assert_int_equal(hak_sys_memfd(&fd, "board", sizeof(*peer_board), false), 0);
	assert_int_equal(hak_sys_map_shared(&board, NULL, fd, 0, sizeof(*peer_board)), 0);
	close(fd);
	peer_board = board;
	return rig_setup(state);
}

int peer_teardown(void **state)
{
	(void)hak_sys_unmap(peer_board, sizeof(*peer_board));
	return rig_teardown(state);
}
