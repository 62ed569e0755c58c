# SPDX-License-Identifier: Apache-2.0
"""Every variant of every workload: its JSON line, its arguments, and that it frees what it took."""

import json
import os
import subprocess
import unittest

import rig

OPS = 60
FIELDS = {
    'workload': str, 'variant': str, 'ops': int, 'threads': int, 'seed': int, 'slots': int,
    'min_size': int, 'max_size': int, 'ns_per_op': float, 'ops_per_s': float,
    'cpu_ns_per_op': float, 'minflt': int, 'majflt': int, 'minflt_run': int,
    'start_rss_kib': int, 'peak_rss_kib': int, 'live_rss_kib': int, 'pss_kib': int,
    'final_rss_kib': int, 'trimmed_rss_kib': int,
}
EXPECTED = {
    'random_mixed', 'replace', 'pair', 'larson', 'xmalloc', 'threadtest', 'cache_scratch',
    'cache_thrash', 'sh6', 'mstress', 'glibc_simple', 'glibc_thread', 'large', 'realloc_grow',
    'calloc', 'churn_large', 'first_touch', 'fragment', 'replay', 'startup',
}
DAEMON = {'ring', 'lease', 'many_clients', 'reclaim'}  # see test_daemon.py; test_shared.py
# One operation of these costs a process or tens of MiB.
DEAR = {'startup': 2, 'large': 4, 'churn_large': 3, 'first_touch': 20}


def start(name, *args, env=None):
    return subprocess.run([os.path.join(rig.WORKLOADS, name), *args], capture_output=True,
                          text=True, timeout=rig.DEADLINE_S, check=False, env=env)


def names():
    return sorted(n for n in os.listdir(rig.WORKLOADS) if n not in DAEMON and
                  not n.startswith('shared_') and '.' not in n and os.path.isfile(os.path.join(rig.WORKLOADS, n)))


def describe(name):
    return json.loads(start(name, '--list').stdout)


