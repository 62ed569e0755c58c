# SPDX-License-Identifier: Apache-2.0
"""Elements of a page that is both HTML and well-formed XML."""

from xml.sax.saxutils import escape, quoteattr

VOID = frozenset(('meta', 'line', 'rect', 'circle', 'path'))


class Markup(str):
    """Text that is markup already and is not escaped again."""


def _child(child):
    return child if isinstance(child, Markup) else escape(str(child))


def el(tag, *children, **attributes):
    """An element. class_ is class; stroke_width is stroke-width; None leaves an attribute out."""
    text = '<' + tag
    for name, value in attributes.items():
        if value is not None:
            if isinstance(value, float):
                value = f'{value:.2f}'
            text += f" {name.rstrip('_').replace('_', '-')}={quoteattr(str(value))}"
    if tag in VOID:
        return Markup(text + ' />')
    return Markup(f"{text}>{''.join(map(_child, children))}</{tag}>")


def join(parts, separator=''):
    return Markup(separator.join(map(_child, parts)))
