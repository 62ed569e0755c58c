/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc/self/maps says of an address: the kernel's word against the allocator's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct maps_entry {
	uintptr_t start, end;
	bool writable;
	char name[64]; /* "", "[heap]", "[anon:hakmem]", "/memfd:hakmem (deleted)" */
};

struct maps {
	struct maps_entry *entry;
	size_t n;
};

/* A snapshot, made without the allocator under test. CHECKs instead of failing. */
void maps_read(struct maps *maps);
struct maps maps_deinit(struct maps *maps);

/* The mapping that holds p, or NULL. */
const struct maps_entry *maps_find(const struct maps *maps, const void *p);

/* Whether the kernel gives anonymous mappings the names that programs ask for. */
bool maps_has_anonymous_names(void);
