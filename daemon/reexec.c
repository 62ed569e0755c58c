/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reexec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/os.h"
#include "daemon/store.h"
#include "shared/sys.h"

#define LISTEN_FDS_START 3
#define HAPPENED         "HAKMEMD_REEXEC"

bool reexec_happened(void)
{
	bool happened = getenv(HAPPENED) != NULL;

	(void)unsetenv(HAPPENED);
	return happened;
}

/* Everything that is handed over, and what is in the way of it. */
struct hand_over {
	unsigned n;
	unsigned n_saved;
	int *from;  /* the descriptors */
	int *saved; /* what had the number 3 + i, i < n_saved; -1: nothing */
	char *names;
};

static void hand_over_free(struct hand_over *over)
{
	free(over->from);
	free(over->saved);
	free(over->names);
}

static void add(struct hand_over *over, int fd, const char *name, char **end)
{
	size_t length = strlen(name);

	if (fd < 0)
		return;
	if (over->n)
		*(*end)++ = ':';
	memcpy(*end, name, length + 1);
	*end += length;
	over->from[over->n++] = fd;
}

static int collect(struct hand_over *over, const struct daemon *daemon)
{
	const struct store *store = daemon->store;
	size_t most = store->fds + 2;
	struct list *at, *tmp;
	char *end;

	*over = (struct hand_over){
		.from = calloc(most, sizeof(int)),
		.saved = calloc(most, sizeof(int)),
		.names = calloc(1, store->name_sum + sizeof("socket:lock:")),
	};
	if (!over->from || !over->saved || !over->names)
		return -ENOMEM;
	end = over->names;
	add(over, daemon->listener.sock, "socket", &end);
	add(over, daemon->listener.lock, "lock", &end);
	list_for_each(at, tmp, &store->all)
	{
		const struct store_set *set = hak_container_of(at, struct store_set, link);

		for (unsigned i = 0; i < set->n; i++)
			add(over, set->fds[i], set->name, &end);
	}
	return 0;
}

/* The numbers from 3 on become free for others: what has them gets a second one, above. */
static int save(struct hand_over *over)
{
	int above = LISTEN_FDS_START + (int)over->n;

	for (unsigned i = 0; i < over->n; i++) {
		int r = os_result(fcntl(LISTEN_FDS_START + (int)i, F_DUPFD_CLOEXEC, above));

		if (r < 0 && r != -EBADF)
			return r;
		over->saved[over->n_saved++] = r < 0 ? -1 : r;
	}
	return 0;
}

static int place(const struct hand_over *over)
{
	int r = 0;

	for (unsigned i = 0; i < over->n && r >= 0; i++) {
		unsigned at = (unsigned)over->from[i] - LISTEN_FDS_START;
		int from = at < over->n ? over->saved[at] : over->from[i];

		/* Without close-on-exec. */
		r = os_result(dup2(from, LISTEN_FDS_START + (int)i));
	}
	return r < 0 ? r : 0;
}

/* Numbers that were not saved still have what they had. */
static void put_back(const struct hand_over *over)
{
	for (unsigned i = 0; i < over->n_saved; i++) {
		int fd = LISTEN_FDS_START + (int)i;

		if (over->saved[i] >= 0)
			(void)dup3(over->saved[i], fd, O_CLOEXEC);
		else
			hak_sys_close(fd);
		hak_sys_close(over->saved[i]);
	}
}

static int start_again(const struct hand_over *over, char *const *argv)
{
	char number[24];
	int r;

	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)snprintf(number, sizeof(number), "%u", over->n);
	(void)setenv("LISTEN_FDS", number, 1);
	(void)setenv("LISTEN_FDNAMES", over->names, 1);
	(void)setenv(HAPPENED, "1", 1);
	r = os_result(execv(argv[0], argv));
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	(void)unsetenv(HAPPENED);
	return r;
}

int reexec_now(struct daemon *daemon)
{
	struct hand_over over;
	int r = collect(&over, daemon);

	if (r == 0) {
		r = save(&over);
		if (r == 0)
			r = place(&over);
		if (r == 0)
			r = start_again(&over, daemon->again);
		put_back(&over);
	}
	hand_over_free(&over);
	return r;
}
