# SPDX-License-Identifier: Apache-2.0
"""How many system calls a run makes, from the start of the process to its end, by strace.

A run of its own, whose times are thrown away: each call stops the program twice.
"""

import json
import os
import shutil
import tempfile

from .errors import BenchError


def parse(text):
    """The total number of calls of `strace -c`."""
    edge = None
    for line in text.splitlines():
        words = line.split()
        if 'syscall' in words:
            # Columns to the left and to the right of it may be blank: go by where it ends.
            edge = line.index('calls') + len('calls')
        elif edge and words and words[-1] == 'total':
            return int(line[:edge].split()[-1])
    raise ValueError('strace printed no total')


def total(runner, workload, subject, ops=None, options=()):
    """(calls, operations really done). BenchError where there is no strace, or where it may not
    look at programs."""
    strace = shutil.which('strace')
    if not strace:
        raise BenchError('strace is not installed')
    with tempfile.TemporaryDirectory(prefix='hakbench.') as folder:
        path = os.path.join(folder, 'out')
        out, _ = runner.start([strace, '-f', '-qq', '-c', '-o', path,
                               *workload.argv(ops, options)], subject,
                              preload=not workload.needs_daemon)
        try:
            with open(path, encoding='utf-8', errors='replace') as file:
                return parse(file.read()), json.loads(out)['ops']
        except (OSError, ValueError) as error:
            raise BenchError(f'strace wrote nothing that can be read: {error}') from error


def total_or_none(runner, workload, subject, ops, options, note):
    """The same for a result in which it is one figure among many."""
    try:
        return total(runner, workload, subject, ops, options)[0]
    except BenchError as error:
        note(f'{workload.title}: system calls of {subject.name} were not counted: {error}')
        return None
