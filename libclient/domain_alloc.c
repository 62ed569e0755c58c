/* SPDX-License-Identifier: Apache-2.0 */
/* domain_alloc.c - blocks of a domain by size; what the inline path has no magazine for. */
#include "libclient/domain_fast.h"

HAK_EXPORT void *hak_domain_alloc(hak_domain *domain, size_t size)
{
	return hak_domain_alloc_hot(domain, size);
}

HAK_EXPORT void hak_domain_free(hak_domain *domain, void *p)
{
	hak_domain_free_hot(domain, p);
}

static void *no_block(int error)
{
	errno = error;
	return NULL;
}

static int may_alloc(const hak_domain *d, size_t size)
{
	int r = hak_domain_may(d, true);

	if (!r && size > d->size)
		r = hak_domain_fail(-ENOMEM, "the domain's address range is smaller");
	return r;
}

void *hak_domain_alloc_cold(hak_domain *d, size_t size)
{
	int r = may_alloc(d, size);
	void *p;

	if (r < 0)
		return no_block(-r);
	if (size > HAK_CLASS_MAX_SIZE)
		p = hak_domain_span_alloc(d, size, 1);
	else
		p = hak_domain_thread_alloc(d, hak_class_of(size ? size : 1));
	return p ? p : no_block(ENOMEM);
}

HAK_EXPORT void *hak_domain_aligned_alloc(hak_domain *domain, size_t align, size_t size)
{
	uint32_t class;
	void *p;
	int r;

	if (!hak_is_pow2(align)) {
		(void)hak_domain_fail(-EINVAL, "the alignment is not a power of two");
		return no_block(EINVAL);
	}
	if (align <= 16)
		return hak_domain_alloc_hot(domain, size);
	r = may_alloc(domain, size);
	if (r < 0)
		return no_block(-r);
	if (align > HAK_DOMAIN_ALIGN_MAX) {
		(void)hak_domain_fail(-ENOMEM, "no block is aligned to more than 1 GiB");
		return no_block(ENOMEM);
	}
	if (size > HAK_CLASS_MAX_SIZE || align > HAK_CLASS_MAX_SIZE) {
		p = hak_domain_span_alloc(domain, size ? size : 1, align);
	} else {
		/* Slabs are aligned, so a block is aligned to whatever divides its size. */
		class = hak_class_of(size > align ? size : align);
		while (hak_class[class].size % align)
			class ++;
		p = hak_domain_thread_alloc(domain, class);
	}
	return p ? p : no_block(ENOMEM);
}
