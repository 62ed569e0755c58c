# SPDX-License-Identifier: Apache-2.0
"""The workloads that are about the daemon: measured with it alone, told apart from the rest.

They have nothing to compare with but what they bring along. The result's `daemon` is a list of

    {workload, variant, about, variant_about, op, ops, runs, subject,
     figures: {NAME: {median, q1, q3}}}

with ns_per_op and every figure that the workload itself adds to its line. Three of these have
limits, which `check` judges.
"""

from . import stats
from .limits import MET, MISSED
from .markup import Markup, el, join
from .text import columns, figure

# What every line has, whatever the workload.
USUAL = {'workload', 'variant', 'ops', 'threads', 'seed', 'slots', 'min_size', 'max_size',
         'ops_per_s', 'cpu_ns_per_op', 'minflt', 'majflt', 'minflt_run', 'start_rss_kib',
         'peak_rss_kib', 'live_rss_kib', 'pss_kib', 'final_rss_kib', 'trimmed_rss_kib', 'waits',
         'waits_per_million', 'node_kib'}
AT_LEAST, BELOW, AT_MOST = 'at least', 'below', 'at most'
HOLDS = {AT_LEAST: lambda v, limit: v >= limit, BELOW: lambda v, limit: v < limit,
         AT_MOST: lambda v, limit: v <= limit}
# (workload, variants or None for all, figure, rule, limit)
LIMITS = (
    ('many_clients', None, 'fairness', AT_LEAST, 0.5),
    ('many_clients', ('1000',), 'idle_kib_per_client', BELOW, 64),
    ('many_clients', None, 'idle_cpu_ns', AT_MOST, 0),
)


def split(workloads, subjects):
    """(ordinary workloads, those about the daemon, the subject for these or None)"""
    ordinary = [w for w in workloads if not w.needs_daemon]
    special = [w for w in workloads if w.needs_daemon]
    return ordinary, special, next((s for s in subjects if s.base == 'daemon'), None)


def figures_of(results):
    names = [name for name in results[0] if name not in USUAL]
    figures = {}
    for name in names:
        values = [r[name] for r in results]
        low, high = stats.quartiles(values)
        figures[name] = {'median': stats.median(values), 'q1': low, 'q3': high}
    return figures


def measure(runner, workload, subject, runs, ops, options, progress):
    results = []
    for number in range(1, runs + 1):
        progress(f'{workload.title}: run {number} of {runs}')
        results.append(runner.run(workload, subject, ops, options))
    return {'workload': workload.name, 'variant': workload.variant, 'about': workload.about,
            'variant_about': workload.variant_about, 'op': workload.op,
            'ops': results[0]['ops'], 'runs': runs, 'subject': subject.name,
            'figures': figures_of(results)}


def judge_all(result):
    """Rows as those of limits.judge_all()."""
    rows = []
    for entry in result.get('daemon', ()):
        judged = {}
        for workload, variants, name, rule, limit in LIMITS:
            if entry['workload'] != workload or name not in entry['figures'] or \
                    (variants and entry['variant'] not in variants):
                continue
            value = entry['figures'][name]['median']
            judged[name] = {'value': value, 'rule': rule, 'limit': limit,
                            'state': MET if HOLDS[rule](value, limit) else MISSED}
        if judged:
            rows.append({'workload': f"{entry['workload']}:{entry['variant']}",
                         'allocator': entry['subject'], 'limits': judged})
    return rows


def check_text(rows, every, who='the daemon misses', whose=' of its own'):
    """A line for each limit that is missed, or for each, and how many there are."""
    lines, missed, n = [], 0, 0
    for row in rows:
        for name, judged in row['limits'].items():
            n += 1
            missed += judged['state'] == MISSED
            if every or judged['state'] == MISSED:
                lines.append((row['workload'], name, figure(judged['value']),
                              f"{judged['rule']} {judged['limit']:g}", judged['state']))
    table = columns(lines, right=(2,)) + '\n\n' if lines else ''
    return table + f'{who} {missed} of {n} limits{whose}\n' if n else ''


def _rows(entry):
    return [(name, figure(f['median']), f"{figure(f['q1'])}..{figure(f['q3'])}")
            for name, f in entry['figures'].items()]


def text(entries):
    parts = []
    for entry in entries:
        parts.append(f"{entry['workload']}:{entry['variant']}  {entry['ops']:,} operations, "
                     f"{entry['runs']} run{'s' if entry['runs'] > 1 else ''}\n"
                     + columns([('', 'median', 'quartiles'),
                                *(('  ' + row[0], *row[1:]) for row in _rows(entry))],
                               right=(1, 2)) + '\n')
    return '\n'.join(parts)


def section(result):
    """Of the page; nothing where nothing was measured."""
    entries = result.get('daemon')
    if not entries:
        return Markup('')
    rows = [el('tr', *(el('th', h) for h in ('', 'median', 'middle half')))]
    for entry in entries:
        about = (f"{entry['workload']}:{entry['variant']}: {entry['about']}; "
                 f"{entry['variant_about']}. One operation is {entry['op']}.")
        rows.append(el('tr', el('td', about, colspan=3), class_='head'))
        rows += [el('tr', *(el('td', cell) for cell in row)) for row in _rows(entry)]
    return join([el('h2', 'The daemon'),
                 el('p', 'What the daemon itself needs to answer its clients. Times are '
                         'nanoseconds; p50, p99 and p999 are the times that 50, 99 and 99.9 '
                         'per cent of the operations do not exceed.'),
                 el('div', el('table', el('tbody', *rows)), class_='wide')])
