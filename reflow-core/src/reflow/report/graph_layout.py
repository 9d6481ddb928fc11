"""Placing the nodes of a graph in layers, with few crossings, for drawings.

Each node stands below all that lead to it. A link that skips layers is given a bend in each of
them, which takes part in the ordering as nodes do. Layers are ordered by the mean place of their
neighbours, up and down in turns; then every node is put as near to its neighbours as the order
allows (least squares under an order: neighbours that collide are merged and share their mean).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

NODE_GAP, LAYER_GAP, MARGIN = 28.0, 52.0, 8.0
_BEND_WIDTH = 6.0
_SWEEPS = 8

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A node's place: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of all nodes, and the points that links run through, downwards."""

    boxes: Mapping[str, Box]
    paths: Mapping[tuple[str, str], tuple[Point, ...]]
    """By upper and lower node; the path runs vertically at each of its points."""
    width: float
    height: float


@dataclass(slots=True, eq=False)
class _Node:
    layer: int
    width: float
    above: list[_Node] = field(default_factory=list)
    below: list[_Node] = field(default_factory=list)
    is_bend: bool = False
    place: float = 0.0
    """Its number within the layer while they are ordered; then the x of its centre."""


def lay_out(
    sizes: Mapping[str, tuple[float, float]], upstream: Mapping[str, Sequence[str]]
) -> Layout:
    """Place nodes, given in topological order with their widths and heights.

    `upstream` are the nodes that lead to each.
    """
    links = [(step, name) for name in sizes for step in dict.fromkeys(upstream.get(name, ()))]
    layers_of = _layers_of(list(sizes), links)
    nodes = {name: _Node(layers_of[name], width) for name, (width, _) in sizes.items()}
    chains = {link: _chain(nodes[link[0]], nodes[link[1]]) for link in links}
    layers = _layers([*nodes.values(), *(node for chain in chains.values() for node in chain)])
    _order(layers)
    _spread(layers)
    left = min(node.place - node.width / 2 for layer in layers for node in layer) - MARGIN
    for node in {id(node): node for layer in layers for node in layer}.values():
        node.place -= left
    height = max(height for _, height in sizes.values())
    boxes = {
        name: Box(
            nodes[name].place - width / 2,
            MARGIN + nodes[name].layer * (height + LAYER_GAP),
            width,
            height,
        )
        for name, (width, _) in sizes.items()
    }
    return Layout(
        boxes,
        _paths(boxes, chains, height),
        max(node.place + node.width / 2 for layer in layers for node in layer) + MARGIN,
        2 * MARGIN + len(layers) * (height + LAYER_GAP) - LAYER_GAP,
    )


