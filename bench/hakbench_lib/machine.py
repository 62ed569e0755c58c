# SPDX-License-Identifier: Apache-2.0
"""What a figure has to be read with: the machine and the versions."""

import hashlib
import os
import platform
import time


def _read(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def _cpu():
    for line in _read('/proc/cpuinfo').splitlines():
        key, _, value = line.partition(':')
        if key.strip() in ('model name', 'Model', 'uarch'):
            return value.strip()
    return platform.machine()


def _memory_mib():
    words = _read('/proc/meminfo').split()
    return int(words[1]) // 1024 if len(words) > 1 and words[0] == 'MemTotal:' else None


def _digest(path):
    """Names a build of a library: its path says little about what is in it."""
    try:
        with open(path, 'rb') as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]
    except OSError:
        return None


def libraries(subjects):
    return {s.name: {'path': os.path.realpath(s.library), 'sha256': _digest(s.library)}
            for s in subjects if s.library}


def describe():
    huge = _read('/sys/kernel/mm/transparent_hugepage/enabled').strip()
    return {
        'when': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        'cpu': _cpu(),
        'cpus': os.cpu_count(),
        'memory_mib': _memory_mib(),
        'kernel': platform.release(),
        'architecture': platform.machine(),
        'libc': ' '.join(platform.libc_ver()),
        'transparent_hugepages': huge.partition('[')[2].partition(']')[0] or None,
        'load_before': [round(x, 2) for x in os.getloadavg()],
    }
