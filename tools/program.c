/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/program.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"

#define HEAD_BYTES 4096u
#define SCRIPTS    5u /* scripts may be interpreted by scripts; the kernel's limit is 5 */

#if UINTPTR_MAX == UINT64_MAX
#define OUR_CLASS ELFCLASS64
#else
#define OUR_CLASS ELFCLASS32
#endif
#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OUR_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define OUR_MACHINE EM_PPC64
#elif defined(__s390x__)
#define OUR_MACHINE EM_S390
#else
#define OUR_MACHINE EM_NONE
#endif

int program_find(char *ret_path, size_t size, const char *name)
{
	const char *at = getenv("PATH"), *end;
	struct stat st;

	if (strchr(name, '/'))
		return snprintf(ret_path, size, "%s", name) < (int)size ? 0 : -ENOENT;
	for (at = at ? at : "/bin:/usr/bin"; at && *name; at = *end ? end + 1 : NULL) {
		int n;

		end = strchrnul(at, ':');
		if (end == at) /* an empty element is the current directory */
			n = snprintf(ret_path, size, "./%s", name);
		else
			n = snprintf(ret_path, size, "%.*s/%s", (int)(end - at), at, name);
		if (n < (int)size && !access(ret_path, X_OK) && !stat(ret_path, &st) &&
		    S_ISREG(st.st_mode))
			return 0;
	}
	return -ENOENT;
}

/* The head of an ELF file of our class and machine, in an aligned buffer, or NULL. */
static const ElfW(Ehdr) * elf_of(const char *head, size_t n)
{
	const ElfW(Ehdr) *elf = (const void *)head;

	if (n < sizeof(*elf) || memcmp(head, ELFMAG, SELFMAG) || head[EI_CLASS] != OUR_CLASS)
		return NULL;
	return OUR_MACHINE == EM_NONE || elf->e_machine == OUR_MACHINE ? elf : NULL;
}

static bool has_interpreter(const ElfW(Ehdr) * elf, size_t n)
{
	if (elf->e_phentsize != sizeof(ElfW(Phdr)))
		return true; /* exec will refuse it */
	for (size_t i = 0; i < elf->e_phnum; i++) {
		uint64_t at = elf->e_phoff + i * sizeof(ElfW(Phdr));
		ElfW(Phdr) ph;

		if (at > n || n - at < sizeof(ph))
			return true; /* beyond what was read: unknown */
		memcpy(&ph, (const char *)elf + at, sizeof(ph));
		if (ph.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* The kernel makes the loader ignore the environment where exec changes who the process is. */
static const char *changes_identity(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != geteuid())
		return "set-user-id";
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getegid())
		return "set-group-id";
	return NULL;
}

/* "#! /bin/sh -e" to "/bin/sh", in place; NULL if it is no script. */
static char *interpreter(char *head)
{
	char *at = head + 2;

	if (head[0] != '#' || head[1] != '!')
		return NULL;
	at += strspn(at, " \t");
	at[strcspn(at, " \t\n")] = 0;
	return *at ? at : NULL;
}

const char *program_ignores_preload(const char *path)
{
	static HAK_ALIGNED(16) char heads[SCRIPTS + 1][HEAD_BYTES];

	for (unsigned i = 0; i <= SCRIPTS && path; i++) {
		char *head = heads[i];
		ssize_t n = hak_sys_read_file(path, head, HEAD_BYTES);
		const void *elf;
		const char *why;

		if (n < 4)
			return NULL;
		if (memcmp(head, ELFMAG, SELFMAG)) {
			path = interpreter(head);
			continue;
		}
		why = changes_identity(path);
		if (why)
			return why;
		elf = elf_of(head, (size_t)n);
		if (!elf)
			return "for another kind of machine";
		return has_interpreter(elf, (size_t)n) ? NULL : "statically linked";
	}
	return NULL;
}

bool program_is_ours(const char *path)
{
	HAK_ALIGNED(16) char head[256];
	ssize_t n = hak_sys_read_file(path, head, sizeof(head));

	return n > 0 && elf_of(head, (size_t)n);
}
