# SPDX-License-Identifier: Apache-2.0
"""libhakclient by ctypes, and its errors as exceptions. Names and promises are those of hakmem.h."""

import ctypes
import errno
import os
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_uint64
from ctypes import c_void_p


class Error(OSError):
    """Whatever hakmem refuses; errno says what, strerror why. Subclasses are builtins', too."""


class NotFound(Error, FileNotFoundError):
    """There is no such domain."""


class Exists(Error, FileExistsError):
    """There is such a domain already."""


class Denied(Error, PermissionError):
    """The mode of the domain forbids it, or the block is not this process's."""


class NoDaemon(Error, ConnectionError):
    """No hakmemd answers."""


class OutOfMemory(Error, MemoryError):
    """A quota is reached, or the machine has no more memory."""


class Stale(Error):
    """The ref's block has been freed."""


class TimedOut(Error, TimeoutError):
    """Nothing came, or there was no room, in the given time."""


class Closed(Error, BrokenPipeError):
    """Everybody at the channel's other end has gone."""


_CLASSES = {
    errno.ENOENT: NotFound, errno.EEXIST: Exists, errno.EACCES: Denied, errno.EPERM: Denied,
    errno.ENOTCONN: NoDaemon, errno.ENOMEM: OutOfMemory, errno.EDQUOT: OutOfMemory,
    errno.ESTALE: Stale, errno.EAGAIN: TimedOut, errno.ETIMEDOUT: TimedOut, errno.EPIPE: Closed,
}


class Attributes(Structure):
    _fields_ = [
        ('size', c_size_t), ('max_size', c_size_t), ('quota', c_size_t), ('mode', c_uint),
        ('node', c_int), ('page_policy', c_uint), ('orphan_policy', c_uint), ('lifetime', c_uint),
    ]


class RawEvent(Structure):
    _fields_ = [('type', c_uint), ('pid', c_uint), ('member', c_uint64), ('time_ns', c_uint64)]


class Stat(Structure):
    _fields_ = [('size', c_size_t)] + [(name, c_uint64) for name in (
        'granted_bytes', 'free_bytes', 'held_bytes', 'orphaned_bytes', 'own_bytes', 'published',
        'published_bytes', 'moving', 'moving_bytes', 'adopted', 'adopted_bytes', 'freed', 'members')]


_PROTOTYPES = {
    # name: result, arguments
    'hak_detail': (c_char_p,),
    'hak_version': (c_char_p,),
    'hak_domain_open': (c_int, POINTER(c_void_p), c_char_p, c_uint, POINTER(Attributes)),
    'hak_domain_close': (c_void_p, c_void_p),
    'hak_domain_unlink': (c_int, c_char_p),
    'hak_domain_alloc': (c_void_p, c_void_p, c_size_t),
    'hak_domain_aligned_alloc': (c_void_p, c_void_p, c_size_t, c_size_t),
    'hak_domain_free': (None, c_void_p, c_void_p),
    'hak_domain_usable_size': (c_size_t, c_void_p, c_void_p),
    'hak_publish': (c_int, c_void_p, c_void_p),
    'hak_claim': (c_int, c_void_p, c_void_p),
    'hak_give': (c_int, c_void_p, c_void_p, c_uint64),
    'hak_self': (c_uint64, c_void_p),
    'hak_owner': (c_uint64, c_void_p, c_void_p),
    'hak_member_alive': (c_int, c_void_p, c_uint64),
    'hak_domain_heir': (c_int, c_void_p, c_uint64),
    'hak_ref_of': (c_uint64, c_void_p, c_void_p),
    'hak_ref_get': (c_void_p, c_void_p, c_uint64),
    'hak_root_set': (c_int, c_void_p, c_char_p, c_uint64, c_uint64),
    'hak_root_get': (c_uint64, c_void_p, c_char_p),
    'hak_event_fd': (c_int, c_void_p),
    'hak_event_next': (c_int, c_void_p, POINTER(RawEvent)),
    'hak_channel_open': (c_int, POINTER(c_void_p), c_void_p, c_char_p, c_uint32, c_uint),
    'hak_channel_send': (c_int, c_void_p, c_void_p, c_int),
    'hak_channel_recv': (c_int, c_void_p, POINTER(c_void_p), c_int),
    'hak_channel_close': (c_void_p, c_void_p),
    'hak_domain_stat_get': (c_int, c_void_p, POINTER(Stat)),
}


def _load():
    library = ctypes.CDLL(os.environ.get('HAKMEM_LIBRARY') or 'libhakclient.so.0', use_errno=True)
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


lib = _load()


def failure(code, what):
    """The exception for a code, right after the call that failed."""
    kind = _CLASSES.get(code, Error)
    # Time passes without words: the text is another failure's.
    detail = '' if kind is TimedOut else lib.hak_detail().decode(errors='replace')
    return kind(code, f'{what}: {detail or os.strerror(code)}')


def checked(result, what):
    """The result of a function that returns a negative errno where it fails."""
    if result < 0:
        raise failure(-result, what)
    return result
