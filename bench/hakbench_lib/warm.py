# SPDX-License-Identifier: Apache-2.0
"""Waits until a daemon has filled its stock. Asks in its own protocol: docs/protocol.md."""

import os
import select
import socket
import struct
import time

from .errors import BenchError

MAGIC, QUERY, REPORT, STATUS = 0x4d4b4148, 5, 6, 1
FRAME = 64
STOCK_BYTES_AT = 160  # in the status record
REPLY_S = 10
WAIT_S = 60
LOOK_S = 0.01


def stock_bytes(connection):
    """What is filled and nobody's."""
    connection.send(struct.pack('=IHHI', MAGIC, QUERY, 0, STATUS).ljust(FRAME, b'\0'))
    frame, fds, _, _ = socket.recv_fds(connection, FRAME, 4)
    try:
        if len(frame) != FRAME or len(fds) != 1 or \
                struct.unpack_from('=IH', frame) != (MAGIC, REPORT):
            raise BenchError('the daemon does not report its status')
        return struct.unpack('=Q', os.pread(fds[0], 8, STOCK_BYTES_AT))[0]
    finally:
        for fd in fds:
            os.close(fd)


def connect(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(REPLY_S)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def wait(path, want):
    """Until the daemon on the socket `path` has so many bytes ready."""
    deadline = time.monotonic() + WAIT_S
    try:
        with connect(path) as connection:
            while stock_bytes(connection) < want:
                if time.monotonic() > deadline:
                    raise BenchError('the daemon does not fill its stock: is there no memory?')
                select.select([], [], [], LOOK_S)
    except (OSError, struct.error) as error:
        raise BenchError(f'the daemon does not report its status: {error}') from error
