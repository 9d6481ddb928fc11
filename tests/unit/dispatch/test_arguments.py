"""What each element of a task is called with, and by which key it is found again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.codecs.codecs import Codecs
from reflow.dispatch.arguments import TaskArguments, Wired
from reflow.dispatch.tracked_run import TrackedTask
from reflow.errors import DefinitionError
from reflow.fingerprint.files.states import State
from reflow.model.canonical import dumps
from reflow.model.tasks import FilesMode, Namespace, ParameterInput, ResultInput
from reflow.rundir.file_states import Recorded, states_as_json
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import PlannedCode

from tests.unit.dispatch.tasks import task, tracked_run_of

Rows = Sequence[tuple[int, str] | tuple[int, str, str]]
Outputs = Mapping[str, Rows]
SETTINGS = RunSettings(
    run_id="r",
    workflow="flow",
    run_dir=Path("/scratch/run"),
    store="sqlite:///m.db",
    executor="local",
    python="python3",
    working_directory=Path("/scratch"),
    flow=None,
    parameters={},
)


def of(
    outputs: Outputs,
    *tasks: TrackedTask,
    settings: RunSettings = SETTINGS,
    code: str = "code",
    keys: Mapping[str, list[int]] | None = None,
) -> TaskArguments:
    """The arguments of the last of the tasks; `outputs` are those of the others by index."""

    def of_step(run_id: str, step: str) -> Iterable[tuple[int, str, str | None]]:
        return [(*row, None) if len(row) == 2 else row for row in outputs.get(step, ())]

    image = tracked_run_of(*tasks)
    store: Any = image.store
    store.outputs = of_step
    store.output_keys = lambda run_id, step: (keys or {}).get(step, [])
    return TaskArguments(image, settings, tasks[-1], PlannedCode(code), Codecs())


def identities(arguments: TaskArguments) -> list[str]:
    return [arguments.identity(arguments.values(index)) for index in range(arguments.size)]


LISTS = [(0, "[1,2]"), (1, "[]"), (2, '["]",{"a":[3]}]')]


@pytest.mark.parametrize(
    ("mode", "step", "outputs", "expected"),
    [
        ("direct", "S", [(0, "[1,2]")], "[1,2]"),
        ("broadcast", "S", [(0, '{"a":1}')], '{"a":1}'),
        ("gather", "SSS", LISTS, '[[1,2],[],["]",{"a":[3]}]]'),
        ("gather-broadcast", "SSS", LISTS, '[[1,2],[],["]",{"a":[3]}]]'),
        ("gather-flat", "SSS", LISTS, '[1,2,"]",{"a":[3]}]'),
        ("gather-flat-broadcast", "SSS", LISTS, '[1,2,"]",{"a":[3]}]'),
        ("gather", "", [], "[]"),
        ("gather-flat", "", [], "[]"),
    ],
)
def test_what_is_passed_whole_is_common_to_all_elements(
    mode: str, step: str, outputs: list[tuple[int, str]], expected: str
) -> None:
    arguments = of({"a": outputs}, task("a", step), task("t", "P", f"a:{mode}"))
    assert arguments.common == {"a": expected}
    assert (arguments.each, arguments.size, arguments.values(0)) == ((), 1, ())
    assert arguments.shown(0) == {"a": expected}


@pytest.mark.parametrize(
    ("mode", "step", "outputs", "expected"),
    [
        ("fan-out", "S", [(0, '[1,[2],"a,b"]')], ["1", "[2]", '"a,b"']),
        ("fan-out", "S", [(0, "[]")], []),
        ("fan-out-flat", "SSS", LISTS, ["1", "2", '"]"', '{"a":[3]}']),
        ("chain", "SS", [(0, "7"), (1, "[8]")], ["7", "[8]"]),
    ],
)
def test_what_is_passed_in_parts_has_one_for_each_element(
    mode: str, step: str, outputs: list[tuple[int, str]], expected: list[str]
) -> None:
    arguments = of({"a": outputs}, task("a", step), task("t", None, f"a:{mode}"))
    assert (arguments.common, arguments.each) == ({}, ("a",))
    assert [arguments.values(index)[0].text for index in range(arguments.size)] == expected
    assert [arguments.shown(index)["a"] for index in range(arguments.size)] == expected


def test_elements_that_are_chained_know_theirs_before_all_are_there() -> None:
    arguments = of({"a": [(1, "11"), (3, "13")]}, task("a", "RSQS"), task("t", "PPPP", "a:chain"))
    assert arguments.size == 4
    assert [arguments.values(index) for index in (1, 3)] == [(Wired("11"),), (Wired("13"),)]


def test_several_steps_of_one_argument_are_counted_on_in_their_order() -> None:
    outputs = {"a": [(0, "[1,2]")], "b": [(0, "[3]")]}
    steps = (task("a", "S"), task("b", "S"))
    each = of(outputs, *steps, task("t", None, "b:fan-out:x", "a:fan-out:x"))
    assert [each.values(index)[0].text for index in range(each.size)] == ["3", "1", "2"]
    whole = of(outputs, *steps, task("t", "P", "b:direct:x", "a:direct:x"))
    assert whole.common == {"x": "[3,1,2]"}


def test_lists_side_by_side_keep_the_order_of_the_arguments() -> None:
    outputs = {"a": [(0, "[1,2]")], "b": [(0, "[3,4]")]}
    arguments = of(
        outputs, task("a", "S"), task("b", "S"), task("t", None, "b:fan-out", "a:fan-out")
    )
    assert arguments.each == ("b", "a")
    assert arguments.values(1) == (Wired("4"), Wired("2"))


def test_lists_of_unequal_lengths_are_named_with_their_lengths() -> None:
    outputs = {"a": [(0, "[1,2]")], "b": [(0, "[3]")]}
    with pytest.raises(DefinitionError, match=r"'t' .*: 'a' has 2, 'b' has 1"):
        of(outputs, task("a", "S"), task("b", "S"), task("t", None, "a:fan-out", "b:fan-out"))


def test_different_lengths_are_an_error_that_names_the_product() -> None:
    outputs = {"a": [(0, "[1,2]")], "b": [(0, "[3]")]}
    with pytest.raises(DefinitionError, match='write array="product"'):
        of(outputs, task("a", "S"), task("b", "S"), task("t", None, "a:fan-out", "b:fan-out"))


@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=3))
def test_a_product_has_the_order_of_itertools(lists: list[list[int]]) -> None:
    names = [f"s{place}" for place in range(len(lists))]
    wires = [f"{name}:fan-out" for name in names]
    arguments = of(
        {name: [(0, dumps([*items]))] for name, items in zip(names, lists, strict=True)},
        *(task(name, "S") for name in names),
        task("t", None, *wires, combination="product"),
    )
    found = [
        tuple(int(value.text) for value in arguments.values(index))
        for index in range(arguments.size)
    ]
    assert found == list(product(*lists))


@pytest.mark.parametrize(
    ("text", "kind"), [("1", "int"), ('{"a":1}', "dict"), ("null", "None"), ('{"$set":[1]}', "set")]
)
@pytest.mark.parametrize("mode", ["fan-out", "fan-out-flat", "gather-flat"])
def test_what_is_no_list_is_named_with_the_task_that_returned_it(
    mode: str, text: str, kind: str
) -> None:
    with pytest.raises(DefinitionError, match=rf"'a' returned a {kind} where 'a' of task 't' nee"):
        of({"a": [(0, text)]}, task("a", "S"), task("t", None, f"a:{mode}"))


def wired_with(step: str, mode: str, **more: Any) -> TrackedTask:
    """An array task wired to a step whose annotation says more than a list."""
    one = task("t", None, f"{step}:{mode}")
    one.define(one.spec, tuple(replace(edge, **more) for edge in one.edges))
    return one


def test_a_tuple_has_an_element_for_each_item() -> None:
    arguments = of({"a": [(0, '{"$tuple":[1,"b"]}')]}, task("a", "S"), task("t", None, "a:fan-out"))
    assert [arguments.values(index)[0].text for index in range(2)] == ["1", '"b"']


@pytest.mark.parametrize(
    "text", ['{"a":1,"b":[2]}', '{"$dict":[["a",1],["b",[2]]]}'], ids=["object", "wrapped"]
)
def test_a_dict_has_an_element_for_each_key_with_its_value(text: str) -> None:
    taker = wired_with("a", "fan-out", pairs=True)
    arguments = of({"a": [(0, text)]}, task("a", "S"), taker)
    assert [arguments.values(index)[0].text for index in range(arguments.size)] == [
        '{"$tuple":["a",1]}',
        '{"$tuple":["b",[2]]}',
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("gather", '[{"k":1},{"k":2}]'),
        ("gather-flat", '[{"$tuple":["k",1]},{"$tuple":["k",2]}]'),
    ],
)
def test_dicts_of_several_steps_are_gathered_into_one_list(mode: str, expected: str) -> None:
    taker = task("t", "P", f"a:{mode}:x", f"b:{mode}:x")
    taker.define(taker.spec, tuple(replace(edge, pairs=True) for edge in taker.edges))
    outputs = {"a": [(0, '{"k":1}')], "b": [(0, '{"k":2}')]}
    assert of(outputs, task("a", "S"), task("b", "S"), taker).common == {"x": expected}


@pytest.mark.parametrize(("mode", "size"), [("fan-out", 0), ("fan-out-flat", 1)])
def test_none_has_no_items_where_the_step_may_return_it(mode: str, size: int) -> None:
    outputs = {"a": [(0, "null")] if mode == "fan-out" else [(0, "null"), (1, "[5]")]}
    upstream = task("a", "S" if mode == "fan-out" else "SS")
    assert of(outputs, upstream, wired_with("a", mode, optional=True)).size == size


def gathering(mode: str, *, in_place: bool = False) -> TrackedTask:
    one = task("t", "P", f"a:{mode}")
    edges = (replace(edge, allow_failed=True, in_place=in_place) for edge in one.edges)
    one.define(one.spec, tuple(edges))
    return one


def test_what_failed_is_left_out_of_a_gather_or_has_none_in_its_place() -> None:
    outputs = {"a": [(0, "[1]"), (2, "[3]")]}
    upstream = task("a", "SFS")
    assert of(outputs, upstream, gathering("gather")).common == {"a": "[[1],[3]]"}
    in_place = of(outputs, upstream, gathering("gather", in_place=True))
    assert in_place.common == {"a": "[[1],null,[3]]"}
    assert of(outputs, upstream, gathering("gather-flat")).common == {"a": "[1,3]"}


def test_what_is_missing_is_part_of_the_identity() -> None:
    values = ["[1]", "[2]"]

    def identity(elements: str, taker: TrackedTask) -> str:
        places = [index for index, letter in enumerate(elements) if letter == "S"]
        outputs = {"a": list(zip(places, values, strict=True))}
        (found,) = identities(of(outputs, task("a", elements), taker))
        return found

    first, last = identity("FSS", gathering("gather")), identity("SSF", gathering("gather"))
    complete = identity("SS", gathering("gather"))
    assert len({first, last, complete}) == 3
    assert complete == identity("SS", task("t", "P", "a:gather"))


# -- parameters ------------------------------------------------------------------------------------
def each_of(argument: str, keyword: str, *wires: str) -> TrackedTask:
    one = task("t", None, *wires)
    given = ParameterInput(argument=argument, annotation=list[str], each=True)
    assert given.keyword("t") == keyword
    one.define(replace(one.spec, inputs=(*one.spec.inputs, given)), one.edges)
    return one


def test_a_parameter_may_give_each_element_one_item() -> None:
    settings = replace(SETTINGS, parameters={"day": '["mo","tu"]'})
    arguments = of({}, each_of("day", "day"), settings=settings)
    assert (arguments.size, arguments.each, arguments.common) == (2, ("day",), {})
    assert arguments.values(1) == (Wired('"tu"'),)
    assert len(set(identities(arguments))) == 2


def test_a_list_parameter_and_a_list_go_side_by_side_and_must_be_of_one_length() -> None:
    outputs = {"a": [(0, "[1,2]")]}
    tasks = (task("a", "S"), each_of("day", "day", "a:fan-out"))
    settings = replace(SETTINGS, parameters={"day": '["mo","tu"]'})
    assert of(outputs, *tasks, settings=settings).values(0) == (Wired("1"), Wired('"mo"'))
    with pytest.raises(DefinitionError, match="'a' has 2, 'day' has 1"):
        of(outputs, *tasks, settings=replace(SETTINGS, parameters={"day": '["mo"]'}))


def with_parameter(namespace: Namespace) -> TrackedTask:
    one = task("t")
    given = ParameterInput(argument="day", annotation=int, namespace=namespace)
    one.define(replace(one.spec, inputs=(given,)), ())
    return one


@pytest.mark.parametrize(
    ("namespace", "keyword"), [(Namespace.GLOBAL, "day"), (Namespace.LOCAL, "t_day")]
)
def test_a_parameter_is_found_by_its_keyword_and_passed_by_its_own_name(
    namespace: Namespace, keyword: str
) -> None:
    settings = replace(SETTINGS, parameters={keyword: "3", "other": "4"})
    assert of({}, with_parameter(namespace), settings=settings).common == {"day": "3"}


def test_a_parameter_that_is_newer_than_the_run_is_named() -> None:
    with pytest.raises(DefinitionError, match=r"'t' was given the parameter 'day' since r was"):
        of({}, with_parameter(Namespace.GLOBAL))


# -- what an element counts by ---------------------------------------------------------------------
def fan_out(name: str = "t", items: str = "[1,2]", **changed: Any) -> list[str]:
    after = tuple(changed.pop("after", ()))
    others = [task("a", "S"), *(task(step, "S") for step in after)]
    return identities(
        of({"a": [(0, items)]}, *others, task(name, None, "a:fan-out", after=after), **changed)
    )


def test_an_element_counts_by_its_own_part_and_not_by_its_index_or_its_neighbours() -> None:
    first, second = fan_out(items="[1,2]")
    assert first != second
    assert fan_out(items="[2,5,1]")[::2] == [second, first]


def test_an_element_counts_by_task_code_and_what_it_waits_for() -> None:
    given: list[dict[str, Any]] = [
        {},
        {"name": "u"},
        {"code": "other"},
        {"after": ["b"], "keys": {"b": [7]}},
        {"after": ["b"], "keys": {"b": [8]}},
        {"after": ["b", "c"], "keys": {"b": [7], "c": []}},
    ]
    found = [fan_out(**each)[0] for each in given]
    assert len(set(found)) == len(given)
    assert fan_out(**given[3])[0] == found[3]


def test_a_common_value_counts_under_the_name_of_its_argument() -> None:
    def key(argument: str, text: str) -> str:
        return identities(
            of({"a": [(0, text)]}, task("a", "S"), task("t", "P", f"a:direct:{argument}"))
        )[0]

    assert key("x", "1") == key("x", "1")
    assert len({key("x", "1"), key("x", "2"), key("y", "1")}) == 3


# -- files -----------------------------------------------------------------------------------------
CODECS = Codecs()
NOTHING: dict[str, tuple[State, ...]] = {}


def looked(name: str, size: int = 1) -> State:
    return State(place=f"/scratch/{name}", mode="stat", kind="file", size=size, newest=10)


def paths(*names: str) -> str:
    return dumps(CODECS.encode([Path(name) for name in names], list[Path]))


def recorded(*states: State) -> str:
    text = Recorded(states).text()
    assert text is not None
    return text


def test_each_part_of_a_list_has_the_states_of_its_own_files() -> None:
    a, b, c = looked("a"), looked("b"), looked("c")
    pair = dumps(CODECS.encode([Path("a"), 5, [Path("b"), Path("c")]], list[Any]))
    arguments = of(
        {"s": [(0, pair, recorded(a, b, c))]}, task("s", "S"), task("t", None, "s:fan-out")
    )
    assert [arguments.values(index)[0].states for index in range(3)] == [(a,), (), (b, c)]
    assert [arguments.states(arguments.values(index)) for index in range(3)] == [
        ((a,),),
        (),
        ((b, c),),
    ]


def test_lists_that_are_put_together_keep_their_files_in_order() -> None:
    a, b, c = looked("a"), looked("b"), looked("c")
    rows: Rows = [(0, paths("a", "b"), recorded(a, b)), (1, "[1]"), (2, paths("c"), recorded(c))]
    for mode in ("gather", "gather-flat"):
        arguments = of({"s": rows}, task("s", "SSS"), task("t", "P", f"s:{mode}"))
        assert arguments.common_states == {"s": (a, b, c)}
    arguments = of({"s": rows}, task("s", "SSS"), task("t", None, "s:fan-out-flat"))
    states = [arguments.values(index)[0].states for index in range(4)]
    assert states == [(a,), (b,), (), (c,)]


@pytest.mark.parametrize("mode", ["direct", "fan-out"])
def test_a_file_that_has_changed_changes_the_key(mode: str) -> None:
    def key(state: State) -> str:
        rows = [(0, paths("a"), recorded(state))]
        return identities(of({"s": rows}, task("s", "S"), task("t", None, f"s:{mode}")))[0]

    assert key(looked("a", 1)) == key(looked("a", 1))
    assert key(looked("a", 1)) != key(looked("a", 2))


@pytest.mark.parametrize("mode", ["direct", "fan-out"])
def test_a_place_that_is_written_to_counts_by_where_it_is_alone(mode: str) -> None:
    def arguments(name: str, state: State, here: str = "/scratch") -> TaskArguments:
        one = task("t", None, f"s:{mode}")
        given = ResultInput(argument="s", annotation=Path, steps=("s",), output=True)
        one.define(replace(one.spec, inputs=(given,)), one.edges)
        rows = [(0, paths(name), recorded(state))]
        settings = replace(SETTINGS, working_directory=Path(here))
        return of({"s": rows}, task("s", "S"), one, settings=settings)

    def key(name: str, state: State, here: str = "/scratch") -> str:
        return identities(arguments(name, state, here))[0]

    assert key("a", looked("a", 1)) == key("a", looked("a", 2))
    assert key("a", looked("a")) != key("b", looked("b"))
    assert key("a", looked("a")) != key("a", looked("a"), here="/elsewhere")
    found = arguments("a", looked("a"))
    assert found.common_states == NOTHING
    assert not any(found.states(found.values(0)))


def test_the_files_of_a_parameter_count_as_they_were_at_submission() -> None:
    def arguments(size: int, mode: FilesMode | None = None) -> TaskArguments:
        there = replace(looked("a"), mode="exists", size=0, newest=None)
        settings = replace(
            SETTINGS,
            parameters={"day": paths("a")},
            parameter_states={
                "stat": {"day": states_as_json([looked("a", size)])},
                "exists": {"day": states_as_json([there])},
            },
        )
        one = with_parameter(Namespace.GLOBAL)
        one.define(replace(one.spec, files=mode), ())
        return of({}, one, settings=settings)

    assert arguments(1).common_states == {"day": (looked("a", 1),)}
    assert identities(arguments(1)) == identities(arguments(1))
    assert identities(arguments(1)) != identities(arguments(2))
    # By the task's own mode, where it has one.
    assert identities(arguments(1, "exists")) == identities(arguments(2, "exists"))
    assert identities(arguments(1, "exists")) != identities(arguments(1))
