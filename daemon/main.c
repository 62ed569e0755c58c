/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - arguments and exit codes; everything else is in libhakdaemon, which tests link. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/config_load.h"
#include "daemon/daemon.h"
#include "daemon/detach.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/os.h"
#include "daemon/reexec.h"
#include "daemon/store.h"
#include "daemon/version.h"
#include "shared/wire.h"

#define EXIT_USAGE 2

static const char help[] =
	"usage: hakmemd [--foreground] [--fdstore] [--socket PATH] [--config FILE]\n"
	"       hakmemd --check-config | --print-config [--socket PATH] [--config FILE]\n"
	"       hakmemd --version | --help\n"
	"\n"
	"Owns memory on behalf of the programs that connect to it.\n"
	"\n"
	"  --foreground    stay in the foreground, log to stderr\n"
	"  --fdstore       the service manager has a descriptor store, which sessions and\n"
	"                  domains are kept in; so it is, too, if $FDSTORE is above 0\n"
	"  --socket PATH   listen here (default " HAK_DEFAULT_SOCKET ")\n"
	"  --config FILE   read FILE (default " CONFIG_DEFAULT_PATH ", if it exists),\n"
	"                  then FILE.d/*.conf in the order of their names\n"
	"  --check-config  read the configuration, say whether it is right, and exit\n"
	"  --print-config  read the configuration, print what is in effect, and exit\n"
	"  --version       print the version and exit\n"
	"  --help          print this and exit\n"
	"\n"
	"Without --foreground it goes to the background as soon as it accepts connections, and\n"
	"logs to syslog. SIGTERM and SIGINT end it; its clients keep the memory that they have.\n"
	"With a descriptor store SIGTERM ends nothing but the process: the next one goes on with\n"
	"all sessions and domains. SIGHUP reads the configuration anew. SIGUSR2 starts the\n"
	"program anew, as the same process, with all sessions and domains.\n"
	"\n"
	"exit status: 0  ended by a signal, or (background) ready\n"
	"             1  could not start, or failed; the reason is on stderr\n"
	"             2  wrong arguments or configuration\n";

struct arguments {
	bool foreground;
	bool fdstore;
	bool check_config;
	bool print_config;
	struct config_source source;
};

/* -1: go on; else the exit status. */
static int parse_arguments(struct arguments *args, int argc, char **argv)
{
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "fdstore", no_argument, NULL, 'd' },
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "print-config", no_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'f':
			args->foreground = true;
			break;
		case 'd':
			args->fdstore = true;
			break;
		case 's':
			args->source.socket = optarg;
			break;
		case 'c':
			args->source.path = optarg;
			break;
		case 'k':
			args->check_config = true;
			break;
		case 'p':
			args->print_config = true;
			break;
		case 'v':
			printf("hakmemd %s\n", HAKMEMD_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default: /* getopt_long has named it */
			fputs("try hakmemd --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	log_plain("unexpected argument '%s'; try hakmemd --help", argv[optind]);
	return EXIT_USAGE;
}

/* In the background the working directory is another one, and SIGHUP comes then. */
static int make_absolute(struct config_source *source)
{
	static char path[2 * PATH_MAX];
	char dir[PATH_MAX];

	if (!source->path || source->path[0] == '/')
		return 0;
	if (!getcwd(dir, sizeof(dir)) ||
	    snprintf(path, sizeof(path), "%s/%s", dir, source->path) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	source->path = path;
	return 0;
}

static bool has_store(const struct arguments *args)
{
	const char *most = getenv("FDSTORE");

	return args->fdstore || (most && atoi(most) > 0);
}

#define AGAIN_ARGS 8

/* The same program with the same arguments, by names that still lead there from elsewhere. */
static void set_again(const char *ret_argv[AGAIN_ARGS], const struct arguments *args)
{
	static char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	unsigned n = 0;

	path[length > 0 ? length : 0] = 0;
	ret_argv[n++] = path;
	if (args->foreground)
		ret_argv[n++] = "--foreground";
	if (args->fdstore)
		ret_argv[n++] = "--fdstore";
	if (args->source.socket) {
		ret_argv[n++] = "--socket";
		ret_argv[n++] = args->source.socket;
	}
	if (args->source.path) {
		ret_argv[n++] = "--config";
		ret_argv[n++] = args->source.path;
	}
	ret_argv[n] = NULL;
}

/* After exec it is in the background already, if that is where it is to be. */
static int go_background(const struct arguments *args, bool again, int *ret_pipe)
{
	int r;

	*ret_pipe = -1;
	if (args->foreground)
		return 0;
	if (again) {
		log_to_syslog();
		return 0;
	}
	r = detach_begin(ret_pipe);
	if (r < 0)
		log_plain("cannot go to the background: %s", os_text(r));
	return r;
}

static int run(const struct daemon_parts *parts, int pipe)
{
	struct daemon *daemon;
	int r = daemon_new(&daemon, parts);

	if (r < 0)
		return r;
	log_plain("ready on %s", daemon->listener.path);
	notify_ready();
	if (pipe >= 0)
		detach_ready(pipe);
	r = daemon_run(daemon);
	if (r == 0 && !daemon->parked)
		daemon_free(daemon);
	return r;
}

static int serve(const struct config *config, const struct arguments *args)
{
	static struct store store;
	const char *argv[AGAIN_ARGS];
	struct daemon_parts parts = { .config = config,
				      .source = &args->source,
				      .store = &store,
				      .again = (char *const *)(uintptr_t)argv };
	bool again = reexec_happened();
	int pipe, r;

	store_init(&store, has_store(args));
	r = store_inherit(&store, &parts.inherited);
	if (r < 0) {
		log_plain("LISTEN_FDS: one listening SOCK_SEQPACKET socket is needed");
		return r;
	}
	set_again(argv, args);
	r = go_background(args, again, &pipe);
	return r < 0 ? r : run(&parts, pipe);
}

int main(int argc, char **argv)
{
	struct arguments args = { 0 };
	char reason[CONFIG_REASON_BYTES] = "--config: the path is too long";
	struct config config;
	int status = parse_arguments(&args, argc, argv), r;

	if (status >= 0)
		return status;
	r = make_absolute(&args.source);
	if (r == 0)
		r = args.print_config ? config_print(&args.source, reason)
				      : config_load(&config, &args.source, NULL, NULL, reason);
	if (r < 0) {
		log_plain("%s", reason);
		return EXIT_USAGE;
	}
	if (args.print_config)
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (args.check_config) {
		puts("configuration is right");
		return EXIT_SUCCESS;
	}
	log_set_level(config.log_level);
	return serve(&config, &args) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
