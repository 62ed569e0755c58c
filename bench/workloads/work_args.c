/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/work.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_OPS     (UINT64_C(1) << 48)
#define MAX_SIZE    (UINT64_C(1) << 31) /* work_between() wants less than 2^32 */
#define MAX_SLOTS   (UINT64_C(1) << 28)
#define MAX_THREADS 256

__attribute__((format(printf, 2, 3))) static _Noreturn void
usage_error(const struct work_info *info, const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "%s: ", info->name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "; try --help\n");
	exit(2);
}

/* Returns what follows the number, NULL if there is none. K, M and G are powers of 1,024. */
static const char *number(const char *text, uint64_t *ret_value)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	uint64_t value;
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return NULL;
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);

		if (value >> (64 - shift))
			return NULL;
		value <<= shift;
		end++;
	}
	*ret_value = value;
	return end;
}

static uint64_t one_number(const struct work_info *info, const char *option, const char *text,
			   uint64_t min, uint64_t max)
{
	uint64_t value;
	const char *rest = number(text, &value);

	if (!rest || *rest || value < min || value > max)
		usage_error(info, "--%s %s: not a number from %" PRIu64 " to %" PRIu64, option,
			    text, min, max);
	return value;
}

/* N or MIN..MAX */
static void sizes(struct work *work, const char *text)
{
	uint64_t min, max;
	const char *rest = number(text, &min);

	max = min;
	if (rest && !strncmp(rest, "..", 2))
		rest = number(rest + 2, &max);
	if (!rest || *rest || min < 1 || max > MAX_SIZE || min > max)
		usage_error(work->info, "--size %s: not N or MIN..MAX, from 1 to %" PRIu64, text,
			    MAX_SIZE);
	work->min = min;
	work->max = max;
}

static void set_variant(struct work *work, const char *name)
{
	const struct work_variant *v;

	for (v = work->info->variants; v->name && strcmp(v->name, name) != 0; v++)
		continue;
	if (!v->name)
		usage_error(work->info, "--variant %s: there is none of this name", name);
	work->variant = v;
	work->ops = v->ops;
	work->min = v->min;
	work->max = v->max;
	work->slots = v->slots;
	work->threads = v->threads;
}

static _Noreturn void help(const struct work_info *info)
{
	(void)printf("usage: %s [OPTION]...\n%s\nOne operation is %s.\n\n"
		     "  --variant NAME        one of those below\n"
		     "  --ops N               operations\n"
		     "  --threads N           threads\n"
		     "  --size N|MIN..MAX     bytes of a block\n"
		     "  --slots N             blocks alive at a time\n"
		     "  --seed N              of the random numbers\n"
		     "%s"
		     "  --numa                say on which nodes the pages lie\n"
		     "  --list                the variants as JSON\n"
		     "  --help                this text\n\n",
		     info->name, info->about, info->op,
		     info->takes_trace ? "  --trace FILE          of hakbench record\n" : "");
	for (const struct work_variant *v = info->variants; v->name; v++)
		(void)printf("  %-16s %s\n", v->name, v->about);
	exit(0);
}

static _Noreturn void list(const struct work_info *info)
{
	(void)printf("{\"workload\":\"%s\",\"group\":\"%s\",\"about\":\"%s\",\"op\":\"%s\","
		     "\"countable\":%s,\"needs_daemon\":%s,\"peers\":\"%s\",\"variants\":[",
		     info->name, info->group, info->about, info->op,
		     info->in_children || (info->needs_daemon && !info->counted) ? "false" : "true",
		     info->needs_daemon ? "true" : "false", info->peers ? info->peers : "");
	for (const struct work_variant *v = info->variants; v->name; v++)
		(void)printf("%s{\"name\":\"%s\",\"about\":\"%s\",\"ops\":%" PRIu64
			     ",\"min_size\":%zu,\"max_size\":%zu,\"slots\":%zu,\"threads\":%u}",
			     v == info->variants ? "" : ",", v->name, v->about, v->ops, v->min,
			     v->max, v->slots, v->threads);
	(void)printf("]}\n");
	exit(0);
}

static void set(struct work *work, int option, const char *text)
{
	switch (option) {
	case 'o':
		work->ops = one_number(work->info, "ops", text, 1, MAX_OPS);
		break;
	case 't':
		work->threads = (unsigned)one_number(work->info, "threads", text, 1, MAX_THREADS);
		break;
	case 'z':
		sizes(work, text);
		break;
	case 'l':
		work->slots = one_number(work->info, "slots", text, 1, MAX_SLOTS);
		break;
	case 's':
		work->seed = one_number(work->info, "seed", text, 1, UINT64_MAX);
		break;
	case 'T':
		if (!work->info->takes_trace)
			usage_error(work->info, "--trace %s: there is none to replay", text);
		work->trace = text;
		break;
	case 'n':
		work->numa = true;
		break;
	case 'L':
		list(work->info);
	case 'h':
		help(work->info);
	default:
		exit(2); /* getopt has said why */
	}
}

void work_init(struct work *work, const struct work_info *info, int argc, char **argv)
{
	static const struct option options[] = {
		{ "variant", required_argument, NULL, 'v' },
		{ "ops", required_argument, NULL, 'o' },
		{ "threads", required_argument, NULL, 't' },
		{ "size", required_argument, NULL, 'z' },
		{ "slots", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ "trace", required_argument, NULL, 'T' },
		{ "numa", no_argument, NULL, 'n' },
		{ "list", no_argument, NULL, 'L' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	*work = (struct work){ .info = info, .seed = 42 };
	set_variant(work, info->variants[0].name);
	/* Twice: the variant's figures are defaults, wherever it stands. */
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'v')
			set_variant(work, optarg);
		else if (option == '?')
			exit(2);
	}
	if (optind < argc)
		usage_error(info, "%s: no such argument", argv[optind]);
	optind = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option != 'v')
			set(work, option, optarg);
	}
	work->done = work->ops;
}
