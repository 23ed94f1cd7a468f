# SPDX-License-Identifier: Apache-2.0
"""Write docs/architecture.svg from the tables below; `--check` only reports whether it is up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "architecture.svg"
WIDTH, HEIGHT = 1000, 850
Point = tuple[int, int]


@dataclass(frozen=True)
class Panel:
    """A frame with a title: x, y, width, height."""

    title: str
    area: tuple[int, int, int, int]
    dashed: bool = False


@dataclass(frozen=True)
class Box:
    """A part of the system; `kind` is a class of the style sheet, and `lines` are the name and what it does."""

    lines: tuple[str, ...]
    area: tuple[int, int, int, int]
    kind: str = "other"


@dataclass(frozen=True)
class Arrow:
    """A connection, from the part that opens it to the part that accepts it."""

    path: tuple[Point, ...]
    dashed: bool = False


@dataclass(frozen=True)
class Label:
    """Text next to an arrow; `anchor` is SVG's text-anchor."""

    text: str
    at: Point
    anchor: str = "start"


PANELS = (
    Panel("Qinling and its backing services", (15, 15, 970, 365)),
    Panel("Functions on Docker Swarm (the default)", (15, 395, 477, 440)),
    Panel("network qinling-functions: internal, no route to the outside", (30, 690, 447, 130), dashed=True),
    Panel("Functions on Kubernetes (an existing cluster)", (508, 395, 477, 440)),
    Panel("namespace qinling, with an egress policy", (523, 690, 447, 130), dashed=True),
)

BOXES = (
    # The service.
    Box(("Client", "openstack, HTTP"), (35, 145, 130, 56)),
    Box(("Keystone", "users, tokens, trusts"), (420, 50, 160, 56), "backing"),
    Box(("Qinling API", ":7070"), (270, 145, 130, 56), "qinling"),
    Box(("RabbitMQ", "message queue"), (435, 145, 130, 56), "backing"),
    Box(("Qinling engine", "runs functions"), (600, 145, 130, 56), "qinling"),
    Box(("memcached", "validated tokens"), (35, 235, 130, 56), "backing"),
    Box(("MariaDB", "functions, executions"), (420, 235, 160, 56), "backing"),
    Box(("etcd", "worker of each function, locks"), (390, 305, 220, 56), "backing"),
    Box(("Docker Swarm", "or Kubernetes, below"), (800, 145, 170, 56)),
    # Docker Swarm.
    Box(("Qinling API",), (35, 435, 120, 50), "qinling"),
    Box(("Qinling engine",), (315, 435, 140, 50), "qinling"),
    Box(("Function gateway", "HAProxy, on each engine's host"), (35, 570, 225, 56), "qinling"),
    Box(("Docker", "a Swarm manager"), (300, 570, 170, 56)),
    Box(("Worker", "one function", "at a time"), (45, 710, 120, 76), "worker"),
    Box(("Worker",), (190, 710, 120, 76), "worker"),
    Box(("Worker",), (335, 710, 120, 76), "worker"),
    # Kubernetes.
    Box(("Qinling API",), (528, 435, 120, 50), "qinling"),
    Box(("Qinling engine",), (743, 435, 140, 50), "qinling"),
    Box(("Kubernetes API server",), (718, 570, 190, 56)),
    Box(("Worker", "a pod: one function", "at a time"), (538, 710, 140, 76), "worker"),
    Box(("Worker",), (693, 710, 120, 76), "worker"),
    Box(("Worker",), (828, 710, 120, 76), "worker"),
)

ARROWS = (
    # The service.
    Arrow(((100, 145), (100, 78), (420, 78))),
    Arrow(((165, 173), (270, 173))),
    Arrow(((335, 145), (335, 95), (420, 95))),
    Arrow(((665, 145), (665, 78), (580, 78))),
    Arrow(((400, 173), (435, 173))),
    Arrow(((600, 173), (565, 173))),
    Arrow(((285, 201), (285, 263), (165, 263))),
    Arrow(((370, 201), (370, 263), (420, 263))),
    Arrow(((630, 201), (630, 263), (580, 263))),
    Arrow(((330, 201), (330, 333), (390, 333))),
    Arrow(((690, 201), (690, 333), (610, 333))),
    Arrow(((730, 173), (800, 173))),
    # Docker Swarm.
    Arrow(((315, 460), (215, 460), (215, 570))),
    Arrow(((350, 485), (350, 570))),
    Arrow(((75, 570), (75, 485))),
    Arrow(((215, 626), (215, 710))),
    Arrow(((75, 710), (75, 626))),
    Arrow(((395, 626), (395, 710)), dashed=True),
    # Kubernetes.
    Arrow(((813, 485), (813, 570))),
    Arrow(((588, 710), (588, 485))),
    Arrow(((770, 626), (770, 710))),
    Arrow(((870, 626), (870, 710)), dashed=True),
)

