/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain's meta memory: whatever members wrote there, the engine comes to an end, writes nothing
 * past it, and leaves no run that names the dead.
 *
 * The bytes: superslabs, fate, member and heir, then a lease word for each slab, then records that
 * say what to write where.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared/channel.h"
#include "shared/check.h"
#include "shared/domain.h"
#include "tests/domain_map.h"
#include "tests/fuzz/fuzz.h"

struct head {
	uint8_t superslabs, fate;
	uint16_t member, heir, nobody;
};

struct record {
	uint32_t at, what;
	uint64_t value;
};

static void apply(struct hak_domain_view *view, const struct record *record)
{
	uint32_t blocks = view->superslabs * HAK_SUPERSLAB_BLOCKS;
	struct hak_channel_desc *desc = &view->channels[record->at % HAK_CHANNELS];

	switch (record->what % 7) {
	case 0:
		view->half[record->at % blocks] = (uint16_t)record->value;
		break;
	case 1:
		view->generation[record->at % blocks] = (uint8_t)record->value;
		break;
	case 2:
		view->roots[record->at % HAK_ROOTS].ref = record->value;
		break;
	case 3:
		desc->ring = record->value;
		break;
	case 4:
		hak_channel_ring(view, record->at % HAK_CHANNELS)[record->at >> 8 & 0xff] =
			record->value;
		break;
	case 5:
		desc->senders[record->value % (HAK_MEMBERS / 64)] = record->value;
		desc->receivers[record->value % (HAK_MEMBERS / 64)] = record->value;
		break;
	default: /* the first blocks of a slab are all the same */
		for (uint32_t slot = 0; slot < 4096; slot++)
			view->half[hak_domain_index(record->at % hak_domain_slabs(view), slot)] =
				(uint16_t)record->value;
	}
}

static void check_swept(const struct hak_domain_view *view, const struct hak_sweep *first)
{
	struct hak_sweep again = *first;

	again.slabs_freed = again.slabs_orphaned = again.blocks_freed = again.blocks_kept = 0;
	hak_domain_sweep_names(view, &again, 0, UINT32_MAX);
	hak_domain_sweep(view, &again, 0, UINT32_MAX);
	hak_assert(!again.slabs_freed && !again.slabs_orphaned && !again.blocks_freed &&
		   !again.blocks_kept);
	for (uint32_t i = 0; i < hak_domain_slabs(view); i++)
		hak_assert(hak_lease_holder(view->lease[i]) != first->member ||
			   !hak_lease_is_run(view->lease[i], i, hak_domain_slabs(view)));
}

static void look(const struct hak_domain_view *view, uint64_t value)
{
	uint64_t blocks = (uint64_t)view->superslabs * HAK_SUPERSLAB_BLOCKS;
	struct hak_place place;
	uint32_t channel;

	if (hak_domain_place(view, value, &place) == 0)
		hak_assert(place.index < blocks && place.size && place.slab < value / 65536 + 1);
	if (hak_domain_place_ref(view, value, &place) == 0)
		hak_assert(place.index < blocks);
	(void)hak_domain_is_linked(view, value, &channel);
}

/* What members do is bounded by the same words. */
static void use(const struct hak_domain_view *view, uint32_t member)
{
	uint32_t slabs = hak_domain_slabs(view), first;

	for (uint64_t n = 1; n < slabs + 2; n += 5) {
		if (hak_lease_claim(view, member, UINT32_MAX, (uint32_t)n, n, &first)) {
			hak_assert(first + n <= slabs);
			hak_lease_commit(view, member, first, HAK_LEASE_SPAN, 0, n);
		}
	}
	for (uint32_t i = 0; i < slabs; i++) {
		(void)hak_lease_adopt(view, member, i, view->lease[i]);
		hak_assert(hak_lease_release(view, i) <= slabs - i);
	}
}

static void run(struct hak_domain_view *view, struct hak_sweep *sweep, const struct record *records,
		size_t n, bool check)
{
	static const uint64_t alive[HAK_MEMBERS / 64] = { 0xff };
	struct hak_domain_census census;
	const char *reason;
	uint64_t left;
	uint32_t slab;

	for (size_t i = 0; i < n; i++)
		apply(view, &records[i]);
	if (check) /* looks at all half-words, most of which are in pages that are not there */
		(void)hak_domain_check(view, alive, &census, &slab, &reason);
	hak_domain_count(view, &census);
	for (size_t i = 0; i < n && i < 4; i++)
		look(view, records[i].value);
	hak_domain_sweep_names(view, sweep, 0, UINT32_MAX);
	hak_domain_sweep(view, sweep, 0, UINT32_MAX);
	check_swept(view, sweep);
	hak_assert(hak_domain_gather(view, 0, UINT32_MAX, &left) <= hak_domain_slabs(view));
	hak_assert(left <= hak_domain_slabs(view));
	use(view, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hak_domain_view view;
	struct hak_sweep sweep = { 0 };
	struct record *records;
	struct head head;
	size_t leases;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	data += sizeof(head);
	size -= sizeof(head);
	domain_map(&view, head.superslabs % 2 + 1, head.superslabs % 2 + 1);
	leases = hak_domain_slabs(&view) * sizeof(uint64_t);
	leases = leases < size ? leases : size;
	memcpy((void *)view.lease, data, leases);
	records = malloc(size - leases + 1);
	must(records);
	memcpy(records, data + leases, size - leases);
	sweep.member = head.member % 4 == 3 ? HAK_HOLDER_DAEMON : head.member % HAK_MEMBERS;
	sweep.fate = (enum hak_fate)(head.fate % 3);
	sweep.heir = head.heir;
	sweep.nobody[head.nobody / 64 % (HAK_MEMBERS / 64)] = UINT64_C(1) << (head.nobody % 64);
	/* Everybody's would not be nobody's when the heir is. */
	if (sweep.heir < HAK_MEMBERS)
		sweep.nobody[sweep.heir / 64] &= ~(UINT64_C(1) << (sweep.heir % 64));
	if (sweep.heir == sweep.member)
		sweep.fate = HAK_FATE_FREE;
	run(&view, &sweep, records, (size - leases) / sizeof(*records), !(head.superslabs & 2));
	free(records);
	domain_unmap(&view);
	return 0;
}
