# SPDX-License-Identifier: Apache-2.0
"""The ratios as one SVG picture, drawn by gnuplot: for slides and documents that take no page."""

import shutil
import subprocess

from .chart import COLOURS
from .errors import BenchError
from .text import METRIC_WORDS

WIDTH, ROW, FRAME = 1000, 13, 150  # pixels; a row for each allocator of a workload
SPREAD = 0.8  # of the space between two workloads
DEADLINE_S = 60


def quoted(text):
    """In single quotes nothing is special to gnuplot but themselves, and the end of the line."""
    text = ''.join(c if c.isprintable() else ' ' for c in text)
    return "'" + text.replace("'", "''") + "'"


def _others(result):
    return [s['name'] for s in result['subjects'] if s['name'] != result['baseline']]


def _points(result, name, offset):
    """Lines "median y quartile quartile"; a workload without figures is left out."""
    lines = []
    for row, entry in enumerate(result['workloads']):
        r = entry['subjects'][name]['ratio']
        if r:
            lines.append(f"{r['median']:.6g} {row + offset:.4f} {r['q1']:.6g} {r['q3']:.6g}")
    return lines


def _frame(result):
    rows = len(result['workloads'])
    height = FRAME + rows * ROW * (len(_others(result)) + 1)
    words = METRIC_WORDS[result['metric']]
    title = (f"Memory allocators compared: {words}, as a ratio to {result['baseline']}\n"
             f"left of the line is better; thin lines: the middle half of {result['runs']} runs; "
             'grey: no difference but noise')
    lines = [
        f"set terminal svg noenhanced size {WIDTH},{height} font 'sans-serif,12' "
        "background '#ffffff'",
        'set title ' + ".\"\\n\".".join(map(quoted, title.split('\n'))),
        f"set xlabel {quoted('ratio to ' + result['baseline'] + ', logarithmic')}",
        'set logscale x 2', 'set grid xtics', 'set key outside bottom center horizontal',
        f'set yrange [{rows - 0.5}:-0.5]',
        'set ytics scale 0 (' + ', '.join(
            f"{quoted(e['workload'] + ':' + e['variant'])} {row}"
            for row, e in enumerate(result['workloads'])) + ')',
        "set arrow from 1, graph 0 to 1, graph 1 nohead lw 1.5 lc rgb '#333333'",
    ]
    for row, entry in enumerate(result['workloads']):
        edge = 1 + (entry['noise_floor'] or 0)
        lines.append(f'set object rectangle from {1 / edge:.6g},{row - 0.45} to {edge:.6g},'
                     f"{row + 0.45} behind fillcolor rgb '#d9d9d9' fillstyle solid noborder")
    return lines


def script(result):
    names = _others(result)
    lines, plots = _frame(result), []
    for i, name in enumerate(names):
        offset = SPREAD * ((i + 0.5) / len(names) - 0.5)
        points = _points(result, name, offset)
        if points:
            lines += [f'$s{i} << END', *points, 'END']
            plots.append(f"$s{i} using 1:2:3:4 with xerrorbars pt 7 ps 0.5 lw 1.4 "
                         f"lc rgb '{COLOURS[i % len(COLOURS)]}' title {quoted(name)}")
    if not plots:
        raise BenchError('there is nothing to draw: no ratios to another allocator')
    return '\n'.join([*lines, 'plot ' + ', \\\n  '.join(plots)]) + '\n'


def svg(result):
    gnuplot = shutil.which('gnuplot')
    if not gnuplot:
        raise BenchError('gnuplot is not installed')
    try:
        done = subprocess.run([gnuplot, '-'], input=script(result), capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f'gnuplot: {error}') from error
    if done.returncode or '</svg>' not in done.stdout:
        raise BenchError(f'gnuplot: {done.stderr.strip()[-500:]}')
    return done.stdout
