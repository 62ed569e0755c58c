/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.c - figures derived from refills and flushes; the hot path counts nothing.
 */
#include "libclient/stats.h"

#include "libclient/client.h"
#include "libclient/guarded.h"
#include "libclient/heap.h"
#include "libclient/spans.h"
#include "shared/check.h"
#include "tiny/central.h"
#include "tiny/depot.h"
#include "tiny/mixed.h"

void hak_stats_read(struct hak_stats *ret_stats)
{
	struct hak_stats s = { 0 };
	uint64_t idle, cached, delayed, n_delayed = hak_guarded_delayed(&delayed);

	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct hak_central *central = &hak_tiny.central[c];

		hak_lock_take(&central->lock);
		s.block_bytes += central->blocks * hak_class[c].size;
		s.slab_bytes += central->slabs << HAK_SLAB_SHIFT;
		s.refills += central->refills;
		s.flushes += central->flushes;
		hak_lock_drop(&central->lock);
	}
	s.mixed_bytes = hak_mixed_slabs() << HAK_SLAB_SHIFT;
	s.mixed_free = hak_mixed_free();
	s.mixed_made = hak_mixed_made();
	s.slab_bytes += s.mixed_bytes;
	/* Other threads may be at work between the looks. */
	idle = hak_depot_bytes();
	s.block_bytes -= idle < s.block_bytes ? idle : s.block_bytes;
	pthread_mutex_lock(&hak_heap.lock);
	s.heap = hak_heap.stats;
	s.refusal = hak_heap.refused.refusal;
	s.heap.spans -= hak_spans_cached(true, &cached);
	s.heap.spans -= n_delayed;
	s.heap.span_bytes -= (cached << HAK_SLAB_SHIFT) + delayed;
	s.added = hak_heap.carve.n_added;
	s.empty = hak_heap.carve.n_empty;
	s.clean = hak_heap.carve.n_clean;
	s.session = hak_heap.want_daemon ? hak_heap.session.state : HAK_SESSION_NONE;
	pthread_mutex_unlock(&hak_heap.lock);
	*ret_stats = s;
}

static const char *mode_name(const struct hak_stats *s)
{
	switch (s->session) {
	case HAK_SESSION_UP:
		return "daemon";
	case HAK_SESSION_AWAY:
		return "embedded (daemon away)";
	case HAK_SESSION_LOST:
		return "embedded (daemon lost or not there)";
	default:
		return "embedded";
	}
}

void hak_stats_report(void)
{
	struct hak_stats s;

	if (hak_client.state == HAK_CLIENT_LIBC) {
		hak_warn("stats: mode libc");
		return;
	}
	hak_stats_read(&s);
	hak_warn("stats: mode %s; superslabs %u in use, %u kept, %u untouched", mode_name(&s),
		 s.added - s.empty, s.empty - s.clean, s.clean);
	hak_warn("stats: slabs %lu KiB, of these blocks out %lu KiB; large spans %lu (%lu KiB)",
		 s.slab_bytes >> 10, s.block_bytes >> 10, s.heap.spans, s.heap.span_bytes >> 10);
	hak_warn("stats: held in slabs %lu.%02lu of blocks out; mixed slabs %lu KiB, of these free "
		 "%lu KiB; %lu made",
		 s.slab_bytes / (s.block_bytes | 1), s.slab_bytes * 100 / (s.block_bytes | 1) % 100,
		 s.mixed_bytes >> 10, s.mixed_free >> 10, s.mixed_made);
	if (s.heap.refusals)
		hak_warn("stats: of the refused leases %lu for a limit, the last for %s",
			 s.heap.limited,
			 s.refusal ? hak_refusal_name(s.refusal) : "no reason given");
	hak_warn("stats: refills %lu, flushes %lu; daemon: leased %lu, returned %lu, waits %lu, "
		 "timeouts %lu, refused %lu; anonymous superslabs %lu",
		 s.refills, s.flushes, s.heap.leases, s.heap.returns, s.heap.waits, s.heap.timeouts,
		 s.heap.refusals, s.heap.local);
}
