# SPDX-License-Identifier: Apache-2.0
"""Bars that go left (better) or right (worse) from 1, on a logarithmic axis, as SVG.

Twice as good and half as good are equally long; that is what a logarithmic axis is for.
"""

import math

from .markup import el, join

# Okabe and Ito's, which stay apart for every kind of colour vision.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f', '#b8a900')
WIDTH, LABEL, VALUE = 920, 210, 70
BAR, GAP, TOP = 13, 12, 46
MIN_SPAN, MAX_SPAN = 0.25, 8.0  # of log2: the axis shows at least 0.84 to 1.19 of the baseline


def span_of(rows):
    """How far the axis reaches to each side, as log2 of a ratio."""
    logs = [abs(math.log2(bar['value'])) for row in rows for bar in row['bars'] if bar['value']]
    return min(MAX_SPAN, max([MIN_SPAN, *logs]) * 1.1)


def _ticks(span):
    """(ratio, label) so close that a reader can interpolate, and not closer."""
    steps = (1.05, 1.1, 1.25, 1.5, 2, 4, 8, 16, 64, 256)
    step = next((s for s in steps if span / math.log2(s) <= 3.2), 256)
    n = math.floor(span / math.log2(step) + 1e-9)
    return [(step ** i, f'{step ** i:.3g}') for i in range(-n, n + 1)]


class _Axis:
    def __init__(self, span):
        self.span = span
        self.left, self.right = LABEL, WIDTH - VALUE
        self.middle = (self.left + self.right) / 2

    def x(self, ratio):
        log = max(-self.span, min(self.span, math.log2(ratio)))
        return self.middle + log / self.span * (self.right - self.left) / 2


def _bar(axis, bar, colour, y):
    if not bar['value']:
        return el('text', 'no figures', x=axis.middle + 4, y=y + BAR - 3, class_='small')
    x = axis.x(bar['value'])
    left, width = min(x, axis.middle), abs(x - axis.middle)
    parts = [el('rect', x=left, y=y, width=max(width, 1.0), height=BAR - 2, fill=colour)]
    if bar.get('low') and bar.get('high'):
        middle = y + (BAR - 2) / 2
        parts.append(el('line', x1=axis.x(bar['low']), x2=axis.x(bar['high']), y1=middle,
                        y2=middle, stroke='#000', stroke_width=1.4))
    parts.append(el('text', f"{bar['value']:.3g}", x=WIDTH - VALUE + 8, y=y + BAR - 3,
                    class_='value'))
    tip = el('title', bar['tip'])
    return el('g', tip, *parts)


def _row(axis, row, colours, y):
    height = len(row['bars']) * BAR
    parts = []
    if row.get('noise'):
        low, high = axis.x(1 / (1 + row['noise'])), axis.x(1 + row['noise'])
        parts.append(el('rect', x=low, y=y - 2, width=high - low, height=height + 2,
                        fill='#d9d9d9'))
    parts.append(el('text', row['label'], x=LABEL - 10, y=y + height / 2 + 4,
                    text_anchor='end'))
    for i, bar in enumerate(row['bars']):
        parts.append(_bar(axis, bar, colours[bar['name']], y + i * BAR))
    return join(parts)


def bars(rows, title):
    """rows: [{label, noise, bars: [{name, value, low, high, tip}]}]. Values are ratios."""
    names = list(dict.fromkeys(bar['name'] for row in rows for bar in row['bars']))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    axis = _Axis(span_of(rows))
    height = TOP + sum(len(row['bars']) * BAR + GAP for row in rows)
    parts = [el('title', title)]
    for ratio, label in _ticks(axis.span):
        x = axis.x(ratio)
        parts.append(el('line', x1=x, x2=x, y1=TOP - 10, y2=height, stroke='#ddd'))
        parts.append(el('text', label, x=x, y=TOP - 16, text_anchor='middle', class_='small'))
    for x, anchor, word in ((axis.left, 'start', '\u2190 better'),
                            (axis.right, 'end', 'worse \u2192')):
        parts.append(el('text', word, x=x, y=12.0, text_anchor=anchor, class_='small'))
    y = TOP
    for row in rows:
        parts.append(_row(axis, row, colours, y))
        y += len(row['bars']) * BAR + GAP
    parts.append(el('line', x1=axis.middle, x2=axis.middle, y1=TOP - 10, y2=height,
                    stroke='#333', stroke_width=1.2))
    return el('svg', *parts, xmlns='http://www.w3.org/2000/svg', role='img',
              viewBox=f'0 0 {WIDTH} {height}', width=WIDTH, height=height), colours


def legend(colours):
    return el('p', *(el('span', el('span', ' ', class_='swatch', style=f'background:{colour}'),
                        name, class_='key') for name, colour in colours.items()), class_='legend')
