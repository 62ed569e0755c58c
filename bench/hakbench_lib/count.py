# SPDX-License-Identifier: Apache-2.0
"""Instructions, branches and system calls per operation.

Each figure is the difference of two runs with different numbers of operations, divided by the
difference: what a program pays once, at its start and end, cancels. Instructions are exact and
repeat on any machine of the same kind; times do not.
"""

import os
import re
import shutil
import tempfile

from . import callgrind, syscalls
from .errors import BenchError, UsageError

EVENTS = ('Ir', 'Bc', 'Bi')
PERF_EVENTS = ('instructions:u', 'branches:u', 'branch-misses:u', 'cycles:u',
               'L1-dcache-load-misses:u', 'dTLB-load-misses:u')
FRACTION = 100  # of a variant's normal number of operations: valgrind is about 50 times slower
MIN_OPS = 20


def default_ops(workload):
    return max(MIN_OPS, workload.ops // FRACTION)


class Counter:
    def __init__(self, runner, workload, ops, options=()):
        if not workload.countable:
            raise UsageError(f'{workload.title}: its work is done by other processes, '
                             'whose instructions are not counted')
        self._runner = runner
        self._workload = workload
        self.ops = (ops, 2 * ops)
        self._options = options
        self.notes = []

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def _start(self, tool, ops, subject):
        argv = tool + self._workload.argv(ops, self._options)
        return self._runner.start(argv, subject, preload=not self._workload.needs_daemon)

    def _done(self, out):
        """A workload may round the number of operations."""
        match = re.search(r'"ops":(\d+)', out)
        if not match:
            raise BenchError(f'{self._workload.title} did not run under a tool: {out[:200]!r}')
        return int(match.group(1))

    def _callgrind_once(self, valgrind, ops, subject):
        with tempfile.TemporaryDirectory(prefix='hakbench.') as folder:
            path = os.path.join(folder, 'out')
            out, _ = self._start([valgrind, *callgrind.OPTIONS,
                                  f'--callgrind-out-file={path}'], ops, subject)
            try:
                with open(path, encoding='utf-8', errors='replace') as file:
                    counts = callgrind.parse(file, os.path.realpath(self._workload.path))
            except (OSError, ValueError) as error:
                raise BenchError(f'callgrind wrote nothing that can be read: {error}') from error
        return counts, self._done(out)

    def instructions(self, subject):
        valgrind = shutil.which('valgrind')
        if not valgrind:
            raise BenchError('valgrind is not installed')
        low, low_ops = self._callgrind_once(valgrind, self.ops[0], subject)
        high, high_ops = self._callgrind_once(valgrind, self.ops[1], subject)
        n = high_ops - low_ops
        if n <= 0:
            raise BenchError(f'{self._workload.title}: --ops {self.ops[0]} is too few to count')
        if not high.calls:
            raise BenchError(f'{subject.name}: no call of malloc was seen')
        at = {event: high.events.index(event) for event in EVENTS}
        return {
            'allocator': {e: (high.allocator[i] - low.allocator[i]) / n for e, i in at.items()},
            'whole': {e: (high.whole[i] - low.whole[i]) / n for e, i in at.items()},
            'calls': (high.calls - low.calls) / n,
        }

    def all(self, subject):
        return {**self.instructions(subject), 'syscalls': self.syscalls(subject),
                'perf': self.perf(subject)}

    def syscalls(self, subject):
        try:
            (low, low_ops), (high, high_ops) = (
                syscalls.total(self._runner, self._workload, subject, ops, self._options)
                for ops in self.ops)
        except BenchError as error:
            self.note(f'System calls were not counted: {error}')
            return None
        return (high - low) / (high_ops - low_ops)

    def perf(self, subject):
        """Hardware counters per operation; None where the machine has none."""
        perf = shutil.which('perf')
        if not perf:
            return None
        seen, done = [], []
        for ops in self.ops:
            with tempfile.TemporaryDirectory(prefix='hakbench.') as folder:
                path = os.path.join(folder, 'out')
                try:
                    out, _ = self._start([perf, 'stat', '-x', ';', '-o', path, '-e',
                                          ','.join(PERF_EVENTS), '--'], ops, subject)
                    done.append(self._done(out))
                    with open(path, encoding='utf-8', errors='replace') as file:
                        seen.append(parse_perf(file.read()))
                except (BenchError, OSError):
                    self.note('perf stat may not count here.')
                    return None
        n = done[1] - done[0]
        figures = {e: (v - seen[0][e]) / n for e, v in seen[1].items() if e in seen[0]}
        if not figures:
            self.note('perf stat has no hardware counters here.')
        return figures or None


def parse_perf(text):
    """{event: value} of `perf stat -x ;` lines that have a value."""
    figures = {}
    for line in text.splitlines():
        fields = line.split(';')
        if len(fields) > 2 and re.fullmatch(r'[0-9]+(\.[0-9]+)?', fields[0]):
            figures[fields[2]] = float(fields[0])
    return figures


def count(runner, workload, subjects, ops=None, options=(), progress=print):
    counter = Counter(runner, workload, ops if ops is not None else default_ops(workload), options)
    result = {'workload': workload.name, 'variant': workload.variant, 'op': workload.op,
              'ops': list(counter.ops), 'subjects': {}, 'notes': counter.notes}
    if workload.threads > 1:
        counter.note('Threads wait for each other in code of the workload: the whole program\'s '
                     'figures depend on the scheduler, the allocator\'s do so a little.')
    for subject in subjects:
        progress(f'{workload.title}: counting {subject.name}')
        result['subjects'][subject.name] = counter.all(subject)
    for name in workload.peers:
        peer, why = workload.by_peer(name)
        if not peer:
            counter.note(f'{name}: {why}.')
            continue
        progress(f'{workload.title}: counting {name}')
        other = Counter(runner, peer, counter.ops[0], options)
        result['subjects'][name] = other.all(subjects[0])
        for note in other.notes:
            counter.note(note)
    return result
