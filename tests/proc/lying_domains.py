#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lying_domains.py DIRECTORY: daemons with domains that hold known things, or garbage.

Listens on DIRECTORY/CASE for each of the cases below and prints "ready". Answers QUERY DOMAINS,
HELLO and DOMAIN_OPEN, any number of times, until it is killed; says "grown" if the memory of a
domain's books grew by being looked at. The numbers are those of shared/domain.h, shared/report.h
and shared/wire.h, written again.
"""

import array
import os
import random
import selectors
import socket
import struct
import sys
import time

HELLO, WELCOME, BYE, QUERY, REPORT, OPEN, DOMAIN, DONE = 1, 2, 4, 5, 6, 8, 9, 12
DOMAINS, RDONLY = 4, 4

SUPERSLABS, HIGH = 4, 3  # of address range, granted
SLABS = SUPERSLABS * 32
TAG, ID = 5, 1234
CHANNELS, LEASES = 0x10000, 0x40000
HINTS = LEASES + SLABS * 8
SINCE = HINTS + SLABS
GENERATIONS = (SINCE + SLABS * 4 + 4095) & ~4095
HALVES = GENERATIONS + SUPERSLABS * 131072
RINGS = HALVES + 2 * SUPERSLABS * 131072
META = RINGS + 256 * 65536 * 8

FREE, CLAIM, BLOCKS, INSIDE, SPAN = 1, 2, 3, 4, 5
EXCEPTED, ORPHAN = 1 << 19, 0xFFFF
T, CHANNEL, PUBLISHED, FREED = 0x8000, 0x2000, 0x4000, 0x4001
ALIVE, READER, DYING = 1, 2, 3
NOW = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
MINUTE = 60 * 10**9
HOUR = 60 * MINUTE


def frame(kind, body=b""):
    return struct.pack("<4sHH", b"HAKM", kind, 0) + body.ljust(56, b"\0")


def memfd(size, pieces=()):
    fd = os.memfd_create("books")
    os.truncate(fd, size)
    for at, data in pieces:
        os.pwrite(fd, data, at)
    return fd


def lease(holder, kind, size_class=0, length=0, generation=0):
    return holder | kind << 16 | size_class << 20 | generation << 26 | length << 36


def index(slab, slot):
    return slab // 32 * 131072 + slot // 1024 * 32768 + slab % 32 * 1024 + slot % 1024


def ref(offset, block, slab=0, tag=TAG):
    return offset >> 4 | block << 37 | slab << 45 | tag << 55


def root(place, name, value):
    return (place * 64, struct.pack("<QQ32s", place + 1, value, name))


def channel(place, name, ring, senders, receivers):
    def bits(members):
        return sum(1 << k for k in members).to_bytes(128, "little")

    return [(CHANNELS + place * 768, struct.pack("<QQ32s", place + 1, ring, name)),
            (CHANNELS + place * 768 + 192, bits(senders) + bits(receivers))]


def word(slab, value):
    return (LEASES + slab * 8, struct.pack("<Q", value))


def since(slab, ns):
    return (SINCE + slab * 4, struct.pack("<I", (ns >> 27) + 1))


def half(slab, slot, value):
    return (HALVES + index(slab, slot) * 2, struct.pack("<H", value))


def member(k, state, pid, age):
    return struct.pack("<QIIIIQ", k | 9 << 16, state, pid, 1000 + k, 0, NOW - age)


def state(members=None, **other):
    """The state file; member 5 is whoever asks."""
    v = {"magic": 0x314D4F444B4148, "version": 2, "superslabs": SUPERSLABS, "high": HIGH, **other}
    head = struct.pack("<QIIQQ32sIIQQII", v["magic"], v["version"], v["superslabs"], ID, 10 << 40,
                       b"known", 2, TAG, 6 << 20, HIGH, v["high"], 0)
    table = {5: member(5, READER, 1, 0), **(members or {})}
    return memfd(0xB000, [(0, head)] + [(192 + 32 * (256 + k), entry)
                                        for k, entry in table.items()])


PEOPLE = {1: member(1, ALIVE, os.getpid(), HOUR), 2: member(2, ALIVE, 2**30, 2 * HOUR),
          3: member(3, DYING, os.getpid(), 3 * HOUR), 6: member(6, DYING, 1, HOUR), 4: member(4, READER, os.getpid(), HOUR)}


def known():
    """Every state that a slab or a block may be in, and some that none is in."""
    leases = {slab: lease(0, FREE) for slab in range(96)}
    leases[0] = lease(1, BLOCKS, 1, 1, 7) | EXCEPTED  # of 16 bytes
    leases[1] = lease(2, SPAN, 0, 3) | EXCEPTED
    leases[2], leases[3] = lease(2, INSIDE, 0, 1), lease(2, INSIDE, 0, 2)
    leases[4] = lease(2, CLAIM, 0, 1)
    leases[6] = lease(ORPHAN, BLOCKS, 4, 1) | EXCEPTED  # of 64
    leases[7] = lease(3, BLOCKS, 1, 1)
    leases[8] = lease(1, INSIDE, 0, 1)  # of no run
    leases[9] = lease(1, BLOCKS, 63, 1)
    leases[10] = lease(77, BLOCKS, 1, 1)  # nobody's
    leases[11] = lease(1, 7)
    leases[12] = lease(1, SPAN, 0, 2**28 - 1)
    leases[13] = lease(1, SPAN, 0, 0)
    leases[14] = lease(1, BLOCKS, 29, 2)  # of 5,120
    leases[15] = lease(1, INSIDE, 0, 1)
    books = [word(slab, value) for slab, value in leases.items()]
    # Slab 1's is before its member came; of slab 15, a further one, nothing is said.
    books += [since(0, NOW - 10 * MINUTE), since(1, NOW - 5 * HOUR),
              since(14, NOW - 20 * MINUTE), since(15, 1), since(7, NOW - 5 * HOUR)]
    books += [half(0, 0, PUBLISHED), half(0, 1, PUBLISHED), half(0, 2, 2), half(0, 3, T | 1),
              half(0, 4095, CHANNEL | 0), half(0, 2000, FREED), half(0, 5, 0x7777), half(0, 6, 88),
              half(1, 0, PUBLISHED), half(6, 7, PUBLISHED), half(6, 8, FREED),
              half(7, 0, PUBLISHED)]  # not looked at: no EXCEPTED
    books += [(GENERATIONS + index(0, 0), b"\3"), (GENERATIONS + index(1, 0), b"\1")]
    books += [root(0, b"first", ref(0, 3, 7)), root(9, b"span", ref(1 << 16, 1)),
              root(10, b"old block", ref(0, 2, 7)), root(11, b"old slab", ref(0, 3, 6)),
              root(12, b"tag", ref(0, 3, 7, 6)), root(13, b"between", ref(8 << 4, 1, 7, TAG) | 1),
              root(14, b"beyond", ref(SLABS << 16, 1)), root(15, b"nothing", 0),
              root(16, b"\x1b[2J" + b"e" * 28, ref(5 << 16, 1))]
    books += channel(0, b"jobs", 4, [1, 99], [3, 4])  # who is dead or reads receives nothing
    books += channel(1, b"answers", 1, [2], [1]) + channel(2, b"broken", 99, [], [])
    return memfd(META, books)


def noise(seed):
    """Books written over: all of it, or with lease words that could be."""
    rng = random.Random(seed)
    books = [(0, rng.randbytes(LEASES)), (GENERATIONS, rng.randbytes(RINGS - GENERATIONS))]
    for slab in range(SLABS):
        kind, holder = rng.randrange(8), rng.choice((0, 1, 2, 3, 77, ORPHAN))
        value = lease(holder, kind, rng.randrange(1, 41) if kind == BLOCKS else 0,
                      rng.choice((0, 1, 1, 1, 2, 2**28 - 1)), rng.randrange(1024))
        books.append(word(slab, rng.getrandbits(64) if seed % 2 else
                          value | rng.choice((0, EXCEPTED))))
    return memfd(META, books)


def record(name, *numbers):
    return struct.pack("<32sQ8I8Q", name, *numbers)


RECORDS = [
    record(b"known", ID, 1001, 1002, 0o640, 0, 1, 2, 4, 1, 11, 6 << 20, 8 << 20, 8 << 20, 10 << 40,
           3, NOW - HOUR, 0),
    record(b"\x1b[31m" + b"x" * 27, 2**64 - 1, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 2**64 - 1, 0, 0, 0,
           0),
    record(b"\x9b2J", 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
]
OPENED = frame(DOMAIN, struct.pack("<QQQII", ID, 10 << 40, 5 | 9 << 16, SUPERSLABS, 0))
CASES = {
    # the answer to DOMAIN_OPEN, and the books
    "known": (OPENED, known(), state(PEOPLE)),
    "zero": (OPENED, memfd(META), state()),
    "ones": (OPENED, memfd(META, [(0, b"\xff" * RINGS)]), state(PEOPLE)),
    "noise-1": (OPENED, noise(1), state(PEOPLE)),
    "noise-2": (OPENED, noise(2), state(PEOPLE)),
    "noise-4": (OPENED, noise(4), state(PEOPLE)),
    "high": (OPENED, known(), state(PEOPLE, high=2**32 - 1)),
    "cut": (OPENED, memfd(META - 4096), state()),
    "short-state": (OPENED, memfd(META), memfd(0x4000)),
    "magic": (OPENED, memfd(META), state(magic=7)),
    "version": (OPENED, memfd(META), state(version=1)),
    "superslabs": (OPENED, memfd(META), state(superslabs=2**32 - 1)),
    "no-superslabs": (OPENED, memfd(META), state(superslabs=0)),
    "no-books": (OPENED, None, None),
    "denied": (frame(DONE, struct.pack("<iI", -13, 0) + b"mode 0600, of\x1b uid 7"), None, None),
    "unsaid": (frame(DONE, struct.pack("<iI", -2, 0)), None, None),
    "done": (frame(DONE), None, None),
    "other": (frame(WELCOME), None, None),
}


def pages(fd):
    return os.fstat(fd).st_blocks if fd is not None else 0


def answer(peer, case):
    opened, meta, books = CASES[case]
    message = peer.recv(1000)
    kind = struct.unpack_from("<4sHH", message)[1] if len(message) == 64 else BYE
    fds = []
    if kind == QUERY:
        assert struct.unpack_from("<I", message, 8)[0] == DOMAINS
        data = frame(REPORT, struct.pack("<IIQ", DOMAINS, 136, len(RECORDS)))
        fds = [memfd(0, [(0, b"".join(RECORDS))])]
    elif kind == HELLO:
        data = frame(WELCOME)
        fds = [memfd(0), memfd(0), memfd(0)]
    elif kind == OPEN:
        name, flags = struct.unpack_from("<32sI", message, 8)
        assert name.rstrip(b"\0") == b"known" and flags == RDONLY, message
        data = opened
        if meta is not None:
            fds = [meta, meta, books, books]
    else:
        return False
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    peer.sendmsg([data], rights)
    for fd in set(fds) - {meta, books}:
        os.close(fd)
    return True


def serve(peer, case):
    meta = CASES[case][1]
    before = pages(meta)
    with peer:
        peer.settimeout(60)
        while answer(peer, case):
            pass
        if pages(meta) != before:
            print("grown", flush=True)


def main():
    poll = selectors.DefaultSelector()
    for name in CASES:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(f"{sys.argv[1]}/{name}")
        server.listen(4)
        poll.register(server, selectors.EVENT_READ, name)
    print("ready", flush=True)
    while True:
        for key, _ in poll.select():
            serve(key.fileobj.accept()[0], key.data)


main()
