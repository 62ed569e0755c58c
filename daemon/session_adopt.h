/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_adopt.h - makes a session anew from what an earlier daemon left of it.
 *
 * Its files are told apart by what they are: the book says which ones the others must be. Nothing
 * is adopted by guess: a book that is damaged, of another version or of another daemon, files that
 * are not those that it names, tables that contradict each other: that session alone is refused,
 * and its client lives on with what it has mapped.
 *
 * The step that was half done is taken back, or answered again (session_book.h). Who is killed
 * while he adopts leaves a book that can be adopted.
 */
#pragma once

#include "shared/base.h"

struct daemon;

#define SESSION_FILES 5u /* book, segment, region, presence, pidfd */

/*
 * Takes over the files of one session, in any order; they are consumed, whatever happens. The
 * session is DETACHED, or EVICTED as it was, and judged as any other; its ring is not looked at.
 * 0; -ESRCH: it had ended, nothing is left to do; another negative errno, and *ret_fault says what
 * is wrong, constant text.
 */
int session_adopt(struct daemon *daemon, const int *fds, unsigned n, const char **ret_fault);
/* All are adopted, and their domains: looks at their rings, and wakes who waits for an answer. */
void sessions_adopted(struct daemon *daemon);
