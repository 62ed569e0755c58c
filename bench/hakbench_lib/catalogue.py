# SPDX-License-Identifier: Apache-2.0
"""The workloads that are there. Each program describes itself; nothing is written down twice."""

import json
import os
import subprocess

from .errors import BenchError, UsageError


class Workload:
    """One variant of one workload program."""

    def __init__(self, path, info, variant):
        self.path = path
        self.name = info['workload']
        self.variant = variant['name']
        self.default = variant is info['variants'][0]
        self.op = info['op']
        self.about = info['about']
        self.variant_about = variant['about']
        self.ops = variant['ops']
        self.threads = variant['threads']
        self.needs_daemon = info['needs_daemon']
        # What is about the daemon has processes where others have threads: one is counted.
        self.countable = info['countable'] and not (self.needs_daemon and self.threads > 1)
        # What the geometric means are taken over: work for one thread and for more differ more
        # than small and large blocks do. What is about the daemon is in none.
        threads = self.threads > 1 and not self.needs_daemon
        self.group = 'threads' if threads else info['group']
        self.peers = info['peers'].split(',') if info['peers'] else []

    @property
    def title(self):
        return f'{self.name}:{self.variant}'

    def by_peer(self, name):
        """(the same load as a program that uses a peer, None), or (None, why there is none)"""
        path = f'{self.path}.{name}'
        if not os.access(path, os.X_OK):
            return None, 'not built: its libraries were not there'
        info = _describe(path)
        for variant in info['variants']:
            if variant['name'] == self.variant:
                return Workload(path, info, variant), None
        return None, 'it cannot do this'

    def scaled(self, scale, ops=None):
        """How many operations: `ops`, or else the variant's own times `scale`."""
        return ops if ops is not None else max(1, round(self.ops * scale))

    def argv(self, ops=None, options=()):
        argv = [self.path, '--variant', self.variant]
        if ops is not None:
            argv += ['--ops', str(ops)]
        return argv + list(options)


def _describe(path):
    try:
        done = subprocess.run([path, '--list'], capture_output=True, text=True, timeout=60,
                              check=True, env={'PATH': '/usr/bin:/bin', 'LC_ALL': 'C'})
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise BenchError(f'{path} does not describe itself: {error}') from error


def load(folder):
    """All workloads below `folder`, variants in their own order."""
    found = []
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BenchError(f'no workloads: {error}') from error
    for name in names:
        path = os.path.join(folder, name)
        if '.' in name or not os.path.isfile(path) or not os.access(path, os.X_OK):
            continue
        info = _describe(path)
        found += [Workload(path, info, variant) for variant in info['variants']]
    if not found:
        raise BenchError(f'no workloads in {folder}')
    return found


def pick(workloads, text):
    """The workloads named by a comma-separated list.

    NAME is its default variant, NAME:VARIANT that one, NAME:all every variant; `default` is the
    default variant of each, `all` is everything, and @GROUP is that group. In a NAME, '-' is '_'.
    """
    picked = []
    for word in text.split(','):
        name, _, variant = word.partition(':')
        name = name.replace('-', '_')
        if word == 'all':
            chosen = workloads
        elif word == 'default':
            chosen = [w for w in workloads if w.default]
        elif word.startswith('@'):
            chosen = [w for w in workloads if w.group == word[1:]]
        else:
            chosen = [w for w in workloads if w.name == name and
                      (variant == 'all' or w.variant == variant or (not variant and w.default))]
        if not chosen:
            raise UsageError(f'{word}: no such workload; see hakbench list')
        picked += [w for w in chosen if w not in picked]
    return picked


def pick_one(workloads, text):
    picked = pick(workloads, text)
    if len(picked) != 1:
        raise UsageError(f'{text}: one workload is wanted here, this is {len(picked)}')
    return picked[0]
