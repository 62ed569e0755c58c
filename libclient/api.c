/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/include/hakmem.h"

#include <errno.h>
#include <string.h>

#include "libclient/client.h"
#include "libclient/detail.h"
#include "libclient/heap.h"
#include "libclient/inline.h"
#include "libclient/spans.h"
#include "libclient/stats.h"
#include "tiny/central.h"
#include "tiny/tiny.h"

HAK_EXPORT void *hak_malloc(size_t size)
{
	return hak_tiny_alloc(size);
}

HAK_EXPORT void hak_free(void *p)
{
	hak_tiny_free(p);
}

HAK_EXPORT void *hak_calloc(size_t n, size_t size)
{
	return hak_zeroed(n, size);
}

HAK_EXPORT void *hak_realloc(void *p, size_t size)
{
	return hak_resize(p, size);
}

HAK_EXPORT void *hak_aligned_alloc(size_t align, size_t size)
{
	if (!hak_is_pow2(align)) {
		hak_detail_say("the alignment is not a power of two");
		errno = EINVAL;
		return NULL;
	}
	return hak_aligned(align, size);
}

HAK_EXPORT size_t hak_usable_size(const void *p)
{
	return hak_usable(p);
}

HAK_EXPORT size_t hak_malloc_batch(size_t size, size_t n, void **ret)
{
	size_t got;

	for (got = 0; got < n; got++) {
		ret[got] = hak_tiny_alloc(size);
		if (!ret[got])
			break;
	}
	return got;
}

HAK_EXPORT void hak_free_batch(size_t n, void **p)
{
	for (size_t i = 0; i < n; i++)
		hak_tiny_free(p[i]);
}

HAK_EXPORT size_t hak_trim(void)
{
	return hak_give_back();
}

HAK_EXPORT int hak_owns(const void *p)
{
	return hak_is_ours(p);
}

HAK_EXPORT const char *hak_version(void)
{
	return HAKMEM_VERSION;
}

static_assert((int)HAK_INFO_NONE == (int)HAK_SESSION_NONE &&
		      (int)HAK_INFO_UP == (int)HAK_SESSION_UP &&
		      (int)HAK_INFO_LOST == (int)HAK_SESSION_LOST &&
		      (int)HAK_INFO_AWAY == (int)HAK_SESSION_AWAY,
	      "hakmem.h");
static_assert((int)HAK_REFUSED_TOTAL_BYTES == (int)HAK_REFUSAL_TOTAL_BYTES &&
		      (int)HAK_REFUSED_UID_BYTES == (int)HAK_REFUSAL_UID_BYTES &&
		      (int)HAK_REFUSED_SESSION_BYTES == (int)HAK_REFUSAL_SESSION_BYTES &&
		      (int)HAK_REFUSED_ADDRESSES == (int)HAK_REFUSAL_ADDRESSES &&
		      (int)HAK_REFUSED_MEMORY == (int)HAK_REFUSAL_MEMORY &&
		      (int)HAK_REFUSED_NODE_BYTES == (int)HAK_REFUSAL_NODE_BYTES &&
		      (int)HAK_REFUSED_DOMAIN_BYTES == (int)HAK_REFUSAL_DOMAIN_BYTES,
	      "the public names are those of the protocol");

static int apply(const struct hak_options *o)
{
	struct hak_heap *heap = &hak_heap;

	if (o->socket)
		memcpy(heap->socket, o->socket, strlen(o->socket) + 1);
	if (o->mode == HAK_INFO_LIBC) {
		hak_client.state = HAK_CLIENT_LIBC;
		hak_tiny.checked = false;
		return 0;
	}
	if (o->mode)
		heap->want_daemon = heap->say_so = o->mode == HAK_INFO_DAEMON;
	if (o->node)
		heap->node = (uint32_t)(o->node - 1);
	return 0;
}

HAK_EXPORT int hak_init(const struct hak_options *options)
{
	int r;

	if (options && (options->size != sizeof(*options) || options->mode > HAK_INFO_DAEMON ||
			options->node < 0 || options->node > 1024 ||
			(options->socket && strlen(options->socket) >= HAK_SOCKET_PATH_MAX))) {
		hak_detail_say("hak_init: size, mode, node or socket is out of range");
		return -EINVAL;
	}
	if (hak_client_start() == HAK_CLIENT_LIBC) {
		r = options && options->mode > HAK_INFO_LIBC ? -EBUSY : 0;
	} else {
		pthread_mutex_lock(&hak_heap.lock);
		r = hak_heap.carve.n_added || hak_heap.session.state != HAK_SESSION_NONE ? -EBUSY
		    : options ? apply(options)
			      : 0;
		pthread_mutex_unlock(&hak_heap.lock);
	}
	if (r < 0)
		hak_detail_say("hak_init: there were allocations already, or libc's malloc serves");
	return r;
}

static void fill(struct hak_info *info)
{
	struct hak_heap *heap = &hak_heap;
	const struct hak_carve *carve = &heap->carve;
	uint64_t shared = 0, cached;

	for (uint32_t i = heap->shift; i < carve->zone[0].high; i++)
		shared += (carve->supers[i].flags & HAK_SUPER_SHARED) != 0;
	info->mode = hak_heap_leases(heap) ? HAK_INFO_DAEMON : HAK_INFO_EMBEDDED;
	info->state = heap->session.state;
	info->session = heap->session.id;
	info->epoch = heap->session.epoch;
	(void)hak_spans_cached(true, &cached);
	cached <<= HAK_SLAB_SHIFT;
	info->held_bytes =
		((uint64_t)(carve->n_added - carve->n_empty) << HAK_SUPERSLAB_SHIFT) - cached;
	info->kept_bytes =
		((uint64_t)(carve->n_empty - carve->n_clean) << HAK_SUPERSLAB_SHIFT) + cached;
	info->shared_bytes = shared << HAK_SUPERSLAB_SHIFT;
	info->leases = heap->stats.leases;
	info->returns = heap->stats.returns;
	info->waits = heap->stats.waits;
	info->refusals = heap->stats.refusals;
	info->limited = heap->stats.limited;
	info->refused = heap->refused.refusal;
	info->refused_limit = heap->refused.limit;
	info->refused_used = heap->refused.used;
}

static void fill_blocks(struct hak_info *info)
{
	struct hak_stats stats;

	hak_stats_read(&stats);
	info->slab_bytes = stats.slab_bytes;
	info->block_bytes = stats.block_bytes;
	info->mixed_bytes = stats.mixed_bytes;
}

HAK_EXPORT int hak_info_get(struct hak_info *ret_info)
{
	struct hak_info info = { .size = sizeof(info) };
	size_t size = ret_info->size;

	if (size < offsetof(struct hak_info, session) || size > 4096) {
		hak_detail_say("hak_info.size is not the size of a struct hak_info");
		return -EINVAL;
	}
	if (hak_client_start() == HAK_CLIENT_LIBC) {
		info.mode = HAK_INFO_LIBC;
	} else {
		pthread_mutex_lock(&hak_heap.lock);
		fill(&info);
		pthread_mutex_unlock(&hak_heap.lock);
		fill_blocks(&info);
	}
	info.size = size;
	memcpy(ret_info, &info, size < sizeof(info) ? size : sizeof(info));
	return 0;
}
