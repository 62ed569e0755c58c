# SPDX-License-Identifier: Apache-2.0
"""Arguments, and what each command does with them."""

import argparse
import json
import os
import signal
import sys
import tempfile

from . import (catalogue, compare, count, daemon, limits, machine, markdown, plot, report, runner,
               shared, subjects, syscalls, text, trace)
from .errors import BenchError, UsageError

ALLOCATORS = 'libc,embedded,daemon,mimalloc,jemalloc,tcmalloc,tbb'
EXIT_NO_GO = 3
FORMATS = {'html': report.page, 'svg': plot.svg, 'markdown': markdown.table}


def _positive(word):
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{word} is not positive')
    return value


def _node(word):
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{word} is not a node')
    return value


def _percent(word):
    value = float(word.rstrip('%'))
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f'{word} is not a percentage')
    return value / 100


def _scale(word):
    value = float(word)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f'{word} is no scale')
    return value


def _add_load(parser):
    group = parser.add_argument_group('load')
    group.add_argument('--ops', type=_positive, help='operations (each workload has its default)')
    for name in ('threads', 'size', 'slots', 'seed'):
        group.add_argument(f'--{name}', help='passed on to the workload')
    group.add_argument('--trace', metavar='FILE', help='what replay replays')


def _add_place(parser):
    group = parser.add_argument_group('place')
    group.add_argument('--cpus', metavar='LIST', help='run on these CPUs only, as in 0,2-3')
    group.add_argument('--node', type=_node, help='run on this NUMA node, with its memory')
    group.add_argument('--timeout', type=_positive, default=900, metavar='SECONDS',
                       help='a run that takes longer is a failure (default: %(default)s)')


def _add_syscalls(parser):
    parser.add_argument('--no-syscalls', action='store_true',
                        help='do without the run that counts system calls')


def _add_subjects(parser, default):
    group = parser.add_argument_group('allocators')
    group.add_argument('--allocators', default=default, metavar='LIST',
                       help='names from hakbench list, or NAME=one of them '
                            '(default: %(default)s; what is not installed is left out)')
    group.add_argument('--library', action='append', metavar='NAME=PATH',
                       help='libhakmalloc.so of NAME, which is a new one or of --allocators')
    group.add_argument('--env', action='append', metavar='NAME:K=V',
                       help='a variable for NAME only')


