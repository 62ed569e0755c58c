# SPDX-License-Identifier: Apache-2.0
"""Traces: made of records, made of programs, replayed, and refused where they are damaged."""

import json
import lzma
import os
import subprocess
import tempfile
import unittest

import rig
from hakbench_lib import trace
from hakbench_lib.errors import BenchError
from hakbench_lib.trace import CALLOC, FREE, MALLOC, MEMALIGN, REALLOC
from rig import call

TRACES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, 'traces')


def decode(data):
    """Events of an encoded trace, and how many blocks it says there are."""
    at = len(trace.MAGIC)
    assert data[:at] == trace.MAGIC

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    count, blocks = number(), number()
    events = []
    for _ in range(count):
        kind, block = number(), number()
        size = number() if kind != FREE else 0
        events.append((kind, block, size, number() if kind == MEMALIGN else 0))
    assert at == len(data)
    return events, blocks


def records(*rows):
    return b''.join(trace.RECORD.pack(*row) for row in rows)


class Converting(unittest.TestCase):
    def events(self, *rows):
        made = trace.convert(records(*rows))
        self.assertEqual(decode(made.encode()), (made.events, made.blocks))
        return made.events

    def test_numbers_of_freed_blocks_are_used_again(self):
        self.assertEqual(
            self.events((MALLOC, 0, 0x10, 300), (CALLOC, 0, 0x20, 8), (FREE, 0, 0x10, 0),
                        (MALLOC, 0, 0x30, 5), (FREE, 0, 0x20, 0), (FREE, 0, 0x30, 0)),
            [(MALLOC, 0, 300, 0), (CALLOC, 1, 8, 0), (FREE, 0, 0, 0), (MALLOC, 0, 5, 0),
             (FREE, 1, 0, 0), (FREE, 0, 0, 0)])

    def test_realloc_in_all_its_ways(self):
        self.assertEqual(
            self.events((REALLOC, 0, 0x10, 8), (REALLOC, 0x10, 0x20, 16),
                        (REALLOC, 0x20, 0, 1 << 60), (REALLOC, 0x99, 0x40, 4),
                        (REALLOC, 0x20, 0, 0), (FREE, 0, 0x40, 0)),
            [(MALLOC, 0, 8, 0), (REALLOC, 0, 16, 0), (MALLOC, 1, 4, 0), (FREE, 0, 0, 0),
             (FREE, 1, 0, 0)])

    def test_what_is_left_is_freed_and_what_failed_is_left_out(self):
        self.assertEqual(
            self.events((MEMALIGN, 64, 0x40, 100), (MALLOC, 0, 0, 1 << 50), (FREE, 0, 0, 0),
                        (FREE, 0, 0x77, 0)),
            [(MEMALIGN, 0, 100, 6), (FREE, 0, 0, 0)])

    def test_a_last_record_that_is_cut_off(self):
        made = trace.convert(records((MALLOC, 0, 0x10, 1), (MALLOC, 0, 0x20, 1))[:-1])
        self.assertEqual(made.events, [(MALLOC, 0, 1, 0), (FREE, 0, 0, 0)])
        with self.assertRaises(BenchError):
            trace.convert(b'')

    def test_high_tide(self):
        self.assertEqual(trace.convert(records(
            (MALLOC, 0, 1, 100), (MALLOC, 0, 2, 50), (FREE, 0, 1, 0), (REALLOC, 2, 3, 120),
            (FREE, 0, 3, 0))).tide(), 150)


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'a.trace')

    def replay(self, *args):
        return subprocess.run([os.path.join(rig.WORKLOADS, 'replay'), '--trace', self.path, *args],
                              capture_output=True, text=True, timeout=rig.DEADLINE_S,
                              check=False)

    def write(self, data):
        with open(self.path, 'wb') as file:
            file.write(data)


