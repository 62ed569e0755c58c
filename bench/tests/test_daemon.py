# SPDX-License-Identifier: Apache-2.0
"""The workloads that are about the daemon: their figures, and where they run and where not."""

import json
import os
import subprocess
import tempfile
import unittest

import rig
from hakbench_lib import catalogue, daemon, runner, subjects, warm
from rig import call, call_json

QUANTILES = ('p50_ns', 'p99_ns', 'p999_ns')
# Operations by workload and variant. One of `idle` takes two seconds, one of `1g` a GiB.
OPS = {('ring', None): 50, ('ring', 'idle'): 1, ('lease', None): 5, ('lease', 'take'): 40,
       ('many_clients', None): 1000, ('reclaim', None): 2, ('reclaim', '1g'): 1}


def hakmemd():
    return os.path.join(rig.BUILD, 'daemon', 'hakmemd')


def start(name, *args, socket=None):
    env = {'PATH': '/usr/bin:/bin'}
    if socket:
        env['HAKMEM_SOCKET'] = socket
    return subprocess.run([os.path.join(rig.WORKLOADS, name), *args], capture_output=True,
                          text=True, timeout=rig.DEADLINE_S, check=False, env=env)


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lines = {}
        cls.daemon = runner.Daemon(hakmemd())
        with cls.daemon:
            for w in catalogue.load(rig.WORKLOADS):
                if w.group == 'daemon':
                    ops = OPS.get((w.name, w.variant), OPS.get((w.name, None)))
                    done = start(w.name, '--variant', w.variant, '--ops', str(ops),
                                 socket=cls.daemon.socket)
                    cls.lines[w.name, w.variant] = w, ops, done
            cls.daemon.check()

    def lines_of(self, name):
        found = [(v, ops, json.loads(done.stdout))
                 for (n, v), (_, ops, done) in self.lines.items() if n == name]
        self.assertGreater(len(found), 2)
        return found

    def rise(self, line, prefix):
        values = [line[prefix + q] for q in QUANTILES]
        self.assertGreater(values[0], 0)
        self.assertEqual(values, sorted(values))

    def test_each_runs_and_prints_one_line(self):
        self.assertEqual({name for name, _ in self.lines},
                         {'ring', 'lease', 'many_clients', 'reclaim'})
        for (name, variant), (w, ops, done) in self.lines.items():
            with self.subTest(workload=name, variant=variant):
                self.assertEqual((done.returncode, done.stderr), (0, ''))
                line = json.loads(done.stdout)
                self.assertEqual((line['workload'], line['variant']), (name, variant))
                self.assertEqual(line['ops'], ops)
                self.assertGreater(line['ns_per_op'], 0)
                self.assertEqual(w.group, 'daemon')
                self.assertFalse(w.countable)

    def test_ring_is_told_with_the_bare_minimum(self):
        for variant, _, line in self.lines_of('ring'):
            asleep = variant.endswith('asleep') or variant == 'idle'
            self.rise(line, '')
            bare = line['futex_ns' if asleep else 'ping_pong_ns']
            self.assertNotIn('ping_pong_ns' if asleep else 'futex_ns', line)
            self.assertGreater(bare, 0)
            self.assertAlmostEqual(line['ratio'], line['p50_ns'] / bare, 3)

    def test_lease_tells_its_parts(self):
        for variant, _, line in self.lines_of('lease'):
            self.rise(line, '')
            self.assertGreater(line['clock_ns'], 0)
            if variant == 'take':
                self.assertGreater(line['refill_p50_ns'], line['p50_ns'])
                continue
            for part in ('lease_', 'map_', 'return_'):
                self.rise(line, part)
                self.assertLessEqual(line[part + 'p50_ns'], line['p999_ns'])

    def test_idle_clients_cost_the_daemon_no_time_and_little_memory(self):
        for variant, _, line in self.lines_of('many_clients'):
            clients = {'default': 10}.get(variant) or int(variant)
            self.assertEqual(line['slots'], clients)
            self.rise(line, '')
            self.assertTrue(0 <= line['fairness'] <= 1, line)
            self.assertEqual(line['idle_cpu_ns'], 0)
            self.assertAlmostEqual(line['idle_kib_per_client'],
                                   line['daemon_rss_kib'] / clients, 3)
            if clients == 1000:
                self.assertLess(line['idle_kib_per_client'], 64)
            if clients == 1:
                self.assertEqual(line['fairness'], 1)

    def test_reclaim_takes_both_times(self):
        for _, _, line in self.lines_of('reclaim'):
            self.rise(line, 'reclaimed_')
            self.rise(line, 'free_')


class Sleep(unittest.TestCase):
    def switches(self, process):
        with open(f'/proc/{process}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file
                        if line.startswith('voluntary_ctxt_switches:'))

    def test_the_daemon_sleeps_before_each_request(self):
        with runner.Daemon(hakmemd()) as started:
            pid = started.pid
            before = self.switches(pid)
            done = start('ring', '--variant', 'daemon-asleep', '--ops', '60',
                         socket=started.socket)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreaterEqual(self.switches(pid) - before, 60)


