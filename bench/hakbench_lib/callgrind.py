# SPDX-License-Identifier: Apache-2.0
"""Reads callgrind's output: what the whole program cost, and what its calls into the allocator did.

The file lists, function by function, lines "LINE COST..." of its own cost, and for each callee
"calls=N TARGET" followed by one line of the callee's inclusive cost. The allocator's share is the
inclusive cost of every call from the workload's own code to an entry point: whatever runs in there,
be it the allocator's, libc's memset or a page's zeroing, is what the program pays for its memory.
Callgrind has to be told not to compress names and positions.
"""

ENTRIES = frozenset((
    'malloc', 'free', 'calloc', 'realloc', 'memalign', 'aligned_alloc', 'posix_memalign',
    'malloc_trim', 'malloc_usable_size', 'reallocarray', 'valloc', 'pvalloc',
    'hak_domain_alloc', 'hak_domain_aligned_alloc', 'hak_domain_free',
))
# Of what is compiled into the program, where a peer is nothing but headers.
OWN_ENTRIES = frozenset(('memory_alloc', 'memory_free'))
OPTIONS = ('--tool=callgrind', '--branch-sim=yes', '--compress-strings=no', '--compress-pos=no')


def _entry(name):
    """free, free@@GLIBC_2.2.5, free'2 (a recursion): all are free."""
    return name.partition('@')[0].partition("'")[0]


class Counts:
    """Sums by event: Ir, Bc (conditional branches), Bi (indirect branches and calls), ..."""

    def __init__(self, events):
        self.events = events
        self.whole = [0] * len(events)
        self.allocator = [0] * len(events)
        self.calls = 0

    def add_allocator(self, calls, costs):
        self.calls += calls
        for i, cost in enumerate(costs):
            self.allocator[i] += cost


def _costs(line):
    """Trailing zeros may be left out."""
    return [int(word) for word in line.split()[1:]]


def parse(lines, program):
    """Counts of a run of `program` (the path that callgrind calls its object)."""
    counts = None
    obj = callee = None
    callee_obj = None  # of cob=, which holds for one call; None: the caller's own
    calls = None  # of a calls= line whose costs come next
    for raw in lines:
        line = raw.rstrip('\n')
        if not line or line[0] == '#':
            continue
        if line[0].isdigit() or line[0] in '+-*':
            if calls is not None:
                foreign = callee_obj not in (None, program)
                entries = ENTRIES if foreign else OWN_ENTRIES
                if obj == program and _entry(callee) in entries:
                    counts.add_allocator(calls, _costs(line))
                calls = callee_obj = None
            continue
        key, separator, value = line.partition('=')
        if not separator:
            key, _, value = line.partition(':')
        if key == 'events':
            counts = Counts(value.split())
        elif key == 'totals' and counts:
            counts.whole = [int(word) for word in value.split()]
            counts.whole += [0] * (len(counts.events) - len(counts.whole))
        elif key == 'ob':
            obj = value
        elif key == 'cob':
            callee_obj = value
        elif key == 'cfn':
            callee = value
        elif key == 'calls':
            calls = int(value.split()[0])
    if counts is None:
        raise ValueError('no events: this is no output of callgrind')
    return counts
