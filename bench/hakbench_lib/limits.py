# SPDX-License-Identifier: Apache-2.0
"""What hakmem has to keep to on every workload, each limit against another rival.

    time    against the best peer, the system's allocator included: no slower
    faults  against the best peer that is preloaded: no more
    peak    of resident memory, against the leaner of mimalloc and jemalloc
    kept    after everything was freed and malloc_trim, less what the program had before it began,
            as a part of the peak

Faults and memory hardly vary. Time does: a limit is missed only if a verdict of NO-GO against that
peer could be given.
"""

from . import stats
from .subjects import MODES, PEERS

LIMITS = {'time': 1.0, 'faults': 1.0, 'peak': 1.15, 'kept': 0.10}
LEAN = ('mimalloc', 'jemalloc')
MET, MISSED, NOISE = 'met', 'missed', 'within the noise'


def ours(result):
    """Not forced-libc, which is a control."""
    return [s['name'] for s in result['subjects'] if s['base'] in MODES
            and s['base'] != 'forced-libc']


def peers(result, bases=('libc', *PEERS)):
    return [s['name'] for s in result['subjects'] if s['base'] in bases]


def comparable(result):
    return bool(ours(result) and peers(result))


def _best(entry, names, metric):
    name = min(names, key=lambda n: entry['subjects'][n][metric])
    return name, entry['subjects'][name][metric]


def _against(entry, our, names, metric, limit):
    """None where there is nobody to compare with."""
    if not names:
        return None
    peer, best = _best(entry, names, metric)
    value = entry['subjects'][our][metric]
    met = value <= best * limit
    return {'value': value, 'peer': peer, 'best': best, 'ratio': value / best if best else None,
            'limit': limit, 'state': MET if met else MISSED}


def _time(result, entry, our):
    judged = _against(entry, our, peers(result), 'ns_per_op', LIMITS['time'])
    if judged is None or judged['state'] == MET:
        return judged
    judged['state'] = NOISE
    # Single runs are kept for one metric only.
    if result['metric'] == 'ns_per_op':
        pairs = stats.summary(*(entry['subjects'][n]['values'] for n in (our, judged['peer'])))
        if stats.verdict(pairs, entry['noise_floor'], 0.0)[0] == stats.NO_GO:
            judged['state'] = MISSED
    return judged


def _kept_of(figures):
    """(KiB, part of the peak)"""
    kept = max(0, figures['trimmed_rss_kib'] - figures['start_rss_kib'])
    return kept, kept / figures['peak_rss_kib']


def _kept(result, entry, our):
    """Threads and code that ran for the first time are in it, too, whatever the allocator: what
    libc comes to is told with it, for orientation."""
    own = entry['subjects'][our]
    if 'start_rss_kib' not in own or not own['peak_rss_kib']:
        return None
    value, ratio = _kept_of(own)
    libc = [_kept_of(entry['subjects'][name])[1] for name in peers(result, ('libc',))]
    return {'value': value, 'peer': None, 'best': None, 'ratio': ratio, 'limit': LIMITS['kept'],
            'libc': libc[0] if libc else None, 'state': MET if ratio <= LIMITS['kept'] else MISSED}


def judge(result, entry, our):
    """{limit: {value, peer, best, ratio, limit, state}}, None where it cannot be told."""
    return {
        'time': _time(result, entry, our),
        'faults': _against(entry, our, peers(result, PEERS), 'minflt', LIMITS['faults']),
        'peak': _against(entry, our, peers(result, LEAN), 'peak_rss_kib', LIMITS['peak']),
        'kept': _kept(result, entry, our),
    }


def judge_all(result):
    """[{workload, allocator, limits}] of each workload and each of hakmem's modes."""
    return [{'workload': f"{entry['workload']}:{entry['variant']}", 'allocator': our,
             'limits': judge(result, entry, our)}
            for entry in result['workloads'] for our in ours(result)]


def missed(row):
    return [name for name, j in row['limits'].items() if j and j['state'] == MISSED]
