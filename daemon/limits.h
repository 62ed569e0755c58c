/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - every number that an unprivileged process can run into, and what bounds the daemon's
 * work between two looks at everybody else. Those with a key in hakmemd.conf are defaults.
 */
#pragma once

#include "shared/domain_state.h"
#include "shared/layout.h"

/* ---- defaults of the configuration's [limits] ---- */

/* Of the machine's memory, in per cent: total-bytes. Session and uid may use all of it. */
#define LIMIT_TOTAL_PERCENT 90u
#define LIMIT_SESSIONS      4096u /* sessions and connections together */
#define LIMIT_UID_SESSIONS  2048u
#define LIMIT_GREETING_MS   5000u /* from connect to HELLO, and between two queries */
/* Requests a second. A superslab takes 100 us and more to build and a round trip 10: a process that
 * uses what it asks for stays below a fifth of it. */
#define LIMIT_SESSION_REQUESTS 100000u
#define LIMIT_UID_REQUESTS     500000u

/* Domains; each takes four descriptors. */
#define LIMIT_DOMAINS     1024u
#define LIMIT_UID_DOMAINS 256u

/* ---- of [stock] ---- */

#define LIMIT_STOCK_SESSIONS      8u /* regions ready for each node, at the most */
#define LIMIT_STOCK_SESSION_BYTES (2 * HAK_SUPERSLAB_SIZE)
#define LIMIT_STOCK_DECAY_MS      2000u

#define LIMIT_STOCK_SESSIONS_MAX      256u
#define LIMIT_STOCK_SESSION_BYTES_MAX (64 * HAK_SUPERSLAB_SIZE)
#define LIMIT_STOCK_DECAY_MIN_MS      100u
#define LIMIT_STOCK_DECAY_MAX_MS      3600000u

/* ---- fixed ---- */

/* The most that a session's region can hold: the range of session-bytes. */
#define LIMIT_SESSION_BYTES   (HAK_REGION_SUPERSLABS * HAK_SUPERSLAB_SIZE)
#define LIMIT_BYTES_MAX       (UINT64_C(16) << 40)
#define LIMIT_SESSIONS_MAX    100000u
#define LIMIT_GREETING_MIN_MS 10u
#define LIMIT_GREETING_MAX_MS 60000u
#define LIMIT_DESCRIPTORS_MAX 1000000u
#define LIMIT_REQUESTS_MAX    10000000u
#define LIMIT_DOMAINS_MAX     10000u
#define LIMIT_CONFIG_BYTES    65536u /* of one file */
#define LIMIT_CONFIG_FILES    256u
/* NUMA node numbers that a request may name; the kernel's own limit is 1024. */
#define LIMIT_NODE_NUMBERS 1024u
/* Descriptors of a connection: socket and pidfd; of a session: segment, region, presence and book,
 * too; of a region in stock: itself and its book. */
#define LIMIT_CONN_FDS    2u
#define LIMIT_SESSION_FDS 6u
#define LIMIT_REGION_FDS  2u
/* Descriptors of a domain: data, meta, state, book; of a member: its bell. */
#define LIMIT_DOMAIN_FDS 4u
#define LIMIT_MEMBER_FDS 1u
/* Domains that one session is a member of. */
#define LIMIT_SESSION_DOMAINS 64u
/* Addresses of all domains of one user. */
#define LIMIT_UID_ADDRESSES ((HAK_DOMAIN_AREA_END - HAK_DOMAIN_AREA_FIRST) / 2)
/* Members of a domain that only read: half of the numbers, so that they keep no writer out. */
#define LIMIT_DOMAIN_READERS (HAK_MEMBER_MAX / 2)
/* Address range of a domain that asks for none in particular. */
#define LIMIT_DOMAIN_BYTES (UINT64_C(16) << 30)
/* Descriptors of clients that no session takes: who only asks, hakctl, still comes through. */
#define LIMIT_ASK_FDS 8u
/* Descriptors that clients may not use up: listener, ring, log, reports. */
#define LIMIT_SPARE_FDS 64u

/* ---- work per turn ---- */

/* Entries of one session in one turn. */
#define LIMIT_TURN_UNITS 16u
/* Superslabs of a lease that are filled before it is answered, and in one step afterwards. */
#define LIMIT_LEASE_HEAD  16u
#define LIMIT_GROWTH_STEP 8u

/* Superslabs of a domain that are looked through in one step: by a worker for what a dead member
 * had, and with every tick for what can be given back. */
#define LIMIT_DOMAIN_STEP     64u
#define LIMIT_DOMAIN_CHANNELS 8u /* in one step of a sweep */
#define LIMIT_DOMAIN_LOOK     4096u
/* What stays in a domain although it is free: this part of what is granted, so many at least. */
#define LIMIT_DOMAIN_KEEP_PART 8u
#define LIMIT_DOMAIN_KEEP_MIN  2u

/* Members of a domain are told at most once in so long that somebody was refused. */
#define LIMIT_NEED_TOLD_NS UINT64_C(10000000)

/* Sessions and domains whose tables are counted for one answer to an audit. */
#define LIMIT_AUDIT_STEP 16u

/* How long a ring that had work is polled before the daemon sleeps on it. */
#define LIMIT_POLL_NS 50000u
/* How often what no event announces is looked at: completion rings that were full, processes
 * without a socket. No timer runs while there is neither. */
#define LIMIT_TICK_MS 250u
/* A session over its rate is not looked at for so long, and longer if the next request is not due
 * by then. */
#define LIMIT_SLOW_MS 4u
/* How often it is said of one session that it is slowed down. */
#define LIMIT_SLOW_SAID_NS UINT64_C(60000000000)
/* Pause after accept() ran out of descriptors. */
#define LIMIT_ACCEPT_PAUSE_MS 100u
/* Log lines of one event that are written within a second when others can cause them. */
#define LIMIT_LOG_PER_SECOND 5u