LABELS = (
    Label("log in", (110, 70)),
    Label("REST", (217, 165), "middle"),
    Label("validate tokens, create trusts", (345, 118)),
    Label("tokens for workers", (675, 112)),
    Label("starts workers, calls functions", (735, 225)),
    # Docker Swarm.
    Label("127.0.0.1:7071", (212, 452)),
    Label("call a function", (222, 515)),
    Label("Docker's socket:", (358, 520)),
    Label("manage workers", (358, 537)),
    Label("the API's socket:", (83, 520)),
    Label("fetch packages", (83, 537)),
    Label(":9090", (222, 655)),
    Label("qinling-api:7070", (83, 655)),
    Label("starts, stops", (403, 655)),
    # Kubernetes.
    Label("client certificate:", (821, 515)),
    Label("manage workers,", (821, 532)),
    Label("call functions", (821, 549)),
    Label("qinling_worker_endpoint:", (596, 535)),
    Label("fetch packages", (596, 552)),
    Label("proxy, :9090", (762, 655), "end"),
    Label("starts, stops", (878, 655)),
)

# The picture brings its own background, so that it is readable on a page of any colour.
STYLE = """
text { font: 14px sans-serif; fill: #1f2328; }
.name { font-weight: bold; }
.title { font-weight: bold; font-size: 15px; }
.label { font-size: 13px; fill: #57606a; }
.page { fill: #ffffff; }
.panel { fill: #f6f8fa; stroke: #d0d7de; }
.dashed { stroke: #57606a; stroke-dasharray: 6 4; }
.arrow { fill: none; stroke: #57606a; stroke-width: 1.5; }
.head { fill: #57606a; }
.other { fill: #ffffff; stroke: #57606a; }
.qinling { fill: #ddf4ff; stroke: #0969da; }
.backing { fill: #fff8c5; stroke: #9a6700; }
.worker { fill: #dafbe1; stroke: #1a7f37; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.label { fill: #9da7b3; }
.page { fill: #0d1117; }
.panel { fill: #161b22; stroke: #3d444d; }
.dashed { stroke: #9da7b3; }
.arrow { stroke: #9da7b3; }
.head { fill: #9da7b3; }
.other { fill: #21262d; stroke: #9da7b3; }
.qinling { fill: #0c2d6b; stroke: #58a6ff; }
.backing { fill: #4b2900; stroke: #d29922; }
.worker { fill: #04260f; stroke: #3fb950; }
}
"""
DESCRIPTION = (
    "A client logs in to Keystone and calls Qinling's API. The API and the engine exchange messages through RabbitMQ, "
    "and both use Keystone, MariaDB and etcd; the API caches tokens in memcached. On Docker Swarm, the engine manages "
    "workers through Docker and calls them through the function gateway, through which workers fetch packages from the "
    "API. On Kubernetes, it does both through the cluster's API server, and workers fetch packages from the API itself."
)


def panel_lines(panel: Panel) -> Iterator[str]:
    """Yield the elements of a panel."""
    x, y, width, height = panel.area
    style = "panel dashed" if panel.dashed else "panel"
    # Arrows cross the top of a dashed frame.
    baseline = y + height - 10 if panel.dashed else y + 22
    yield f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'
    title = "label" if panel.dashed else "title"
    yield f'<text class="{title}" x="{x + 14}" y="{baseline}">{escape(panel.title)}</text>'


def box_lines(box: Box) -> Iterator[str]:
    """Yield the elements of a box, its lines of text centred."""
    x, y, width, height = box.area
    yield f'<rect class="{box.kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6" stroke-width="1.5"/>'
    first = y + height // 2 + 5 - 9 * (len(box.lines) - 1)
    for number, line in enumerate(box.lines):
        style = "label" if number else "name"
        yield (
            f'<text class="{style}" x="{x + width // 2}" y="{first + 18 * number}" text-anchor="middle">'
            f"{escape(line)}</text>"
        )


def arrow_lines(arrow: Arrow) -> Iterator[str]:
    """Yield the elements of an arrow: a line of horizontal and vertical parts, and its head."""
    (before_x, before_y), (x, y) = arrow.path[-2:]
    along_x, along_y = (x > before_x) - (x < before_x), (y > before_y) - (y < before_y)
    back_x, back_y = x - 9 * along_x, y - 9 * along_y
    line = (*arrow.path[:-1], (back_x, back_y))
    points = " ".join(f"{a},{b}" for a, b in line)
    head = ((x, y), (back_x + 4 * along_y, back_y + 4 * along_x), (back_x - 4 * along_y, back_y - 4 * along_x))
    style = "arrow dashed" if arrow.dashed else "arrow"
    yield f'<polyline class="{style}" points="{points}"/>'
    yield f'<polygon class="head" points="{" ".join(f"{a},{b}" for a, b in head)}"/>'


def picture() -> str:
    """Return the whole picture."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img">',
        "<!-- SPDX-License-Identifier: Apache-2.0 -->",
        "<!-- Generated by docs/architecture.py. -->",
        "<title>Architecture of Qinling as qinling.kolla deploys it</title>",
        f"<desc>{escape(DESCRIPTION)}</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        *(line for panel in PANELS for line in panel_lines(panel)),
        *(line for arrow in ARROWS for line in arrow_lines(arrow)),
        *(line for box in BOXES for line in box_lines(box)),
        *(
            f'<text class="label" x="{label.at[0]}" y="{label.at[1]}" text-anchor="{label.anchor}">'
            f"{escape(label.text)}</text>"
            for label in LABELS
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the picture, or with `--check` compare it; return the exit status."""
    if "--check" not in arguments:
        PICTURE.write_text(picture(), encoding="utf-8")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture():
        print(f"{PICTURE.name}: not up to date; run python docs/architecture.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
