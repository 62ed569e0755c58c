# SPDX-License-Identifier: Apache-2.0
"""The workloads that are about memory that processes share: measured with hakmem and, in the same
rounds, with each peer that can do the same, which is a program of its own (NAME.PEER).

The result's `shared` is a list of

    {workload, variant, about, variant_about, op, members, runs, subject, ops, figures,
     peers: {NAME: {ops, figures, times: {FIGURE: {median, q1, q3, pairs}}} or {missing: WHY}}}

with figures as daemon.py has them. `times` is the peer's figure divided by hakmem's, round by round:
how many times as long it takes.
"""

from . import stats
from .daemon import AT_LEAST, BELOW, HOLDS, figures_of
from .errors import BenchError
from .limits import MET, MISSED
from .markup import Markup, el, join
from .text import columns, figure

OURS = 'hakmem'
# (workload, variants, figure, peer or None for the figure itself, rule, limit)
LIMITS = (
    ('shared_pair', ('64',), 'ns_per_op', 'boost', AT_LEAST, 40),
    ('shared_pair', ('members2',), 'ns_per_op', 'boost', AT_LEAST, 300),
    ('shared_pass', ('64', '4k', '1m'), 'p50_ns', None, BELOW, 1000),
    ('shared_pass', ('64', '4k', '1m'), 'p50_ns', 'iceoryx', AT_LEAST, 1),
    ('shared_death', ('default',), 'swept_p50_ns', None, BELOW, 50e6),
    ('shared_death', ('default',), 'longest_ns', None, BELOW, 1e6),
)


def split(special):
    """(those about the daemon alone, those about shared memory)"""
    return ([w for w in special if w.group != 'shared'],
            [w for w in special if w.group == 'shared'])


def _peers(workload):
    """({name: its workload}, {name: {missing: why}})"""
    there, missing = {}, {}
    for name in workload.peers:
        peer, why = workload.by_peer(name)
        if peer:
            there[name] = peer
        else:
            missing[name] = {'missing': why}
    return there, missing


def _reason(error):
    """The last thing that it said."""
    return ' '.join(str(error).split())[-300:]


def _is_time(name):
    return name == 'ns_per_op' or name.endswith('_ns')


def _times(theirs, ours):
    return {name: stats.summary([r[name] for r in theirs], [r[name] for r in ours])
            for name in theirs[0] if name in ours[0] and _is_time(name) and
            name != 'cpu_ns_per_op'}


def _rounds(runs, names):
    for i in range(runs):
        shift = i % len(names)
        yield i + 1, names[shift:] + names[:shift]


def measure(runner, workload, subject, runs, scale, ops, options, progress):
    """A peer that fails is left out from then on, and the result says why."""
    there, missing = _peers(workload)
    results = {OURS: []} | {name: [] for name in there}
    for number, names in _rounds(runs, list(results)):
        progress(f'{workload.title}: round {number} of {runs}')
        for name in names:
            one = there.get(name, workload)
            if name in missing:
                continue
            try:
                results[name].append(runner.run(one, subject, one.scaled(scale, ops), options))
            except BenchError as error:
                if name == OURS:
                    raise
                missing[name] = {'missing': f'it failed: {_reason(error)}'}
    for name, why in missing.items():
        progress(f"{workload.title}: no {name}: {why['missing']}")
    ours = results[OURS]
    peers = {name: missing[name] if name in missing else {
        'ops': results[name][0]['ops'], 'figures': figures_of(results[name]),
        'times': _times(results[name], ours)} for name in workload.peers}
    return {'workload': workload.name, 'variant': workload.variant, 'about': workload.about,
            'variant_about': workload.variant_about, 'op': workload.op,
            'members': workload.threads, 'runs': runs, 'subject': subject.name,
            'ops': ours[0]['ops'], 'figures': figures_of(ours), 'peers': peers}


