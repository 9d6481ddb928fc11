"""Drawing a workflow as SVG, for reports and notebooks.

The drawing takes its colours from the page: lines and text are `currentColor`, so that it is read
on dark and on light; states have a colour that stands out on both, which the page can set by the
variables `--reflow-success`, `--reflow-failed` and so on. No state is told by its colour alone. All
that users wrote is escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from reflow.model.canonical import digest
from reflow.model.graph import Graph
from reflow.model.states import TaskState
from reflow.model.tasks import TaskSpec
from reflow.report.graph_layout import Box, Layout, Point, lay_out

COLOURS: Mapping[str, str] = {
    TaskState.PENDING: "#7d8590",
    TaskState.SUBMITTED: "#9a6700",
    TaskState.RUNNING: "#3f83f8",
    TaskState.SUCCESS: "#2b9348",
    TaskState.FAILED: "#e5484d",
    TaskState.CANCELLED: "#9a6cf0",
    TaskState.SKIPPED: "#7d8590",
}
"""Colours of states, each at least three times as bright as black, and as dark as white."""

_PAGE = (
    "var(--reflow-page, var(--jp-layout-color0, "
    "var(--vscode-editor-background, var(--colab-primary-surface-color, Canvas))))"
)
"""The colour of the page: what its author says, or of the notebook that it is shown in."""
_NAME, _SMALL = 13.0, 11.0
"""Sizes of letters, in pixels."""
_LETTER = 0.6
"""The width of a letter of a fixed-width font, by its size."""
_LONGEST_NAME = 32
_PADDING = 12.0
_STACK = 4.0
"""How far the second sheet of an array task stands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a task of a run stands, as its box shows it."""

    state: str
    text: str = ""
    """What stands below the name; the state where it is empty."""
    shares: Mapping[str, float] | None = None
    """The part of its elements in each state, 0 to 1, as a bar; none where it is None."""
    href: str = ""
    """Where a click leads."""


def state_colour(state: str) -> str:
    """Return the colour of a state, in CSS."""
    return f"var(--reflow-{state.lower()}, {COLOURS.get(state, 'currentColor')})"


def graph_svg(graph: Graph, standing: Mapping[str, Standing] | None = None) -> str:
    """Draw a workflow from top to bottom, with how its tasks stand where that is given.

    Array tasks look like two sheets, `after` is dotted. The SVG has its natural size as `width`,
    and shrinks where the page is narrower.
    """
    found = standing or {}
    shown = {name: _Shown(graph, spec, found.get(name)) for name, spec in graph.tasks.items()}
    layout = lay_out(
        {name: (each.width, each.height) for name, each in shown.items()},
        {name: spec.upstream for name, spec in graph.tasks.items()},
    )
    body = "".join(
        [
            *(_link(graph, link, path) for link, path in layout.paths.items()),
            *(each.draw(layout.boxes[name]) for name, each in shown.items()),
            *_labels(graph, layout),
        ]
    )
    title, described = escape(f"Workflow {graph.name}"), escape(_described(graph, found))
    # Two drawings in one page need ids of their own, unless they are alike.
    name = f"reflow-{digest(title + described + body)[:10]}"
    # An image has no parts for readers of screens, so links need a group.
    role = "group" if any(each.href for each in found.values()) else "img"
    width, height = layout.width, layout.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="{role}" aria-labelledby="{name}-t" '
        f'aria-describedby="{name}-d" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        'style="max-width:100%;height:auto;color:inherit" fill="none" stroke="currentColor" '
        f'font-family="ui-monospace, monospace" font-size="{_NAME:g}">'
        f'<title id="{name}-t">{title}</title><desc id="{name}-d">{described}</desc>{body}</svg>'
    )


class _Shown:
    """A task as its box shows it."""

    def __init__(self, graph: Graph, spec: TaskSpec, standing: Standing | None) -> None:
        self.is_array = spec.array
        self.name = _shortened(f"{spec.name}[]" if spec.array else spec.name)
        self.standing = standing
        self.below = "" if standing is None else standing.text or standing.state.lower()
        self.tip = "\n".join([spec.name, *_inputs(graph, spec.name)])
        letters = max(_columns(self.name) * _NAME, _columns(self.below) * _SMALL)
        self.width = letters * _LETTER + 2 * _PADDING
        self.height = 34.0 if standing is None else 56.0

    def draw(self, box: Box) -> str:
        standing = self.standing
        stroke = "" if standing is None else f' style="stroke:{state_colour(standing.state)}"'
        middle = box.x + box.width / 2
        parts = [f"<title>{escape(self.tip)}</title>"]
        if self.is_array:
            right, bottom = box.x + box.width + _STACK, box.y + box.height - 6
            parts.append(
                f'<path d="M{box.x + 8:.1f} {box.y - _STACK:.1f}H{right - 5:.1f}'
                f'q5 0 5 5V{bottom:.1f}" opacity=".6"{stroke}/>'
            )
        parts += [
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
            f'height="{box.height:.1f}" rx="6" fill="currentColor" fill-opacity=".05" '
            f'stroke-width="{1 if standing is None else 2}"{stroke}/>',
            _text(self.name, middle, box.y + 21.5, _NAME),
        ]
        if standing is not None:
            parts.append(_text(self.below, middle, box.y + 37, _SMALL))
            parts += _bar(standing, box)
        drawn = f"<g>{''.join(parts)}</g>"
        if standing is None or not standing.href:
            return drawn
        return f'<a href="{escape(standing.href)}">{drawn}</a>'


def _bar(standing: Standing, box: Box) -> Iterator[str]:
    """Yield the parts of a bar: as long as there are elements in each state."""
    if standing.shares is None:
        return
    start, whole = box.x + _PADDING, box.width - 2 * _PADDING
    y = box.y + box.height - 11
    yield (
        f'<rect x="{start:.1f}" y="{y:.1f}" width="{whole:.1f}" height="4" rx="2" '
        'fill="currentColor" fill-opacity=".15" stroke="none"/>'
    )
    for state, share in standing.shares.items():
        width = max(0.0, min(share, 1.0)) * whole
        if width:
            yield (
                f'<rect x="{start:.1f}" y="{y:.1f}" width="{width:.1f}" height="4" rx="2" '
                f'stroke="none" style="fill:{state_colour(state)}"/>'
            )
        start += width


def _link(graph: Graph, link: tuple[str, str], path: tuple[Point, ...]) -> str:
    """Draw the line from one task to another, with its arrow."""
    wired = [edge for edge in graph.edges[link[1]] if edge.step == link[0]]
    (x, y), *rest = path
    drawn = [f"M{x:.1f} {y:.1f}"]
    for number, (next_x, next_y) in enumerate(rest):
        end = next_y - 6 if number == len(rest) - 1 else next_y
        if x == next_x:
            drawn.append(f"V{end:.1f}")
        else:
            half = (y + end) / 2
            drawn.append(f"C{x:.1f} {half:.1f} {next_x:.1f} {half:.1f} {next_x:.1f} {end:.1f}")
        x, y = next_x, end
    tip = "\n".join(
        [f"{edge.argument} ← {edge.step} ({graph.how(edge)})" for edge in wired]
        or [f"after {link[0]}"]
    )
    dots = "" if wired else ' stroke-dasharray="2 4"'
    return (
        f"<g><title>{escape(tip)}</title>"
        f'<path d="{"".join(drawn)}" stroke-opacity=".55" stroke-width="1.3"{dots}/>'
        f'<path d="M{x - 4:.1f} {y - 1:.1f}l4 7l4 -7z" fill="currentColor" fill-opacity=".7" '
        'stroke="none"/></g>'
    )


def _labels(graph: Graph, layout: Layout) -> Iterator[str]:
    """Yield what happens to values on their way, where another label leaves room for it."""
    taken: list[Box] = []
    for (step, task), path in layout.paths.items():
        wired = [edge for edge in graph.edges[task] if edge.step == step]
        modes = dict.fromkeys(edge.mode.value for edge in wired if edge.mode.value != "direct")
        if not modes:
            continue
        text = ", ".join(modes)
        (x, y), (next_x, next_y) = path[-2:]
        middle, height = (x + next_x) / 2, (y + next_y) / 2
        width = _columns(text) * _SMALL * _LETTER
        place = Box(middle - width / 2, height - _SMALL / 2, width, _SMALL)
        if place.x >= 0 and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            # A seam in the colour of the page keeps the line out of the letters.
            yield _text(
                text,
                middle,
                height + 3.5,
                _SMALL,
                f'style="paint-order:stroke;stroke:{_PAGE};stroke-width:4px" fill-opacity=".8"',
            )


def _overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def _text(text: str, x: float, y: float, size: float, more: str = 'stroke="none"') -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="middle" '
        f'fill="currentColor" {more}>{escape(text)}</text>'
    )


def _described(graph: Graph, standing: Mapping[str, Standing]) -> str:
    """Tell in sentences what the drawing shows."""
    sentences = []
    for name, spec in graph.tasks.items():
        kind = "array task" if spec.array else "task"
        told = "; ".join(_inputs(graph, name))
        stands = standing.get(name)
        how = "" if stands is None else f", {stands.state.lower()}"
        how += "" if stands is None or not stands.text else f", {stands.text}"
        sentences.append(f"{kind} {name}{how}{f': {told}' if told else ''}.")
    return " ".join(sentences)


def _inputs(graph: Graph, name: str) -> list[str]:
    """Return what a task gets, and what it waits for."""
    return [
        *(f"{edge.argument} from {edge.step} ({graph.how(edge)})" for edge in graph.edges[name]),
        *(f"{argument}: {how}" for argument, how in graph.given_each(name).items()),
        *(f"after {step}" for step in graph.tasks[name].after),
    ]


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _columns(text: str) -> int:
    """Return the letters of a text, where East Asian ones count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
