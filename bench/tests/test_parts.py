# SPDX-License-Identifier: Apache-2.0
"""The pure parts: callgrind's format, strace's and perf's tables, allocators, CPUs, markup."""

import os
import tempfile
import unittest
import xml.etree.ElementTree as xml

import rig
from hakbench_lib import callgrind, chart, count, limits, markup, runner, subjects, syscalls
from hakbench_lib.errors import BenchError, UsageError

PLACES = {'library': '/', 'daemon': '/none'}

CALLGRIND = '''# callgrind format
version: 1
cmd:  /w --ops 10
positions: line
events: Ir Bc Bcm Bi Bim
summary: 1000 100 10 5 1

ob=/w
fl=w.c
fn=main
50 3
cfn=work_init
calls=1 164
59 70 7
cob=/lib/libc.so.6
cfi=malloc.c
cfn=malloc
calls=4 3281
60 200 30 1 2
+1 5
cob=/lib/other.so
cfn=free@@GLIBC_2.2.5
calls=3 1
61 60 6
cfn=free
calls=9 1
62 7
cob=/lib/libc.so.6
cfn=printf
calls=1 1
63 400 40

ob=/lib/libc.so.6
fn=malloc
1 100 10
cfn=calloc
calls=2 5
2 11
cob=/w
cfn=main
calls=1 1
3 9

totals: 1000 100 10 5 1
'''


class Callgrind(unittest.TestCase):
    def test_only_calls_from_the_program_into_the_allocator_count(self):
        counts = callgrind.parse(CALLGRIND.splitlines(), '/w')
        self.assertEqual(counts.events, ['Ir', 'Bc', 'Bcm', 'Bi', 'Bim'])
        self.assertEqual(counts.calls, 4 + 3)
        self.assertEqual(counts.allocator, [260, 36, 1, 2, 0])
        self.assertEqual(counts.whole, [1000, 100, 10, 5, 1])

    def test_another_program_has_no_calls(self):
        self.assertEqual(callgrind.parse(CALLGRIND.splitlines(), '/x').calls, 0)

    def test_other_files_are_refused(self):
        with self.assertRaises(ValueError):
            callgrind.parse(['hello', 'world'], '/w')


class Installation(unittest.TestCase):
    def test_every_module_is_installed(self):
        folder = os.path.dirname(os.path.abspath(callgrind.__file__))
        with open(os.path.join(folder, os.pardir, 'meson.build'), encoding='utf-8') as file:
            build = file.read()
        modules = [name for name in os.listdir(folder) if name.endswith('.py')]
        self.assertGreater(len(modules), 10)
        for name in modules:
            self.assertIn(f"'hakbench_lib/{name}'", build)


class Tables(unittest.TestCase):
    def test_strace_total_with_blank_columns(self):
        full = ('% time     seconds  usecs/call     calls    errors syscall\n'
                '------ ----------- ----------- --------- --------- --------\n'
                ' 60.00    0.000010           1        10         2 openat\n'
                '100.00    0.000123           1       123         2 total\n')
        blank = ('% time     seconds  usecs/call     calls    errors syscall\n'
                 '100.00    0.000000                    77           total\n')
        self.assertEqual(syscalls.parse(full), 123)
        self.assertEqual(syscalls.parse(blank), 77)
        with self.assertRaises(ValueError):
            syscalls.parse('nothing\n')

    def test_perf_leaves_out_what_is_not_supported(self):
        text = ('# started\n12345;;instructions:u;1;100.00;;\n'
                '<not supported>;;branches:u;0;100.00;;\n')
        self.assertEqual(count.parse_perf(text), {'instructions:u': 12345.0})