def beside(runner, workload, subject, ours, ops, options):
    """One run of each peer, to stand beside a run of ours."""
    there, result = _peers(workload)
    for name, peer in there.items():
        try:
            line = runner.run(peer, subject, ops, options)
        except BenchError as error:
            result[name] = {'missing': f'it failed: {_reason(error)}'}
            continue
        times = {n: t and t['median'] for n, t in _times([line], [ours]).items()}
        result[name] = {**line, 'times': times}
    return {name: result[name] for name in workload.peers}


def _value(entry, name, peer):
    """None where there is nothing to judge."""
    if peer is None:
        figures = entry['figures'].get(name)
    else:
        figures = entry['peers'].get(peer, {}).get('times', {}).get(name)
    return figures and figures['median']


def judge_all(result):
    """Rows as those of limits.judge_all()."""
    rows = []
    for entry in result.get('shared', ()):
        judged = {}
        for workload, variants, name, peer, rule, limit in LIMITS:
            if entry['workload'] != workload or entry['variant'] not in variants:
                continue
            value = _value(entry, name, peer)
            if value is not None:
                judged[f'{name}, {peer} over {OURS}' if peer else name] = {
                    'value': value, 'rule': rule, 'limit': limit,
                    'state': MET if HOLDS[rule](value, limit) else MISSED}
        if judged:
            rows.append({'workload': f"{entry['workload']}:{entry['variant']}",
                         'allocator': entry['subject'], 'limits': judged})
    return rows


def _present(entry):
    return [name for name, peer in entry['peers'].items() if 'missing' not in peer]


def _range(f):
    return f"{figure(f['q1'])}..{figure(f['q3'])}"


def _peer_cells(peer, name):
    f, times = peer['figures'].get(name), peer['times'].get(name)
    return (figure(f and f['median']),
            f"{figure(times['median'])} ({_range(times)})" if times else '-')


def _rows(entry):
    """(figure, ours, its quartiles, and for each peer that is there its own and the times)"""
    peers = [entry['peers'][name] for name in _present(entry)]
    for name, f in entry['figures'].items():
        row = [name, figure(f['median']), _range(f)]
        for peer in peers:
            row += _peer_cells(peer, name)
        yield row


def _missing(entry):
    return [f"{name}: {peer['missing']}" for name, peer in entry['peers'].items()
            if 'missing' in peer]


def _head(entry):
    head = ['', OURS, 'quartiles']
    for name in _present(entry):
        head += [name, 'times']
    return head


def text(entries):
    parts = []
    for entry in entries:
        head = _head(entry)
        rows = [head] + [['  ' + row[0], *row[1:]] for row in _rows(entry)]
        members = f"{entry['members']} member{'s' if entry['members'] > 1 else ''}"
        parts.append(f"{entry['workload']}:{entry['variant']}  {entry['ops']:,} operations, "
                     f"{members}, {entry['runs']} run{'s' if entry['runs'] > 1 else ''}\n"
                     + columns(rows, right=range(1, len(head))) + '\n'
                     + ''.join(f'  no {why}\n' for why in _missing(entry)))
    return '\n'.join(parts)


def section(result):
    """Of the page; nothing where nothing was measured."""
    entries = result.get('shared')
    if not entries:
        return Markup('')
    parts = []
    for entry in entries:
        head = _head(entry)
        about = (f"{entry['workload']}:{entry['variant']}: {entry['about']}; "
                 f"{entry['variant_about']}. One operation is {entry['op']}.")
        rows = [el('tr', el('td', about, colspan=len(head)), class_='head'),
                el('tr', *(el('th', h) for h in head))]
        rows += [el('tr', *(el('td', cell) for cell in row)) for row in _rows(entry)]
        rows += [el('tr', el('td', f'No {why}.', colspan=len(head))) for why in _missing(entry)]
        parts.append(el('div', el('table', el('tbody', *rows)), class_='wide'))
    return join([el('h2', 'Memory that processes share'),
                 el('p', 'The same load with hakmem and, in the same rounds, with others that '
                         'processes may use to share memory or to pass messages. The times say '
                         'how many times as long each of them takes, with the middle half of the '
                         'rounds.'), *parts])
