# SPDX-License-Identifier: Apache-2.0
"""Medians, quartiles, and when a difference is one.

Runs are compared in pairs: the n-th run of a candidate with the n-th run of the baseline, which ran
within the same round. What disturbs the machine for longer than a round then cancels. The noise
floor comes from the baseline against itself, treated in the same way.
"""

import math

# With fewer runs the quartiles say nothing, and no verdict but "neutral" is given.
MIN_RUNS = 3

GO, NO_GO, NEUTRAL = 'GO', 'NO-GO', 'neutral'


def quantile(values, q):
    """Linear interpolation between the two nearest values, as R's default does."""
    if not values:
        raise ValueError('no values')
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values):
    return quantile(values, 0.5)


def quartiles(values):
    return quantile(values, 0.25), quantile(values, 0.75)


def geomean(values):
    """Of positive values; None if there are none, or one that is not positive."""
    if not values or min(values) <= 0:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def paired_ratios(values, baseline):
    """Of each run to the baseline's in its round. A pair with a zero in it says nothing."""
    return [v / b for v, b in zip(values, baseline) if v > 0 and b > 0]


def summary(values, baseline):
    """Median and quartiles of the paired ratios, None if no pair has any."""
    ratios = paired_ratios(values, baseline)
    if not ratios:
        return None
    low, high = quartiles(ratios)
    return {'median': median(ratios), 'q1': low, 'q3': high, 'pairs': len(ratios)}


def distance(ratio):
    """How far from 1: half and double are equally far, both 1.0."""
    return max(ratio, 1 / ratio) - 1


def noise_floor(baseline, again):
    """How far from 1 a ratio has to be before it means anything.

    The baseline against itself: the larger of how far its median is off and how far its quartiles
    are. A quarter of the pairs may lie outside, so one median within it proves nothing.
    """
    aa = summary(again, baseline)
    if aa is None:
        return None
    return max(distance(aa[key]) for key in ('median', 'q1', 'q3'))


def verdict(ratio, floor, threshold):
    """(verdict, reason) of a ratio where lower is better.

    GO: better by at least the threshold; NO-GO: worse by at least the threshold. Both only if the
    median is farther from 1 than the noise floor and at least three quarters of the pairs agree on
    the direction.
    """
    if ratio is None or floor is None:
        return NEUTRAL, 'no figures'
    if ratio['pairs'] < MIN_RUNS:
        return NEUTRAL, f'fewer than {MIN_RUNS} runs'
    far = distance(ratio['median'])
    if far <= floor:
        return NEUTRAL, 'within the noise'
    if far < threshold:
        return NEUTRAL, 'below the threshold'
    if ratio['median'] < 1:
        return (GO, 'better') if ratio['q3'] < 1 else (NEUTRAL, 'the runs disagree')
    return (NO_GO, 'worse') if ratio['q1'] > 1 else (NEUTRAL, 'the runs disagree')


def overall(verdicts):
    """One loss outweighs all wins: what got worse has to be looked at."""
    verdicts = list(verdicts)
    if NO_GO in verdicts:
        return NO_GO
    return GO if GO in verdicts else NEUTRAL