def _layers_of(names: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return layers from the top; what nothing leads to stands just above what it leads to."""
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in names}
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    layers: dict[str, int] = {}
    for name in names:
        layers[name] = max((layers[step] + 1 for step in above[name]), default=0)
    for name in names:
        if below[name] and not above[name]:
            layers[name] = min(layers[step] for step in below[name]) - 1
    return layers


def _chain(upper: _Node, lower: _Node) -> list[_Node]:
    """Return the nodes from one to the other, with a new bend in each layer between."""
    bends = [
        _Node(layer, _BEND_WIDTH, is_bend=True) for layer in range(upper.layer + 1, lower.layer)
    ]
    chain = [upper, *bends, lower]
    for one, next_one in pairwise(chain):
        one.below.append(next_one)
        next_one.above.append(one)
    return chain


def _layers(nodes: Iterable[_Node]) -> list[list[_Node]]:
    unique = list({id(node): node for node in nodes}.values())
    layers: list[list[_Node]] = [[] for _ in range(1 + max(node.layer for node in unique))]
    for node in unique:
        layers[node.layer].append(node)
    return layers


# -- the order within layers ---------------------------------------------------------------------
def _order(layers: list[list[_Node]]) -> None:
    """Order each layer, keeping the arrangement with the fewest crossings."""
    _number(layers)
    best, least = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not least:
            break
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            layer.sort(key=lambda node: _mean_place(node, node.above if downwards else node.below))
            _number([layer])
        crossings = _crossings(layers)
        if crossings < least:
            best, least = [list(layer) for layer in layers], crossings
    layers[:] = best
    _number(layers)


def _number(layers: Iterable[list[_Node]]) -> None:
    for layer in layers:
        for place, node in enumerate(layer):
            node.place = place


def _mean_place(node: _Node, neighbours: Sequence[_Node]) -> float:
    if not neighbours:
        return node.place
    return sum(each.place for each in neighbours) / len(neighbours)


def _crossings(layers: Iterable[list[_Node]]) -> int:
    crossings = 0
    for layer in layers:
        ends: list[float] = []
        for node in layer:
            places = sorted(each.place for each in node.below)
            crossings += sum(len(ends) - _after(ends, place) for place in places)
            for place in places:
                insort(ends, place)
    return crossings


def _after(ends: list[float], place: float) -> int:
    """Return how many ends lie at or before a place."""
    return bisect_left(ends, place + 0.5)


# -- coordinates ---------------------------------------------------------------------------------
def _spread(layers: list[list[_Node]]) -> None:
    for layer in layers:
        _place(layer, [0.0] * len(layer))
    for sweep in range(2 * _SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            _place(layer, [_wish(node, node.above if downwards else node.below) for node in layer])


def _wish(node: _Node, neighbours: Sequence[_Node]) -> float:
    return _mean_place(node, neighbours or node.below or node.above)


def _place(layer: Sequence[_Node], wishes: Sequence[float]) -> None:
    """Put the nodes of a layer as near to their wishes as their order and widths allow."""
    offsets = [0.0]
    for one, next_one in pairwise(layer):
        offsets.append(offsets[-1] + (one.width + next_one.width) / 2 + NODE_GAP)
    blocks: list[tuple[float, int]] = []  # mean wish of what stands together, and how many
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, size = wish - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean = (mean * size + other * others) / (size + others)
            size += others
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    for node, mean, offset in zip(layer, means, offsets, strict=True):
        node.place = mean + offset


# -- paths ---------------------------------------------------------------------------------------
def _paths(
    boxes: Mapping[str, Box], chains: Mapping[tuple[str, str], list[_Node]], height: float
) -> dict[tuple[str, str], tuple[Point, ...]]:
    leaving = _ports(boxes, {link: (link[0], chain[1]) for link, chain in chains.items()})
    arriving = _ports(boxes, {link: (link[1], chain[-2]) for link, chain in chains.items()})
    paths: dict[tuple[str, str], tuple[Point, ...]] = {}
    for link, chain in chains.items():
        upper, lower = boxes[link[0]], boxes[link[1]]
        points = [(leaving[link], upper.y + upper.height)]
        for bend in chain[1:-1]:
            top = MARGIN + bend.layer * (height + LAYER_GAP)
            points += [(bend.place, top), (bend.place, top + height)]
        paths[link] = (*points, (arriving[link], lower.y))
    return paths


def _ports(
    boxes: Mapping[str, Box], ends: Mapping[tuple[str, str], tuple[str, _Node]]
) -> dict[tuple[str, str], float]:
    """Return where links touch their boxes: side by side, in the order of where they come from."""
    by_box: dict[str, list[tuple[float, tuple[str, str]]]] = {}
    for link, (name, neighbour) in ends.items():
        by_box.setdefault(name, []).append((neighbour.place, link))
    ports: dict[tuple[str, str], float] = {}
    for name, found in by_box.items():
        box = boxes[name]
        step = min(18.0, box.width / (len(found) + 1))
        for number, (_, link) in enumerate(sorted(found)):
            ports[link] = box.x + box.width / 2 + (number - (len(found) - 1) / 2) * step
    return ports
