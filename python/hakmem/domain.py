# SPDX-License-Identifier: Apache-2.0
"""Memory that processes share, and who is a member of it."""

import ctypes
import enum
import errno
import math
import select
import sys
import time
from typing import NamedTuple

from ._library import Attributes, RawEvent, Stat, checked, failure, lib
from ._memory import Block, Member, Memory, found
from .channel import Channel

CREATE, EXCL, RDONLY = 1, 2, 4


class Orphans(enum.IntEnum):
    """What becomes of a block that was given to, claimed or received by a member that died."""
    FREE = 1
    PUBLISH = 2
    HEIR = 3


class Lifetime(enum.IntEnum):
    UNLINKED = 1
    MEMBERS = 2


class EventType(enum.IntEnum):
    JOINED = 1
    LEFT = 2
    DIED = 3
    SWEPT = 4
    LOST = 5


class Event(NamedTuple):
    type: EventType
    pid: int
    member: int
    time_ns: int


def unlink(name):
    """The name of a domain goes now, the memory with the last member."""
    checked(lib.hak_domain_unlink(name.encode()), f'domain {name!r}')


class Domain:
    """A membership of this process in a domain; close() or `with` ends it.

    It lasts until the blocks, views and arrays of it have gone, too: they stay usable.
    In a child after fork() it is of no use; open the domain there (multiprocessing: spawn).
    """

    def __init__(self, name, create=False, exclusive=False, readonly=False, *, max_size=0, quota=0,
                 mode=0, node=None, orphans=0, lifetime=0):
        """What follows `readonly` is used when the domain is made; 0: the default of hakmem.h."""
        self._member = None
        attributes = Attributes(ctypes.sizeof(Attributes), max_size, quota, mode,
                                0 if node is None else node + 1, 0, orphans, lifetime)
        flags = (CREATE if create else 0) | (EXCL if exclusive else 0) | (RDONLY if readonly else 0)
        self._member = Member(name, flags, ctypes.byref(attributes))
        self.name = name

    @classmethod
    def create(cls, name, **attributes):
        """A new domain; Exists if there is one of this name."""
        return cls(name, create=True, exclusive=True, **attributes)

    def _use(self):
        if self._member is None:
            raise ValueError('the domain is closed')
        return self._member.use()

    def __enter__(self):
        self._use()
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return f'<hakmem.Domain {self.name!r}{", closed" if self._member is None else ""}>'

    def close(self):
        """Twice is allowed."""
        self._member = None

    def unlink(self):
        unlink(self.name)

    # ---- blocks ----

    def _alloc(self, size, align):
        handle = self._use()
        if not (0 <= size < 1 << 63 and 0 <= align < 1 << 63):
            raise ValueError(f'{size} bytes aligned to {align}: ctypes would cut these numbers')
        ctypes.set_errno(0)
        if align > 16:
            address = lib.hak_domain_aligned_alloc(handle, align, size)
        else:
            address = lib.hak_domain_alloc(handle, size)
        if not address:
            raise failure(ctypes.get_errno(), f'{size} bytes in domain {self.name!r}')
        return Memory(self._member, address, size, owned=True)

    def alloc(self, size, align=16):
        """A block of `size` bytes, which are not cleared."""
        return Block(self._alloc(size, align))

    def get(self, ref):
        """The block of a ref; Stale: it has been freed."""
        self._use()
        return found(self._member, ref)

    def empty(self, shape, dtype='f8'):
        """A numpy array in a block of its own, not cleared, which a channel can send. The block is
        freed when nothing refers to the array."""
        from . import arrays
        dtype = arrays.plain(dtype)
        shape = arrays.dimensions(shape)
        memory = self._alloc(arrays.DATA + math.prod(shape) * dtype.itemsize, arrays.ALIGN)
        arrays.describe(memory, dtype, shape)
        return arrays.described(memory, True)

    def array(self, values, dtype=None):
        """A copy of an array, or of what numpy can make one of, as by empty()."""
        import numpy
        values = numpy.asarray(values, dtype)
        array = self.empty(values.shape, values.dtype)
        array[...] = values
        return array

    def block_of(self, array):
        """The block that an array lies in."""
        from . import arrays
        memory = arrays.memory_of(array)
        if memory is None or self._use().value != memory.member.handle.value:
            raise ValueError('the array is not in this domain')
        return Block(memory)

    # ---- names ----

    def root(self, name):
        """The ref that a name stands for; 0: it stands for none."""
        return lib.hak_root_get(self._use(), name.encode())

    def set_root(self, name, what, expected=0):
        """Names a block (a Block, an array or a ref; None: takes the name away), and publishes it
        in the same step. False: the name does not stand for `expected` any more."""
        handle = self._use()
        numpy = sys.modules.get('numpy')
        if numpy is not None and isinstance(what, numpy.ndarray):
            what = self.block_of(what)
        ref = what.ref if isinstance(what, Block) else what or 0
        result = lib.hak_root_set(handle, name.encode(), ref, expected)
        if result == -errno.EAGAIN:
            return False
        checked(result, f'root {name!r}')
        if isinstance(what, Block):
            what._memory.owned = False
        return True

    # ---- members ----

    @property
    def member(self):
        """This process as a member."""
        return lib.hak_self(self._use())

    def alive(self, member):
        return lib.hak_member_alive(self._use(), member) == 1

    def set_heir(self, member):
        """Who is to have this member's blocks when it goes (Orphans.HEIR)."""
        checked(lib.hak_domain_heir(self._use(), member), 'heir')

    def event_fd(self):
        """Readable while there may be events: call next_event(0) until None. Not to be read."""
        return checked(lib.hak_event_fd(self._use()), 'event_fd')

    def next_event(self, timeout=None):
        """The next event of other members; None: none came in `timeout` seconds (None: waits)."""
        raw = RawEvent()
        result = lib.hak_event_next(self._use(), ctypes.byref(raw))
        until = None if timeout is None else time.monotonic() + timeout
        # It also wakes to give way to other members.
        while result == -errno.EAGAIN and (until is None or time.monotonic() < until):
            poll = select.poll()
            poll.register(self.event_fd(), select.POLLIN)
            poll.poll(None if until is None
                      else max(0, math.ceil((until - time.monotonic()) * 1000)))
            result = lib.hak_event_next(self._use(), ctypes.byref(raw))
        if result == -errno.EAGAIN:
            return None
        checked(result, 'next_event')
        return Event(EventType(raw.type), raw.pid, raw.member, raw.time_ns)

    # ---- the rest ----

    def channel(self, name, capacity=0, *, send=False, recv=False):
        """An end of a channel, which is made if there is none."""
        self._use()
        return Channel(self._member, name, capacity, send, recv)

    def stat(self):
        """What it holds, as a dictionary of struct hak_domain_stat."""
        stat = Stat(size=ctypes.sizeof(Stat))
        checked(lib.hak_domain_stat_get(self._use(), ctypes.byref(stat)), 'stat')
        return {name: getattr(stat, name) for name, _ in Stat._fields_ if name != 'size'}
