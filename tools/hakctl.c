/* SPDX-License-Identifier: Apache-2.0 */
/* hakctl - asks a running hakmemd what it is doing. Arguments only; see query.c and render_*.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/include/hakmem.h"
#include "shared/sys.h"
#include "tools/audit.h"
#include "tools/domain_look.h"
#include "tools/query.h"
#include "tools/render.h"

#define EXIT_USAGE 2

static const char help[] =
	"usage: hakctl [--socket PATH] [--json] COMMAND\n"
	"       hakctl --help\n"
	"\n"
	"  status         what the daemon holds and has done\n"
	"  sessions       its client processes and what each of them holds\n"
	"  limits         every limit, whom it binds, and how much of it is in use\n"
	"  domains        the shared domains\n"
	"  domain NAME    one of them: its members, what is where, roots, channels\n"
	"  who NAME       what each of its members holds and owns\n"
	"  leaks NAME     what may have been forgotten in it\n"
	"  orphans [NAME] memory of domains whose holder died, and that is nobody's yet\n"
	"  audit          where every byte is, and whether all the books add up\n"
	"  version        the version of hakctl and of the protocol; asks no daemon\n"
	"\n"
	"  --socket PATH  the daemon's socket (default $HAKMEM_SOCKET, then\n"
	"                 " HAK_DEFAULT_SOCKET ")\n"
	"  --json         one JSON object; bytes and nanoseconds as integers, see hakctl(1)\n"
	"  --help         print this and exit\n"
	"\n"
	"In the table of sessions, S is the state: A attached, D detached (the process closed its\n"
	"socket and lives on), SUPERSL., HUGE and FROZEN count superslabs of 2 MiB, and REFUSED\n"
	"says why the last request for memory was refused: a key of hakmemd.conf(5), or memory.\n"
	"\n"
	"exit status: 0  done\n"
	"             1  no daemon, an answer that is none, a refusal; the reason is on stderr;\n"
	"                or audit found something that does not add up\n"
	"             2  wrong arguments\n";

struct arguments {
	const char *socket;
	bool json;
	const char *command;
	const char *name; /* of a domain, or NULL */
};

static int usage(void)
{
	fputs("try hakctl --help\n", stderr);
	return EXIT_USAGE;
}

static bool takes_name(const char *command)
{
	return !strcmp(command, "domain") || !strcmp(command, "who") || !strcmp(command, "leaks") ||
	       !strcmp(command, "orphans");
}

/* -1: go on; else the exit status. */
static int parse_arguments(struct arguments *args, int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 's':
			args->socket = optarg;
			break;
		case 'j':
			args->json = true;
			break;
		case 'v':
			args->command = "version";
			return -1;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default: /* getopt_long has named it */
			return usage();
		}
	}
	if (optind == argc) {
		fputs("hakctl: a command is missing: status, sessions, limits, domains or others\n",
		      stderr);
		return usage();
	}
	args->command = argv[optind++];
	if (optind < argc && takes_name(args->command))
		args->name = argv[optind++];
	if (optind == argc)
		return -1;
	fprintf(stderr, "hakctl: unexpected argument '%s'\n", argv[optind]);
	return usage();
}

static int report_failure(const char *why)
{
	fprintf(stderr, "hakctl: %s\n", why);
	return EXIT_FAILURE;
}

static int version(const struct arguments *args)
{
	if (args->json)
		return render_version_json() ? report_failure("out of memory") : EXIT_SUCCESS;
	printf("hakctl %s, protocol %u to %u\n", HAKMEM_VERSION, HAK_WIRE_VERSION_MIN,
	       HAK_WIRE_VERSION_MAX);
	return EXIT_SUCCESS;
}

static int status(const struct arguments *args)
{
	struct query query = QUERY_NULL;
	int r = query_run(&query, args->socket, HAK_QUERY_STATUS, sizeof(struct hak_report_status));

	if (r < 0)
		r = report_failure(query.talk.error);
	else if (query.count != 1)
		r = report_failure("report malformed: not one record");
	else if (!args->json)
		render_status_text(query.records, args->socket);
	else if (render_status_json(query.records) < 0)
		r = report_failure("out of memory");
	query_deinit(&query);
	return r;
}

static int sessions(const struct arguments *args)
{
	struct query query = QUERY_NULL;
	uint64_t now;
	int r = query_run(&query, args->socket, HAK_QUERY_SESSIONS,
			  sizeof(struct hak_report_session));

	now = hak_sys_boottime_ns();
	if (r < 0)
		r = report_failure(query.talk.error);
	else if (!args->json)
		render_sessions_text(query.records, query.count, now);
	else if (render_sessions_json(query.records, query.count, now) < 0)
		r = report_failure("out of memory");
	query_deinit(&query);
	return r;
}

static int limits(const struct arguments *args)
{
	struct query query = QUERY_NULL;
	int r = query_run(&query, args->socket, HAK_QUERY_LIMITS, sizeof(struct hak_report_limit));

	if (r < 0)
		r = report_failure(query.talk.error);
	else if (!args->json)
		render_limits_text(query.records, query.count);
	else if (render_limits_json(query.records, query.count) < 0)
		r = report_failure("out of memory");
	query_deinit(&query);
	return r;
}

static int domains(const struct arguments *args)
{
	return domain_list(args->socket, args->json);
}

static int domain(const struct arguments *args)
{
	if (args->name)
		return domain_one(args->socket, args->json, args->command, args->name);
	fprintf(stderr, "hakctl: the name of a domain is missing\n");
	return usage();
}

static int orphans(const struct arguments *args)
{
	return domain_list_orphans(args->socket, args->json, args->name);
}

static int audit(const struct arguments *args)
{
	return audit_command(args->socket, args->json);
}

static const struct {
	const char *name;
	int (*run)(const struct arguments *args);
} commands[] = {
	{ "status", status },   { "sessions", sessions }, { "limits", limits },
	{ "domains", domains }, { "domain", domain },     { "who", domain },
	{ "leaks", domain },    { "orphans", orphans },   { "audit", audit },
	{ "version", version },
};

static const char *default_socket(void)
{
	const char *path = getenv("HAKMEM_SOCKET");

	return path && *path ? path : HAK_DEFAULT_SOCKET;
}

int main(int argc, char **argv)
{
	struct arguments args = { .socket = default_socket() };
	int r = parse_arguments(&args, argc, argv);

	if (r < 0) {
		for (size_t i = 0; i < hak_array_size(commands) && r < 0; i++) {
			if (!strcmp(args.command, commands[i].name))
				r = commands[i].run(&args);
		}
	}
	if (r < 0) {
		fprintf(stderr, "hakctl: unknown command '%s'\n", args.command);
		return usage();
	}
	/* A full disk or a closed pipe must not look like an answer. */
	if (fflush(stdout) || ferror(stdout))
		return report_failure("the output could not be written");
	return r;
}
