"""Drawing a workflow as text, for Mermaid and for Graphviz."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator

from reflow.model.graph import Graph
from reflow.model.tasks import TaskSpec
from reflow.wiring.overrides import configured

PLAIN, ARRAY = "○", "◎"
_LEAST_ROOM = 24
_LONGEST_NAME = 24


def draw_text(graph: Graph, width: int = 80) -> str:
    """Draw the graph as lines of text: rails on the left, then each task and its inputs.

    One task after the other in topological order; a rail runs from each task down to the last
    one that needs it. Names of array tasks end in `[]`.
    """
    rows = list(_rows(graph))
    rails_width = max(_width(rails) for _, rails, _ in rows)
    longest = max(_width(_title(spec)) for spec, _, _ in rows)
    name_width = min(longest, _LONGEST_NAME)
    room = max(width - rails_width - name_width - 4, _LEAST_ROOM)
    lines = []
    for spec, rails, below in rows:
        title, told = _title(spec), _inputs(graph, spec, room)
        if _width(title) > name_width and told:
            told.insert(0, "")
        first, *rest = told or [""]
        lines.append(f"{_pad(rails, rails_width)}  {_pad(title, name_width)}  {first}".rstrip())
        lines += [
            f"{_pad(below, rails_width)}  {' ' * name_width}  {line}".rstrip() for line in rest
        ]
    if any(spec.array for spec in graph.tasks.values()):
        lines += ["", f"{ARRAY} [] array task: one instance per element"]
    return "\n".join(lines) + "\n"


def draw_mermaid(graph: Graph) -> str:
    """Draw a Mermaid flowchart; array tasks have double sides, `after` dotted arrows."""
    ids = {name: f"t{place}" for place, name in enumerate(graph.tasks)}
    lines = ["flowchart TD"]
    for name, spec in graph.tasks.items():
        left, right = ("[[", "]]") if spec.array else ("[", "]")
        lines.append(f'    {ids[name]}{left}"{_mermaid(_title(spec))}"{right}')
    for name, spec in graph.tasks.items():
        lines += [
            f'    {ids[edge.step]} -->|"{_mermaid(f"{edge.argument}: {graph.how(edge)}")}"| '
            f"{ids[name]}"
            for edge in graph.edges[name]
        ]
        lines += [f"    {ids[step]} -.-> {ids[name]}" for step in spec.after]
    return "\n".join(lines) + "\n"


def draw_dot(graph: Graph) -> str:
    """Draw the graph for Graphviz; array tasks have a double border, `after` dotted arrows."""
    lines = [f"digraph {_quoted(graph.name)} {{", "    node [shape=box];"]
    for name, spec in graph.tasks.items():
        border = ", peripheries=2" if spec.array else ""
        lines.append(f"    {_quoted(name)} [label={_label(_title(spec))}{border}];")
    for name, spec in graph.tasks.items():
        lines += [
            f"    {_quoted(edge.step)} -> {_quoted(name)} "
            f"[label={_label(f'{edge.argument}: {graph.how(edge)}')}];"
            for edge in graph.edges[name]
        ]
        lines += [f"    {_quoted(step)} -> {_quoted(name)} [style=dotted];" for step in spec.after]
    return "\n".join([*lines, "}"]) + "\n"


def _rows(graph: Graph) -> Iterator[tuple[TaskSpec, str, str]]:
    """Yield each task with the rails beside it, and the rails that go on below it."""
    lanes: list[str | None] = []
    needed_by = {name: len(graph.downstream(name)) for name in graph.tasks}
    above: int | None = None
    for name, spec in graph.tasks.items():
        sources = {lanes.index(step): step for step in spec.upstream}
        for step in spec.upstream:
            needed_by[step] -= 1
        ending = [lane for lane, step in sources.items() if needed_by[step] == 0]
        place = min(ending) if ending else _free_lane(lanes, above)
        rails = _joined(lanes, sources, ending, place, ARRAY if spec.array else PLAIN)
        for lane in ending:
            lanes[lane] = None
        lanes[place] = name if needed_by[name] else None
        above = place
        yield spec, rails, " ".join(" " if step is None else "│" for step in lanes)


def _free_lane(lanes: list[str | None], above: int | None) -> int:
    """Return the first empty lane without a task just above that would seem connected."""
    for lane, step in enumerate(lanes):
        if step is None and lane != above:
            return lane
    lanes.append(None)
    return len(lanes) - 1


def _joined(
    lanes: list[str | None], sources: dict[int, str], ending: list[int], place: int, symbol: str
) -> str:
    """Draw one row of rails: those of the sources are joined to the task's own symbol."""
    left, right = min([place, *sources]), max([place, *sources])
    drawn = []
    for lane, step in enumerate(lanes):
        if lane == place:
            glyph = symbol
        elif lane in sources:
            ends = lane in ending
            glyph = {left: "└" if ends else "├", right: "┘" if ends else "┤"}.get(
                lane, "┴" if ends else "┼"
            )
        elif step is not None:
            glyph = "│"
        else:
            glyph = "─" if left < lane < right else " "
        drawn.append(glyph + ("─" if left <= lane < right else " "))
    return "".join(drawn).rstrip()


def _inputs(graph: Graph, spec: TaskSpec, room: int) -> list[str]:
    """Return what other tasks give a task, in lines of at most `room` where names allow it."""
    told = [f"{edge.argument} ← {edge.step} ({graph.how(edge)})" for edge in graph.edges[spec.name]]
    told += [f"{name} ← {how}" for name, how in graph.given_each(spec.name).items()]
    told += [f"after {step}" for step in spec.after]
    if sharing := _sharing(spec):
        told.append(sharing)
    if spec.overridden:
        told.append(f"configured: {configured(spec)}")
    lines: list[str] = []
    for item in told:
        if lines and _width(f"{lines[-1]}; {item}") <= room:
            lines[-1] += f"; {item}"
        else:
            lines += textwrap.wrap(item, room, break_long_words=False, break_on_hyphens=False)
    return lines


def _sharing(spec: TaskSpec) -> str:
    """Say how the elements of a task share jobs; empty where its decorator does not decide."""
    chosen = {"per_job": spec.per_job, "at_once": spec.at_once}
    return ", ".join(
        f"{name}={value}"
        for name, value in chosen.items()
        if value is not None and name not in spec.overridden
    )


def _title(spec: TaskSpec) -> str:
    return f"{spec.name}[]" if spec.array else spec.name


def _width(text: str) -> int:
    """Return the columns of a text on a terminal, where East Asian letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _mermaid(text: str) -> str:
    """Escape letters that mean something to Mermaid as `#code;`."""
    return "".join(
        letter if letter.isalnum() or letter in " _-.:[]" else f"#{ord(letter)};" for letter in text
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _label(text: str) -> str:
    """Escape a label, which, unlike a name, is read for HTML entities."""
    return _quoted(text.replace("&", "&amp;"))
