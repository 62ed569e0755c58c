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
#include "daemon/os.h"
#include "daemon/version.h"
#include "shared/wire.h"

#define EXIT_USAGE 2

static const char help[] =
	"usage: hakmemd [--foreground] [--socket PATH] [--config FILE]\n"
	"       hakmemd --check-config | --print-config [--socket PATH] [--config FILE]\n"
	"       hakmemd --version | --help\n"
	"\n"
	"Owns memory on behalf of the programs that connect to it.\n"
	"\n"
	"  --foreground    stay in the foreground, log to stderr\n"
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
	"SIGHUP reads the configuration anew.\n"
	"\n"
	"exit status: 0  ended by a signal, or (background) ready\n"
	"             1  could not start, or failed; the reason is on stderr\n"
	"             2  wrong arguments or configuration\n";

struct arguments {
	bool foreground;
	bool check_config;
	bool print_config;
	struct config_source source;
};

/* -1: go on; else the exit status. */
static int parse_arguments(struct arguments *args, int argc, char **argv)
{
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, 'f' },
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

static int serve(const struct config *config, const struct config_source *source, bool foreground)
{
	struct daemon *daemon;
	int inherited = -1, pipe = -1, r;

	r = listener_inherited(&inherited);
	if (r < 0 && r != -ENOENT) {
		log_plain("LISTEN_FDS: one listening SOCK_SEQPACKET socket is needed");
		return r;
	}
	if (!foreground) {
		r = detach_begin(&pipe);
		if (r < 0) {
			log_plain("cannot go to the background: %s", os_text(r));
			return r;
		}
	}
	r = daemon_new(&daemon, config, source, inherited);
	if (r < 0)
		return r;
	log_plain("ready on %s", daemon->listener.path);
	if (!foreground)
		detach_ready(pipe);
	r = daemon_run(daemon);
	if (r == 0)
		daemon_free(daemon);
	return r;
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
	return serve(&config, &args.source, args.foreground) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
