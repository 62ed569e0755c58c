# SPDX-License-Identifier: Apache-2.0
"""A result as one Markdown table: a line for each workload, for documents and reviews.

The columns are those of limits.py: for each limit the best peer and its figure, then each of
hakmem's modes with its ratio to that. What misses its limit is bold.
"""

from . import limits
from .text import figure, mib, whole

FORMS = {'time': figure, 'faults': whole, 'peak': mib}
HEADS = {'time': ('best peer, ns', 'ns'), 'faults': ('fewest faults, preloaded', 'faults'),
         'peak': ('leaner of mimalloc and jemalloc, MiB', 'MiB')}


def _cell(judged, form):
    if judged is None:
        return '-'
    text = f"{form(judged['value'])} ({judged['ratio']:.2f})" if judged['ratio'] is not None \
        else form(judged['value'])
    return f'**{text}**' if judged['state'] == limits.MISSED else text


def _kept(judged):
    if judged is None:
        return '-'
    text = f"{judged['ratio'] * 100:.0f} %"
    if judged['libc'] is not None:
        text += f" (libc {judged['libc'] * 100:.0f} %)"
    return f'**{text}**' if judged['state'] == limits.MISSED else text


def _line(result, entry, ours):
    judged = {our: limits.judge(result, entry, our) for our in ours}
    cells = [f"{entry['workload']}:{entry['variant']}"]
    for name, form in FORMS.items():
        any_of = judged[ours[0]][name]
        cells.append(f"{any_of['peer']} {form(any_of['best'])}" if any_of else '-')
        cells += [_cell(judged[our][name], form) for our in ours]
    cells += [_kept(judged[our]['kept']) for our in ours]
    return cells + [whole(entry['subjects'][our].get('syscalls')) for our in ours]


def table(result):
    """Markdown. Needs limits.comparable(result)."""
    ours = limits.ours(result)
    head = ['workload']
    for best, unit in HEADS.values():
        head += [best, *(f'{our}, {unit} (ratio)' for our in ours)]
    head += [f'{our}, kept after trim' for our in ours]
    head += [f'{our}, system calls' for our in ours]
    rows = [head, ['---'] * len(head)]
    rows += [_line(result, e, ours) for e in result['workloads']]
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in rows)
