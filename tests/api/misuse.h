/* SPDX-License-Identifier: Apache-2.0 */
/*
 * misuse.h - the misdeeds that test_misuse.c has the checked path catch, by name.
 */
#pragma once

enum misuse_end {
	ENDS_SAYING,   /* aborted, with a message */
	ENDS_FAULTING, /* SIGSEGV */
	ENDS_WELL,     /* exit status 0: the harm was prevented; 1: it was not */
};

struct misuse {
	const char *name;
	void (*run)(void);
	enum misuse_end end;
	/* The message. @p is the address that the misdeed printed, @s the start of its slab. */
	const char *says;
};

/* Each ends with an entry without a name. */
extern const struct misuse misuse_frees[];
extern const struct misuse misuse_sizes[];
extern const struct misuse misuse_writes[];

/* The address that the message has to name. */
void misuse_print(const void *p);
/* Runs and waits for it in a thread. */
void misuse_in_thread(void *(*run)(void *), void *arg);
/* Blocks of other sizes come and go. */
void misuse_churn(void);

#define SMALL       100 /* class 7, of 112 bytes */
#define SMALL_PLACE "@p (a block of 112 bytes, size class 7, in the slab at @s)"
/* A class that nobody else uses, so that blocks are neighbours: class 27, of 3584 bytes. */
#define SPARSE       3500
#define SPARSE_BLOCK 3584
#define SPARSE_PLACE "@p (a block of 3584 bytes, size class 27, in the slab at @s)"
#define LARGE        200000 /* a multiple of 16: it ends where the guard begins */
#define LARGE_PLACE  "@p (a large block of 200000 bytes, in the span at @s)"
