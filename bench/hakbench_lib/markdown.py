# SPDX-License-Identifier: Apache-2.0
"""A result as one Markdown table: a line for each workload, for documents and reviews.

For each subject: its time, as a ratio to the best of the others that are no hakmem ("best peer").
Below 1 is ahead. Then page faults, and peak memory.
"""

from .subjects import MODES
from .text import figure, mib


def _ours(result):
    return [s['name'] for s in result['subjects'] if s['base'] in MODES]


def _peers(result):
    return [s['name'] for s in result['subjects'] if s['base'] not in MODES]


def best_peer(entry, peers, metric):
    """(name, value) of the peer with the least."""
    name = min(peers, key=lambda p: entry['subjects'][p][metric])
    return name, entry['subjects'][name][metric]


def _line(entry, ours, peers):
    cells = [f"{entry['workload']}:{entry['variant']}"]
    name, value = best_peer(entry, peers, 'ns_per_op')
    cells.append(f'{name} {figure(value)}')
    for our in ours:
        time = entry['subjects'][our]['ns_per_op']
        cells.append(f'{figure(time)} ({time / value:.2f})' if value else figure(time))
    for metric, form in (('minflt', lambda v: f'{v:,.0f}'), ('peak_rss_kib', mib)):
        name, value = best_peer(entry, peers, metric)
        cells.append(f'{name} {form(value)}')
        cells += [form(entry['subjects'][our][metric]) for our in ours]
    return cells


def table(result):
    """Markdown. Needs a peer and one of hakmem's modes among the subjects."""
    ours, peers = _ours(result), _peers(result)
    head = ['workload', 'best peer, ns', *(f'{o}, ns (ratio)' for o in ours),
            'fewest faults', *(f'{o}, faults' for o in ours),
            'leanest, MiB', *(f'{o}, MiB' for o in ours)]
    rows = [head, ['---'] * len(head)]
    rows += [_line(e, ours, peers) for e in result['workloads']]
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in rows)