class Place(unittest.TestCase):
    def test_a_program_alone_says_what_it_needs(self):
        for socket, reason in ((None, 'HAKMEM_SOCKET'), ('/nonexistent', 'No such file')):
            for name in ('ring', 'lease', 'many_clients', 'reclaim'):
                with self.subTest(name=name, socket=socket):
                    done = start(name, '--ops', '1', socket=socket)
                    self.assertEqual((done.returncode, done.stdout), (1, ''))
                    self.assertIn(reason, done.stderr)

    def test_run_wants_the_daemon(self):
        status, out, err = call('run', 'ring', '--ops', '9')
        self.assertEqual((status, out), (1, ''))
        self.assertIn('ring:default is about the daemon: say --allocator daemon', err)

    def test_nothing_is_preloaded(self):
        status, _, err = call('run', 'ring', '--ops', '9', '--allocator', 'daemon', '--env',
                              'daemon:HAKMEM_STATS=1')
        self.assertEqual((status, err), (0, ''))

    def test_other_allocators_leave_them_out(self):
        args = ('compare', '--runs', '1', '--ops', '9', '--no-syscalls', '--allocators', 'libc')
        status, out, err = call(*args, '--workloads', 'ring,pair,reclaim')
        self.assertEqual(status, 0, err)
        self.assertIn('ring:default, reclaim:default: about the daemon and left out', err)
        self.assertIn('pair:', out)
        self.assertNotIn('ring:', out)
        status, out, err = call(*args, '--workloads', 'ring')
        self.assertEqual((status, out), (1, ''))
        self.assertIn('nothing to run', err)

    def test_a_result_may_be_about_the_daemon_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'r.json')
            status, out, err = call('compare', '--runs', '2', '--ops', '300', '--workloads',
                                    'ring,many_clients', '--allocators', 'libc,daemon',
                                    '--json', path)
            self.assertEqual(status, 0, err)
            self.assertIn('idle_cpu_ns', out)
            with open(path, encoding='utf-8') as file:
                result = json.load(file)
            self.assertEqual(result['workloads'], [])
            ring, many = result['daemon']
            self.assertEqual((ring['workload'], ring['runs'], ring['subject']),
                             ('ring', 2, 'daemon'))
            self.assertLessEqual(ring['figures']['p50_ns']['q1'],
                                 ring['figures']['p50_ns']['q3'])
            self.assertNotIn('peak_rss_kib', many['figures'])
            status, page, err = call('report', path)
            self.assertEqual(status, 0, err)
            self.assertIn('<h2>The daemon</h2>', page)
            self.assertIn('grown_kib_per_client', page)
            judged = json.loads(call('check', path, '--json')[1])
            self.assertEqual(judged, daemon.judge_all(result))
            self.assertIn('many_clients:default', call('check', '--all', path)[1])


def result(**figures):
    def entry(variant):
        return {'workload': 'many_clients', 'variant': variant, 'subject': 'daemon',
                'figures': {n: {'median': v} for n, v in figures.items()}}
    return {'schema': 1, 'subjects': [], 'workloads': [], 'daemon': [entry('1'), entry('1000')]}


class Limits(unittest.TestCase):
    def missed(self, **figures):
        return [(row['workload'].split(':')[1], name)
                for row in daemon.judge_all(result(**figures))
                for name, judged in row['limits'].items() if judged['state'] == 'missed']

    def test_each_has_its_edge(self):
        self.assertEqual(self.missed(fairness=0.5, idle_kib_per_client=63.9, idle_cpu_ns=0), [])
        self.assertEqual(self.missed(fairness=0.499), [('1', 'fairness'), ('1000', 'fairness')])
        self.assertEqual(self.missed(idle_kib_per_client=64), [('1000', 'idle_kib_per_client')])
        self.assertEqual(self.missed(idle_cpu_ns=1), [('1', 'idle_cpu_ns'),
                                                      ('1000', 'idle_cpu_ns')])

    def test_check_exits_with_3(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'r.json')
            for fairness, status in ((0.9, 0), (0.1, 3)):
                with open(path, 'w', encoding='utf-8') as file:
                    json.dump(result(fairness=fairness), file)
                done = call('check', path)
                self.assertEqual(done[0], status, done)
                self.assertIn(f'the daemon misses {2 if status else 0} of 2 limits', done[1])


class Warm(unittest.TestCase):
    def test_waits_until_all_is_filled(self):
        want = subjects.WARM_MIB << 20
        with runner.Daemon(hakmemd(), subjects.WARM) as started:
            warm.wait(started.socket, want)
            with warm.connect(started.socket) as connection:
                self.assertEqual(warm.stock_bytes(connection), want)

    def faults(self, allocator):
        line = call_json(self, 'run', 'first_touch:1m', '--allocator', allocator, '--ops',
                         '2000', '--no-syscalls')
        self.assertEqual((line['allocator'], line['ops']), (allocator, 2048))
        self.assertIn('waits', line)
        return line['minflt_run']

    def test_a_run_finds_it_so_and_pages_are_as_large_as_told(self):
        large, small = self.faults('daemon-warm'), self.faults('daemon-small-pages')
        # The kernel maps some small pages around a fault, too.
        self.assertGreater(small, 2048 // 32)
        with open('/sys/kernel/mm/transparent_hugepage/enabled', encoding='ascii') as file:
            if '[never]' not in file.read():
                self.assertLess(large, small)


class Waits(unittest.TestCase):
    def test_are_told_in_daemon_mode_only(self):
        for name in ('larson', 'mstress', 'threadtest'):
            for allocator in ('libc', 'embedded', 'daemon'):
                with self.subTest(name=name, allocator=allocator):
                    line = call_json(self, 'run', name, '--allocator', allocator, '--ops',
                                     '3000', '--no-syscalls')
                    self.assertEqual('waits' in line, allocator == 'daemon')
                    if allocator == 'daemon':
                        self.assertAlmostEqual(line['waits_per_million'],
                                               line['waits'] * 1e6 / line['ops'], 3)

    def test_count_what_waits(self):
        """Blocks larger than anything that is ready."""
        line = call_json(self, 'run', 'churn_large:64m', '--allocator', 'daemon', '--ops', '4',
                         '--no-syscalls')
        self.assertGreater(line['waits'], 0)


if __name__ == '__main__':
    rig.main()
