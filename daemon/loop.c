/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/loop.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

#include "shared/check.h"

#define OP_MAGIC   UINT64_C(0x6f702d6c6f6f7000)
#define SQ_ENTRIES 256u
/* Several for each of thousands of sessions may become ready at once; beyond that the kernel keeps
 * a list of its own, which is only slower. */
#define CQ_ENTRIES 8192u
#define BATCH      64u

/* Newer than liburing 2.3; values are kernel ABI (6.7). */
#define OP_FUTEX_WAIT 51
#define FUTEX2_U32    2

struct loop {
	struct io_uring ring;
	bool has_futex;
	bool stop;
	unsigned in_flight;
};

/* One taken completion. */
struct event {
	struct loop_op *op;
	int result;
	bool more;
};

static_assert(sizeof(((struct loop_op *)0)->time) == sizeof(struct __kernel_timespec), "timespec");

static bool probe_futex(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool has = probe && io_uring_opcode_supported(probe, OP_FUTEX_WAIT);

	io_uring_free_probe(probe);
	return has;
}

int loop_new(struct loop **ret_loop)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES };
	struct loop *loop = calloc(1, sizeof(*loop));
	unsigned workers[2] = { 2, 2 };
	int r;

	if (!loop)
		return -ENOMEM;
	r = io_uring_queue_init_params(SQ_ENTRIES, &loop->ring, &params);
	if (r < 0) {
		free(loop);
		return r;
	}
	(void)io_uring_ring_dontfork(&loop->ring);
	/* Closing is all that these threads do; a thousand deaths are not to make a thousand. */
	(void)io_uring_register_iowq_max_workers(&loop->ring, workers);
	loop->has_futex = probe_futex(&loop->ring);
	*ret_loop = loop;
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (loop) {
		hak_assert(!loop->in_flight);
		io_uring_queue_exit(&loop->ring);
		free(loop);
	}
	return NULL;
}

bool loop_has_futex(const struct loop *loop)
{
	return loop->has_futex;
}

void loop_op_init(struct loop_op *op, struct loop *loop, loop_fn *fn)
{
	*op = (struct loop_op){ .magic = OP_MAGIC, .loop = loop, .fn = fn };
}

void loop_op_deinit(struct loop_op *op)
{
	hak_assert(!op->in_flight);
	op->magic = 0;
}

/* A place in the submission queue. Submitting empties it, so that one attempt more is enough unless
 * the kernel is short of memory; then waiting is all that can be done. */
static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	while (!sqe) {
		int r = io_uring_submit(&loop->ring);

		hak_assert(r >= 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	return sqe;
}

static struct io_uring_sqe *start(struct loop_op *op)
{
	hak_assert(op->magic == OP_MAGIC && !op->in_flight);
	op->in_flight = true;
	op->cancelled = false;
	op->loop->in_flight++;
	return get_sqe(op->loop);
}

void loop_accept(struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = start(op);

	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, op);
}

void loop_poll(struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = start(op);

	io_uring_prep_poll_add(sqe, fd, POLLIN | POLLRDHUP);
	io_uring_sqe_set_data(sqe, op);
}

void loop_timeout(struct loop_op *op, uint64_t ns)
{
	struct io_uring_sqe *sqe = start(op);

	op->time[0] = (int64_t)(ns / 1000000000u);
	op->time[1] = (int64_t)(ns % 1000000000u);
	io_uring_prep_timeout(sqe, (struct __kernel_timespec *)(void *)op->time, 0, 0);
	io_uring_sqe_set_data(sqe, op);
}

void loop_futex_wait(struct loop_op *op, _Atomic uint32_t *word, uint32_t expected)
{
	struct io_uring_sqe *sqe = start(op);

	hak_assert(op->loop->has_futex);
	io_uring_prep_rw(OP_FUTEX_WAIT, sqe, FUTEX2_U32, (void *)word, 0, expected);
	sqe->addr3 = UINT32_MAX; /* any waker's mask */
	io_uring_sqe_set_data(sqe, op);
}

void loop_close(struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = start(op);

	io_uring_prep_close(sqe, fd);
	sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, op);
}

void loop_cancel(struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	if (!op->in_flight || op->cancelled)
		return;
	op->cancelled = true;
	sqe = get_sqe(op->loop);
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL); /* whether it worked, the operation itself tells */
}

/* Copies up to BATCH completions and gives their places back. */
static unsigned collect(struct loop *loop, struct event *events)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0, n = 0;

	io_uring_for_each_cqe(&loop->ring, head, cqe)
	{
		struct loop_op *op = io_uring_cqe_get_data(cqe);

		seen++;
		if (op)
			events[n++] = (struct event){ .op = op,
						      .result = cqe->res,
						      .more = cqe->flags & IORING_CQE_F_MORE };
		if (seen == BATCH)
			break;
	}
	io_uring_cq_advance(&loop->ring, seen);
	return n;
}

static void dispatch(struct loop *loop, const struct event *event)
{
	struct loop_op *op = event->op;

	hak_assert(op->magic == OP_MAGIC && op->in_flight);
	if (!event->more) {
		op->in_flight = false;
		loop->in_flight--;
	}
	op->fn(op, event->result, event->more);
}

/* Submits; sleeps for a completion unless there is work. */
static int enter(struct loop *loop, bool work)
{
	int r;

	if (work && !io_uring_sq_ready(&loop->ring))
		return 0;
	r = work ? io_uring_submit(&loop->ring) : io_uring_submit_and_wait(&loop->ring, 1);
	return r == -EINTR || r == -EAGAIN || r == -EBUSY ? 0 : r;
}

int loop_run(struct loop *loop, loop_turn_fn *turn, void *context)
{
	struct event events[BATCH];
	bool work = turn(context);

	while (!loop->stop) {
		int r = enter(loop, work);
		unsigned n;

		if (r < 0)
			return r;
		n = collect(loop, events);
		for (unsigned i = 0; i < n; i++)
			dispatch(loop, &events[i]);
		work = turn(context) || io_uring_cq_ready(&loop->ring);
	}
	loop->stop = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
