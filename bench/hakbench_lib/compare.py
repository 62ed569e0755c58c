# SPDX-License-Identifier: Apache-2.0
"""Interleaved runs of subjects, and what they say.

A round runs every subject once, and the baseline twice; each round begins with another subject, so
that none always runs after the same one. The result is one dict that text.py and report.py read:

    machine, libraries, subjects, baseline, runs, threshold, metric
    workloads: [{workload, variant, group, op, noise_floor, subjects: {NAME: {
        METRIC: median, ..., syscalls, ratio: {median, q1, q3, pairs}, verdict, reason,
        values: [...]}}, split}]
    groups: {GROUP: {NAME: geometric mean of the ratios}}
    verdicts: {NAME: overall}
    daemon: [...]  what daemon.py says
    shared: [...]  what shared.py says
"""

from . import stats, syscalls
from .errors import UsageError

SCHEMA = 1
METRICS = ('ns_per_op', 'cpu_ns_per_op', 'minflt', 'peak_rss_kib', 'pss_kib', 'final_rss_kib',
           'trimmed_rss_kib')
SHOWN = ('ns_per_op', 'cpu_ns_per_op', 'ops_per_s', 'minflt', 'majflt', 'minflt_run',
         'start_rss_kib', 'peak_rss_kib', 'live_rss_kib', 'pss_kib', 'final_rss_kib',
         'trimmed_rss_kib', 'live_kib', 'held_kib', 'held_per_live', 'waits',
         'waits_per_million', 'ns_per_4k')
AGAIN = ' again'  # no subject's name has a blank


class Plan:
    def __init__(self, subjects, baseline, runs, threshold, metric='ns_per_op',
                 count_syscalls=True):
        names = [s.name for s in subjects]
        if len(names) < 1:
            raise UsageError('nothing to compare')
        if baseline not in names:
            raise UsageError(f'--baseline {baseline}: it is not among {", ".join(names)}')
        self.subjects = subjects
        self.baseline = baseline
        self.runs = runs
        self.threshold = threshold
        self.metric = metric
        self.count_syscalls = count_syscalls

    def rounds(self):
        """Lists of (key, subject) in the order of running."""
        entries = [(s.name, s) for s in self.subjects]
        entries += [(s.name + AGAIN, s) for s in self.subjects if s.name == self.baseline]
        for i in range(self.runs):
            shift = i % len(entries)
            yield entries[shift:] + entries[:shift]


def measure(runner, plan, workload, ops, options, progress):
    """{key: [result, ...]} in order of rounds."""
    results = {}
    for number, entries in enumerate(plan.rounds(), 1):
        progress(f'{workload.title}: round {number} of {plan.runs}')
        for key, subject in entries:
            results.setdefault(key, []).append(runner.run(workload, subject, ops, options))
    return results


def _nodes(results):
    """Median KiB on each node, if the runs said so."""
    names = sorted({node for r in results for node in r.get('node_kib', {})}, key=int)
    return {n: stats.median([r.get('node_kib', {}).get(n, 0) for r in results]) for n in names}


def _of_subject(results, baseline, floor, plan):
    values = [r[plan.metric] for r in results]
    entry = {m: stats.median([r[m] for r in results]) for m in SHOWN
             if all(m in r for r in results)}
    entry['values'] = values
    entry['ratio'] = stats.summary(values, [r[plan.metric] for r in baseline])
    entry['verdict'], entry['reason'] = stats.verdict(entry['ratio'], floor, plan.threshold)
    if any('node_kib' in r for r in results):
        entry['node_kib'] = _nodes(results)
    return entry


def _split(subjects, results, metric):
    """The way from the bare system to hakmem in two steps: to the same library that passes every
    call on to libc (what its presence does to the program: layout, binding, page faults at start),
    and from there to the allocator at work. The products of the steps is the whole."""
    by_base = {}
    for subject in subjects:
        by_base.setdefault(subject.base, subject.name)
    if not {'libc', 'forced-libc', 'embedded'} <= by_base.keys():
        return None
    system, forced, ours = ([r[metric] for r in results[by_base[b]]]
                            for b in ('libc', 'forced-libc', 'embedded'))
    return {'layout': stats.summary(forced, system), 'allocator': stats.summary(ours, forced),
            'whole': stats.summary(ours, system)}


def evaluate(workload, results, plan):
    baseline = results[plan.baseline]
    again = results[plan.baseline + AGAIN]
    floor = stats.noise_floor([r[plan.metric] for r in baseline],
                              [r[plan.metric] for r in again])
    first = baseline[0]
    entry = {
        'workload': workload.name, 'variant': workload.variant, 'group': workload.group,
        'about': workload.about, 'variant_about': workload.variant_about, 'op': workload.op,
        'ops': first['ops'], 'threads': first['threads'], 'noise_floor': floor,
        'subjects': {s.name: _of_subject(results[s.name], baseline, floor, plan)
                     for s in plan.subjects},
        'split': _split(plan.subjects, results, plan.metric),
    }
    own = entry['subjects'][plan.baseline]
    own['verdict'], own['reason'] = stats.NEUTRAL, 'the baseline'
    return entry


def conclude(plan, workloads):
    """Geometric means by group, and each subject's overall verdict."""
    names = [s.name for s in plan.subjects]
    groups = {}
    for group in [*dict.fromkeys(w['group'] for w in workloads), 'all']:
        members = [w for w in workloads if group in (w['group'], 'all')]
        groups[group] = {
            name: stats.geomean([w['subjects'][name]['ratio']['median'] for w in members
                                 if w['subjects'][name]['ratio']])
            for name in names}
    verdicts = {name: stats.overall(w['subjects'][name]['verdict'] for w in workloads)
                for name in names if name != plan.baseline}
    return {'groups': groups, 'verdicts': verdicts}


def compare(runner, plan, workloads, scale=1.0, ops=None, options=(), progress=print):
    entries = []
    for workload in workloads:
        n = workload.scaled(scale, ops)
        results = measure(runner, plan, workload, n, options, progress)
        entry = evaluate(workload, results, plan)
        for subject in plan.subjects if plan.count_syscalls else ():
            progress(f'{workload.title}: system calls of {subject.name}')
            entry['subjects'][subject.name]['syscalls'] = syscalls.total_or_none(
                runner, workload, subject, n, options, progress)
        entries.append(entry)
    return {'runs': plan.runs, 'threshold': plan.threshold, 'metric': plan.metric,
            'baseline': plan.baseline, 'subjects': [s.describe() for s in plan.subjects],
            'workloads': entries, **conclude(plan, entries)}
