"""Drawings of workflows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.model.graph import Graph
from reflow.report.drawing import draw_dot, draw_mermaid, draw_text

from tests.unit.report.graphs import graph


def test_a_chain_is_one_rail_and_array_tasks_are_marked() -> None:
    edges = [("prepare", "work"), ("work", "publish")]
    assert draw_text(graph(["prepare", "work", "publish"], edges, arrays="work")) == (
        "○  prepare\n"
        "◎  work[]   x0 ← prepare (direct)\n"
        "○  publish  x1 ← work (direct)\n"
        "\n"
        "◎ [] array task: one instance per element\n"
    )


def test_how_elements_share_jobs_is_drawn_beside_their_inputs() -> None:
    drawn = graph(["prepare", "work"], [("prepare", "work")], arrays="work")
    specs = {**drawn.tasks, "work": replace(drawn.tasks["work"], per_job="auto", at_once=8)}
    text = draw_text(replace(drawn, tasks=specs))
    assert "◎  work[]   x0 ← prepare (direct); per_job=auto, at_once=8\n" in text


def test_a_diamond_opens_and_closes_a_rail() -> None:
    assert draw_text(graph("abcd", ["ab", "ac", "bd", "cd"])) == (
        "○    a\n"
        "├─○  b  x0 ← a (direct)\n"
        "○ │  c  x1 ← a (direct)\n"
        "○─┘  d  x2 ← b (direct); x3 ← c (direct)\n"
    )


def test_tasks_that_have_nothing_to_do_with_each_other_do_not_look_joined() -> None:
    assert draw_text(graph("abc", [])) == "○    a\n  ○  b\n○    c\n"


def test_rails_go_on_beside_a_task_with_many_inputs() -> None:
    wide = graph("abcde", ["ad", "bd", "cd", "ae"], after=[("b", "e")])
    drawn = draw_text(wide, width=38)
    assert drawn == (
        "○      a\n"
        "│ ○    b\n"
        "│ │ ○  c\n"
        "├─┼─○  d  x0 ← a (direct)\n"
        "│ │       x1 ← b (direct)\n"
        "│ │       x2 ← c (direct)\n"
        "○─┘    e  x3 ← a (direct); after b\n"
    )


def test_a_rail_that_is_passed_is_not_joined() -> None:
    drawn = draw_text(graph("abcd", ["ac", "bd", "ad"]))
    assert drawn.splitlines()[2].startswith("├─│─○  c")


def test_a_name_longer_than_the_column_has_its_inputs_below() -> None:
    name = "a task with a name of more than a few words"
    drawn = draw_text(graph(["first", name], [("first", name)]), width=80)
    assert drawn.splitlines()[1] == f"○  {name}"
    assert drawn.splitlines()[2].strip() == "x0 ← first (direct)"


def thirty(seed: int) -> Graph:
    chosen = random.Random(seed)
    names = [f"{chosen.choice(['convert', 'merge', 'regrid_fields'])}_{i}" for i in range(30)]
    edges = [
        (up, name)
        for place, name in enumerate(names)
        for up in chosen.sample(names[max(0, place - 6) : place], min(place, chosen.randint(0, 3)))
    ]
    return graph(names, edges)


@pytest.mark.parametrize("seed", range(20))
def test_thirty_tasks_fit_into_eighty_columns(seed: int) -> None:
    lines = draw_text(thirty(seed)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 90


def read_back(drawn: str, names: list[str]) -> dict[str, set[str]]:
    """What a person sees: which tasks each task's symbol is joined to, by rails alone."""
    above, lanes, joined = "", dict[int, str](), dict[str, set[str]]()
    for line, name in zip(drawn.splitlines(), names, strict=True):
        rails = line[: line.index(f" {name}")].rstrip()
        place = rails.index("○")
        sources = {lanes[place]} if above[place : place + 1] in tuple("○│├┤┼") else set()
        for step in (-1, 1):
            column = place + step
            while rails[column : column + 1] in tuple("─│├┤┼└┘┴") and column >= 0:
                if rails[column] in "├┤┼└┘┴":
                    sources.add(lanes[column])
                column += step
                if rails[column - step] in "├└" and step < 0:
                    break
                if rails[column - step] in "┤┘" and step > 0:
                    break
                if rails[column : column + 1] == " ":
                    break
        joined[name], lanes[place], above = sources, name, rails
    return joined


@given(st.integers(), st.integers(2, 30))
def test_the_graph_can_be_read_from_its_rails(seed: int, size: int) -> None:
    chosen = random.Random(seed)
    names = [f"t{place}" for place in range(size)]
    edges = {
        (up, name)
        for place, name in enumerate(names)
        for up in chosen.sample(names[:place], min(place, chosen.randint(0, 3)))
    }
    drawn = draw_text(graph(names, sorted(edges)), width=400)
    assert read_back(drawn, names) == {
        name: {up for up, down in edges if down == name} for name in names
    }


HOSTILE = 'a "b" <c>&amp; #d; `e`\\'


def test_mermaid_labels_are_escaped() -> None:
    drawn = draw_mermaid(graph([HOSTILE, "end"], [(HOSTILE, "end")], arrays="end"))
    assert drawn == (
        "flowchart TD\n"
        '    t0["a #34;b#34; #60;c#62;#38;amp#59; #35;d#59; #96;e#96;#92;"]\n'
        '    t1[["end[]"]]\n'
        '    t0 -->|"x0: direct"| t1\n'
    )


def test_mermaid_shows_after_as_a_dotted_arrow() -> None:
    assert "    t0 -.-> t1\n" in draw_mermaid(graph("ab", [], after=[("a", "b")]))


def test_dot_names_and_labels_are_quoted() -> None:
    edges = [(HOSTILE, "b")]
    drawn = draw_dot(graph([HOSTILE, "b"], edges, arrays="b", after=edges))
    name = '"a \\"b\\" <c>&amp; #d; `e`\\\\"'
    assert drawn == (
        'digraph "drawn" {\n'
        "    node [shape=box];\n"
        f"    {name} [label={name.replace('&', '&amp;')}];\n"
        '    "b" [label="b[]", peripheries=2];\n'
        f'    {name} -> "b" [label="x0: direct"];\n'
        f'    {name} -> "b" [style=dotted];\n'
        "}\n"
    )
