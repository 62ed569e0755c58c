/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interpose_cxx.c - C++'s operator new and delete in all their forms, without C++: a plain new is
 * malloc, a plain delete is free, in the same few instructions.
 *
 * A failed new calls the program's new handler until that gives up, and then throws: both by weak
 * references into the C++ runtime, which is there if anything calls operator new.
 */
#include "libclient/client.h"
#include "shared/check.h"
#include "tiny/tiny.h"

typedef void (*new_handler)(void);

extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak, noreturn));

/* Until it works or there is no handler left. NULL then. */
static HAK_COLD void *new_retry(size_t size, size_t align)
{
	new_handler handler;
	void *p = NULL;

	while (!p && _ZSt15get_new_handlerv && (handler = _ZSt15get_new_handlerv())) {
		handler();
		p = hak_aligned(align, size);
	}
	return p;
}

/* Throws through these frames: built with unwind tables. */
static HAK_COLD void *new_failed(size_t size, size_t align)
{
	void *p = new_retry(size, align);

	if (p)
		return p;
	if (_ZSt17__throw_bad_allocv)
		_ZSt17__throw_bad_allocv();
	hak_die("operator new: no memory for %zu bytes, and no C++ runtime to throw bad_alloc",
		size);
}

/* A block from a magazine is never NULL, so only the cold way asks. */
static HAK_COLD void *new_cold(size_t size)
{
	void *p = hak_alloc_cold(size);

	return p ? p : new_failed(size, 16);
}

static HAK_COLD void *new_nothrow_cold(size_t size)
{
	void *p = hak_alloc_cold(size);

	return p ? p : new_retry(size, 16);
}

#define NEW_PLAIN(name)                                     \
	HAK_EXPORT void *name(size_t size);                 \
	HAK_EXPORT void *name(size_t size)                  \
	{                                                   \
		return hak_tiny_alloc_else(size, new_cold); \
	}
#define NEW_NOTHROW(name)                                           \
	HAK_EXPORT void *name(size_t size, const void *tag);        \
	HAK_EXPORT void *name(size_t size, const void *tag)         \
	{                                                           \
		(void)tag;                                          \
		return hak_tiny_alloc_else(size, new_nothrow_cold); \
	}
#define NEW_ALIGNED(name)                                           \
	HAK_EXPORT void *name(size_t size, size_t align);           \
	HAK_EXPORT void *name(size_t size, size_t align)            \
	{                                                           \
		void *p = hak_aligned(align, size);                 \
                                                                    \
		return HAK_LIKELY(p) ? p : new_failed(size, align); \
	}
#define NEW_ALIGNED_NOTHROW(name)                                          \
	HAK_EXPORT void *name(size_t size, size_t align, const void *tag); \
	HAK_EXPORT void *name(size_t size, size_t align, const void *tag)  \
	{                                                                  \
		void *p = hak_aligned(align, size);                        \
                                                                           \
		(void)tag;                                                 \
		return HAK_LIKELY(p) ? p : new_retry(size, align);         \
	}
#define DELETE1(name)                  \
	HAK_EXPORT void name(void *p); \
	HAK_EXPORT void name(void *p)  \
	{                              \
		hak_tiny_free(p);      \
	}
/* Alignment and tag tell nothing that the page map does not know; nor does the size, but it can be
 * wrong. */
#define DELETE_SIZED(name)                          \
	HAK_EXPORT void name(void *p, size_t size); \
	HAK_EXPORT void name(void *p, size_t size)  \
	{                                           \
		hak_tiny_free_sized(p, size);       \
	}
#define DELETE_SIZED_ALIGNED(name)                                \
	HAK_EXPORT void name(void *p, size_t size, size_t align); \
	HAK_EXPORT void name(void *p, size_t size, size_t align)  \
	{                                                         \
		(void)align;                                      \
		hak_tiny_free_sized(p, size);                     \
	}
#define DELETE2(name)                            \
	HAK_EXPORT void name(void *p, size_t a); \
	HAK_EXPORT void name(void *p, size_t a)  \
	{                                        \
		(void)a;                         \
		hak_tiny_free(p);                \
	}
#define DELETE3(name)                                      \
	HAK_EXPORT void name(void *p, size_t a, size_t b); \
	HAK_EXPORT void name(void *p, size_t a, size_t b)  \
	{                                                  \
		(void)a;                                   \
		(void)b;                                   \
		hak_tiny_free(p);                          \
	}

NEW_PLAIN(_Znwm)
NEW_PLAIN(_Znam)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)
DELETE1(_ZdlPv)
DELETE1(_ZdaPv)
DELETE_SIZED(_ZdlPvm)
DELETE_SIZED(_ZdaPvm)
DELETE2(_ZdlPvSt11align_val_t)
DELETE2(_ZdaPvSt11align_val_t)
DELETE2(_ZdlPvRKSt9nothrow_t)
DELETE2(_ZdaPvRKSt9nothrow_t)
DELETE_SIZED_ALIGNED(_ZdlPvmSt11align_val_t)
DELETE_SIZED_ALIGNED(_ZdaPvmSt11align_val_t)
DELETE3(_ZdlPvSt11align_val_tRKSt9nothrow_t)
DELETE3(_ZdaPvSt11align_val_tRKSt9nothrow_t)
