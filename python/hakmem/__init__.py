# SPDX-License-Identifier: Apache-2.0
"""Shared domains of hakmem for Python: memory that processes share without copying."""

from ._library import (Closed, Denied, Error, Exists, NoDaemon, NotFound, OutOfMemory, Stale,
                       TimedOut, lib)
from ._memory import Block
from .channel import Channel
from .domain import Domain, Event, EventType, Lifetime, Orphans, unlink

__version__ = '0.1.0'
library_version = lib.hak_version().decode()

__all__ = [
    'Block', 'Channel', 'Closed', 'Denied', 'Domain', 'Error', 'Event', 'EventType', 'Exists',
    'Lifetime', 'NoDaemon', 'NotFound', 'Orphans', 'OutOfMemory', 'Stale', 'TimedOut',
    'library_version', 'unlink',
]
