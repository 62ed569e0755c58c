/* SPDX-License-Identifier: Apache-2.0 */
/* The files that the daemon hands out: resized, sealed, punched, opened anew, mapped otherwise. */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"

static const struct hak_wire_domain_attr small = { .max_size = 64 * HAK_SUPERSLAB_SIZE,
						   .lifetime = HAK_WIRE_LIFETIME_MEMBERS };

/* ---- a session's ---- */

typedef void file_fn(int fd);

static void shrink(int fd)
{
	must(ftruncate(fd, 0) == -1 && errno == EPERM);
}

static void grow(int fd)
{
	must(ftruncate(fd, INT64_C(1) << 40) == -1 && errno == EPERM);
	must(fallocate(fd, 0, INT64_C(1) << 40, 4096) == -1);
}

static void cut_pieces_out(int fd)
{
	must(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == -1);
	must(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096) == -1);
}

static void seal(int fd)
{
	must(hak_sys_add_seals(fd, F_SEAL_WRITE) < 0);
	must(hak_sys_add_seals(fd, F_SEAL_FUTURE_WRITE) == -EPERM);
	must(hak_sys_add_seals(fd, F_SEAL_SEAL) == -EPERM);
}

/* Locks, flags and owners of the description, which the daemon's descriptor shares. */
static void change_the_description(int fd)
{
	(void)flock(fd, LOCK_EX);
	(void)fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK);
	(void)fcntl(fd, F_SETOWN, 1);
	(void)fcntl(fd, F_SETLEASE, F_WRLCK);
	(void)lseek(fd, 12345, SEEK_SET);
}

static void open_anew_with_truncation(int fd)
{
	char path[64];
	int again;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_TRUNC);
	must(again < 0);
	again = open(path, O_RDWR);
	must(again >= 0); /* its own file, by which it can do no more than by what it got */
	must(ftruncate(again, 0) == -1 && hak_sys_add_seals(again, F_SEAL_FUTURE_WRITE) < 0);
	close(again);
}

static void execute(int fd)
{
	char path[64];
	char *const none[] = { NULL };

	(void)fchmod(fd, 0777); /* where the kernel has the seal, it says no */
	must(pwrite(fd, "#!/bin/true\n", 12, 4) == 12);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(execve(path, none, none) == -1);
}

static void harms_its_files(const struct foe *foe, const void *arg)
{
	file_fn *const *fn = arg;
	struct raw raw = foe_session(foe);
	uint32_t first;

	(*fn)(raw.region_fd);
	(*fn)(raw.segment_fd);
	must(!raw_lease(&raw, 1, &first) && !raw_return(&raw, first, 1) && !raw_nop(&raw));
}

/* ---- what it does with memory ---- */

static void punches_what_it_leases(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	unsigned char *at = raw_map(&raw, 0);

	must(at);
	memset(at, 1, HAK_SUPERSLAB_SIZE);
	must(!hak_sys_punch(raw.region_fd, 0, 4 * HAK_SUPERSLAB_SIZE));
	for (size_t i = 0; i < HAK_SUPERSLAB_SIZE; i += 4096)
		must(at[i] == 0);
	must(!raw_return(&raw, 0, 2) && !raw_nop(&raw));
}

static void writes_to_what_it_returned(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	unsigned char *at;
	uint32_t first, again;

	must(!raw_lease(&raw, 1, &first));
	must((at = raw_map(&raw, first)));
	must(!raw_return(&raw, first, 1));
	memset(at, 1, HAK_SUPERSLAB_SIZE);
	must(!raw_lease(&raw, 1, &again));
	must(!raw_nop(&raw));
}

/* More than it may have: in its own file, that nobody else has. */
static void writes_to_what_it_never_leased(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);

	for (uint32_t i = 0; i < 16; i++) {
		unsigned char *at = raw_map(&raw, HAK_REGION_SUPERSLABS - 1 - i * 1000);

		must(at);
		memset(at, 1, HAK_SUPERSLAB_SIZE);
		raw_unmap(at);
	}
	must(!raw_nop(&raw));
}

/* What one process had is zero for the next. */
static void looks_for_bytes_of_others(const struct foe *foe, const void *unused)
{
	for (int round = 0; round < 8; round++) {
		struct raw raw = foe_session(foe);
		uint32_t first;
		uint64_t *at;

		must(!raw_lease(&raw, 4, &first));
		for (uint32_t i = 0; i < 4; i++) {
			must((at = raw_map(&raw, first + i)));
			for (size_t k = 0; k < HAK_SUPERSLAB_SIZE / 8; k++)
				must(at[k] == 0);
			memset(at, 0xa5, HAK_SUPERSLAB_SIZE);
			raw_unmap(at);
		}
		if (round % 2)
			must(!raw_return(&raw, first, 4));
		raw_close(&raw);
	}
}

/* ---- presence ---- */

static void writes_to_presence(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);

	memset(raw.presence, 1, 4096);
	raw.sock = hak_sys_close(raw.sock);
	for (;;) { /* detached, and judged by what it spoilt */
		struct hak_report_status status;

		must(!raw_status(foe->rig->socket, &status));
		if (status.evicted_total)
			break;
	}
}

static void seals_presence(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	struct hak_report_status status;

	must(!hak_sys_add_seals(raw.presence_fd, F_SEAL_SEAL));
	raw.sock = hak_sys_close(raw.sock);
	do {
		must(!raw_status(foe->rig->socket, &status));
	} while (!status.evicted_total);
}

