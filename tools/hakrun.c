/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakrun - runs a program on hakmem: sets the environment of libhakmalloc.so, puts it into
 * LD_PRELOAD, and becomes the program.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "libclient/include/hakmem.h"
#include "shared/sys.h"
#include "shared/wire.h"
#include "tools/node.h"
#include "tools/os.h"
#include "tools/preload.h"
#include "tools/program.h"
#include "tools/text.h"

/* As env(1) and its like. */
enum {
	EXIT_USAGE = 2,
	EXIT_OWN_FAILURE = 125,
	EXIT_NOT_RUN = 126,
	EXIT_NOT_FOUND = 127
};

#define CONNECT_TIMEOUT_MS 5000

static const char help[] =
	"usage: hakrun [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
	"\n"
	"Runs PROGRAM, unmodified, with its malloc family served by hakmem.\n"
	"\n"
	"  --daemon        memory from hakmemd, which must be reachable now\n"
	"  --embedded      memory from the process itself, no daemon\n"
	"  --libc          the library is loaded but hands every call to libc\n"
	"                  (default: as $HAKMEM_MODE says; without it, the daemon if a\n"
	"                  socket is given and it is there, else embedded)\n"
	"  --socket PATH   the daemon's socket (default $HAKMEM_SOCKET, then\n"
	"                  " HAK_DEFAULT_SOCKET ")\n"
	"  --node N        run on the processors of NUMA node N, with memory from there\n"
	"  --stats         the library prints a report when the program ends\n"
	"  --library PATH  preload this file (default: the libhakmalloc.so beside hakrun)\n"
	"  --version       print the version and exit\n"
	"  --help          print this and exit\n"
	"\n"
	"exit status: PROGRAM's, or\n"
	"             2    wrong arguments\n"
	"             125  hakrun failed: no daemon, no library, no such node\n"
	"             126  PROGRAM was found but could not be run\n"
	"             127  PROGRAM was not found\n";

struct arguments {
	const char *mode; /* value of HAKMEM_MODE, or NULL */
	const char *socket;
	const char *library;
	bool stats;
	bool has_node;
	unsigned node;
	char **program;
};

static int complain(int status, const char *format, ...) HAK_PRINTF(2, 3);

