# SPDX-License-Identifier: Apache-2.0
"""What is compared: an allocator, that is a library to preload and an environment."""

import glob
import os

from .errors import BenchError, UsageError

# Library file names, the more specific first.
PEERS = {
    'mimalloc': ('libmimalloc.so.2', 'libmimalloc.so.3', 'libmimalloc.so'),
    'jemalloc': ('libjemalloc.so.2', 'libjemalloc.so'),
    'tcmalloc': ('libtcmalloc_minimal.so.4', 'libtcmalloc_minimal.so'),
    'tbb': ('libtbbmalloc_proxy.so.2', 'libtbbmalloc_proxy.so'),
}
FOLDERS = ('/usr/lib/*-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/lib/*-linux-gnu',
           '/usr/local/lib64', '/usr/local/lib')

# hakmem in its modes. `forced-libc` is the same library with every call passed on to libc: the
# difference to `libc` is what the mere presence of the library does to the program.
MODES = {
    'embedded': {'HAKMEM_MODE': 'embedded'},
    'daemon': {'HAKMEM_MODE': 'daemon'},  # the socket is known when the daemon runs
    'daemon-warm': {'HAKMEM_MODE': 'daemon'},
    'daemon-small-pages': {'HAKMEM_MODE': 'daemon'},
    'forced-libc': {'HAKMEM_FORCE_LIBC_ALLOC': '1'},
    'checked': {'HAKMEM_MODE': 'embedded', 'HAKMEM_FASTLANE_DIRECT': '0'},
}
# The most that a daemon keeps filled for one process to come, so that no run of up to that size
# waits for it. Never given up between two runs.
WARM_MIB = 128
WARM = f'[stock]\nsessions = 1\nsession-bytes = {WARM_MIB} MiB\ndecay = 3600 s\n'
# What the daemon of each is told.
DAEMONS = {
    'daemon': '',
    'daemon-warm': WARM,
    'daemon-small-pages': f'[daemon]\nhuge-pages = never\n{WARM}',
}
# Others, asked to use pages of 2 MiB: for comparison with hakmem's, not what it is judged by.
HUGE = {
    'libc-huge': ('libc', {'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}),
    # The first is its name up to version 2.0.
    'mimalloc-huge': ('mimalloc', {'MIMALLOC_LARGE_OS_PAGES': '1',
                                   'MIMALLOC_ALLOW_LARGE_OS_PAGES': '1'}),
}
KNOWN = ('libc', *MODES, *PEERS, *HUGE)
ABOUT = {
    'libc': 'the system\'s malloc, nothing preloaded',
    'embedded': 'hakmem without its daemon',
    'daemon': 'hakmem with memory from its daemon, hakmemd, here a private one',
    'daemon-warm': f'the same with a daemon that has {WARM_MIB} MiB ready before each run',
    'daemon-small-pages': 'the same as daemon-warm, in pages of 4 KiB',
    'forced-libc': 'hakmem preloaded, every call passed on to libc',
    'checked': 'hakmem with HAKMEM_FASTLANE_DIRECT=0: every free validated',
    'libc-huge': 'libc, told to use transparent huge pages (GLIBC_TUNABLES)',
}
ENVIRONMENT_SIZE = 4096


class Subject:
    def __init__(self, name, base, library=None, env=None):
        self.name = name
        self.base = base
        self.library = library
        self.env = dict(env or {})

    @property
    def needs_daemon(self):
        return self.base in DAEMONS

    def environment(self, socket=None, preload=True):
        """All that its programs get. The padding keeps the environment's size, and with it where
        the stack begins, the same for all subjects: that alone can move times by percents."""
        env = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C'}
        if self.library and preload:
            env['LD_PRELOAD'] = self.library
        if self.needs_daemon and socket:
            env['HAKMEM_SOCKET'] = socket
        env.update(self.env)
        used = sum(len(os.fsencode(f'{k}={v}')) + 1 for k, v in env.items())
        used += 8 * len(env)  # the pointers to them
        pad = 'HAKBENCH_PAD'
        env[pad] = 'x' * max(0, ENVIRONMENT_SIZE - used - len(pad) - 2 - 8)
        return env

    def describe(self):
        return {'name': self.name, 'base': self.base, 'library': self.library, 'env': self.env}


def find_peer(name):
    for file in PEERS[HUGE[name][0] if name in HUGE else name]:
        for folder in FOLDERS:
            for path in sorted(glob.glob(os.path.join(folder, file))):
                return path
    return None


def _base(places, name, base):
    if base == 'libc':
        return Subject(name, base)
    if base in MODES:
        return Subject(name, base, places['library'], MODES[base])
    if base in HUGE:
        peer, env = HUGE[base]
        return Subject(name, base, None if peer == 'libc' else find_peer(peer), env)
    return Subject(name, base, find_peer(base))


def _assignments(texts, option):
    """NAME=REST or NAME:REST, as {name: [rest, ...]} in order."""
    separator = '=' if option == '--library' else ':'
    result = {}
    for text in texts or ():
        name, found, rest = text.partition(separator)
        if not name or not found or not rest:
            what = 'NAME=PATH' if option == '--library' else 'NAME:VARIABLE=VALUE'
            raise UsageError(f'{option} {text}: not {what}')
        result.setdefault(name, []).append(rest)
    return result


def _names(allocators, extra):
    """(name, base) pairs of a list like libc,embedded,new=daemon, and of names used elsewhere."""
    pairs = []
    for word in allocators.split(',') if allocators else ():
        name, found, base = word.partition('=')
        base = base if found else name
        if not found and name in extra and name not in KNOWN:
            base = 'embedded'
        if not name or base not in KNOWN:
            raise UsageError(f'{word}: no such allocator; there are {", ".join(KNOWN)}, '
                             'and NAME=one of them')
        pairs.append((name, base))
    listed = [name for name, _ in pairs]
    if len(set(listed)) != len(listed):
        raise UsageError(f'{allocators}: an allocator is named twice')
    pairs += [(name, name if name in KNOWN else 'embedded')
              for name in extra if name not in listed]
    return pairs


def make(places, allocators, libraries=None, envs=None):
    """(subjects, left out): the latter are peers that are not installed."""
    libraries = _assignments(libraries, '--library')
    envs = _assignments(envs, '--env')
    subjects, missing = [], []
    for name, base in _names(allocators, [*libraries, *envs]):
        subject = _base(places, name, base)
        if name in libraries:
            subject.library = os.path.abspath(libraries[name][-1])
        for text in envs.get(name, ()):
            key, found, value = text.partition('=')
            if not key or not found:
                raise UsageError(f'--env {name}:{text}: not NAME:VARIABLE=VALUE')
            subject.env[key] = value
        if subject.library is None and HUGE.get(base, (base,))[0] in PEERS:
            missing.append(name)
            continue
        if subject.library is not None and not os.path.isfile(subject.library):
            raise BenchError(f'{name}: there is no library {subject.library}')
        subjects.append(subject)
    return subjects, missing
