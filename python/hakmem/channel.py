# SPDX-License-Identifier: Apache-2.0
"""Bounded queues of blocks."""

import ctypes
import errno
import math
import time

from ._library import Closed, checked, lib
from ._memory import Block, Memory

SEND, RECV = 1, 2
SLICE = 0.5  # seconds in C at a time: signals are handled in between, Ctrl-C works


def waiting(call, timeout):
    """Calls until something other than "not yet" comes; `timeout` in seconds, None: for ever."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = SLICE if deadline is None else max(0, min(SLICE, deadline - time.monotonic()))
        result = call(math.ceil(left * 1000))
        if result not in (-errno.EAGAIN, -errno.ETIMEDOUT, -errno.EINTR):
            return result
        if deadline is not None and time.monotonic() >= deadline:
            return -errno.ETIMEDOUT


class Channel:
    """An end of a channel, made by Domain.channel(). Any thread may use it, and many at once."""

    def __init__(self, member, name, capacity, send, recv):
        self._handle = None
        handle = ctypes.c_void_p()
        flags = (SEND if send else 0) | (RECV if recv else 0)
        checked(lib.hak_channel_open(ctypes.byref(handle), member.use(), name.encode(), capacity,
                                     flags), f'channel {name!r}')
        self._member = member
        self._handle = handle
        self.name = name

    def _use(self):
        if self._handle is None:
            raise ValueError('the channel is closed')
        self._member.use()
        return self._handle

    def __enter__(self):
        self._use()
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def close(self, close=lib.hak_channel_close):
        """Leaves it, with what is in it. No thread may be waiting in it. Twice is allowed."""
        handle, self._handle = self._handle, None
        if handle is not None:
            close(handle)

    def send(self, what, timeout=None):
        """Sends a Block, or an array of Domain.empty() or Domain.array(), without copying. It is
        the receiver's from here on: don't touch its views and arrays any more. TimedOut: it is
        full, and the block still this process's. Closed: all receivers have gone."""
        handle = self._use()
        if isinstance(what, Block):
            memory = what._here()
        else:
            from . import arrays
            memory = arrays.memory_of_whole(what)
            if memory.gone:
                raise ValueError('the array has been sent')
        result = waiting(lambda ms: lib.hak_channel_send(handle, memory.address, ms), timeout)
        checked(result, f'channel {self.name!r}')
        memory.owned = False
        memory.gone = True
        if not isinstance(what, Block):
            what.flags.writeable = False

    def recv(self, timeout=None):
        """The next Block, which is this process's. TimedOut: nothing came. Closed: nothing is
        there, and all senders have gone."""
        handle = self._use()
        address = ctypes.c_void_p()
        result = waiting(lambda ms: lib.hak_channel_recv(handle, ctypes.byref(address), ms),
                         timeout)
        checked(result, f'channel {self.name!r}')
        size = lib.hak_domain_usable_size(self._member.use(), address)
        return Block(Memory(self._member, address.value, size, owned=True))

    def recv_array(self, timeout=None):
        """The same, for arrays. ValueError: it was something else, and has been freed."""
        return self.recv(timeout).array()

    def __iter__(self):
        """Blocks, until all senders have gone."""
        while True:
            try:
                block = self.recv()
            except Closed:
                return
            yield block

    def arrays(self):
        """Arrays, until all senders have gone."""
        for block in self:
            yield block.array()
