# SPDX-License-Identifier: Apache-2.0
"""hakbench as its users call it, without measuring anything that matters."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

import rig
from hakbench_lib import catalogue
from rig import call, call_json

COMPARE = ('compare', '--runs', '1', '--ops', '200')


class Arguments(unittest.TestCase):
    def test_wrong_ones_end_with_2_and_a_reason(self):
        for args, reason in (
                ([], 'COMMAND'), (['frobnicate'], 'frobnicate'), (['run'], 'workload'),
                (['run', 'nosuch'], 'nosuch: no such workload'),
                (['run', 'pair:nosuch'], 'no such workload'), (['run', 'all'], 'one workload'),
                (['run', 'pair', '--allocator', 'nosuch'], 'nosuch: no such allocator'),
                (['run', 'pair', '--allocator', 'libc,embedded'], 'one allocator'),
                (['run', 'pair', '--ops', '0'], 'not positive'),
                (['run', 'pair', '--cpus', 'x'], 'not a list of CPUs'),
                (['run', 'pair', '--cpus', '9999'], 'cannot run on these CPUs'),
                (['run', 'pair', '--node', '999'], 'no such node'),
                (['compare', '--runs', '0'], 'not positive'),
                (['compare', '--threshold', '100'], 'not a percentage'),
                (['compare', '--metric', 'beauty'], 'beauty'),
                (['compare', '--scale', '0'], 'no scale'),
                (['compare', '--allocators', 'libc', '--baseline', 'x'], 'it is not among'),
                (['compare', '--library', 'x'], 'not NAME=PATH'),
                (['compare', '--env', 'x:y'], 'not NAME:VARIABLE=VALUE'),
                (['count', 'startup'], 'other processes')):
            with self.subTest(args=args):
                status, out, err = call(*args)
                self.assertEqual((status, out), (2, ''))
                self.assertIn(reason, err)
                self.assertNotIn('Traceback', err)

    def test_what_cannot_be_done_ends_with_1_and_a_reason(self):
        for args, reason in (
                (['report', '/nonexistent'], 'No such file'),
                (['report', '/dev/null'], 'no JSON'),
                (['run', 'pair', '--ops', '9', '--allocator', 'x', '--library', 'x=/nowhere'],
                 'no library'),
                ([*COMPARE, '--workloads', 'pair', '--allocators', 'libc', '--json',
                  '/nonexistent/x'], 'No such file')):
            with self.subTest(args=args):
                status, _, err = call(*args)
                self.assertEqual(status, 1, err)
                self.assertIn(reason, err)
                self.assertNotIn('Traceback', err)

    def test_wrong_options_of_a_workload_are_its_own_words(self):
        status, _, err = call('run', 'pair', '--size', '9..8')
        self.assertEqual(status, 1)
        self.assertIn('--size 9..8', err)

    def test_help_and_version(self):
        self.assertRegex(call('--version')[1], r'^hakbench \d+\.\d+')
        for command in ('list', 'run', 'compare', 'count', 'record', 'report', 'check'):
            status, out, _ = call(command, '--help')
            self.assertEqual(status, 0)
            self.assertIn(f'hakbench {command}', out)


class Running(unittest.TestCase):
    def test_list_names_workloads_and_allocators(self):
        listed = call_json(self, 'list', '--json')
        names = [w['name'] for w in listed['workloads']]
        self.assertIn('random_mixed:c6', names)
        self.assertIn('startup:default', names)
        self.assertLessEqual({'libc', 'embedded', 'daemon', 'tbb'}, set(listed['allocators']))
        status, out, _ = call('list')
        self.assertEqual(status, 0)
        for name in names:
            self.assertIn(name, out)

    def test_names_stand_for_workloads(self):
        workloads = catalogue.load(rig.WORKLOADS)

        def titles(text):
            return [w.title for w in catalogue.pick(workloads, text)]
        self.assertEqual(titles('startup'), ['startup:default'])
        self.assertEqual(titles('cache-scratch,first-touch:1m'),
                         ['cache_scratch:default', 'first_touch:1m'])
        self.assertEqual(titles('large:untouched-1m'), ['large:untouched-1m'])
        self.assertEqual(titles('large,pair:1k,large:mixed'), ['large:mixed', 'pair:1k'])
        self.assertEqual(titles('@startup'), titles('startup:all'))
        self.assertEqual(len(titles('default')), len({w.name for w in workloads}))
        self.assertEqual(len(titles('all,default')), len(workloads))
        self.assertEqual({w.group for w in catalogue.pick(workloads, "@threads")}, {'threads'})

    def test_run_in_each_mode(self):
        for allocator in ('libc', 'embedded', 'daemon', 'forced-libc'):
            with self.subTest(allocator=allocator):
                line = call_json(self, 'run', 'random_mixed:c7', '--allocator', allocator,
                                 '--ops', '3000', '--slots', '50')
                self.assertEqual((line['allocator'], line['slots']), (allocator, 50))
                self.assertEqual((line['ops'], line['min_size']), (3000, 1024))

    def test_run_counts_system_calls_unless_told_not_to(self):
        args = ('run', 'large:untouched-32m', '--size', '64M', '--ops')
        few, many = (call_json(self, *args, ops)['syscalls'] for ops in ('10', '110'))
        if rig.strace_works():
            # Above glibc's highest threshold each pair is an mmap and a munmap.
            self.assertAlmostEqual(many - few, 200, delta=20)
        else:
            self.assertEqual((few, many), (None, None))
        self.assertNotIn('syscalls', call_json(self, *args, '10', '--no-syscalls'))

    def test_run_on_one_cpu_says_where_pages_lie(self):
        cpu = min(os.sched_getaffinity(0))
        line = call_json(self, 'run', 'pair', '--ops', '100', '--cpus', str(cpu))
        self.assertEqual(line['ops'], 100)
        if os.path.exists('/proc/self/numa_maps'):
            self.assertTrue(line['node_kib'])

    def test_modes_are_what_they_say(self):
        """In the words of the library, which must not have fallen back to another mode."""
        for allocator, mode in (('embedded', 'embedded'), ('daemon', 'daemon'),
                                ('forced-libc', 'libc')):
            with self.subTest(allocator=allocator):
                status, _, err = call('run', 'pair', '--ops', '99', '--allocator', allocator,
                                      '--env', f'{allocator}:HAKMEM_STATS=1')
                self.assertEqual(status, 0, err)
                self.assertIn(f'mode {mode}', err)

    def test_a_library_that_cannot_be_preloaded_is_an_error(self):
        status, _, err = call('run', 'pair', '--ops', '9', '--allocator', 'embedded',
                              '--env', 'embedded:LD_PRELOAD=/nonexistent.so')
        self.assertEqual(status, 1)
        self.assertIn('/nonexistent.so', err)

    def test_a_run_that_takes_too_long_is_ended(self):
        status, _, err = call('run', 'pair', '--ops', '100000000000', '--timeout', '1')
        self.assertEqual(status, 1)
        self.assertIn('took longer than 1 s', err)


class Leftovers(unittest.TestCase):
    """Daemons and their folders, which are below TMPDIR."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.env = {**os.environ, 'TMPDIR': self.folder}

    def assert_none(self):
        self.assertEqual(os.listdir(self.folder), [])
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    self.assertNotIn(self.folder.encode(), file.read())
            except OSError:
                continue  # it ended meanwhile

    def test_none_after_a_run(self):
        done = subprocess.run([rig.HAKBENCH, 'run', 'pair', '--ops', '9', '--allocator', 'daemon'],
                              env=self.env, capture_output=True, timeout=rig.DEADLINE_S,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_none()

    def test_none_after_being_told_to_end(self):
        process = subprocess.Popen(
            [rig.HAKBENCH, 'compare', '--workloads', 'pair', '--ops', '100000000000',
             '--allocators', 'daemon'], env=self.env, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.assertIn('round 1', process.stderr.readline())
        process.terminate()
        _, err = process.communicate(timeout=rig.DEADLINE_S)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM, err)
        self.assertNotIn('Traceback', err)
        self.assert_none()


class Comparing(unittest.TestCase):
    def compare(self, *args):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'result.json')
            status, out, err = call(*COMPARE, '--json', path, *args)
            self.assertEqual(status, 0, err)
            with open(path, encoding='utf-8') as file:
                return json.load(file), out

    def test_one_run_of_two_workloads(self):
        result, out = self.compare('--workloads', 'random_mixed,large:64k', '--allocators',
                                   'libc,embedded,daemon', '--ops', '20')
        self.assertEqual([w['workload'] for w in result['workloads']], ['random_mixed', 'large'])
        for entry in result['workloads']:
            self.assertEqual(set(entry['subjects']), {'libc', 'embedded', 'daemon'})
            for subject in entry['subjects'].values():
                self.assertEqual(subject['verdict'], 'neutral')
                self.assertEqual(len(subject['values']), 1)
                self.assertGreater(subject['ratio']['median'], 0)
            self.assertIsNotNone(entry['noise_floor'])
            counts = {s['syscalls'] is None for s in entry['subjects'].values()}
            self.assertEqual(counts, {not rig.strace_works()})
        self.assertEqual(result['verdicts'], {'embedded': 'neutral', 'daemon': 'neutral'})
        self.assertEqual(set(result['groups']), {'small', 'large', 'all'})
        for word in ('random_mixed:default', 'noise floor', 'geometric mean', 'PSS'):
            self.assertIn(word, out)

    def test_the_gap_is_split(self):
        result, out = self.compare('--workloads', 'pair', '--allocators',
                                   'libc,forced-libc,embedded')
        split = result['workloads'][0]['split']
        self.assertAlmostEqual(split['layout']['median'] * split['allocator']['median'],
                               split['whole']['median'], 6)
        self.assertIn('embedded against libc: layout', out)

    def test_two_builds_against_each_other(self):
        result, _ = self.compare('--workloads', 'pair', '--library', f'old={rig.LIBRARY}',
                                 '--library', f'new={rig.LIBRARY}')
        self.assertEqual(result['baseline'], 'old')
        self.assertEqual(list(result['verdicts']), ['new'])
        self.assertEqual(result['libraries']['old'], result['libraries']['new'])

    def test_a_slower_program_is_no_go(self):
        """Faults of 64 KiB blocks that libc unmaps each time, against those that it keeps."""
        status, out, err = call('compare', '--runs', '3', '--workloads', 'large:256k', '--ops',
                                '30', '--metric', 'minflt', '--gate', '--allocators',
                                'libc,slow=libc', '--env', 'slow:MALLOC_MMAP_THRESHOLD_=65536')
        self.assertEqual(status, 3, out + err)
        self.assertIn('slow: NO-GO', out)

    def test_an_allocator_that_was_asked_for_has_to_be_there(self):
        listed = call_json(self, 'list', '--json')['allocators']
        for name in ('mimalloc', 'jemalloc', 'tcmalloc', 'tbb'):
            status, _, err = call(*COMPARE, '--workloads', 'pair', '--allocators', f'libc,{name}')
            with self.subTest(name=name):
                if listed[name] == 'not installed':
                    self.assertEqual(status, 1)
                    self.assertIn(f'{name} is not installed', err)
                else:
                    self.assertEqual(status, 0, err)


if __name__ == '__main__':
    rig.main()