class Workloads(unittest.TestCase):
    def test_all_are_there(self):
        self.assertEqual(set(names()), EXPECTED)
        self.assertEqual({n for n in names() if describe(n)['needs_daemon']}, set())

    def test_every_variant_prints_one_line_of_json(self):
        for name in names():
            for variant in describe(name)['variants']:
                with self.subTest(workload=name, variant=variant['name']):
                    ops = DEAR.get(name, OPS)
                    done = start(name, '--variant', variant['name'], '--ops', str(ops))
                    self.assertEqual((done.returncode, done.stderr), (0, ''))
                    self.assertEqual(done.stdout.count('\n'), 1)
                    self.check(json.loads(done.stdout), name, variant, ops)

    def check(self, line, name, variant, ops):
        for field, kind in FIELDS.items():
            self.assertIsInstance(line[field], kind, field)
        self.assertEqual((line['workload'], line['variant']), (name, variant['name']))
        self.assertGreaterEqual(line['ops'], ops)
        self.assertEqual(line['threads'], variant['threads'])
        self.assertGreater(line['ns_per_op'], 0)
        self.assertGreater(line['minflt'], 0)
        self.assertGreaterEqual(line['peak_rss_kib'], line['live_rss_kib'])
        self.assertGreater(line['trimmed_rss_kib'], 0)
        self.assertGreater(line['start_rss_kib'], 100)
        self.assertLessEqual(line['start_rss_kib'], line['peak_rss_kib'])
        self.assertAlmostEqual(line['ops_per_s'] * line['ns_per_op'] / 1e9, 1, 2)

    def test_faults_and_peak_follow_the_memory_that_is_touched(self):
        few = json.loads(start('first_touch', '--ops', '100').stdout)
        many = json.loads(start('first_touch', '--ops', '2100').stdout)
        # 2,000 more pages, whatever their size: memory is certain, faults are with 4 KiB pages.
        self.assertGreater(many['peak_rss_kib'] - few['peak_rss_kib'], 7000)
        self.assertGreater(many['live_rss_kib'] - few['live_rss_kib'], 7000)
        self.assertGreater(many['minflt_run'], few['minflt_run'])

    def test_small_pages_are_small(self):
        """Where hakmem would use large ones."""
        env = {'PATH': '/usr/bin:/bin', 'LD_PRELOAD': rig.LIBRARY, 'HAKMEM_MODE': 'embedded'}
        done = start('first_touch', '--variant', 'small-pages', '--ops', '3000', env=env)
        self.assertGreaterEqual(json.loads(done.stdout)['minflt_run'], 3000)

    def test_churn_large_tells_the_time_of_a_page(self):
        line = json.loads(start('churn_large', '--size', '4M', '--ops', '6').stdout)
        self.assertAlmostEqual(line['ns_per_4k'], line['ns_per_op'] / 1024, 1)

    def test_peak_is_the_process_own(self):
        """Not that of a large process that started it: exec hands ru_maxrss on."""
        ballast = bytearray(os.urandom(1) * (96 << 20))
        line = json.loads(start('pair', '--ops', '10').stdout)
        self.assertLess(line['peak_rss_kib'], len(ballast) // 1024 // 2)

    def test_fragment_reports_live_and_held_bytes(self):
        line = json.loads(start('fragment', '--ops', '16384').stdout)
        self.assertAlmostEqual(line['live_kib'], 1024, delta=64)
        self.assertGreaterEqual(line['held_kib'], line['live_kib'] * 0.9)
        self.assertAlmostEqual(line['held_per_live'], line['held_kib'] / line['live_kib'], 2)

    def test_fragment_with_random_sizes_reports_each_generation(self):
        for variant in 'refill', 'groups':
            line = json.loads(start('fragment', '--variant', variant, '--ops', '8192').stdout)
            self.assertAlmostEqual(line['live_kib'], 4096, delta=64)
            self.assertGreaterEqual(line['held_per_live_1'], 0.9)
            self.assertGreaterEqual(line['held_per_live_2'], line['held_per_live_1'] * 0.9)
            self.assertAlmostEqual(line['held_per_live'], line['held_kib'] / line['live_kib'], 2)

    def test_the_same_seed_gives_the_same_load(self):
        runs = [json.loads(start('fragment', '--ops', '500', '--seed', '7').stdout)
                for _ in range(2)]
        self.assertEqual(runs[0]['ops'], runs[1]['ops'])
        self.assertEqual(runs[0]['seed'], 7)

    def test_options_and_suffixes(self):
        line = json.loads(start('random_mixed', '--ops', '1K', '--threads', '3', '--size',
                                '8..2K', '--slots', '77', '--variant', 'c6', '--numa').stdout)
        self.assertEqual((line['ops'], line['threads'], line['slots']), (1024, 3, 77))
        self.assertEqual((line['min_size'], line['max_size']), (8, 2048))
        if os.path.exists('/proc/self/numa_maps'):
            self.assertGreater(sum(line['node_kib'].values()), 500)

    def test_wrong_arguments_are_named(self):
        for args in (['--ops', '0'], ['--ops', '-1'], ['--ops', '1x'], ['--ops', ''],
                     ['--ops', '99999999999999999999'], ['--size', '9..8'], ['--size', '1..'],
                     ['--size', '0'], ['--threads', '257'], ['--slots', '99G'],
                     ['--variant', 'nosuch'], ['--seed', '0'], ['stray'], ['--nosuch'],
                     ['--trace', '/dev/null']):
            with self.subTest(args=args):
                done = start('pair', *args)
                self.assertEqual((done.returncode, done.stdout), (2, ''))
                self.assertIn(args[0].lstrip('-'), done.stderr)

    def test_help_names_the_variants(self):
        done = start('replace', '--help')
        self.assertEqual(done.returncode, 0)
        self.assertIn('256k', done.stdout)

    def test_all_run_on_hakmem(self):
        env = {'PATH': '/usr/bin:/bin', 'LD_PRELOAD': rig.LIBRARY, 'HAKMEM_MODE': 'embedded'}
        for name in names():
            with self.subTest(workload=name):
                done = start(name, '--ops', str(DEAR.get(name, 2000)), env=env)
                self.assertEqual((done.returncode, done.stderr), (0, ''))
                self.assertEqual(json.loads(done.stdout)['workload'], name)


if __name__ == '__main__':
    rig.main()
