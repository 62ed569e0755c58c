/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/model.h"

#include <sys/mman.h>

#include "tests/api/api.h"

void model_init(struct model *model, uint32_t capacity)
{
	size_t bytes = (capacity + 1) * sizeof(*model->node);

	*model = (struct model){ .capacity = capacity, .random = 1 };
	CHECK(pthread_mutex_init(&model->lock, NULL) == 0);
	model->node = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(model->node != MAP_FAILED);
	/* Node 0 is "none"; the others are chained by their right link. */
	for (uint32_t i = 1; i < capacity; i++)
		model->node[i].right = i + 1;
	model->unused = 1;
}

void model_deinit(struct model *model)
{
	CHECK(munmap(model->node, (model->capacity + 1) * sizeof(*model->node)) == 0);
	CHECK(pthread_mutex_destroy(&model->lock) == 0);
}

/* All that starts below key goes to *left, the rest to *right. */
static void split(struct model_node *node, uint32_t tree, uintptr_t key, uint32_t *left,
		  uint32_t *right)
{
	while (tree) {
		if (node[tree].start < key) {
			*left = tree;
			left = &node[tree].right;
			tree = *left;
		} else {
			*right = tree;
			right = &node[tree].left;
			tree = *right;
		}
	}
	*left = 0;
	*right = 0;
}

/* All of left lies below all of right. */
static uint32_t merge(struct model_node *node, uint32_t left, uint32_t right)
{
	uint32_t root = 0, *link = &root;

	while (left && right) {
		if (node[left].priority > node[right].priority) {
			*link = left;
			link = &node[left].right;
			left = *link;
		} else {
			*link = right;
			link = &node[right].left;
			right = *link;
		}
	}
	*link = left ? left : right;
	return root;
}

/* A live range that meets [start, end), or 0. */
static uint32_t find_overlap(const struct model *model, uintptr_t start, uintptr_t end)
{
	uint32_t tree = model->root;

	while (tree) {
		const struct model_node *node = &model->node[tree];

		if (end <= node->start)
			tree = node->left;
		else if (start >= node->end)
			tree = node->right;
		else
			return tree;
	}
	return 0;
}

int model_add(struct model *model, const void *start, size_t size, const void **ret_other)
{
	uintptr_t from = (uintptr_t)start;
	uint32_t other, left, right, i;

	CHECK(pthread_mutex_lock(&model->lock) == 0);
	other = find_overlap(model, from, from + size);
	if (!other) {
		i = model->unused;
		CHECK(i != 0 && i < model->capacity);
		model->unused = model->node[i].right;
		model->node[i] = (struct model_node){ .start = from, .end = from + size };
		model->node[i].priority = (uint32_t)api_random(&model->random);
		split(model->node, model->root, from, &left, &right);
		left = merge(model->node, left, i);
		model->root = merge(model->node, left, right);
	} else {
		*ret_other = (const void *)model->node[other].start;
	}
	CHECK(pthread_mutex_unlock(&model->lock) == 0);
	return other ? -EEXIST : 0;
}

int model_remove(struct model *model, const void *start)
{
	uintptr_t from = (uintptr_t)start;
	uint32_t left, middle, right;
	int r = -ENOENT;

	CHECK(pthread_mutex_lock(&model->lock) == 0);
	split(model->node, model->root, from, &left, &right);
	split(model->node, right, from + 1, &middle, &right);
	if (middle) {
		r = 0;
		model->node[middle].right = model->unused;
		model->unused = middle;
	}
	model->root = merge(model->node, left, right);
	CHECK(pthread_mutex_unlock(&model->lock) == 0);
	return r;
}
