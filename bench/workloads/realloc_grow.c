/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors that grow by realloc until they are large enough, and begin anew. There is more than one,
 * so that a block often has a neighbour and cannot simply be extended. Each growth writes to the
 * pages that are new, and checks that the first bytes came along.
 */
#include "bench/workloads/work.h"

#include <string.h>

static const struct work_variant variants[] = {
	{ "default", "16 bytes to 4 KiB in steps of 16", 20000000, 16, 4096, 4, 1 },
	{ "double", "16 bytes to 1 MiB, doubled each time", 5000, 16, 1048576, 4, 1 },
	{ "large", "64 KiB to 16 MiB in steps of 64 KiB", 1500, 65536, 16777216, 2, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "realloc_grow",
	.group = "large",
	.about = "vectors that grow by realloc",
	.op = "one realloc",
	.variants = variants,
};

struct vector {
	uint64_t *data;
	size_t size;
};

static void grow(struct vector *v, size_t size, size_t min, uint64_t mark)
{
	uint64_t *data = realloc(v->data, size);

	if (!data)
		work_die("out of memory");
	if (v->size && min >= sizeof(*data) && data[0] != mark)
		work_die("realloc lost the contents");
	work_touch((char *)data + v->size, size - v->size);
	if (min >= sizeof(*data))
		data[0] = mark;
	v->data = data;
	v->size = size;
}

int main(int argc, char **argv)
{
	struct work work;
	struct vector *all;
	bool twice;

	work_init(&work, &info, argc, argv);
	twice = !strcmp(work.variant->name, "double");
	all = work_table(work.slots, sizeof(*all));
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++) {
		struct vector *v = &all[i % work.slots];
		size_t size = twice && v->size ? v->size * 2 : v->size + work.min;

		if (size > work.max) {
			free(v->data);
			*v = (struct vector){ 0 };
			size = work.min;
		}
		grow(v, size, work.min, i % work.slots + 1);
	}
	work_stop(&work);
	for (size_t i = 0; i < work.slots; i++)
		free(all[i].data);
	return work_report(&work);
}
