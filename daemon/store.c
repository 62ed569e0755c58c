/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/os.h"
#include "shared/sys.h"

#define LISTEN_FDS_START 3

/* FNV-1a. */
static struct list *bucket_of(const struct store *store, const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return (struct list *)(uintptr_t)&store->bucket[hash % STORE_BUCKETS];
}

void store_init(struct store *store, bool manager)
{
	*store = (struct store){ .manager = manager };
	list_init(&store->all);
	for (unsigned i = 0; i < STORE_BUCKETS; i++)
		list_init(&store->bucket[i]);
}

struct store_set *store_find(const struct store *store, const char *name)
{
	struct list *head = bucket_of(store, name), *at, *tmp;

	list_for_each(at, tmp, head)
	{
		struct store_set *set = hak_container_of(at, struct store_set, same);

		if (!strcmp(set->name, name))
			return set;
	}
	return NULL;
}

/* Each name is followed by a colon. */
static uint64_t name_bytes(const char *name, unsigned n)
{
	return (uint64_t)n * (strlen(name) + 1);
}

static struct store_set *add(struct store *store, const char *name)
{
	struct store_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	list_init(&set->link);
	list_init(&set->same);
	memcpy(set->name, name, strlen(name) + 1);
	list_add(&store->all, &set->link);
	list_add(bucket_of(store, name), &set->same);
	return set;
}

static void forget(struct store *store, struct store_set *set)
{
	store->fds -= set->n;
	store->name_sum -= name_bytes(set->name, set->n);
	list_del(&set->link);
	list_del(&set->same);
	free(set);
}

static void close_found(struct store_set *set)
{
	for (unsigned i = 0; i < set->n && !set->kept; i++)
		set->fds[i] = hak_sys_close(set->fds[i]);
}

void store_deinit(struct store *store)
{
	while (!list_empty(&store->all)) {
		struct store_set *set = hak_container_of(store->all.next, struct store_set, link);

		close_found(set);
		forget(store, set);
	}
}

int store_put(struct store *store, const char *name, const int *fds, unsigned n)
{
	struct store_set *set;
	int r;

	if (store->name_sum + name_bytes(name, n) > STORE_NAMES_BYTES) {
		if (!store->full_said)
			log_event(LOG_AT_WARNING, "store-full",
				  "name=%s descriptors=%u effect=\"some sessions or domains would "
				  "not outlive the daemon\"",
				  name, store->fds);
		store->full_said = true;
		return -ENOSPC;
	}
	set = add(store, name);
	if (!set)
		return -ENOMEM;
	set->kept = true;
	set->n = n;
	memcpy(set->fds, fds, n * sizeof(*fds));
	store->fds += n;
	store->name_sum += name_bytes(name, n);
	if (!store->manager)
		return 0;
	r = notify_store(name, fds, n);
	if (r < 0)
		log_limited(LOG_AT_WARNING, "store-failed", "name=%s error=\"%s\"", name,
			    os_text(r));
	return 0;
}

void store_drop(struct store *store, const char *name)
{
	struct store_set *set = store_find(store, name);

	if (!set)
		return;
	close_found(set);
	forget(store, set);
	if (store->manager)
		notify_unstore(name);
}

void store_keep(struct store_set *set)
{
	set->kept = true;
}

void store_refuse(struct store *store, struct store_set *set, const char *what, const char *why)
{
	const char *id = strpbrk(set->name, "0123456789");

	log_event(LOG_AT_WARNING, "adopt-refused", "what=%s id=%s reason=\"%s\"", what,
		  id ? id : set->name, why);
	store_drop(store, set->name);
}

/* ---- at start ---- */

/* DIGITS, or DIGITS.DIGITS. */
static bool is_number(const char *text, bool pair)
{
	size_t n = strspn(text, "0123456789");

	if (!n || n > 20)
		return false;
	if (!pair)
		return !text[n];
	return text[n] == '.' && is_number(text + n + 1, false);
}

static bool is_ours(const char *name)
{
	if (!strcmp(name, "life") || !strcmp(name, "lock"))
		return true;
	return ((*name == 's' || *name == 'd') && is_number(name + 1, false)) ||
	       (*name == 'm' && is_number(name + 1, true));
}

enum kind {
	KIND_OTHER,
	KIND_LISTENER,
	KIND_WRONG_SOCKET, /* a service manager was told to listen, but not as we need it */
};

static enum kind kind_of(int fd)
{
	int type = 0, listening = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return KIND_OTHER;
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
	    type != SOCK_SEQPACKET || !listening)
		return KIND_WRONG_SOCKET;
	return KIND_LISTENER;
}

static void close_foreign(int fd, const char *name, const char *why)
{
	log_event(LOG_AT_WARNING, "adopt-refused", "what=descriptor name=%.64s reason=\"%s\"", name,
		  why);
	hak_sys_close(fd);
}

static void found(struct store *store, const char *name, int fd)
{
	struct store_set *set = store_find(store, name);

	if (!set)
		set = add(store, name);
	if (!set || set->n == STORE_FDS) {
		close_foreign(fd, name, "too many of one name");
		return;
	}
	set->fds[set->n++] = fd;
	store->fds++;
	store->name_sum += name_bytes(name, 1);
}

static int take_one(struct store *store, int fd, const char *name, bool named, int *sock)
{
	enum kind kind;

	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (named && is_ours(name)) {
		found(store, name, fd);
		return 0;
	}
	kind = kind_of(fd);
	if (kind == KIND_LISTENER && *sock < 0) {
		*sock = fd;
		return 0;
	}
	if (kind != KIND_OTHER || !named)
		return -EINVAL;
	close_foreign(fd, name, "not of this program");
	return 0;
}

int store_inherit(struct store *store, int *ret_sock)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	bool named = names != NULL;
	char *text, *at, *name;
	int n, sock = -1, r = 0;

	*ret_sock = -1;
	if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	n = atoi(count);
	at = text = strdup(named ? names : "");
	if (!text)
		return -ENOMEM;
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < n && r == 0; i++) {
		name = strsep(&at, ":");
		r = take_one(store, LISTEN_FDS_START + i, name ? name : "unknown", named, &sock);
	}
	free(text);
	if (r == 0)
		*ret_sock = sock;
	return r;
}
