# SPDX-License-Identifier: Apache-2.0
"""Medians, quartiles, the noise floor, and which differences are called one."""

import unittest

import rig
from hakbench_lib import stats


def ratio(median, q1=None, q3=None, pairs=10):
    return {'median': median, 'q1': q1 or median, 'q3': q3 or median, 'pairs': pairs}


class Quantiles(unittest.TestCase):
    def test_median_of_odd_and_even_counts(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertEqual(stats.median([4, 1, 2, 3]), 2.5)
        self.assertEqual(stats.median([7]), 7)

    def test_quartiles_interpolate(self):
        self.assertEqual(stats.quartiles([1, 2, 3, 4, 5]), (2, 4))
        self.assertEqual(stats.quartiles([1, 2, 3, 4]), (1.75, 3.25))
        self.assertEqual(stats.quartiles([5]), (5, 5))

    def test_no_values_is_an_error(self):
        with self.assertRaises(ValueError):
            stats.median([])

    def test_geometric_mean(self):
        self.assertAlmostEqual(stats.geomean([0.5, 2.0]), 1.0)
        self.assertAlmostEqual(stats.geomean([1, 10, 100]), 10)
        self.assertIsNone(stats.geomean([]))
        self.assertIsNone(stats.geomean([1, 0]))


class Pairs(unittest.TestCase):
    def test_drift_of_the_machine_cancels(self):
        baseline = [100, 200, 400, 800]
        self.assertEqual(stats.summary([v * 0.5 for v in baseline], baseline)['median'], 0.5)

    def test_pairs_with_a_zero_are_left_out(self):
        self.assertEqual(stats.paired_ratios([1, 0, 3], [2, 2, 0]), [0.5])
        self.assertIsNone(stats.summary([0], [1]))

    def test_noise_floor_is_the_farthest_of_median_and_quartiles(self):
        self.assertEqual(stats.noise_floor([10, 10, 10], [10, 10, 10]), 0)
        self.assertAlmostEqual(stats.noise_floor([10] * 5, [9, 9.6, 10, 10.5, 13]), 0.05)
        self.assertAlmostEqual(stats.noise_floor([10] * 5, [7, 8, 10, 10, 10]), 0.25)
        self.assertIsNone(stats.noise_floor([0], [0]))


class Verdicts(unittest.TestCase):
    def check(self, expected, *args):
        self.assertEqual(stats.verdict(*args)[0], expected)

    def test_a_clear_win_and_a_clear_loss(self):
        self.check('GO', ratio(0.8, 0.78, 0.82), 0.01, 0.02)
        self.check('NO-GO', ratio(1.2, 1.15, 1.25), 0.01, 0.02)

    def test_nothing_is_claimed_within_the_noise(self):
        self.check('neutral', ratio(0.8, 0.78, 0.82), 0.25, 0.02)
        self.check('neutral', ratio(1.2, 1.15, 1.25), 0.25, 0.02)
        self.check('neutral', ratio(0.81), 0.25, 0.0)
        self.check('GO', ratio(0.3), 1.5, 0.02)

    def test_nothing_is_claimed_below_the_threshold(self):
        self.check('neutral', ratio(0.97), 0.01, 0.05)
        self.check('neutral', ratio(1.04), 0.01, 0.05)
        self.check('GO', ratio(0.94), 0.01, 0.05)

    def test_quartiles_have_to_agree(self):
        self.check('neutral', ratio(0.9, 0.8, 1.01), 0.01, 0.02)
        self.check('neutral', ratio(1.1, 0.99, 1.2), 0.01, 0.02)

    def test_few_runs_prove_nothing(self):
        self.check('neutral', ratio(0.1, pairs=2), 0.0, 0.02)
        self.check('GO', ratio(0.1, pairs=3), 0.0, 0.02)

    def test_no_figures(self):
        self.check('neutral', None, 0.1, 0.02)
        self.check('neutral', ratio(0.5), None, 0.02)

    def test_one_loss_outweighs_wins(self):
        self.assertEqual(stats.overall(['GO', 'NO-GO', 'GO']), 'NO-GO')
        self.assertEqual(stats.overall(['neutral', 'GO']), 'GO')
        self.assertEqual(stats.overall(['neutral']), 'neutral')
        self.assertEqual(stats.overall([]), 'neutral')


if __name__ == '__main__':
    rig.main()
