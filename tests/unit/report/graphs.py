"""Graphs of tasks that do nothing, for drawings of them."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.model.graph import Edge, Graph, WireMode
from reflow.model.tasks import ResultInput, TaskSpec

Pairs = Sequence[tuple[str, str]]


def graph(
    names: Sequence[str], edges: Sequence[str] | Pairs, *, arrays: str = "", after: Pairs = ()
) -> Graph:
    """A graph of tasks; an edge is two names, or a text of two letters."""
    wires = [
        Edge(step=up, task=down, argument=f"x{place}", mode=WireMode.DIRECT, rule="direct")
        for place, (up, down) in enumerate(edges)
    ]
    wired = {name: tuple(wire for wire in wires if wire.task == name) for name in names}
    specs = {
        name: TaskSpec(
            name=name,
            function=print,
            array=name == arrays,
            inputs=tuple(
                ResultInput(argument=wire.argument, annotation=int, steps=(wire.step,))
                for wire in wired[name]
            ),
            after=tuple(up for up, down in after if down == name),
        )
        for name in names
    }
    return Graph(name="drawn", tasks=specs, edges=wired, parameters={})
