/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that do with descriptors what they like, as shells and daemons do: whatever the
 * allocator has open is closed or replaced under it. It must go on, and must not write into what
 * now has its descriptor's number.
 *
 *   odd_descriptors close|close-range|replace
 *   odd_descriptors limit       RLIMIT_NOFILE becomes 3: what is open stays, nothing can be opened
 *   odd_descriptors standard    run with 0, 1 and 2 closed: nobody may have opened something there
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/api/blocks.h"

#define DESCRIPTORS 1023 /* the last number under the usual limit is the bait */
#define LARGE       (64 * MIB)
#define FILE_SIZE   (2 * MIB)

static struct blocks set;

/*
 * Every number now names one file that looks like what an allocator might use: its size must stay,
 * and so must its bytes.
 */
static int replace_all(void)
{
	int fd = memfd_create("bait", 0);
	char *content;

	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_DUPFD, DESCRIPTORS) == DESCRIPTORS);
	CHECK(close(fd) == 0);
	fd = DESCRIPTORS;
	CHECK(ftruncate(fd, FILE_SIZE) == 0);
	content = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(content != MAP_FAILED);
	memset(content, 0x33, FILE_SIZE);
	CHECK(munmap(content, FILE_SIZE) == 0);
	for (int i = 3; i < DESCRIPTORS; i++)
		CHECK(dup2(fd, i) == i);
	return fd;
}

static void check_bait(int fd)
{
	char *content;

	CHECK(lseek(fd, 0, SEEK_CUR) == 0);
	CHECK(lseek(fd, 0, SEEK_END) == FILE_SIZE);
	content = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(content != MAP_FAILED);
	CHECK(api_all(content, FILE_SIZE, 0x33));
	CHECK(munmap(content, FILE_SIZE) == 0);
	for (int i = 3; i < DESCRIPTORS; i++)
		CHECK(fcntl(i, F_GETFD) >= 0);
}

static void use_memory(void)
{
	unsigned char *p = malloc(LARGE);

	CHECK(p != NULL);
	memset(p, 0x44, LARGE);
	blocks_check(&set);
	for (uint64_t i = 0; i < 20; i++)
		blocks_churn(i, 1000);
	CHECK(api_all(p, LARGE, 0x44));
	free(p);
}

/* No pidfd: there may be no descriptor left for one. The driver's deadline holds here. */
static void use_memory_and_fork(void)
{
	int status = -1;
	pid_t pid;

	use_memory();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		use_memory();
		blocks_free(&set);
		exit(0);
	}
	blocks_write(&set, 2);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(api_exited_cleanly(status));
	use_memory();
	blocks_free(&set);
}

int main(int argc, char **argv)
{
	int bait = -1;

	CHECK(argc == 2);
	blocks_new(&set, BLOCKS_MAX, 1);
	if (strcmp(argv[1], "close") == 0) {
		for (int i = 0; i < DESCRIPTORS; i++)
			(void)close(i);
	} else if (strcmp(argv[1], "close-range") == 0) {
		CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
	} else if (strcmp(argv[1], "limit") == 0) {
		const struct rlimit three = { .rlim_cur = 3, .rlim_max = 3 };

		CHECK(setrlimit(RLIMIT_NOFILE, &three) == 0);
		CHECK(dup(0) < 0 && errno == EMFILE);
	} else if (strcmp(argv[1], "standard") == 0) {
		for (int i = 0; i < 3; i++)
			CHECK(fcntl(i, F_GETFD) < 0);
	} else {
		CHECK(strcmp(argv[1], "replace") == 0);
		bait = replace_all();
	}
	use_memory_and_fork();
	if (bait >= 0)
		check_bait(bait);
	return 0;
}
