# SPDX-License-Identifier: Apache-2.0
"""Results for a terminal."""

from . import limits, stats

METRIC_WORDS = {
    'ns_per_op': 'time per operation', 'cpu_ns_per_op': 'CPU time per operation',
    'minflt': 'page faults', 'peak_rss_kib': 'peak memory', 'pss_kib': 'memory while it runs',
    'final_rss_kib': 'memory after everything was freed',
    'trimmed_rss_kib': 'memory after everything was freed and malloc_trim',
}


def columns(rows, right=()):
    """Rows of strings, aligned; the columns in `right` to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if i in right else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)


def percent(part):
    return '-' if part is None else f'{part * 100:.1f} %'


def ratio(value):
    return '-' if value is None else f'{value:.3f}'


def figure(value):
    """Three or more digits, whatever the size. Differences of two runs may be a little below 0."""
    if value is None:
        return '-'
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f'{round(value, digits) + 0.0:,.{digits}f}'


def mib(kib):
    return f'{kib / 1024:.1f}'


def whole(value):
    return '-' if value is None else f'{value:,.0f}'


def _workload(entry):
    head = (f"{entry['workload']}:{entry['variant']}  {entry['ops']:,} operations, "
            f"{entry['threads']} thread{'s' if entry['threads'] > 1 else ''}, "
            f"noise floor {percent(entry['noise_floor'])}\n")
    rows = [('', 'ns/op', 'ratio', 'quartiles', 'faults', 'syscalls', 'peak MiB', 'PSS MiB',
             'end MiB', '')]
    for name, s in entry['subjects'].items():
        r = s['ratio']
        rows.append((
            '  ' + name, figure(s['ns_per_op']), ratio(r and r['median']),
            f"{r['q1']:.3f}..{r['q3']:.3f}" if r else '-', whole(s['minflt']),
            whole(s.get('syscalls')), mib(s['peak_rss_kib']), mib(s['pss_kib']),
            mib(s['trimmed_rss_kib']),
            s['reason'] if s['verdict'] == 'neutral' else f"{s['verdict']}: {s['reason']}"))
    text = head + columns(rows, right=range(1, 9)) + '\n'
    for name, s in entry['subjects'].items():
        if 'node_kib' in s:
            placed = ', '.join(f'node {n}: {kib:,.0f} KiB' for n, kib in s['node_kib'].items())
            text += f'  {name} lies on {placed}\n'
        if s.get('waits'):
            text += (f"  {name} waited for its daemon {s['waits']:,.0f} times, "
                     f"{figure(s['waits_per_million'])} in a million operations\n")
    if entry['split']:
        parts = [f'{part} {ratio(entry["split"][part] and entry["split"][part]["median"])}'
                 for part in ('layout', 'allocator', 'whole')]
        text += f"  embedded against libc: {' x '.join(parts[:2])}, together {parts[2]}\n"
    return text


def comparison(result):
    text = '\n'.join(_workload(entry) for entry in result['workloads'])
    if not result['workloads']:
        return text
    names = [s['name'] for s in result['subjects']]
    rows = [['geometric mean of ratios', *names]]
    for group, means in result['groups'].items():
        rows.append(['  ' + group, *(ratio(means[name]) for name in names)])
    text += '\n' + columns(rows, right=range(1, len(names) + 1)) + '\n\n'
    text += (f"Ratios of {result['metric']} to {result['baseline']}, lower is better; "
             f"{result['runs']} interleaved runs, medians of paired ratios.\n")
    for name, verdict in result['verdicts'].items():
        text += f"{name}: {verdict} at a threshold of {percent(result['threshold'])}\n"
    return text


def limit(judged):
    """A limit of limits.py in a few words, without its state."""
    if judged is None:
        return '-'
    if judged['peer'] is not None:
        return f"{ratio(judged['ratio'])} of {judged['peer']}"
    text = percent(judged['ratio'])
    return text if judged['libc'] is None else f"{text} (libc {percent(judged['libc'])})"


def _judged(judged):
    marks = {limits.MISSED: ' MISSED', limits.NOISE: ' ~'}
    return limit(judged) + (marks.get(judged['state'], '') if judged else '')


def check(rows, every=False):
    """What misses a limit, or every line, and how many there are."""
    shown = [row for row in rows if every or limits.missed(row)]
    table = [('workload', 'allocator', *limits.LIMITS)]
    table += [(row['workload'], row['allocator'], *map(_judged, row['limits'].values()))
              for row in shown]
    text = columns(table) + '\n\n' if shown else ''
    for our in dict.fromkeys(row['allocator'] for row in rows):
        own = [row for row in rows if row['allocator'] == our]
        parts = []
        for name in limits.LIMITS:
            judged = [row['limits'][name] for row in own if row['limits'][name]]
            n = sum(j['state'] == limits.MISSED for j in judged)
            # What is kept is often nothing, and has no mean.
            mean = stats.geomean([j['ratio'] for j in judged if j['peer'] and j['ratio']])
            parts.append((f'{name} {n} of {len(judged)}' if judged else f'{name} not judged')
                         + (f' (geometric mean {ratio(mean)})' if mean else ''))
        text += f"{our} misses: {', '.join(parts)}\n"
    return text + (
        'Limits: time, the ratio to the best peer: 1 (~: behind, but within the noise); faults, '
        'to\nthe best preloaded peer: 1; peak memory, to the leaner of mimalloc and jemalloc: '
        f"{limits.LIMITS['peak']};\n"
        "kept after freeing all and malloc_trim, less what was there before it began: "
        f"{limits.LIMITS['kept'] * 100:.0f} % of the peak.\n")


def counts(result):
    head = (f"{result['workload']}:{result['variant']}  per operation ({result['op']}), "
            f"from runs of {result['ops'][0]:,} and {result['ops'][1]:,}\n")
    rows = [('', 'instructions', 'cond. branches', 'indirect', 'whole: instructions',
             'cond. branches', 'indirect', 'system calls', 'calls')]
    for name, s in result['subjects'].items():
        rows.append(('  ' + name,
                     *(figure(s['allocator'][k]) for k in ('Ir', 'Bc', 'Bi')),
                     *(figure(s['whole'][k]) for k in ('Ir', 'Bc', 'Bi')),
                     '-' if s['syscalls'] is None else f"{round(s['syscalls'], 4) + 0.0:.4f}",
                     figure(s['calls'])))
    text = head + columns(rows, right=range(1, 9)) + '\n'
    text += 'First the allocator alone (all that runs inside its entry points), then the program.\n'
    for note in result['notes']:
        text += f'{note}\n'
    for name, s in result['subjects'].items():
        for event, value in (s['perf'] or {}).items():
            text += f'  {name}: {event} {figure(value)} (perf stat)\n'
    return text


def listing(workloads, subjects):
    rows = [('workload', 'group', 'threads', 'what')]
    rows += [(w.title, w.group, str(w.threads), f'{w.about}: {w.variant_about}')
             for w in workloads]
    text = columns(rows) + '\n\n'
    return text + columns([('allocator', 'what')] + subjects) + '\n'