def _parser(version):
    parser = argparse.ArgumentParser(prog='hakbench',
                                     description='Measures and compares memory allocators.')
    parser.add_argument('--version', action='version', version=f'hakbench {version}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    p = commands.add_parser('list', help='show workloads and allocators')
    p.add_argument('--json', action='store_true')

    p = commands.add_parser('run', help='run one workload once and print its JSON line')
    p.add_argument('workload', help='NAME or NAME:VARIANT')
    p.add_argument('--allocator', default='libc')
    p.add_argument('--library', action='append', metavar='NAME=PATH')
    p.add_argument('--env', action='append', metavar='NAME:K=V')
    _add_syscalls(p)
    _add_load(p)
    _add_place(p)

    p = commands.add_parser('compare', help='run allocators in turn and compare')
    p.add_argument('--workloads', default='default', metavar='LIST',
                   help='NAME, NAME:VARIANT, NAME:all, @GROUP, default, all '
                        '(default: %(default)s)')
    p.add_argument('--runs', type=_positive, default=10, help='rounds (default: %(default)s)')
    p.add_argument('--scale', type=_scale, default=1.0,
                   help='multiplies each workload\'s operations')
    p.add_argument('--baseline', metavar='NAME', help='default: libc, or else the first')
    p.add_argument('--metric', choices=compare.METRICS, default='ns_per_op')
    p.add_argument('--threshold', type=_percent, default=0.02, metavar='PERCENT',
                   help='GO and NO-GO need as much (default: 2)')
    p.add_argument('--gate', action='store_true',
                   help=f'exit with {EXIT_NO_GO} if any verdict is NO-GO')
    p.add_argument('--json', metavar='FILE', help='write the result for `hakbench report`')
    _add_syscalls(p)
    _add_subjects(p, None)
    _add_load(p)
    _add_place(p)

    p = commands.add_parser('count', help='count instructions, branches and system calls')
    p.add_argument('workload', help='NAME or NAME:VARIANT')
    p.add_argument('--json', action='store_true')
    _add_subjects(p, None)
    _add_load(p)
    _add_place(p)

    p = commands.add_parser('record', help='record the calls of a program for `replay`')
    p.add_argument('--output', metavar='FILE', required=True)
    p.add_argument('program')
    p.add_argument('arguments', nargs=argparse.REMAINDER)

    p = commands.add_parser('report', help='make a page of a result')
    p.add_argument('file', help='what `hakbench compare --json` wrote')
    p.add_argument('--format', choices=tuple(FORMATS), default='html',
                   help='a page with charts; a picture, by gnuplot; or a table of '
                        'hakmem\'s limits (default: html)')
    p.add_argument('--output', metavar='FILE', help='default: standard output')

    p = commands.add_parser('check', help='say which workloads miss hakmem\'s limits',
                            description='Exits with 3 if any is missed.')
    p.add_argument('file', help='what `hakbench compare --json` wrote')
    p.add_argument('--all', action='store_true', help='show what is met, too')
    p.add_argument('--json', action='store_true')
    return parser


def _options(args):
    options = [f'--{name}={getattr(args, name)}' for name in ('threads', 'size', 'slots', 'seed')
               if getattr(args, name) is not None]
    if args.trace:
        options.append(f'--trace={os.path.abspath(args.trace)}')
    return options + (['--numa'] if args.node is not None or args.cpus else [])


def _progress(line):
    print(f'hakbench: {line}', file=sys.stderr, flush=True)


def _subjects(places, args, default):
    """Without --allocators: the default ones, or only those that --library and --env name."""
    named = args.library or args.env
    chosen = args.allocators or ('' if named else default)
    made, missing = subjects.make(places, chosen, args.library, args.env)
    for name in missing:
        if args.allocators:
            raise BenchError(f'{name} is not installed')
        _progress(f'{name} is not installed and left out')
    return made


def _runner(places, args, stderr=None):
    placement = runner.Placement(args.cpus, args.node)
    placement.enter()
    return runner.Runner(places, placement, args.timeout, stderr)


def _write(path, content):
    """Completely or not at all: a reader never sees half a result."""
    if path is None:
        sys.stdout.write(content)
        return
    temporary = f'{path}.new'
    try:
        with open(temporary, 'wb') as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.replace(temporary, path)
    except OSError as error:
        raise BenchError(f'{path}: {error.strerror}') from error


def _list(places, args):
    workloads = catalogue.load(places['workloads'])
    rows = []
    for name in subjects.KNOWN:
        about = subjects.ABOUT.get(name) or subjects.find_peer(name) or 'not installed'
        rows.append((name, about))
    if args.json:
        print(json.dumps({'workloads': [{'name': w.title, 'group': w.group, 'op': w.op,
                                         'ops': w.ops, 'threads': w.threads, 'about': w.about,
                                         'variant': w.variant_about} for w in workloads],
                          'allocators': dict(rows)}, indent=1))
    else:
        sys.stdout.write(text.listing(workloads, rows))
    return 0


def _run(places, args):
    workload = catalogue.pick_one(catalogue.load(places['workloads']), args.workload)
    made, missing = subjects.make(places, args.allocator, args.library, args.env)
    if missing:
        raise BenchError(f'{args.allocator} is not installed')
    if len(made) != 1:
        raise UsageError('one allocator is wanted here')
    if workload.needs_daemon and not made[0].needs_daemon:
        raise BenchError(f'{workload.title} is about the daemon: say --allocator daemon')
    with _runner(places, args, sys.stderr) as run:
        result = run.run(workload, made[0], args.ops, _options(args))
        if not args.no_syscalls and not workload.needs_daemon:
            result['syscalls'] = syscalls.total_or_none(run, workload, made[0], args.ops,
                                                        _options(args), _progress)
        if workload.peers:
            result['peers'] = shared.beside(run, workload, made[0], result, args.ops,
                                            _options(args))
    print(json.dumps({**result, 'allocator': made[0].name}))
    return 0


def _compare(places, args):
    workloads = catalogue.pick(catalogue.load(places['workloads']), args.workloads)
    chosen = _subjects(places, args, ALLOCATORS)
    names = [s.name for s in chosen]
    baseline = args.baseline or ('libc' if 'libc' in names else names[0])
    plan = compare.Plan(chosen, baseline, args.runs, args.threshold, args.metric,
                        not args.no_syscalls)
    facts = machine.describe()
    ordinary, special, subject = daemon.split(workloads, chosen)
    if special and not subject:
        _progress(f"{', '.join(w.title for w in special)}: about the daemon and left out, because "
                  'it is not among the allocators')
        special = []
    special, sharing = shared.split(special)
    if not ordinary and not special and not sharing:
        raise BenchError('there is nothing to run')
    with _runner(places, args) as run:
        result = compare.compare(run, plan, ordinary, args.scale, args.ops, _options(args),
                                 _progress)
        result['daemon'] = [
            daemon.measure(run, w, subject, args.runs, w.scaled(args.scale, args.ops),
                           _options(args), _progress) for w in special]
        result['shared'] = [
            shared.measure(run, w, subject, args.runs, args.scale, args.ops, _options(args),
                           _progress) for w in sharing]
    result = {'hakbench': places['version'], 'schema': compare.SCHEMA, 'machine': facts,
              'libraries': machine.libraries(chosen),
              'placement': runner.Placement(args.cpus, args.node).describe(),
              'command': 'hakbench ' + ' '.join(sys.argv[1:]), **result}
    if args.json:
        _write(args.json, json.dumps(result, indent=1) + '\n')
    parts = (text.comparison(result), daemon.text(result['daemon']),
             shared.text(result['shared']))
    sys.stdout.write('\n'.join(filter(None, parts)))
    return EXIT_NO_GO if args.gate and 'NO-GO' in result['verdicts'].values() else 0


def _count(places, args):
    workload = catalogue.pick_one(catalogue.load(places['workloads']), args.workload)
    chosen = _subjects(places, args, 'daemon' if workload.needs_daemon else 'libc,embedded')
    if workload.needs_daemon and [s.base for s in chosen] != ['daemon']:
        raise UsageError(f'{workload.title} is about the daemon: --allocators daemon')
    with _runner(places, args) as run:
        result = count.count(run, workload, chosen, args.ops, _options(args), _progress)
    sys.stdout.write(json.dumps(result, indent=1) + '\n' if args.json else text.counts(result))
    return 0


def _record(places, args):
    recorder = os.path.join(places['workloads'], 'hakrecord.so')
    made, status = trace.record(recorder, [args.program, *args.arguments])
    _write(args.output, made.encode())
    _progress(f'{args.output}: {len(made.events):,} calls, at most {made.blocks:,} blocks and '
              f'{made.tide() / 1024:,.0f} KiB alive')
    if status:
        _progress(f'{args.program} ended with status {status}')
    return 1 if status else 0


def _load_result(path):
    try:
        with open(path, encoding='utf-8') as file:
            result = json.load(file)
    except OSError as error:
        raise BenchError(f'{path}: {error.strerror}') from error
    except ValueError as error:
        raise BenchError(f'{path}: no JSON: {error}') from error
    if not isinstance(result, dict) or result.get('schema') != compare.SCHEMA:
        raise BenchError(f'{path}: not what this version of `hakbench compare` writes')
    return result


def _needs_both_sides(path, result):
    if not limits.comparable(result) or not result['workloads']:
        raise BenchError(f'{path}: the table compares hakmem with others; one side is missing')


def _report(_places, args):
    result = _load_result(args.file)
    if args.format == 'markdown':
        _needs_both_sides(args.file, result)
    _write(args.output, FORMATS[args.format](result))
    return 0


def _check(_places, args):
    result = _load_result(args.file)
    own, common = daemon.judge_all(result), shared.judge_all(result)
    if not own and not common:
        _needs_both_sides(args.file, result)
    rows = limits.judge_all(result) if limits.comparable(result) else []
    if args.json:
        sys.stdout.write(json.dumps(rows + own + common, indent=1) + '\n')
    else:
        sys.stdout.write((text.check(rows, args.all) + '\n' if rows else '')
                         + daemon.check_text(own, args.all)
                         + daemon.check_text(common, args.all, 'shared memory misses', ''))
    return EXIT_NO_GO if any(map(limits.missed, rows + own + common)) else 0


def main(places):
    args = _parser(places['version']).parse_args()
    run = {'list': _list, 'run': _run, 'compare': _compare, 'count': _count, 'record': _record,
           'report': _report, 'check': _check}
    # So that a daemon and its folder go when we are told to. The first look for a temporary folder
    # leaves a file behind if it is interrupted.
    tempfile.gettempdir()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run[args.command](places, args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except UsageError as error:
        print(f'hakbench: {error}', file=sys.stderr)
        return 2
    except BenchError as error:
        print(f'hakbench: {error}', file=sys.stderr)
        return 1
