# SPDX-License-Identifier: Apache-2.0
"""Records what a program asks of malloc, as a trace for the workload `replay`.

hakrecord.so writes fixed records with addresses (bench/workloads/record.h). Here they become
numbers of blocks, each the lowest that was free, or the one that was freed last; so a trace says
nothing about where blocks lay, and the same load gives the same trace. Its format is described in
bench/workloads/replay.c.
"""

import os
import struct
import subprocess
import tempfile

from .errors import BenchError

MAGIC = b'HAKTRACE'
RECORD = struct.Struct('<QQQQ')
MALLOC, CALLOC, REALLOC, MEMALIGN, FREE = range(1, 6)
MAX_SIZE = 1 << 31


def number(value):
    """Little-endian in groups of seven bits."""
    groups = bytearray()
    while value > 0x7f:
        groups.append(value & 0x7f | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


class Trace:
    """Events are (kind, block, size, log2 of alignment)."""

    def __init__(self):
        self.events = []
        self.blocks = 0
        self._numbers = {}  # of addresses that are alive
        self._free = []

    def _take(self, kind, address, size, align=0):
        if self._free:
            block = self._free.pop()
        else:
            block, self.blocks = self.blocks, self.blocks + 1
        self._numbers[address] = block
        self.events.append((kind, block, size, align))

    def _give(self, address):
        """What was allocated before the recording began is unknown."""
        block = self._numbers.pop(address, None)
        if block is not None:
            self._free.append(block)
            self.events.append((FREE, block, 0, 0))

    def _resize(self, old, address, size):
        block = self._numbers.pop(old, None)
        if block is None:
            self._take(MALLOC, address, size)
            return
        self._numbers[address] = block
        self.events.append((REALLOC, block, size, 0))

    def add(self, kind, old, address, size):
        """One record. Calls that failed changed nothing."""
        if kind == FREE:
            self._give(address)
        elif kind == REALLOC and old and not size:
            self._give(old)
        elif not address or size > MAX_SIZE:
            return
        elif kind == REALLOC:
            self._resize(old, address, size)
        elif kind == MEMALIGN:
            self._take(kind, address, size, max(0, old - 1).bit_length())
        else:
            self._take(kind, address, size)

    def close(self):
        """Frees what the program left, in the order of its numbers."""
        for address in sorted(self._numbers, key=self._numbers.get):
            self._give(address)

    def encode(self):
        parts = [MAGIC, number(len(self.events)), number(self.blocks)]
        for kind, block, size, align in self.events:
            parts += [number(kind), number(block)]
            if kind != FREE:
                parts.append(number(size))
            if kind == MEMALIGN:
                parts.append(number(align))
        return b''.join(parts)

    def tide(self):
        """The most bytes that are alive at a time."""
        sizes, live, most = {}, 0, 0
        for _, block, size, _ in self.events:
            live += size - sizes.get(block, 0)
            sizes[block] = size
            most = max(most, live)
        return most


def convert(records):
    """The trace of hakrecord.so's file, which may end within a record."""
    trace = Trace()
    whole = len(records) - len(records) % RECORD.size
    for kind, old, address, size in RECORD.iter_unpack(records[:whole]):
        trace.add(kind, old, address, size)
    trace.close()
    if not trace.events:
        raise BenchError('the program made no call that could be recorded; is it linked '
                         'statically, or has it an allocator of its own?')
    return trace


def record(library, command):
    """Runs command with its own standard streams; (trace, its exit status)."""
    if not os.path.isfile(library):
        raise BenchError(f'there is no {library}')
    with tempfile.TemporaryDirectory(prefix='hakbench.') as folder:
        path = os.path.join(folder, 'records')
        env = {**os.environ, 'LD_PRELOAD': library, 'HAKBENCH_RECORD': path,
               'HAKBENCH_RECORD_PARENT': str(os.getpid())}
        try:
            status = subprocess.run(command, env=env, check=False).returncode
        except OSError as error:
            raise BenchError(f'{command[0]}: {error.strerror}') from error
        try:
            with open(path, 'rb') as file:
                return convert(file.read()), status
        except FileNotFoundError:
            return convert(b''), status
