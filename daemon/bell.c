/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/bell.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/os.h"
#include "daemon/waiter.h"
#include "shared/check.h"
#include "shared/sys.h"

#define BELL_MAGIC UINT64_C(0x62656c6c2d68616b)

struct bells {
	struct loop *loop;
	struct waiters *waiters; /* NULL: io_uring */
	struct loop_op op;       /* on the waiters' eventfd */
	bool stopping;
};

static void ring_bell(struct bell *bell)
{
	hak_assert(bell->magic == BELL_MAGIC && bell->in_flight);
	bell->in_flight = false;
	bell->fn(bell);
}

static void on_futex(struct loop_op *op, int result, bool more)
{
	(void)result; /* woken, changed before (-EAGAIN), cancelled: all mean look again */
	(void)more;
	ring_bell(hak_container_of(op, struct bell, op));
}

static void on_waiters(struct loop_op *op, int result, bool more)
{
	struct bells *bells = hak_container_of(op, struct bells, op);
	struct list done, *at, *tmp;

	(void)result;
	(void)more;
	list_init(&done);
	if (!bells->stopping)
		loop_poll(op, waiters_fd(bells->waiters));
	waiters_take(bells->waiters, &done);
	list_for_each(at, tmp, &done)
	{
		list_del(at);
		ring_bell(hak_container_of(at, struct bell, link));
	}
}

int bells_new(struct bells **ret_bells, struct loop *loop, enum config_ring_wait way)
{
	struct bells *bells;
	int r;

	if (way == RING_WAIT_IO_URING && !loop_has_futex(loop))
		return -EOPNOTSUPP;
	bells = calloc(1, sizeof(*bells));
	if (!bells)
		return -ENOMEM;
	bells->loop = loop;
	loop_op_init(&bells->op, loop, on_waiters);
	if (way == RING_WAIT_THREADS || !loop_has_futex(loop)) {
		r = waiters_new(&bells->waiters);
		if (r < 0) {
			free(bells);
			return r;
		}
	}
	*ret_bells = bells;
	return 0;
}

struct bells *bells_free(struct bells *bells)
{
	if (bells) {
		loop_op_deinit(&bells->op);
		bells->waiters = waiters_free(bells->waiters);
		free(bells);
	}
	return NULL;
}

void bells_stop(struct bells *bells)
{
	bells->stopping = true;
	loop_cancel(&bells->op);
}

bool bells_in_flight(const struct bells *bells)
{
	return bells->op.in_flight;
}

bool bells_use_io_uring(const struct bells *bells)
{
	return !bells->waiters;
}

void bell_init(struct bell *bell, struct bells *bells, bell_fn *fn)
{
	*bell = (struct bell){ .magic = BELL_MAGIC, .bells = bells, .fn = fn };
	list_init(&bell->link);
	loop_op_init(&bell->op, bells->loop, on_futex);
}

void bell_deinit(struct bell *bell)
{
	hak_assert(!bell->in_flight);
	loop_op_deinit(&bell->op);
	bell->magic = 0;
}

void bell_arm(struct bell *bell, _Atomic uint32_t *word, uint32_t expected)
{
	hak_assert(bell->magic == BELL_MAGIC && !bell->in_flight);
	bell->in_flight = true;
	bell->word = word;
	bell->expected = expected;
	if (bell->bells->waiters) {
		/* From the first bell on: a daemon that fails to start has nothing in flight. */
		if (!bell->bells->op.in_flight)
			loop_poll(&bell->bells->op, waiters_fd(bell->bells->waiters));
		waiters_add(bell->bells->waiters, bell);
	} else {
		loop_futex_wait(&bell->op, word, expected);
	}
}

void bell_cancel(struct bell *bell)
{
	if (!bell->in_flight)
		return;
	if (bell->bells->waiters)
		waiters_cancel(bell->bells->waiters, bell);
	else
		loop_cancel(&bell->op);
}
