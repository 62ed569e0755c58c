/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/waiter.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/bell.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "shared/check.h"
#include "shared/sys.h"

/* The kernel takes 128 words; one is the waiter's own. */
#define BELLS_PER_WAITER (FUTEX_WAITV_MAX - 1u)
#define STACK_BYTES      (64u * 1024u)

struct waiter {
	struct list link;
	struct waiters *waiters;
	pthread_t thread;
	struct list bells;
	unsigned count;
	_Atomic uint32_t kick; /* changes when the set does */
	bool stop;
};

struct waiters {
	pthread_mutex_t lock;
	struct list threads;
	struct list done;
	int fd;
};

/* What a waiter sleeps on: a copy, made under the lock. */
struct nap {
	struct futex_waitv words[FUTEX_WAITV_MAX];
	unsigned count;
};

static struct futex_waitv word_of(_Atomic uint32_t *word, uint32_t expected)
{
	return (struct futex_waitv){ .val = expected, .uaddr = (uintptr_t)word, .flags = FUTEX_32 };
}

/* The client may change its word while we look: every value is fine, one load decides. */
static bool changed(const struct bell *bell)
{
	return atomic_load_explicit(bell->word, memory_order_relaxed) != bell->expected;
}

/* Under the lock: moves what is finished to the done list, and notes what to sleep on. The kick is
 * read here, so that a change of the set after this makes the sleep return. */
static bool prepare(struct waiter *waiter, struct nap *ret_nap)
{
	struct waiters *waiters = waiter->waiters;
	struct list *at, *tmp;
	bool rang = false;

	ret_nap->words[0] =
		word_of(&waiter->kick, atomic_load_explicit(&waiter->kick, memory_order_relaxed));
	ret_nap->count = 1;
	list_for_each(at, tmp, &waiter->bells)
	{
		struct bell *bell = hak_container_of(at, struct bell, link);

		if (bell->cancelled || changed(bell)) {
			list_add(&waiters->done, at);
			bell->waiter = NULL;
			waiter->count--;
			rang = true;
		} else {
			ret_nap->words[ret_nap->count++] = word_of(bell->word, bell->expected);
		}
	}
	return rang;
}

static void *waiter_main(void *arg)
{
	struct waiter *waiter = arg;
	struct waiters *waiters = waiter->waiters;
	struct nap nap;

	(void)pthread_mutex_lock(&waiters->lock);
	while (!waiter->stop) {
		bool rang = prepare(waiter, &nap);

		(void)pthread_mutex_unlock(&waiters->lock);
		if (rang)
			os_event_set(waiters->fd);
		/* Woken, a word had changed, a signal: the lists say which. */
		(void)syscall(SYS_futex_waitv, nap.words, nap.count, 0, NULL, 0);
		(void)pthread_mutex_lock(&waiters->lock);
	}
	(void)pthread_mutex_unlock(&waiters->lock);
	return NULL;
}

/* Under the lock. */
static void kick(struct waiter *waiter)
{
	atomic_fetch_add_explicit(&waiter->kick, 1, memory_order_relaxed);
	hak_sys_futex_wake(&waiter->kick, 1);
}

static int waiter_new(struct waiter **ret_waiter, struct waiters *waiters)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	pthread_attr_t attr;
	int r;

	if (!waiter)
		return -ENOMEM;
	waiter->waiters = waiters;
	list_init(&waiter->link);
	list_init(&waiter->bells);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = -pthread_create(&waiter->thread, &attr, waiter_main, waiter);
	(void)pthread_attr_destroy(&attr);
	if (r < 0) {
		free(waiter);
		return r;
	}
	*ret_waiter = waiter;
	return 0;
}

static bool kernel_has_waitv(void)
{
	/* Without words: -EINVAL where the call exists. */
	return os_result(syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0)) != -ENOSYS;
}

int waiters_new(struct waiters **ret_waiters)
{
	struct waiters *waiters;
	int r;

	if (!kernel_has_waitv())
		return -EOPNOTSUPP;
	waiters = calloc(1, sizeof(*waiters));
	if (!waiters)
		return -ENOMEM;
	r = os_eventfd(&waiters->fd);
	if (r < 0) {
		free(waiters);
		return r;
	}
	(void)pthread_mutex_init(&waiters->lock, NULL);
	list_init(&waiters->threads);
	list_init(&waiters->done);
	*ret_waiters = waiters;
	return 0;
}

struct waiters *waiters_free(struct waiters *waiters)
{
	struct list *at, *tmp;

	if (!waiters)
		return NULL;
	list_for_each(at, tmp, &waiters->threads)
	{
		struct waiter *waiter = hak_container_of(at, struct waiter, link);

		(void)pthread_mutex_lock(&waiters->lock);
		hak_assert(list_empty(&waiter->bells));
		waiter->stop = true;
		kick(waiter);
		(void)pthread_mutex_unlock(&waiters->lock);
		(void)pthread_join(waiter->thread, NULL);
		free(waiter);
	}
	hak_assert(list_empty(&waiters->done));
	hak_sys_close(waiters->fd);
	(void)pthread_mutex_destroy(&waiters->lock);
	free(waiters);
	return NULL;
}

int waiters_fd(const struct waiters *waiters)
{
	return waiters->fd;
}

void waiters_take(struct waiters *waiters, struct list *list)
{
	struct list *at, *tmp;

	os_event_clear(waiters->fd);
	(void)pthread_mutex_lock(&waiters->lock);
	list_for_each(at, tmp, &waiters->done) list_add(list, at);
	(void)pthread_mutex_unlock(&waiters->lock);
}

/* A waiter with room, if need be a new one; the list is the loop's, only its lock is shared. */
static struct waiter *find_room(struct waiters *waiters)
{
	struct list *at, *tmp;
	struct waiter *waiter;
	int r;

	list_for_each(at, tmp, &waiters->threads)
	{
		waiter = hak_container_of(at, struct waiter, link);
		if (waiter->count < BELLS_PER_WAITER)
			return waiter;
	}
	r = waiter_new(&waiter, waiters);
	if (r < 0) {
		log_limited(LOG_AT_WARNING, "no-waiter-thread", "error=\"%s\"", os_text(r));
		return NULL;
	}
	list_add(&waiters->threads, &waiter->link);
	return waiter;
}

void waiters_add(struct waiters *waiters, struct bell *bell)
{
	struct waiter *waiter;

	(void)pthread_mutex_lock(&waiters->lock);
	waiter = find_room(waiters);
	bell->cancelled = false;
	bell->waiter = waiter;
	if (waiter) {
		list_add(&waiter->bells, &bell->link);
		waiter->count++;
		kick(waiter);
	} else { /* no thread to be had: the loop looks itself, again and again */
		list_add(&waiters->done, &bell->link);
		os_event_set(waiters->fd);
	}
	(void)pthread_mutex_unlock(&waiters->lock);
}

void waiters_cancel(struct waiters *waiters, struct bell *bell)
{
	(void)pthread_mutex_lock(&waiters->lock);
	bell->cancelled = true;
	if (bell->waiter)
		kick(bell->waiter);
	(void)pthread_mutex_unlock(&waiters->lock);
}
