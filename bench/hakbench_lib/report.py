# SPDX-License-Identifier: Apache-2.0
"""One HTML page with everything in it: what was measured, how to read it, and what came out."""

from . import chart, daemon, limits, shared
from .markup import Markup, el, join
from .subjects import ABOUT
from .text import METRIC_WORDS, figure, limit, mib, percent, ratio, whole

STYLE = '''
body { font: 16px/1.5 system-ui, sans-serif; max-width: 980px; margin: 2em auto; padding: 0 1em;
  color: #1a1a1a; background: #fff }
h2 { margin-top: 2em } svg { max-width: 100%; height: auto }
svg text { font: 12px system-ui, sans-serif; fill: #1a1a1a } svg .small { fill: #666 }
table { border-collapse: collapse; font-size: 14px; margin: 1em 0 }
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child, td.word { text-align: left }
tr.head td { font-weight: 600; padding-top: 1em; text-align: left }
.swatch { display: inline-block; width: .9em; height: .9em; margin-right: .4em }
.key { margin-right: 1.4em; white-space: nowrap } .wide { overflow-x: auto }
.GO { color: #006b4f; font-weight: 600 } .NO-GO, .missed { color: #a83200; font-weight: 600 }
code { overflow-wrap: anywhere } .note { color: #555; font-size: 14px }
'''

GROUP_WORDS = {'small': 'small blocks, one thread', 'threads': 'several threads',
               'large': 'large blocks', 'memory': 'fresh and fragmented memory',
               'replay': 'recorded programs', 'startup': 'short programs', 'all': 'all workloads'}


def _title(entry):
    return f"{entry['workload']}:{entry['variant']}"


def _intro(result):
    base, metric = result['baseline'], METRIC_WORDS[result['metric']]
    return join([
        el('p', 'A memory allocator is the part of a program that hands out memory (malloc) and '
                'takes it back (free). Nearly every program uses one all the time, mostly the one '
                'that comes with the system. This page compares several by running the same small '
                'programs on each of them.'),
        el('p', f"Each bar is a ratio: the {metric} with one allocator, divided by the same with ",
           el('b', base), '. ', el('b', 'Bars to the left of the line are better than '),
           el('b', base), el('b', ', bars to the right are worse.'),
           ' The scale is logarithmic, so that half and double are equally far from 1.'),
        el('p', f"Every program ran {result['runs']} times with each allocator, in turn, so that "
                'what disturbed the machine disturbed all of them. A bar ends at the median. The '
                'thin black line covers the middle half of the runs. The grey band is the noise: '
                f'{base} was also compared with itself, and whatever lies inside the band is no '
                'difference. GO means better and NO-GO worse by at least '
                f"{percent(result['threshold'])} and by more than the noise; everything else is "
                'neutral.'),
        el('p', 'These were compared:'),
        el('ul', *(el('li', el('b', s['name']), ': ', ABOUT.get(s['base'], 'another allocator '
                      'that can be loaded into a program in place of the system\'s'))
                   for s in result['subjects']))])


def _bar(name, entry):
    s = entry['subjects'][name]
    r = s['ratio'] or {}
    tip = f"{name}: {figure(s['ns_per_op'])} ns per operation, {s['verdict']} ({s['reason']})"
    return {'name': name, 'value': r.get('median'), 'low': r.get('q1'), 'high': r.get('q3'),
            'tip': tip}


def _others(result):
    return [s['name'] for s in result['subjects'] if s['name'] != result['baseline']]


def _summary(result):
    rows = []
    for group, means in result['groups'].items():
        bars = [{'name': n, 'value': means[n], 'tip': f'{n}: {ratio(means[n])}'}
                for n in _others(result)]
        rows.append({'label': GROUP_WORDS.get(group, group), 'bars': bars})
    svg, colours = chart.bars(rows, 'Geometric means of the ratios')
    verdicts = [el('li', f'{name}: ', el('span', verdict, class_=verdict))
                for name, verdict in result['verdicts'].items()]
    return join([el('h2', 'In short'), chart.legend(colours), el('div', svg, class_='wide'),
                 el('p', 'Geometric means of the ratios, by kind of workload.', class_='note'),
                 el('ul', *verdicts) if verdicts else Markup('')])


def _charts(result):
    rows = [{'label': _title(e), 'noise': e['noise_floor'],
             'bars': [_bar(n, e) for n in _others(result)]} for e in result['workloads']]
    svg, colours = chart.bars(rows, 'Ratios by workload')
    return join([el('h2', 'Workload by workload'), chart.legend(colours),
                 el('div', svg, class_='wide')])


def _memory_chart(result):
    """Peak memory matters whatever the comparison was about."""
    rows = []
    for e in result['workloads']:
        base = e['subjects'][result['baseline']]['peak_rss_kib']
        bars = [{'name': n, 'value': e['subjects'][n]['peak_rss_kib'] / base if base else None,
                 'tip': f"{n}: {mib(e['subjects'][n]['peak_rss_kib'])} MiB"}
                for n in _others(result)]
        rows.append({'label': _title(e), 'bars': bars})
    svg, colours = chart.bars(rows, 'Peak memory by workload')
    return join([el('h2', 'Peak memory'),
                 el('p', 'The most memory that the process held at any time, as a ratio to '
                         f"{result['baseline']}; again, left is better. The programs themselves "
                         'need between one and two MiB whatever the allocator.'),
                 chart.legend(colours), el('div', svg, class_='wide')])


