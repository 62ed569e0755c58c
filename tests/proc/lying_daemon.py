#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lying_daemon.py DIRECTORY: strangers at sockets, to whom hakctl talks.

Listens on DIRECTORY/CASE for each of the lies below and prints "ready". Answers every question with
the lie, one after the other, until it is killed. The numbers are those of shared/wire.h and
shared/report.h, written again.
"""

import array
import os
import selectors
import socket
import struct
import sys

REFUSED, BYE, REPORT = 3, 4, 6
STATUS, SESSIONS, LIMITS = 1, 2, 3
STATUS_BYTES, SESSION_BYTES = 160, 120


def frame(kind, body=b""):
    return struct.pack("<4sHH", b"HAKM", kind, 0) + body.ljust(56, b"\0")


def report(what, size, count):
    return frame(REPORT, struct.pack("<IIQ", what, size, count))


def records(data):
    fd = os.memfd_create("records")
    os.write(fd, data)
    return fd


def session(comm, state=1):
    return struct.pack("<QIIII16s10Q", 7, 4242, 1000, 100, state, comm, 1, 2, 1, 2, 4 << 20,
                       2**63, 2**64 - 1, 6, 5, 2)


def status(version=b"9.8.7"):
    return struct.pack("<16s16QIIQ", version, 77, 0xFEDCBA9876543210, 5, 10, *range(100, 112),
                       2, 0, 33)


def limit(key, *numbers):
    return struct.pack("<24sII4Q", key, *numbers)


def refusals():
    """A status with what it refused last: for uid-bytes, three seconds ago."""
    old = struct.pack("<16s16QIIQ", b"9.8.7", 77, 1, 0, 10**10, *range(100, 112), 2, 0, 33)
    return old + struct.pack("<6Q4I", 0, 0, 1, 2, 7 * 10**9, 7, 42, 1000, 2, 0)


def pipe():
    return os.pipe()[0]


EVIL = b"\x1b[2J\"\\\n\xff\xc3\xa4"
CASES = {
    # what is sent, and the descriptors with it
    "hang-up": None,
    "silence": (b"", []),
    "garbage": (b"x" * 64, []),
    "short": (frame(REPORT)[:63], []),
    "long": (frame(REPORT) + b"\0", []),
    "reserved": (report(STATUS, STATUS_BYTES, 1)[:-1] + b"\1", [records(status())]),
    "bye": (frame(BYE), []),
    "refused": (frame(REFUSED, struct.pack("<iI", -1, 0) + b"no\x1b[31m entry"), []),
    "no-file": (report(STATUS, STATUS_BYTES, 1), []),
    "two-files": (report(STATUS, STATUS_BYTES, 1), [records(status()), records(b"")]),
    "pipe": (report(STATUS, STATUS_BYTES, 1), [pipe()]),
    "other-question": (report(SESSIONS, SESSION_BYTES, 0), [records(b"")]),
    "no-record": (report(STATUS, STATUS_BYTES, 0), [records(b"")]),
    "two-records": (report(STATUS, STATUS_BYTES, 2), [records(status() * 2)]),
    "size-zero": (report(STATUS, 0, 1), [records(status())]),
    "cut-file": (report(STATUS, STATUS_BYTES, 1), [records(status()[:-1])]),
    "huge-count": (report(STATUS, STATUS_BYTES, 2**64 - 1), [records(status())]),
    "overflow": (report(STATUS, 2**31, 2**33), [records(status())]),
    "huge-record": (report(STATUS, 2**32 - 1, 1), [records(status())]),
    "status": (report(STATUS, STATUS_BYTES, 1), [records(status(b"\x1b]0;title" + b"z" * 8))]),
    # An older daemon knows fewer fields, a newer one more.
    "old-status": (report(STATUS, 136, 1), [records(status()[:136])]),
    "new-sessions": (report(SESSIONS, 200, 2),
                     [records(session(EVIL) + b"\xee" * 80 + session(b"q" * 16, 2) + b"\xee" * 80)]),
    "limits": (report(LIMITS, 64, 2),
               [records(limit(b"\x1b[2Jkey", 2, 3, 1000, 0, 5, 9) +
                        limit(b"\xff", 77, 88, 3, 4, 5, 6))]),
    "refusals": (report(STATUS, 224, 1), [records(refusals())]),
    "old-sessions": (report(SESSIONS, 40, 1), [records(session(b"old")[:40])]),
}


def serve(peer, lie):
    with peer:
        peer.settimeout(60)
        if lie is None:
            return
        assert len(peer.recv(1000)) == 64
        data, fds = lie
        if data:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            peer.sendmsg([data], rights)
        peer.recv(1000)  # until it hangs up


def main():
    poll = selectors.DefaultSelector()
    for name, lie in CASES.items():
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(f"{sys.argv[1]}/{name}")
        server.listen(1)
        poll.register(server, selectors.EVENT_READ, lie)
    print("ready", flush=True)
    while True:
        for key, _ in poll.select():
            serve(key.fileobj.accept()[0], key.data)


main()
