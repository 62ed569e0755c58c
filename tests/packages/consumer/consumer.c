/* SPDX-License-Identifier: Apache-2.0 */
/* consumer.c - heap and a domain, as a project outside uses them: a second process finds the first
 * one's message. */
#include <hakmem.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, hak_detail());
	return 1;
}

static int child(void)
{
	hak_domain *domain;
	const char *text;

	if (hak_domain_open(&domain, "consumer", 0, NULL) < 0)
		return fail("open");
	text = hak_ref_get(domain, hak_root_get(domain, "greeting"));
	if (!text || strcmp(text, "hello") != 0)
		return fail("greeting");
	hak_domain_close(domain);
	return 0;
}

int main(void)
{
	hak_domain *domain;
	char *text, *p = hak_malloc(100);
	int status;

	if (!p)
		return fail("malloc");
	hak_free(p);
	if (hak_domain_open(&domain, "consumer", HAK_CREATE, NULL) < 0)
		return fail("create");
	text = hak_domain_alloc(domain, 6);
	if (!text)
		return fail("alloc");
	memcpy(text, "hello", 6);
	if (hak_root_set(domain, "greeting", hak_ref_of(domain, text), 0) < 0)
		return fail("root");
	if (fork() == 0)
		_exit(child());
	if (wait(&status) < 0 || status)
		return 1;
	hak_domain_unlink("consumer");
	hak_domain_close(domain);
	puts("hello");
	return 0;
}