LIMIT_WORDS = {
    'time': 'time: no slower than the best other allocator',
    'faults': 'page faults: no more than the best other allocator that is loaded into a program',
    'peak': f"peak memory: at most {limits.LIMITS['peak']} times that of the leaner of mimalloc "
            'and jemalloc',
    'kept': f"memory kept: when all is freed and malloc_trim was called, at most "
            f"{limits.LIMITS['kept'] * 100:.0f} % of the peak, without what the program had at "
            'its start. Threads, and code that ran for the first time, are in it: what libc comes '
            'to is told beside it',
}


def _limit_cell(judged):
    state = judged and judged['state']
    text = limit(judged) + (' (noise)' if state == limits.NOISE else '')
    return el('td', text, class_='missed' if state == limits.MISSED else None)


def _limits(result):
    rows = [el('tr', *(el('th', h) for h in ('', 'hakmem', *limits.LIMITS)))]
    for row in limits.judge_all(result):
        rows.append(el('tr', el('td', row['workload']), el('td', row['allocator'], class_='word'),
                       *map(_limit_cell, row['limits'].values())))
    return join([el('h2', 'What hakmem asks of itself'),
                 el('p', 'The allocator that this page comes with, hakmem, has four limits for '
                         'every workload. What misses its limit is red. A time that is behind, '
                         'but not by more than the noise, is marked so.'),
                 el('ul', *(el('li', word) for word in LIMIT_WORDS.values())),
                 el('div', el('table', el('tbody', *rows)), class_='wide')])


def _cells(s):
    r = s['ratio']
    word = s['reason'] if s['verdict'] == 'neutral' else s['verdict']
    return [figure(s['ns_per_op']), ratio(r and r['median']),
            f"{r['q1']:.3f} to {r['q3']:.3f}" if r else '-', whole(s['minflt']),
            whole(s.get('syscalls')), mib(s['peak_rss_kib']), mib(s['pss_kib']),
            mib(s['trimmed_rss_kib']), word]


def _placed(entry):
    """Where pages lay, if the run was bound to CPUs or a node."""
    parts = []
    for name, s in entry['subjects'].items():
        if s.get('node_kib'):
            nodes = ', '.join(f'{mib(kib)} MiB on node {n}' for n, kib in s['node_kib'].items())
            parts.append(f' {name} lay with {nodes}.')
    return ''.join(parts)


def _table(result):
    head = ('', 'ns per operation', 'ratio', 'middle half', 'page faults', 'system calls',
            'peak MiB', 'share while running, MiB', 'after freeing all, MiB', 'verdict')
    rows = [el('tr', *(el('th', h) for h in head))]
    for e in result['workloads']:
        about = f"{_title(e)}: {e['about']}; {e['variant_about']}. One operation is {e['op']}. "
        about += f"Noise {percent(e['noise_floor'])}."
        if e['split']:
            steps = {k: ratio(v and v['median']) for k, v in e['split'].items()}
            about += (f" Embedded against libc is {steps['whole']}: {steps['layout']} from the "
                      f"mere presence of the library, {steps['allocator']} from the allocator "
                      'at work.')
        about += _placed(e)
        rows.append(el('tr', el('td', about, colspan=len(head)), class_='head'))
        for name, s in e['subjects'].items():
            cells = [el('td', c) for c in _cells(s)]
            cells[-1] = el('td', _cells(s)[-1], class_=f"word {s['verdict']}")
            rows.append(el('tr', el('td', name), *cells))
    return join([el('h2', 'All figures'),
                 el('p', 'Medians. A page fault is the moment when the system hands the process a '
                         'page of memory, which takes far longer than malloc itself; a '
                         'system call is any other request to the system. The share while running '
                         '(PSS) counts memory that several processes have in common in parts.'),
                 el('div', el('table', el('tbody', *rows)), class_='wide')])


def _facts(result):
    machine, rows = result['machine'], []
    words = {'when': 'Time', 'cpu': 'Processor', 'cpus': 'CPUs', 'memory_mib': 'Memory, MiB',
             'kernel': 'Kernel', 'architecture': 'Architecture', 'libc': 'C library',
             'transparent_hugepages': 'Transparent huge pages',
             'load_before': 'Load before the runs'}
    for key, word in words.items():
        if machine.get(key) is not None:
            rows.append(el('tr', el('td', word), el('td', machine[key], class_='word')))
    for name, library in result['libraries'].items():
        rows.append(el('tr', el('td', name), el('td', el('code', library['path']),
                                                f" (sha256 {library['sha256']})", class_='word')))
    for subject in result['subjects']:
        settings = ' '.join(f'{k}={v}' for k, v in subject['env'].items())
        if settings:
            rows.append(el('tr', el('td', f"{subject['name']}, set"),
                           el('td', el('code', settings), class_='word')))
    rows.append(el('tr', el('td', 'Command'),
                   el('td', el('code', result['command']), class_='word')))
    return join([el('h2', 'Machine and versions'), el('table', el('tbody', *rows)),
                 el('p', 'Figures of other machines differ, ratios less so. Run the command there.',
                    class_='note')])


def page(result):
    title = 'Memory allocators compared'
    has_others = bool(_others(result) and result['workloads'])
    body = [el('h1', title), _intro(result)]
    if has_others:
        body += [_summary(result), _charts(result), _memory_chart(result)]
    if limits.comparable(result) and result['workloads']:
        body.append(_limits(result))
    if result['workloads']:
        body.append(_table(result))
    body += [daemon.section(result), shared.section(result), _facts(result)]
    head = el('head', el('meta', charset='utf-8'),
              el('meta', name='viewport', content='width=device-width, initial-scale=1'),
              el('title', title), el('style', Markup(STYLE)))
    html = el('html', head, el('body', *body), xmlns='http://www.w3.org/1999/xhtml', lang='en')
    return f'<!DOCTYPE html>\n{html}\n'