class Recording(Folder):
    def record(self, *command):
        status, out, err = call('record', '--output', self.path, *command)
        self.assertEqual(status, 0, err)
        with open(self.path, 'rb') as file:
            return *decode(file.read()), out

    def workload(self, name, *args):
        return self.record(os.path.join(rig.WORKLOADS, name), *args)

    def test_calls_are_what_the_program_made(self):
        events, _, out = self.workload('pair', '--ops', '1000', '--size', '77')
        self.assertEqual(json.loads(out)['ops'], 1000)
        of_it = [i for i, e in enumerate(events) if e[0] == MALLOC and e[2] == 77]
        self.assertEqual(len(of_it), 1000)
        for i in of_it:
            self.assertEqual(events[i + 1], (FREE, events[i][1], 0, 0))

    def test_realloc_and_calloc_are_told_apart(self):
        events, _, _ = self.workload('realloc_grow', '--ops', '400')
        self.assertGreaterEqual(sum(e[0] == REALLOC for e in events), 390)
        events, _, _ = self.workload('calloc', '--ops', '50', '--size', '123')
        self.assertEqual(sum(e[0] == CALLOC and e[2] == 123 for e in events), 50)

    def test_threads_are_one_order_in_which_every_block_exists(self):
        events, blocks, _ = self.workload('xmalloc', '--ops', '70000', '--size', '99')
        alive = set()
        for kind, block, _, _ in events:
            self.assertLess(block, blocks)
            self.assertEqual(block in alive, kind in (FREE, REALLOC))
            alive.symmetric_difference_update({block} if kind != REALLOC else ())
        self.assertEqual(alive, set())
        self.assertEqual(sum(e[0] == MALLOC and e[2] == 99 for e in events), 70000)

    def test_children_are_not_recorded(self):
        alone, _, _ = self.workload('startup', '--ops', '1')
        more, _, _ = self.workload('startup', '--ops', '9')
        self.assertLess(abs(len(more) - len(alone)), 20)
        pair = os.path.join(rig.WORKLOADS, 'pair')
        code = ('import os\nif not os.fork(): [bytes(12345) for _ in range(99)]; os._exit(0)\n'
                f'os.wait(); os.system("{pair} --size 12345 --ops 99")')
        events, _, _ = self.record('/usr/bin/env', 'python3', '-c', code)
        self.assertGreater(len(events), 1000, 'exec is followed')
        self.assertEqual([e for e in events if 12345 <= e[2] < 12400], [])

    def test_a_recorded_program_can_be_replayed(self):
        events, _, _ = self.workload('mstress', '--ops', '5000', '--size', '16..3000')
        status, out, err = call('run', 'replay', '--trace', self.path, '--allocator', 'embedded',
                                '--ops', str(2 * len(events)))
        self.assertEqual(status, 0, err)
        self.assertGreaterEqual(json.loads(out)['ops'], 2 * len(events))

    def test_failures_are_told(self):
        for command, reason in ((['/nonexistent'], 'No such file'),
                                (['/bin/sh', '-c', 'exit 7'], 'ended with status 7')):
            status, _, err = call('record', '--output', self.path, *command)
            self.assertEqual(status, 1)
            self.assertIn(reason, err)


class Replaying(Folder):
    """2 MiB and 1 MiB, of which the first is freed at event 3 and all at event 5."""

    ROWS = ((MALLOC, 0, 1, 2 << 20), (CALLOC, 0, 2, 1 << 20), (FREE, 0, 1, 0),
            (REALLOC, 2, 3, 900 << 10), (FREE, 0, 3, 0))

    def test_stops_at_high_tide(self):
        self.write(trace.convert(records(*self.ROWS)).encode())
        for ops, done, live in ((1, 1, 2048), (2, 2, 3072), (3, 7, 3072), (7, 7, 3072),
                                (8, 12, 3072)):
            with self.subTest(ops=ops):
                run = self.replay('--ops', str(ops))
                self.assertEqual((run.returncode, run.stderr), (0, ''))
                line = json.loads(run.stdout)
                self.assertEqual((line['ops'], line['live_kib']), (done, live))
                self.assertGreaterEqual(line['held_kib'], live * 0.95)
                self.assertLess(line['held_kib'], live + 2048)
                self.assertAlmostEqual(line['held_per_live'], line['held_kib'] / live, 3)
                self.assertEqual((line['min_size'], line['max_size']), (900 << 10, 2 << 20))

    def test_threads_have_blocks_of_their_own(self):
        self.write(trace.convert(records(*self.ROWS)).encode())
        line = json.loads(self.replay('--ops', '4', '--threads', '2').stdout)
        self.assertEqual((line['ops'], line['live_kib']), (4, 6144))

    def test_all_kinds(self):
        self.write(trace.convert(records(
            (MEMALIGN, 4096, 1, 10), (MALLOC, 0, 2, 0), (REALLOC, 2, 3, 1),
            (FREE, 0, 1, 0))).encode())
        run = self.replay('--ops', '1000')
        self.assertEqual((run.returncode, run.stderr), (0, ''))

    def test_damage_is_found(self):
        good = trace.convert(records(*self.ROWS)).encode()
        head = trace.MAGIC

        def made(blocks, *numbers):
            return head + bytes((len(numbers), blocks)) + b''.join(map(bytes, numbers))
        for data in (b'', head, b'x' * 50, good[:-1], good + b'\0', head + b'\xff' * 12,
                     head + b'\0\0', made(1, (6, 0, 1)), made(1, (0, 0)), made(1, (MALLOC, 1, 5)),
                     made(1, (MALLOC, 0, 5)), made(1, (FREE, 0)),
                     made(1, (MALLOC, 0, 5), (MALLOC, 0, 5)), made(1, (REALLOC, 0, 5)),
                     made(1, (MEMALIGN, 0, 5, 31), (FREE, 0))):
            with self.subTest(data=data):
                self.write(data)
                run = self.replay()
                self.assertEqual((run.returncode, run.stdout), (1, ''))
                self.assertIn('trace', run.stderr)


class Stored(unittest.TestCase):
    def test_they_are_small_and_free_everything(self):
        names = [n for n in os.listdir(TRACES) if n.endswith('.trace.xz')]
        self.assertGreaterEqual(len(names), 3)
        total = 0
        for name in names:
            path = os.path.join(TRACES, name)
            total += os.path.getsize(path)
            with lzma.open(path) as file:
                events, _ = decode(file.read())
            self.assertGreater(len(events), 10000)
        self.assertLess(total, 300 << 10)


if __name__ == '__main__':
    rig.main()
