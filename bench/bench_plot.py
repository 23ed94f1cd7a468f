# SPDX-License-Identifier: Apache-2.0
"""Plot of a benchmark's medians as SVG: a panel per case, bars per number of hosts, a logarithmic axis of seconds."""

from __future__ import annotations

import math
from html import escape

from bench_figures import CASES, SIDES, Row, find

COLOURS = {"kolla": "#b0552f", "containers": "#6ea3d8", "whole": "#1f5f9e"}
PANEL, GAP, LEFT, TOP, FOOT = (560, 260), 40, 60, 84, 50


def ticks(least: float, most: float) -> list[float]:
    """Return the ticks 1, 2, 5, 10, … that cover the range of two positive values."""
    found = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1)
        for factor in (1, 2, 5)
    ]
    first = max((index for index, tick in enumerate(found) if tick <= least), default=0)
    last = next((index for index, tick in enumerate(found) if tick >= most), len(found) - 1)
    return found[first : max(last, first + 1) + 1]


def short(value: float) -> str:
    """Format seconds for a label."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 12, weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _panel(rows: list[Row], case: str, axis: list[float], x: float, y: float) -> list[str]:
    """Return the elements of a panel; `axis` are its ticks, `x` and `y` its top left corner."""
    width, height = PANEL
    low, high = math.log10(axis[0]), math.log10(axis[-1])

    def place(value: float) -> float:
        return y + height - (math.log10(max(value, axis[0])) - low) / (high - low) * height

    parts = [_text(x, y - 12, CASES[case], "start", 14, "bold")]
    for tick in axis:
        parts.append(f'<line x1="{x}" x2="{x + width}" y1="{place(tick):.1f}" y2="{place(tick):.1f}" stroke="#ddd"/>')
        parts.append(_text(x - 6, place(tick) + 4, f"{tick:g} s", "end", 11))
    groups = sorted({(not row.real, row.hosts) for row in rows})
    room = width / max(len(groups), 1)
    for index, (simulated, hosts) in enumerate(groups):
        middle = x + room * (index + 0.5)
        parts.append(_text(middle, y + height + 18, f"{hosts} host{'s' if hosts > 1 else ''}"))
        parts.append(_text(middle, y + height + 33, "simulated" if simulated else "real", size=11))
        bar_width = room * 0.84 / len(SIDES)
        for number, side in enumerate(SIDES):
            row = find(rows, not simulated, hosts, case, side)
            if not row:
                continue
            left = x + room * (index + 0.08) + bar_width * number
            top = place(row.seconds.median)
            size = f'width="{bar_width - 3:.1f}" height="{y + height - top:.1f}"'
            parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{COLOURS[side]}"/>')
            parts.append(_text(left + (bar_width - 3) / 2, top - 4, short(row.seconds.median), size=11))
    return parts


def svg(rows: list[Row]) -> str:
    """Return the plot."""
    cases = [case for case in CASES if any(row.case == case and row.runs for row in rows)]
    medians = [row.seconds.median for row in rows if row.runs] or [1.0]
    axis = ticks(max(min(1.0, *medians), 0.01), max(medians) * 1.2)
    columns = min(2, max(len(cases), 1))
    width = columns * (PANEL[0] + LEFT + GAP)
    height = TOP + math.ceil(len(cases) / columns) * (PANEL[1] + FOOT + GAP)
    parts = []
    for number, side in enumerate(SIDES):
        x = LEFT + number * (width - LEFT) / len(SIDES)
        parts.append(f'<rect x="{x:.1f}" y="18" width="14" height="14" fill="{COLOURS[side]}"/>')
        parts.append(_text(x + 20, 30, SIDES[side], "start"))
    for index, case in enumerate(cases):
        x = LEFT + (index % columns) * (PANEL[0] + LEFT + GAP)
        y = TOP + (index // columns) * (PANEL[1] + FOOT + GAP)
        parts += _panel(rows, case, axis, x, y)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
            '     font-family="sans-serif" fill="#222">',
            '<rect width="100%" height="100%" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )
