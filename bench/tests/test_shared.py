# SPDX-License-Identifier: Apache-2.0
"""The workloads about shared memory: their figures, with hakmem and with each peer that was built,
and what the result says of peers that are not there."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import rig
from hakbench_lib import catalogue, errors, runner, shared
from rig import call, call_json

EXPECTED = {'shared_pair': ['boost', 'dpdk', 'pmdk'], 'shared_xfree': ['boost'],
            'shared_grow': ['boost'], 'shared_map': ['boost'], 'shared_death': [],
            'shared_pass': ['iceoryx', 'mqueue', 'socket']}
QUANTILES = ('p50_ns', 'p99_ns', 'p999_ns')
OPS = {'shared_pair': 1000, 'shared_xfree': 1000, 'shared_grow': 20, 'shared_map': 500,
       'shared_pass': 100, 'shared_death': 2}


def hakmemd():
    return os.path.join(rig.BUILD, 'daemon', 'hakmemd')


def workloads():
    return [w for w in catalogue.load(rig.WORKLOADS) if w.group == 'shared']


def options(name):
    return ['--slots', '3000'] if name == 'shared_death' else []


def start(path, *args, socket=None):
    """Status, output, errors, and what it has left behind."""
    env = {'PATH': '/usr/bin:/bin'}
    if socket:
        env['HAKMEM_SOCKET'] = socket
    with subprocess.Popen([path, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=env) as process:
        out, err = process.communicate(timeout=rig.DEADLINE_S)
    left = [name for name in os.listdir('/dev/shm') if name == f'hakbench.{process.pid}']
    return process.returncode, out, err, left


class Figures(unittest.TestCase):
    """Of every variant, by hakmem and by every peer that is there."""

    def sane(self, done, w):
        status, out, err, left = done
        self.assertEqual((status, err, left), (0, '', []))
        self.assertEqual(out.count('\n'), 1)
        line = json.loads(out)
        self.assertEqual((line['workload'], line['variant']), (w.name, w.variant))
        self.assertGreaterEqual(line['ops'], OPS[w.name])
        self.assertGreater(line['ns_per_op'], 0)
        if 'p50_ns' in line:
            values = [line[q] for q in QUANTILES]
            self.assertGreater(values[0], 0)
            self.assertEqual(values, sorted(values))
        if w.name == 'shared_grow':
            self.assertGreaterEqual(line['longest_ns'], line['p999_ns'])
        if w.name == 'shared_pass':
            self.assertEqual('p50_ns' in line, 'flow' not in w.variant)
        if w.name == 'shared_map':
            self.assertAlmostEqual(line['build_ns'] + line['read_ns'], line['ns_per_op'], 1)
            self.assertGreater(line['read_ns'], 0)
        if w.name == 'shared_death':
            self.assertGreater(line['longest_ns'], 0)
            self.assertGreaterEqual(line['longest_ns'], line['undisturbed_ns'])
            self.assertGreaterEqual(line['killed_p50_ns'], line['swept_p50_ns'])
            self.assertGreater(line['killed_p50_ns'], 0)

    def run_one(self, w, socket=None):
        return start(w.path, '--variant', w.variant, '--ops', str(OPS[w.name]),
                     *options(w.name), socket=socket)

    def test_all_are_there(self):
        self.assertEqual({w.name: w.peers for w in workloads()}, EXPECTED)
        for w in workloads():
            self.assertTrue(w.needs_daemon)
            self.assertEqual(w.countable, w.name == 'shared_pair' and w.threads == 1)

    def test_hakmem(self):
        with runner.Daemon(hakmemd()) as daemon:
            for w in workloads():
                with self.subTest(workload=w.title):
                    self.sane(self.run_one(w, daemon.socket), w)
            daemon.check()

    def test_peers(self):
        tried = set()
        for w in workloads():
            for name in w.peers:
                peer, why = w.by_peer(name)
                with self.subTest(workload=w.title, peer=name):
                    if not peer:
                        self.assertRegex(why, 'not built|cannot')
                    elif name == 'iceoryx' and not shutil.which('iox-roudi'):
                        status, out, err, _ = self.run_one(peer)
                        self.assertEqual((status, out), (1, ''))
                        self.assertIn('not installed', err)
                    else:
                        self.sane(self.run_one(peer), peer)
                        tried.add(name)
        self.assertLessEqual({'mqueue', 'socket'}, tried)

    def test_a_member_that_dies_ends_the_program(self):
        path = os.path.join(rig.WORKLOADS, 'shared_pass.mqueue')
        with subprocess.Popen([path, '--ops', '1000000000'], stderr=subprocess.PIPE,
                              text=True) as process:
            children = f'/proc/{process.pid}/task/{process.pid}/children'
            child = None
            while not child and process.poll() is None:
                with open(children, encoding='ascii') as file:
                    child = file.read().split()
            os.kill(int(child[0]), signal.SIGKILL)
            err = process.communicate(timeout=rig.DEADLINE_S)[1]
        self.assertEqual(process.returncode, 1)
        self.assertIn('another member failed', err)

    def test_without_a_daemon_there_is_a_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            status, out, err, _ = start(os.path.join(rig.WORKLOADS, 'shared_pair'), '--threads',
                                        '2', '--ops', '9', socket=f'{folder}/none')
            self.assertEqual((status, out), (1, ''))
            self.assertIn('making a domain', err)

    def test_a_program_alone_says_what_it_needs(self):
        status, out, err, _ = start(os.path.join(rig.WORKLOADS, 'shared_pair'), '--ops', '9')
        self.assertEqual((status, out), (1, ''))
        self.assertIn('HAKMEM_SOCKET', err)


class Compared(unittest.TestCase):
    def test_run_has_the_peers_beside(self):
        line = call_json(self, 'run', 'shared-pass:4k', '--allocator', 'daemon', '--ops', '200')
        self.assertEqual(list(line['peers']), EXPECTED['shared_pass'])
        queue = line['peers']['mqueue']
        self.assertAlmostEqual(queue['times']['p50_ns'], queue['p50_ns'] / line['p50_ns'], 5)

    def test_compare_report_and_check(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'r.json')
            status, out, err = call('compare', '--runs', '2', '--ops', '200', '--workloads',
                                    'shared_pass:64,shared_pass:1m', '--allocators', 'daemon',
                                    '--json', path)
            self.assertEqual(status, 0, err)
            self.assertIn('no mqueue: it cannot do this', out)
            self.assertIn('no mqueue: it cannot do this', err)
            with open(path, encoding='utf-8') as file:
                result = json.load(file)
            self.assertEqual((result['workloads'], result['daemon']), ([], []))
            small, large = result['shared']
            self.assertEqual((small['runs'], small['members'], list(small['peers'])),
                             (2, 2, EXPECTED['shared_pass']))
            self.assertEqual(small['peers']['mqueue']['times']['p50_ns']['pairs'], 2)
            self.assertEqual(large['peers']['mqueue'], {'missing': 'it cannot do this'})
            status, page, err = call('report', path)
            self.assertEqual(status, 0, err)
            self.assertIn('<h2>Memory that processes share</h2>', page)
            self.assertIn('No mqueue: it cannot do this.', page)
            judged = json.loads(call('check', path, '--json')[1])
            self.assertEqual(judged, shared.judge_all(result))
            self.assertIn('shared memory misses', call('check', path)[1])

    def test_without_the_daemon_they_are_left_out(self):
        status, _, err = call('compare', '--runs', '1', '--workloads', '@shared', '--allocators',
                              'libc')
        self.assertEqual(status, 1)
        self.assertIn('about the daemon and left out', err)

    @unittest.skipUnless(shutil.which('valgrind'), 'valgrind is not installed')
    def test_count(self):
        result = call_json(self, 'count', 'shared-pair:64', '--ops', '2000', '--json')
        ours = result['subjects']['daemon']
        self.assertAlmostEqual(ours['calls'], 2, 2)
        self.assertGreater(ours['allocator']['Ir'], 10)
        for name, times in (('boost', 2), ('dpdk', 1), ('pmdk', 2)):
            peer = result['subjects'].get(name)
            if peer:
                self.assertAlmostEqual(peer['calls'], 2, 2)
                self.assertGreater(peer['allocator']['Ir'], times * ours['allocator']['Ir'])
            else:
                self.assertTrue([n for n in result['notes'] if n.startswith(f'{name}: not built')])

    def test_count_wants_one_member(self):
        status, _, err = call('count', 'shared-pair:members2')
        self.assertEqual(status, 2)
        self.assertIn('other processes', err)


class Fake:
    """A workload, and a runner of it and of its peers."""

    def __init__(self, peers, figures):
        self.peers = peers
        self.figures = figures
        self.order = []
        self.name, self.variant, self.title = 'shared_pair', '64', 'shared_pair:64'
        self.about = self.variant_about = self.op = ''
        self.threads = 1

    def by_peer(self, name):
        if name == 'absent':
            return None, 'not built: its libraries were not there'
        peer = Fake((), self.figures)
        peer.title = name
        return peer, None

    def scaled(self, scale, ops):
        return ops if ops is not None else scale

    def run(self, one, _subject, ops, _options):
        name = 'hakmem' if one is self else one.title
        self.order.append(name)
        values = self.figures[name]
        if values is None:
            raise errors.BenchError('daemon: program ended with status 1: no\nroom')
        return {'workload': 'w', 'ops': ops, 'ns_per_op': values[self.order.count(name) - 1],
                'cpu_ns_per_op': 1, 'rest': 5}


class Subject:
    name = 'daemon'


class Measure(unittest.TestCase):
    def measure(self, peers, figures, runs):
        fake = Fake(peers, figures)
        said = []
        return shared.measure(fake, fake, Subject, runs, 1.0, 10, (), said.append), fake, said

    def test_times_are_of_the_same_round(self):
        entry, fake, _ = self.measure(
            ('boost',), {'hakmem': [1.0, 2.0, 4.0], 'boost': [40.0, 80.0, 160.0]}, 3)
        self.assertEqual(fake.order, ['hakmem', 'boost', 'boost', 'hakmem', 'hakmem', 'boost'])
        boost = entry['peers']['boost']
        self.assertEqual(boost['times'], {'ns_per_op': {'median': 40.0, 'q1': 40.0, 'q3': 40.0,
                                                        'pairs': 3}})
        self.assertEqual(entry['figures']['ns_per_op']['median'], 2.0)

    def test_who_is_absent_or_fails_is_told(self):
        entry, fake, said = self.measure(
            ('absent', 'bad', 'good'), {'hakmem': [1.0] * 2, 'bad': None, 'good': [3.0] * 2}, 2)
        self.assertEqual(fake.order.count('bad'), 1)
        self.assertEqual(list(entry['peers']), ['absent', 'bad', 'good'])
        self.assertIn('not built', entry['peers']['absent']['missing'])
        self.assertIn('no room', entry['peers']['bad']['missing'])
        self.assertEqual(entry['peers']['good']['times']['ns_per_op']['median'], 3.0)
        text, page = shared.text([entry]), str(shared.section({'shared': [entry]}))
        for name in 'absent', 'bad':
            self.assertTrue([line for line in said if f'no {name}: ' in line], said)
            self.assertIn(f'no {name}: ', text)
            self.assertIn(f'No {name}: ', page)

    def test_ours_may_not_fail(self):
        with self.assertRaises(errors.BenchError):
            self.measure(('good',), {'hakmem': None, 'good': [3.0]}, 1)


class Limits(unittest.TestCase):
    def missed(self, workload, variant, times=None, **figures):
        entry = {'workload': workload, 'variant': variant, 'subject': 'daemon',
                 'figures': {n: {'median': v} for n, v in figures.items()},
                 'peers': {peer: {'times': {n: {'median': v} for n, v in values.items()}}
                           for peer, values in (times or {}).items()}}
        return [name for row in shared.judge_all({'shared': [entry]})
                for name, judged in row['limits'].items() if judged['state'] == 'missed']

    def test_each_has_its_edge(self):
        boost = 'ns_per_op, boost over hakmem'
        for variant, limit in (('64', 40), ('members2', 300)):
            for value, missed in ((limit, []), (limit - 0.1, [boost])):
                self.assertEqual(self.missed('shared_pair', variant,
                                             {'boost': {'ns_per_op': value}}), missed)
        self.assertEqual(self.missed('shared_pass', '1m', {'iceoryx': {'p50_ns': 1}},
                                     p50_ns=999), [])
        self.assertEqual(self.missed('shared_pass', '64', {'iceoryx': {'p50_ns': 0.99}},
                                     p50_ns=1000),
                         ['p50_ns', 'p50_ns, iceoryx over hakmem'])
        self.assertEqual(self.missed('shared_death', 'default', swept_p50_ns=49e6,
                                     longest_ns=9e5), [])
        self.assertEqual(self.missed('shared_death', 'default', swept_p50_ns=50e6,
                                     longest_ns=1e6), ['swept_p50_ns', 'longest_ns'])

    def test_nobody_to_compare_with_is_not_judged(self):
        entry = {'workload': 'shared_pair', 'variant': '64', 'subject': 'daemon',
                 'figures': {}, 'peers': {'boost': {'missing': 'not built'}}}
        self.assertEqual(shared.judge_all({'shared': [entry]}), [])


if __name__ == '__main__':
    rig.main()
