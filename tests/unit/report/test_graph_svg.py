"""Workflows drawn as SVG."""

from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.report.graph_layout import Box, lay_out
from reflow.report.graph_svg import COLOURS, Standing, graph_svg

from tests.unit.report.graphs import Pairs, graph

SVG = "{http://www.w3.org/2000/svg}"


def read(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def texts(drawing: str) -> list[str]:
    return [each.text or "" for each in read(drawing).iter(f"{SVG}text")]


def test_every_task_is_a_box_and_every_dependency_a_line_that_tells_what_it_is() -> None:
    edges = [("prepare", "work"), ("work", "publish")]
    drawn = graph(
        ["prepare", "work", "publish"], edges, arrays="work", after=[("prepare", "publish")]
    )
    drawing = graph_svg(drawn)
    assert texts(drawing) == ["prepare", "work[]", "publish"]
    tips = [each.text for each in read(drawing).iter(f"{SVG}title")]
    assert tips == [
        "Workflow drawn",
        "x0 ← prepare (direct)",
        "x1 ← work (direct)",
        "after prepare",
        "prepare",
        "work\nx0 from prepare (direct)",
        "publish\nx1 from work (direct)\nafter prepare",
    ]


def test_readers_of_screens_are_told_title_and_content() -> None:
    drawing = read(
        graph_svg(graph(["a", "b"], ["ab"]), {"b": Standing(state="FAILED", text="3/4")})
    )
    ids = {each.get("id"): each.text for each in drawing if each.get("id")}
    assert drawing.get("role") == "img"
    assert ids[drawing.get("aria-labelledby")] == "Workflow drawn"
    said = ids[drawing.get("aria-describedby")]
    assert said == "task a. task b, failed, 3/4: x0 from a (direct)."


def test_a_state_is_told_in_words_and_as_the_length_of_a_bar() -> None:
    standing = {"a": Standing(state="RUNNING", text="7/10", shares={"SUCCESS": 0.7, "FAILED": 0.1})}
    drawing = graph_svg(graph(["a"], []), standing)
    assert texts(drawing) == ["a", "7/10"]
    whole, done, failed = [
        float(each.get("width", 0)) for each in read(drawing).iter(f"{SVG}rect")
    ][1:]
    assert done == pytest.approx(0.7 * whole, abs=0.1)
    assert failed == pytest.approx(0.1 * whole, abs=0.1)
    assert "waiting" not in drawing
    assert texts(graph_svg(graph(["a"], []), {"a": Standing(state="SKIPPED")})) == ["a", "skipped"]


def test_a_task_can_lead_to_its_place_in_the_page() -> None:
    drawing = read(graph_svg(graph(["a"], []), {"a": Standing(state="SUCCESS", href="#task-a")}))
    assert [each.get("href") for each in drawing.iter(f"{SVG}a")] == ["#task-a"]
    assert drawing.get("role") == "group"


def test_nothing_that_users_wrote_is_read_as_svg() -> None:
    nasty = "<script>\"'&"
    standing = {nasty: Standing(state="FAILED", text=nasty, href='"><script>')}
    drawing = graph_svg(graph([nasty, "b"], [(nasty, "b")]), standing)
    assert "<script" not in drawing
    assert texts(drawing) == [nasty, nasty, "b"]


def test_two_drawings_in_one_page_have_ids_of_their_own() -> None:
    ids = [
        {each.get("id") for each in read(graph_svg(graph(names, []))).iter() if each.get("id")}
        for names in ("a", "b")
    ]
    assert not ids[0] & ids[1]


def test_colours_of_states_stand_out_on_dark_and_on_light() -> None:
    def brightness(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS.values():
        assert 1.05 / (brightness(colour) + 0.05) >= 3, colour
        assert (brightness(colour) + 0.05) / (brightness("#121212") + 0.05) >= 3, colour


def test_a_name_of_any_length_stays_in_its_box() -> None:
    drawing = graph_svg(graph(["n" * 200, "b"], []))
    assert texts(drawing)[0] == "n" * 31 + "…"
    assert float(read(drawing).get("width", 0)) < 500


# -- the layout ----------------------------------------------------------------------------------
@st.composite
def dags(draw: st.DrawFn) -> tuple[list[str], Pairs]:
    names = [f"t{number}" for number in range(draw(st.integers(1, 14)))]
    pairs = [(up, down) for place, down in enumerate(names) for up in names[:place]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []
    return names, chosen


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


@given(dags(), st.randoms(use_true_random=False))
def test_boxes_never_overlap_and_links_lead_down_inside_the_drawing(
    dag: tuple[list[str], Pairs], chance: random.Random
) -> None:
    names, pairs = dag
    sizes = {name: (chance.uniform(30, 200), 34.0) for name in names}
    upstream = {name: [up for up, down in pairs if down == name] for name in names}
    layout = lay_out(sizes, upstream)
    boxes = list(layout.boxes.values())
    for place, box in enumerate(boxes):
        assert box.x >= 0
        assert box.x + box.width <= layout.width
        assert box.y + box.height <= layout.height
        assert not any(overlap(box, other) for other in boxes[:place])
    assert layout.paths.keys() == set(pairs)
    for (up, down), path in layout.paths.items():
        heights = [y for _, y in path]
        assert heights == sorted(heights)
        for (x, y), name in ((path[0], up), (path[-1], down)):
            box = layout.boxes[name]
            assert box.x <= x <= box.x + box.width
            assert box.y <= y <= box.y + box.height
        for (x, y), (below_x, below_y) in zip(path[1:-1:2], path[2:-1:2], strict=True):
            assert x == below_x
            passing = Box(x, y, 0.0, below_y - y)
            assert not any(overlap(passing, box) for box in boxes)


def test_a_chain_is_straight_and_a_diamond_even() -> None:
    size = (100.0, 34.0)
    chain = lay_out(dict.fromkeys("abc", size), {"b": ["a"], "c": ["b"]})
    assert len({box.x for box in chain.boxes.values()}) == 1
    diamond = lay_out(dict.fromkeys("abcd", size), {"b": ["a"], "c": ["a"], "d": ["b", "c"]})
    a, b, c, d = (box.x for box in diamond.boxes.values())
    assert a == pytest.approx(d)
    assert a - b == pytest.approx(c - a)


def test_a_thousand_tasks_are_drawn() -> None:
    names = [f"t{number}" for number in range(1000)]
    pairs = [(names[number // 3], names[number]) for number in range(1, 1000)]
    assert graph_svg(graph(names, pairs)).count("<rect") == 1000
