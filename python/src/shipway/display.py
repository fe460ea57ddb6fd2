"""Tables for notebooks: readable in light and dark, because they take the notebook's own colours."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

ROWS = 20
"""The most rows that are shown."""

_LINE = "border-bottom:1px solid rgba(128,128,128,.35);padding:.25em .75em;vertical-align:top;"


def cell(value: Any) -> str:
    """A value as text: floats short, nothing as `null`."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def size(count: int) -> str:
    """A number of bytes for people.

    >>> size(13_002_342)
    '12.4 MiB'
    """
    if count < 1024:
        return f"{count} B"
    scaled = count / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if scaled < 1023.95:
            return f"{scaled:.1f} {unit}"
        scaled /= 1024
    return f"{scaled:.1f} TiB"


def about(seconds: float) -> str:
    """A time for people.

    >>> about(0.2), about(3.4), about(5400.0), about(9000.0)
    ('less than 1 s', 'about 3 s', 'about 90 min', 'about 2.5 h')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 99.5:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"about {seconds / 3600:.1f} h"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str | None = None,
    note: str | None = None,
    total: int | None = None,
) -> str:
    """An HTML table of at most 20 rows; `total` says how many there are when `rows` holds fewer. A line break stays one.

    >>> "1 more row" in table(["n"], [[number] for number in range(21)])
    True
    """
    shown: list[Sequence[Any]] = []
    count = 0
    for row in rows:
        count += 1
        if len(shown) < ROWS:
            shown.append(row)
    hidden = max(count, total or 0) - len(shown)
    style = "border-collapse:collapse;color:inherit;background:transparent;font-variant-numeric:tabular-nums"
    parts = [f'<table style="{style}">']
    if caption:
        parts.append(f'<caption style="text-align:left;padding:.25em 0;opacity:.8">{html.escape(caption)}</caption>')
    heads = "".join(f'<th style="{_LINE}text-align:left">{html.escape(column)}</th>' for column in columns)
    parts.append(f"<thead><tr>{heads}</tr></thead><tbody>")
    for row in shown:
        cells = "".join(_cell(value) for value in row)
        parts.append(f'<tr style="background:transparent">{cells}</tr>')
    parts.append("</tbody></table>")
    if not shown and not hidden:
        note = "; ".join(filter(None, ("no rows", note)))
    if hidden > 0:
        note = "; ".join(filter(None, (f"{hidden} more row{'' if hidden == 1 else 's'}", note)))
    if note:
        parts.append(f'<div style="opacity:.8">{html.escape(note)}</div>')
    return "".join(parts)


def _cell(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    align = "right" if is_number else "left"
    dim = "opacity:.5;" if value is None else ""
    text = cell(value)
    lines = "white-space:pre-line;" if "\n" in text else ""
    return f'<td style="{_LINE}{dim}{lines}text-align:{align}">{html.escape(text)}</td>'
