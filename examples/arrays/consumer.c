/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer.c - receives the arrays of producer.py and looks at them where they are.
 *
 *	consumer &
 *	python3 producer.py 3
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hakmem.h>

/* How an array's block begins; python/README.md describes it. */
struct array {
	char magic[8];  /* "HAKARR1" */
	char dtype[16]; /* "<f4": little-endian, floating point, 4 bytes */
	uint32_t dimensions;
	uint32_t data; /* the elements' offset from here, in C order */
	uint64_t bytes;
	uint64_t shape[8];
};

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "consumer: %s: %s (%s)\n", what, strerror(-r), hak_detail());
	exit(1);
}

/* The rows and columns of floats in a block; NULL: it has something else in it. */
static const float *floats(const struct array *array, size_t size, size_t *rows, size_t *columns)
{
	if (size < sizeof(*array) || memcmp(array->magic, "HAKARR1", sizeof(array->magic)) != 0 ||
	    strncmp(array->dtype, "<f4", sizeof(array->dtype)) != 0 || array->dimensions != 2)
		return NULL;
	*rows = array->shape[0];
	*columns = array->shape[1];
	if (array->data > size || array->bytes > size - array->data ||
	    (*columns && *rows > array->bytes / sizeof(float) / *columns))
		return NULL;
	return (const float *)((const char *)array + array->data);
}

int main(void)
{
	hak_domain *domain;
	hak_channel *channel;
	void *block;
	int r;

	check(hak_domain_open(&domain, "arrays", HAK_CREATE, NULL), "opening the domain");
	check(hak_channel_open(&channel, domain, "pictures", 0, HAK_RECV), "opening the channel");
	(void)fprintf(stderr, "receiving\n");
	/* -EPIPE: nothing is there, and the producer has gone. */
	while ((r = hak_channel_recv(channel, &block, -1)) != -EPIPE) {
		size_t rows, columns;
		double sum = 0;

		check(r, "receiving");
		const float *pixel =
			floats(block, hak_domain_usable_size(domain, block), &rows, &columns);
		check(pixel ? 0 : -EBADMSG, "a picture");
		for (size_t i = 0; i < rows * columns; i++)
			sum += pixel[i];
		printf("%zu x %zu, mean %.1f\n", rows, columns, sum / (double)(rows * columns));
		/* It is ours: Python's memory is freed from C. */
		hak_domain_free(domain, block);
	}
	hak_channel_close(channel);
	check(hak_domain_unlink("arrays"), "unlinking the domain");
	hak_domain_close(domain);
	return 0;
}
