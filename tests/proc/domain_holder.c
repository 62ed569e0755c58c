/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_holder ROLE DOMAIN: a member that holds known things, says "ready" and waits to be killed.
 * The socket is $HAKMEM_SOCKET.
 *
 *   first   makes the domain: ten blocks of 112 bytes, of which "config" is a root and holds the
 *           member's number, and three are published; a published span of 192 KiB; a root "gone"
 *           whose block was freed; two messages of 256 in the channel "jobs" of 8 places
 *   second  joins: a block of 48 bytes is published, two of 64 are given to the first; receives
 *           from the channel "answers"
 *   vandal  makes the domain, and writes noise over its books
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "libclient/include/hakmem.h"
#include "tests/must.h"

static void *block(hak_domain *domain, size_t size)
{
	void *p = hak_domain_alloc(domain, size);

	must(p);
	memset(p, 1, size);
	return p;
}

static void name(hak_domain *domain, const char *root, void *p)
{
	must(hak_root_set(domain, root, hak_ref_of(domain, p), 0) == 0);
}

static void first(const char *domain_name)
{
	const struct hak_domain_attr attr = {
		.size = sizeof(attr), .max_size = 256 << 20, .quota = 64 << 20, .mode = 0600
	};
	hak_member *config;
	hak_channel *jobs;
	hak_domain *domain;
	void *gone;

	must(hak_domain_open(&domain, domain_name, HAK_CREATE | HAK_EXCL, &attr) == 0);
	config = block(domain, 112);
	*config = hak_self(domain);
	name(domain, "config", config);
	for (int i = 1; i < 10; i++) {
		void *p = block(domain, 112);

		must(i > 3 || hak_publish(domain, p) == 0);
	}
	must(hak_publish(domain, block(domain, 192 << 10)) == 0);
	gone = block(domain, 1000);
	name(domain, "gone", gone);
	must(hak_claim(domain, gone) == 0);
	hak_domain_free(domain, gone);
	must(hak_channel_open(&jobs, domain, "jobs", 5, HAK_SEND) == 0);
	for (int i = 0; i < 2; i++)
		must(hak_channel_send(jobs, block(domain, 256), 0) == 0);
}

static void second(const char *domain_name)
{
	const hak_member *config;
	hak_channel *answers;
	hak_domain *domain;

	must(hak_domain_open(&domain, domain_name, 0, NULL) == 0);
	must(hak_channel_open(&answers, domain, "answers", 0, HAK_RECV) == 0);
	config = hak_ref_get(domain, hak_root_get(domain, "config"));
	must(config);
	must(hak_publish(domain, block(domain, 48)) == 0);
	for (int i = 0; i < 2; i++)
		must(hak_give(domain, block(domain, 64), *config) == 0);
}

static void vandal(const char *domain_name)
{
	static struct raw raw; /* open until the end */
	struct raw_domain domain;
	struct hak_wire_domain_attr attr = { .max_size = 8 << 20 };
	uint64_t noise = 1, *word;
	struct hak_cqe cqe;

	must(raw_open(&raw, getenv("HAKMEM_SOCKET")) == 0);
	must(raw_domain_open(&raw, &domain, domain_name, HAK_WIRE_CREATE, &attr) == 0);
	must(raw_domain_grow(&raw, domain.id, 3, &cqe) == 0);
	word = domain.meta;
	for (uint64_t i = 0; i < hak_meta_rings(domain.view.superslabs) / sizeof(*word); i++) {
		noise = noise * UINT64_C(6364136223846793005) + 1442695040888963407u;
		word[i] = noise ^ noise >> 29;
	}
}

int main(int argc, char **argv)
{
	must(argc == 3);
	if (strcmp(argv[1], "first") == 0)
		first(argv[2]);
	else if (strcmp(argv[1], "vandal") == 0)
		vandal(argv[2]);
	else
		second(argv[2]);
	puts("ready");
	must(fflush(stdout) == 0);
	for (;;)
		(void)pause();
}