static int complain(int status, const char *format, ...)
{
	va_list args;

	fputs("hakrun: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	if (status == EXIT_USAGE)
		fputs("try hakrun --help\n", stderr);
	return status;
}

static int set_mode(struct arguments *args, const char *mode)
{
	if (args->mode && strcmp(args->mode, mode))
		return complain(EXIT_USAGE, "--%s and --%s exclude each other", args->mode, mode);
	args->mode = mode;
	return -1;
}

static int set_node(struct arguments *args, const char *text)
{
	if (!text_parse_number(&args->node, NODE_MAX, text))
		return complain(EXIT_USAGE, "--node %s: not a node number of 0 to %u", text,
				NODE_MAX);
	args->has_node = true;
	return -1;
}

static int set_path(const char **ret_path, const char *option, const char *path)
{
	if (!*path)
		return complain(EXIT_USAGE, "--%s: an empty path", option);
	*ret_path = path;
	return -1;
}

static const struct option options[] = {
	{ "daemon", no_argument, NULL, 'd' },        { "embedded", no_argument, NULL, 'e' },
	{ "libc", no_argument, NULL, 'c' },          { "socket", required_argument, NULL, 's' },
	{ "node", required_argument, NULL, 'n' },    { "stats", no_argument, NULL, 't' },
	{ "library", required_argument, NULL, 'l' }, { "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },          { 0 },
};

/* -1: go on; else the exit status. */
static int take_option(struct arguments *args, int c)
{
	switch (c) {
	case 'd':
		return set_mode(args, "daemon");
	case 'e':
		return set_mode(args, "embedded");
	case 'c':
		return set_mode(args, "libc");
	case 's':
		return set_path(&args->socket, "socket", optarg);
	case 'n':
		return set_node(args, optarg);
	case 't':
		args->stats = true;
		return -1;
	case 'l':
		return set_path(&args->library, "library", optarg);
	case 'v':
		printf("hakrun %s\n", HAKMEM_VERSION);
		return fflush(stdout) ? EXIT_OWN_FAILURE : EXIT_SUCCESS;
	case 'h':
		fputs(help, stdout);
		return fflush(stdout) ? EXIT_OWN_FAILURE : EXIT_SUCCESS;
	default: /* getopt_long has named it */
		fputs("try hakrun --help\n", stderr);
		return EXIT_USAGE;
	}
}

static int parse_arguments(struct arguments *args, int argc, char **argv)
{
	int c, r = -1;

	/* "+": what follows the program's name is the program's. */
	while (r < 0 && (c = getopt_long(argc, argv, "+", options, NULL)) >= 0)
		r = take_option(args, c);
	if (r >= 0)
		return r;
	if (optind == argc || !*argv[optind])
		return complain(EXIT_USAGE, "a program to run is missing");
	args->program = &argv[optind];
	return -1;
}

/*
 * The program may change its directory before the library, or that of a child, connects: a relative
 * path is made absolute, unless that makes it too long for a socket.
 */
static int set_socket(const char *path)
{
	char *dir = NULL, *absolute;
	int r;

	if (*path == '/' || os_real_path(&dir, ".") < 0)
		return os_setenv("HAKMEM_SOCKET", path);
	r = asprintf(&absolute, "%s/%s", dir, path);
	free(dir);
	if (r < 0)
		return -ENOMEM;
	r = os_setenv("HAKMEM_SOCKET",
		      strlen(absolute) < sizeof(((struct sockaddr_un *)0)->sun_path) ? absolute
										     : path);
	free(absolute);
	return r;
}

static int set_environment(const struct arguments *args)
{
	char node[16];
	int r = 0;

	if (args->mode) {
		r = os_setenv("HAKMEM_MODE", args->mode);
		/* It would win over the mode that was asked for here. */
		if (strcmp(args->mode, "libc"))
			(void)unsetenv("HAKMEM_FORCE_LIBC_ALLOC");
	}
	if (r == 0 && args->socket)
		r = set_socket(args->socket);
	if (r == 0 && args->stats)
		r = os_setenv("HAKMEM_STATS", "1");
	(void)snprintf(node, sizeof(node), "%u", args->node);
	if (r == 0 && args->has_node)
		r = os_setenv("HAKMEM_NODE", node);
	return r < 0 ? complain(EXIT_OWN_FAILURE, "setting the environment: %s", os_text(r)) : -1;
}

static int check_daemon(const struct arguments *args)
{
	const char *path = getenv("HAKMEM_SOCKET");
	int fd, r;

	if (!args->mode || strcmp(args->mode, "daemon"))
		return -1;
	path = path && *path ? path : HAK_DEFAULT_SOCKET;
	r = os_connect(&fd, path, CONNECT_TIMEOUT_MS);
	if (r < 0)
		return complain(EXIT_OWN_FAILURE, "no daemon at %s: %s", path, os_text(r));
	hak_sys_close(fd);
	return -1;
}

static int set_preload(const struct arguments *args)
{
	char *library = NULL;
	int r;

	if (args->library) {
		r = os_real_path(&library, args->library);
		if (r < 0)
			return complain(EXIT_OWN_FAILURE, "%s: %s", args->library, os_text(r));
		if (!program_is_ours(library)) {
			r = complain(EXIT_OWN_FAILURE, "%s: not a library for this machine",
				     library);
			free(library);
			return r;
		}
	} else if (preload_find(&library) < 0) {
		return complain(EXIT_OWN_FAILURE,
				"libhakmalloc.so is not beside hakrun; name it by --library");
	}
	r = preload_set(library);
	if (r == -EINVAL)
		r = complain(EXIT_OWN_FAILURE,
			     "%s: the loader takes no path with a blank, a colon or a dollar sign",
			     library);
	else
		r = r < 0 ? complain(EXIT_OWN_FAILURE, "LD_PRELOAD: %s", os_text(r)) : -1;
	free(library);
	return r;
}

static int bind_node(const struct arguments *args)
{
	int r;

	if (!args->has_node)
		return -1;
	r = node_bind(args->node);
	if (r == -ENOENT)
		return complain(EXIT_OWN_FAILURE, "--node %u: this machine has no such NUMA node",
				args->node);
	if (r == -ENODEV)
		return complain(EXIT_OWN_FAILURE,
				"--node %u: none of its processors may be used here", args->node);
	return r < 0 ? complain(EXIT_OWN_FAILURE, "--node %u: %s", args->node, os_text(r)) : -1;
}

static void warn_if_in_vain(const char *program)
{
	char path[4096];
	const char *why;

	if (program_find(path, sizeof(path), program) < 0)
		return; /* exec will say so */
	why = program_ignores_preload(path);
	if (why)
		fprintf(stderr,
			"hakrun: warning: %s is %s: nothing is preloaded, it runs as ever\n", path,
			why);
}

int main(int argc, char **argv)
{
	struct arguments args = { 0 };
	int r = parse_arguments(&args, argc, argv);

	if (r < 0)
		r = set_environment(&args);
	if (r < 0)
		r = check_daemon(&args);
	if (r < 0)
		r = bind_node(&args);
	if (r < 0)
		r = set_preload(&args);
	if (r >= 0)
		return r;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): -1 means that there is one. */
	warn_if_in_vain(args.program[0]);
	r = os_exec(args.program);
	return complain(r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN, "%s: %s", args.program[0],
			os_text(r));
}