class Subjects(unittest.TestCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self.library = file.name
        self.addCleanup(os.unlink, self.library)
        self.places = {'library': self.library, 'daemon': '/none'}

    def test_modes_differ_in_their_environment_only(self):
        made, _ = subjects.make(self.places, 'libc,embedded,daemon,forced-libc')
        libc, embedded, daemon, forced = (s.environment('/sock') for s in made)
        self.assertNotIn('LD_PRELOAD', libc)
        for env in (embedded, daemon, forced):
            self.assertEqual(env['LD_PRELOAD'], self.library)
        self.assertEqual(embedded['HAKMEM_MODE'], 'embedded')
        self.assertEqual(daemon['HAKMEM_SOCKET'], '/sock')
        self.assertNotIn('HAKMEM_SOCKET', embedded)
        self.assertEqual(forced['HAKMEM_FORCE_LIBC_ALLOC'], '1')

    def test_huge_ones_are_told_so_and_are_no_peers(self):
        made, missing = subjects.make(self.places, 'libc,libc-huge,mimalloc-huge',
                                      [f'mimalloc-huge={self.library}'])
        self.assertEqual(missing, [])
        self.assertIsNone(made[1].library)
        self.assertIn('hugetlb=1', made[1].environment()['GLIBC_TUNABLES'])
        self.assertEqual(made[2].environment()['MIMALLOC_ALLOW_LARGE_OS_PAGES'], '1')
        result = {'subjects': [s.describe() for s in made]}
        self.assertEqual(limits.peers(result), ['libc'])

    def test_without_preloading_the_socket_stays(self):
        made, _ = subjects.make(self.places, 'daemon,daemon-warm')
        for subject in made:
            env = subject.environment('/sock', preload=False)
            self.assertNotIn('LD_PRELOAD', env)
            self.assertEqual(env['HAKMEM_SOCKET'], '/sock')

    def test_environments_are_clean_and_of_one_size(self):
        os.environ['HAKBENCH_TEST_LEFTOVER'] = '1'
        made, _ = subjects.make(self.places, 'libc,embedded,daemon', envs=['embedded:A=b'])
        envs = [s.environment('/sock') for s in made]
        sizes = {sum(len(k) + len(v) + 2 + 8 for k, v in env.items()) for env in envs}
        self.assertEqual(len(sizes), 1)
        for env in envs:
            self.assertNotIn('HAKBENCH_TEST_LEFTOVER', env)

    def test_two_builds_and_two_environments(self):
        made, _ = subjects.make(self.places, 'libc,x=daemon',
                                [f'old={self.library}'], ['new:HAKMEM_STATS=1', 'x:A=b=c'])
        self.assertEqual([(s.name, s.base) for s in made],
                         [('libc', 'libc'), ('x', 'daemon'), ('old', 'embedded'),
                          ('new', 'embedded')])
        self.assertEqual(made[1].env['A'], 'b=c')
        self.assertEqual(made[2].library, self.library)
        self.assertEqual(made[3].env['HAKMEM_STATS'], '1')

    def test_nonsense_is_refused(self):
        for allocators, libraries, envs in (
                ('nosuch', None, None), ('libc,libc', None, None), ('=libc', None, None),
                ('libc', ['a'], None), ('libc', ['=p'], None), ('libc', None, ['a']),
                ('libc', None, ['a:b']), ('libc', None, ['a:=b'])):
            with self.subTest(allocators=allocators, libraries=libraries, envs=envs):
                with self.assertRaises(UsageError):
                    subjects.make(self.places, allocators, libraries, envs)

    def test_a_library_that_is_not_there(self):
        with self.assertRaises(BenchError):
            subjects.make(self.places, 'embedded', ['embedded=/nowhere/lib.so'])


class Cpus(unittest.TestCase):
    def test_lists(self):
        self.assertEqual(runner.parse_cpus('0,2-4'), {0, 2, 3, 4})
        for bad in ('', 'x', '3-1', '-1', '1,,2'):
            with self.subTest(bad=bad), self.assertRaises(UsageError):
                runner.parse_cpus(bad)

    def test_a_node_brings_its_cpus(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f'{folder}/node1')
            with open(f'{folder}/node1/cpulist', 'w', encoding='ascii') as file:
                file.write('4-5\n')
            placement = runner.Placement(node=1, nodes_dir=folder)
            self.assertEqual(placement.cpus, {4, 5})
            self.assertEqual(runner.Placement('4', 1, folder).cpus, {4})
            with self.assertRaises(UsageError):
                runner.Placement(node=0, nodes_dir=folder)


class Drawing(unittest.TestCase):
    def test_text_is_escaped_and_markup_is_not(self):
        text = markup.el('p', '<&>', markup.el('b', 'x'), class_='a"b')
        self.assertEqual(text, '<p class=\'a"b\'>&lt;&amp;&gt;<b>x</b></p>')

    def test_better_goes_left_and_worse_goes_right(self):
        rows = [{'label': 'w', 'noise': 0.01, 'bars': [
            {'name': 'good', 'value': 0.5, 'low': 0.4, 'high': 0.6, 'tip': ''},
            {'name': 'bad', 'value': 2.0, 'low': 1.9, 'high': 2.2, 'tip': ''},
            {'name': 'none', 'value': None, 'tip': ''}]}]
        svg, colours = chart.bars(rows, 'title')
        space = '{http://www.w3.org/2000/svg}'
        boxes = {r.get('fill'): r for r in xml.fromstring(svg).iter(space + 'rect')}
        good, bad = boxes[colours['good']], boxes[colours['bad']]
        middle = float(bad.get('x'))
        self.assertAlmostEqual(float(good.get('x')) + float(good.get('width')), middle, 1)
        self.assertAlmostEqual(float(good.get('width')), float(bad.get('width')), 1)
        self.assertGreater(float(bad.get('width')), 50)


if __name__ == '__main__':
    rig.main()