static void unmaps_presence(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	struct hak_report_status status;

	raw_close(&raw); /* its memory looks as after exec: all is taken back although it lives */
	do {
		must(!raw_status(foe->rig->socket, &status));
	} while (status.frozen_bytes);
}

/* ---- a domain's, and reports ---- */

static void writes_to_the_state_page(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;
	char path[64];

	must(!raw_domain_open(&raw, &d, "state", HAK_WIRE_CREATE, &small));
	must(write(d.state_fd, "x", 1) == -1);
	must(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, d.state_fd, 0) == MAP_FAILED);
	must(mprotect((void *)(uintptr_t)d.state, 4096, PROT_READ | PROT_WRITE) == -1);
	must(hak_sys_punch(d.state_fd, 0, 4096) == -EBADF);
	must(ftruncate(d.state_fd, 0) == -1);
	/* Root and the daemon's own user may open it anew: docs/security.md. Nobody else. */
	if (geteuid() == 0)
		must(setresuid(65534, 65534, 65534) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", d.state_fd);
	must(geteuid() != 65534 || (open(path, O_RDWR) == -1 && errno == EACCES));
}

static void reader_writes(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;

	must(!raw_domain_open(&raw, &d, "bystander", HAK_WIRE_RDONLY, NULL));
	must(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, d.data_fd, 0) == MAP_FAILED);
	must(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, d.meta_fd, 0) == MAP_FAILED);
	must(mprotect(d.meta, 4096, PROT_READ | PROT_WRITE) == -1);
	must(hak_sys_punch(d.data_fd, 0, HAK_SUPERSLAB_SIZE) < 0);
	must(hak_sys_punch(d.meta_fd, 0, 4096) < 0);
	must(ftruncate(d.data_fd, 0) == -1 && ftruncate(d.meta_fd, 0) == -1);
}

static void shrinks_a_domain(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;

	must(!raw_domain_open(&raw, &d, "files", HAK_WIRE_CREATE, &small));
	shrink(d.data_fd);
	shrink(d.meta_fd);
	seal(d.data_fd);
	seal(d.meta_fd);
	must(!raw_nop(&raw));
}

/* The sign of events, filled up and made blocking. */
static void spoils_its_sign(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct raw_domain d;
	uint64_t most = UINT64_MAX - 1;

	must(!raw_domain_open(&raw, &d, "sign", HAK_WIRE_CREATE, &small));
	(void)fcntl(d.sign_fd, F_SETFL, 0);
	(void)write(d.sign_fd, &most, sizeof(most));
	for (int i = 0; i < 20; i++) { /* events come, for which the daemon sets it */
		struct raw other = foe_session(foe);
		struct raw_domain o;

		must(!raw_domain_open(&other, &o, "sign", 0, NULL));
		must(!raw_domain_close(&other, &o));
		raw_close(&other);
	}
}

static void changes_a_report(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_QUERY);
	int fds[HAK_WIRE_FDS_MAX], sock = raw_connect(foe->rig->socket);
	unsigned n = 0;

	frame.query.what = HAK_QUERY_SESSIONS;
	must(!raw_send(sock, &frame, sizeof(frame), NULL, 0));
	must(!raw_recv(sock, &frame, fds, &n) && n == 1);
	must(write(fds[0], "x", 1) == -1 && ftruncate(fds[0], 0) == -1);
	must(hak_sys_punch(fds[0], 0, 4096) == -EPERM);
	must(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds[0], 0) == MAP_FAILED);
}

#define HARM(title, what)                                                      \
	{                                                                      \
		.name = title, .fn = harms_its_files, .arg = &(file_fn *const) \
		{                                                              \
			what                                                   \
		}                                                              \
	}

static const struct foe_case cases[] = {
	HARM("files cut off", shrink),
	HARM("files made longer", grow),
	HARM("pieces cut out of files", cut_pieces_out),
	HARM("files sealed", seal),
	HARM("files locked, their flags changed", change_the_description),
	HARM("files opened anew by /proc/self/fd", open_anew_with_truncation),
	HARM("files executed", execute),
	{ .name = "leased memory punched", .fn = punches_what_it_leases },
	{ .name = "writes to what was returned", .fn = writes_to_what_it_returned },
	{ .name = "writes to what was never leased", .fn = writes_to_what_it_never_leased },
	{ .name = "memory searched for others' bytes", .fn = looks_for_bytes_of_others },
	{ .name = "the presence file written to",
	  .fn = writes_to_presence,
	  .log = "the presence file was written to",
	  .evicted = 1 },
	{ .name = "the presence file sealed",
	  .fn = seals_presence,
	  .log = "the presence file was written to",
	  .evicted = 1 },
	{ .name = "the presence file unmapped", .fn = unmaps_presence },
	{ .name = "a domain's state written to", .fn = writes_to_the_state_page },
	{ .name = "a reader that writes", .fn = reader_writes },
	{ .name = "a domain's files cut off", .fn = shrinks_a_domain },
	{ .name = "a sign of events spoilt", .fn = spoils_its_sign },
	{ .name = "a report changed", .fn = changes_a_report },
};

int main(void)
{
	return foe_main("files", cases, sizeof(cases) / sizeof(cases[0]));
}
