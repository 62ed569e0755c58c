# SPDX-License-Identifier: Apache-2.0
"""Who keeps what alive: views and arrays keep their block, blocks keep the membership."""

import ctypes
import errno
import os
import threading
import weakref

from ._library import Stale, checked, failure, lib


class Registry:
    """Each block that Python refers to, once: a second Memory of it would free it, too."""

    def __init__(self):
        self.begin()
        # A child after fork() has none, and another thread may have held the lock.
        os.register_at_fork(after_in_child=self.begin)

    def begin(self):
        self.lock = threading.RLock()  # reentrant: a Memory may go at any moment
        self.entries = {}              # address: weak reference to a Memory


registry = Registry()


class Member:
    """A handle of the process's membership in a domain; it is left when nothing refers to it."""

    def __init__(self, name, flags, attributes):
        self.handle = None
        handle = ctypes.c_void_p()
        checked(lib.hak_domain_open(ctypes.byref(handle), name.encode(), flags, attributes),
                f'domain {name!r}')
        self.pid = os.getpid()
        self.handle = handle

    def use(self):
        """The handle, for a call. Nothing of a domain is mapped in a child after fork()."""
        if os.getpid() != self.pid:
            raise RuntimeError('a domain opened before fork(): open it in the child, too')
        return self.handle

    def __del__(self, close=lib.hak_domain_close):
        if self.handle is not None:
            close(self.handle)


class Memory:
    """A block's memory. `owned` blocks are freed when nothing refers to them."""

    def __init__(self, member, address, size, owned, ref=0):
        self.member = member
        self.address = address
        self.size = size
        self.owned = owned
        self.gone = False  # it is another process's by now
        self.ref = ref     # that it was found by
        self.entry = weakref.ref(self)
        registry.entries[address] = self.entry

    def exported(self):
        """A ctypes array over it that keeps it alive: whoever looks at the bytes refers to this."""
        array = (ctypes.c_char * self.size).from_address(self.address)
        array.hakmem_memory = self
        return array

    def __del__(self, free=lib.hak_domain_free, owner=lib.hak_owner, me=lib.hak_self,
                getpid=os.getpid, registry=registry):
        if getpid() != self.member.pid:
            return
        handle = self.member.handle
        with registry.lock:
            # The library is asked, too: hak_root_set() by number may have published it.
            if self.owned and owner(handle, self.address) == me(handle):
                free(handle, self.address)
            if registry.entries.get(self.address) is self.entry:
                del registry.entries[self.address]


class Block:
    """A block of a domain, made by Domain.alloc(), Domain.get() and Channel.recv().

    If this process owns it, it is freed when nothing refers to it any more: neither a Block nor a
    view nor an array.
    """

    def __init__(self, memory):
        self._memory = memory

    def _here(self):
        if self._memory is None or self._memory.gone:
            raise ValueError('the block has been freed, given away or sent')
        return self._memory

    def __len__(self):
        return self._here().size

    def __repr__(self):
        if self._memory is None or self._memory.gone:
            return '<hakmem.Block, gone>'
        owned = 'owned' if self._memory.owned else 'not owned'
        return f'<hakmem.Block of {self._memory.size} bytes, {owned}>'

    @property
    def address(self):
        """The same in every member."""
        return self._here().address

    @property
    def owned(self):
        """True if it is this process's."""
        return self._here().owned

    @property
    def owner(self):
        """The member whose it is; 0: nobody's."""
        memory = self._here()
        return lib.hak_owner(memory.member.use(), memory.address)

    @property
    def ref(self):
        """The name of the block, a number that is valid in every process."""
        memory = self._here()
        if memory.ref == 0:
            ref = lib.hak_ref_of(memory.member.use(), memory.address)
            if ref == 0:
                raise ValueError('only the owner of a block can make a ref')
            memory.ref = ref
        return memory.ref

    def view(self, writable=None):
        """A memoryview of its bytes, not a copy. Writable if it is owned, or as told: whoever
        writes to a block of others has agreed on that with them."""
        memory = self._here()
        memory.member.use()
        view = memoryview(memory.exported())
        if memory.size:
            view = view.cast('B')
        if writable is None:
            writable = memory.owned
        return view if writable else view.toreadonly()

    def as_array(self, dtype='u1', shape=None, offset=0, writable=None):
        """A numpy array over its bytes, not a copy. Without a shape: all that fit."""
        from . import arrays
        memory = self._here()
        memory.member.use()
        return arrays.over(memory, dtype, shape, offset,
                           memory.owned if writable is None else writable)

    def array(self, writable=None):
        """The array that Domain.empty() made in it: the block says its dtype and shape."""
        from . import arrays
        memory = self._here()
        memory.member.use()
        return arrays.described(memory, memory.owned if writable is None else writable)

    def publish(self):
        """It becomes nobody's and outlives every process. Returns its ref."""
        memory = self._here()
        ref = self.ref
        checked(lib.hak_publish(memory.member.use(), memory.address), 'publish')
        memory.owned = False
        return ref

    def claim(self):
        """A published block becomes this process's."""
        memory = self._here()
        handle = memory.member.use()
        checked(lib.hak_claim(handle, memory.address), 'claim')
        # Another may have claimed and freed it before, and its place been used again.
        if memory.ref and lib.hak_ref_get(handle, memory.ref) != memory.address:
            checked(lib.hak_publish(handle, memory.address), 'publish')
            raise Stale(errno.ESTALE, 'claim: the block has been freed')
        memory.owned = True

    def give(self, member):
        """It becomes that member's. Don't touch its views and arrays any more."""
        memory = self._here()
        checked(lib.hak_give(memory.member.use(), memory.address, member), 'give')
        memory.owned = False
        memory.gone = True

    def free(self):
        """Lets go of it: it is freed, at the latest when its last view or array goes. A published
        block is claimed first."""
        memory = self._here()
        memory.member.use()
        if not memory.owned:
            self.claim()
        self._memory = None


def found(member, ref):
    """The block of a ref."""
    handle = member.use()
    with registry.lock:
        ctypes.set_errno(0)
        address = lib.hak_ref_get(handle, ref)
        if not address:
            raise failure(ctypes.get_errno(), f'ref {ref:#x}')
        owned = lib.hak_owner(handle, address) == lib.hak_self(handle)
        entry = registry.entries.get(address)
        memory = entry() if entry is not None else None
        if entry is not None and memory is None and owned:
            raise Stale(errno.ESTALE, f'ref {ref:#x}: the block is being freed')
        if memory is None or memory.gone or memory.ref not in (0, ref):
            size = lib.hak_domain_usable_size(handle, address)
            memory = Memory(member, address, size, owned, ref)
        memory.owned = owned
        return Block(memory)
