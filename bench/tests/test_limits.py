# SPDX-License-Identifier: Apache-2.0
"""The four limits: whom each is against, where it lies, and that time has to be proven."""

import json
import os
import tempfile
import unittest

import rig
from hakbench_lib import limits, text
from rig import call

BASES = ('libc', 'embedded', 'forced-libc', 'mimalloc', 'jemalloc', 'tcmalloc')
ORDINARY = {'ns_per_op': 10.0, 'minflt': 100, 'start_rss_kib': 1000, 'peak_rss_kib': 4000,
            'trimmed_rss_kib': 1000, 'values': [10.0, 10.0, 10.0]}


def result(floor=0.05, metric='ns_per_op', bases=BASES, **changes):
    """All are equal, but for NAME={figure: value}; ns_per_op sets the single runs, too."""
    subjects = {}
    for base in bases:
        figures = {**ORDINARY, **changes.get(base, {})}
        if 'values' not in changes.get(base, {}):
            figures['values'] = [figures['ns_per_op']] * 3
        subjects[base] = figures
    return {'schema': 1, 'metric': metric,
            'subjects': [{'name': b, 'base': b} for b in bases],
            'workloads': [{'workload': 'w', 'variant': 'v', 'noise_floor': floor,
                           'subjects': subjects}]}


def judge(*args, **kwargs):
    made = result(*args, **kwargs)
    return limits.judge(made, made['workloads'][0], 'embedded')


class Limits(unittest.TestCase):
    def state(self, limit, *args, **kwargs):
        judged = judge(*args, **kwargs)[limit]
        return judged['state'], judged['peer']

    def test_equal_is_met(self):
        self.assertEqual({j['state'] for j in judge().values()}, {'met'})

    def test_time_is_against_the_best_peer_libc_included(self):
        self.assertEqual(self.state('time', libc={'ns_per_op': 5.0}), ('missed', 'libc'))
        self.assertEqual(self.state('time', tcmalloc={'ns_per_op': 5.0}), ('missed', 'tcmalloc'))
        self.assertEqual(self.state('time', **{'forced-libc': {'ns_per_op': 5.0}})[0], 'met')

    def test_time_behind_by_less_than_the_noise_is_not_missed(self):
        slow = {'embedded': {'ns_per_op': 10.4}}
        self.assertEqual(self.state('time', **slow)[0], 'within the noise')
        self.assertEqual(self.state('time', 0.03, **slow)[0], 'missed')

    def test_time_needs_three_runs_that_agree(self):
        for values, state in (([15.0] * 2, 'within the noise'), ([15.0] * 3, 'missed'),
                              ([9.0, 9.0, 15.0, 15.0, 15.0], 'within the noise')):
            with self.subTest(values=values):
                changes = {b: {'values': [10.0] * len(values)} for b in BASES}
                changes['embedded'] = {'ns_per_op': 15.0, 'values': values}
                self.assertEqual(self.state('time', **changes)[0], state)
        self.assertEqual(self.state('time', metric='minflt', embedded={'ns_per_op': 99.0})[0],
                         'within the noise')

    def test_faults_are_against_those_that_are_preloaded(self):
        self.assertEqual(self.state('faults', libc={'minflt': 9})[0], 'met')
        self.assertEqual(self.state('faults', tcmalloc={'minflt': 99}), ('missed', 'tcmalloc'))

    def test_peak_is_against_the_leaner_of_two(self):
        lean = {'mimalloc': {'peak_rss_kib': 5000}, 'tcmalloc': {'peak_rss_kib': 1},
                'libc': {'peak_rss_kib': 1}}
        self.assertEqual(self.state('peak', embedded={'peak_rss_kib': 4600}, **lean),
                         ('met', 'jemalloc'))
        self.assertEqual(self.state('peak', embedded={'peak_rss_kib': 4601}, **lean),
                         ('missed', 'jemalloc'))

    def test_kept_is_without_what_the_program_had(self):
        self.assertEqual(self.state('kept', embedded={'trimmed_rss_kib': 1400})[0], 'met')
        self.assertEqual(self.state('kept', embedded={'trimmed_rss_kib': 1401})[0], 'missed')
        self.assertEqual(judge(embedded={'trimmed_rss_kib': 900})['kept']['ratio'], 0)
        kept = judge(libc={'trimmed_rss_kib': 2000}, embedded={'trimmed_rss_kib': 1200})['kept']
        self.assertEqual(text.limit(kept), '5.0 % (libc 25.0 %)')
        self.assertEqual(text.limit(judge(bases=('embedded',))['kept']), '0.0 %')

    def test_without_the_peer_a_limit_is_not_judged(self):
        judged = judge(bases=('libc', 'embedded'))
        self.assertIsNone(judged['faults'])
        self.assertIsNone(judged['peak'])
        self.assertEqual(judged['time']['state'], 'met')
        self.assertIn('faults not judged', text.check(limits.judge_all(
            result(bases=('libc', 'embedded')))))


class Command(unittest.TestCase):
    def check(self, made, *args):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'r.json')
            with open(path, 'w', encoding='utf-8') as file:
                json.dump(made, file)
            return call('check', path, *args)

    def test_all_met_is_0_and_a_miss_is_3(self):
        status, out, err = self.check(result())
        self.assertEqual((status, err), (0, ''))
        self.assertNotIn('w:v', out)
        self.assertIn('time 0 of 1 (geometric mean 1.000)', out)
        self.assertIn('w:v', self.check(result(), '--all')[1])
        status, out, err = self.check(result(embedded={'minflt': 200}))
        self.assertEqual((status, err), (3, ''))
        self.assertIn('2.000 of mimalloc MISSED', out)
        self.assertIn('faults 1 of 1', out)

    def test_json(self):
        status, out, _ = self.check(result(embedded={'minflt': 200}), '--json')
        self.assertEqual(status, 3)
        rows = json.loads(out)
        self.assertEqual([(r['workload'], r['allocator']) for r in rows], [('w:v', 'embedded')])
        self.assertEqual(limits.missed(rows[0]), ['faults'])

    def test_one_side_is_not_enough(self):
        status, out, err = self.check(result(bases=('libc', 'forced-libc')))
        self.assertEqual((status, out), (1, ''))
        self.assertIn('one side is missing', err)


if __name__ == '__main__':
    rig.main()
