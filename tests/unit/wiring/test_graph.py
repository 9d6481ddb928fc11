"""Putting a workflow together."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.errors import DefinitionError
from reflow.flow import Flow
from reflow.model.graph import Graph, WireMode
from reflow.model.tasks import REQUIRED, ResultInput, TaskSpec
from reflow.wiring.graph import build_graph
from reflow.wiring.markers import Param, Result, RunDir
from reflow.wiring.rules import builtin_type_rules


def wired(flow: Flow) -> Graph:
    return build_graph(flow.name, flow.specs(), builtin_type_rules())


def refused(flow: Flow) -> str:
    with pytest.raises(DefinitionError) as caught:
        wired(flow)
    return str(caught.value)


@pytest.fixture
def flow() -> Flow:
    return Flow("weather")


def tasks(*edges: tuple[str, str], names: str = "") -> list[TaskSpec]:
    """Plain tasks that take an int from each upstream task, in the order of `names`."""
    order = list(names) or sorted({name for edge in edges for name in edge})
    return [
        TaskSpec(
            name=name,
            function=print,
            returns=int,
            inputs=tuple(
                ResultInput(argument=f"from_{up}", annotation=int, steps=(up,))
                for up, down in edges
                if down == name
            ),
        )
        for name in order
    ]


def order(specs: list[TaskSpec]) -> str:
    return "".join(build_graph("w", specs, builtin_type_rules()).tasks)


def test_fan_out_chain_and_gather_end_to_end(flow: Flow) -> None:
    @flow.job
    def prepare(run_dir: RunDir = RunDir()) -> list[str]: ...  # noqa: B008
    @flow.job(array=True)
    def convert(item: Annotated[str, Result(step="prepare")], scale: int) -> float: ...
    @flow.array_job
    def refine(
        value: Annotated[float, Result(step="convert")],
        everything: Annotated[list[str], Result(step="prepare")],
    ) -> float: ...
    @flow.job(after="convert")
    def publish(values: Annotated[list[float], Result(step="refine")]) -> str: ...

    graph = wired(flow)
    modes = {
        (edge.task, edge.argument): edge.mode for edges in graph.edges.values() for edge in edges
    }
    assert modes == {
        ("convert", "item"): WireMode.FAN_OUT,
        ("refine", "value"): WireMode.CHAIN,
        ("refine", "everything"): WireMode.BROADCAST,
        ("publish", "values"): WireMode.GATHER,
    }
    assert graph.edges["prepare"] == ()
    assert graph.tasks["publish"].upstream == ("refine", "convert")
    assert graph.downstream("convert") == ("refine", "publish")
    assert list(graph.parameters) == ["scale"]


def test_a_workflow_without_tasks_is_an_error(flow: Flow) -> None:
    assert "has no tasks" in refused(flow)


def test_an_unknown_step_is_an_error_with_the_nearest_name(flow: Flow) -> None:
    @flow.job
    def prepare() -> list[str]: ...
    @flow.job
    def publish(paths: Annotated[list[str], Result(step="prepaer")]) -> None: ...

    text = refused(flow)
    assert "task 'publish' takes the result of step 'prepaer'" in text
    assert "did you mean 'prepare'?" in text


def test_after_an_unknown_task_is_an_error_with_the_nearest_name(flow: Flow) -> None:
    @flow.job
    def prepare() -> list[str]: ...
    @flow.job(after=["prepare", "prepares"])
    def publish() -> None: ...

    assert "'publish' runs after step 'prepares', which does not exist; did you" in refused(flow)


def test_a_task_that_takes_its_own_result_is_an_error(flow: Flow) -> None:
    @flow.job
    def prepare(paths: Annotated[list[str], Result(step="prepare")]) -> list[str]: ...

    assert refused(flow) == "task 'prepare' waits for itself"


def test_a_cycle_is_printed_in_the_direction_of_the_values() -> None:
    cycle = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("x", "a")]
    with pytest.raises(DefinitionError, match="'a' -> 'b' -> 'c' -> 'a';"):
        order(tasks(*cycle))


def test_a_cycle_through_after_is_found(flow: Flow) -> None:
    @flow.job(after="second")
    def first() -> int: ...
    @flow.job
    def second(value: Annotated[int, Result(step="first")]) -> int: ...

    assert "'first' -> 'second' -> 'first'" in refused(flow)


def test_tasks_stand_in_the_order_of_definition_where_they_can() -> None:
    assert order(tasks(names="dbca")) == "dbca"
    assert order(tasks(("a", "b"), ("c", "a"), names="bdac")) == "dcab"


@given(
    st.permutations("abcdefgh"),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=15),
)
def test_upstream_tasks_always_come_first(names: list[str], pairs: list[tuple[str, str]]) -> None:
    edges = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    found = order(tasks(*edges, names="".join(names)))
    assert sorted(found) == sorted(names)
    assert all(found.index(up) < found.index(down) for up, down in edges)
    if not edges:
        assert found == "".join(names)


def test_types_that_do_not_fit_are_an_error_with_both_names_and_both_types(flow: Flow) -> None:
    @flow.job
    def prepare() -> list[int]: ...
    @flow.job
    def publish(text: Annotated[str, Result(step="prepare")]) -> None: ...

    text = refused(flow)
    assert "task 'publish' takes text: str from step 'prepare'" in text
    assert "list[int]" in text


def test_an_array_task_that_nothing_gives_elements_says_what_to_do(flow: Flow) -> None:
    @flow.job
    def prepare() -> list[str]: ...
    @flow.job(array=True)
    def convert(all_of_them: Annotated[list[str], Result(step="prepare")], n: int) -> str: ...

    text = refused(flow)
    assert "array task 'convert' has no argument that gives it elements" in text
    assert "leave array=True out" in text


def test_several_fan_outs_are_zipped(flow: Flow) -> None:
    @flow.job
    def names() -> list[str]: ...
    @flow.job
    def sizes() -> list[int]: ...
    @flow.job(array=True)
    def make(
        name: Annotated[str, Result(step="names")], size: Annotated[int, Result(step="sizes")]
    ) -> str: ...

    assert [edge.mode for edge in wired(flow).edges["make"]] == [WireMode.FAN_OUT] * 2


def test_joined_steps_have_an_edge_each_in_their_order(flow: Flow) -> None:
    @flow.job
    def left() -> list[str]: ...
    @flow.job(array=True)
    def right(item: Annotated[str, Result(step="left")]) -> str: ...
    @flow.job(array=True)
    def each(item: Annotated[str, Result(steps=["right", "left"])]) -> str: ...
    @flow.job
    def joined(items: Annotated[list[str], Result(steps=["right", "left"])]) -> str: ...

    edges = wired(flow).edges
    assert [(edge.step, edge.mode) for edge in edges["each"]] == [
        ("right", WireMode.CHAIN),
        ("left", WireMode.FAN_OUT),
    ]
    assert [(edge.step, edge.mode) for edge in edges["joined"]] == [
        ("right", WireMode.GATHER),
        ("left", WireMode.DIRECT),
    ]


def test_parts_and_whole_lists_cannot_be_joined(flow: Flow) -> None:
    @flow.job
    def start() -> list[str]: ...
    @flow.job
    def nested() -> list[list[str]]: ...
    @flow.job(array=True)
    def each(
        item: Annotated[list[str], Result(steps=["start", "nested"])],
        other: Annotated[str, Result(step="start")],
    ) -> str: ...

    text = refused(flow)
    assert "'start' (broadcast)" in text
    assert "'nested' (fan-out)" in text


# -- parameters ---------------------------------------------------------------------------


def test_a_shared_parameter_is_one_parameter_of_all_its_tasks(flow: Flow) -> None:
    @flow.job
    def one(start: Annotated[str, Param(short="-s")], n: int = 3) -> int: ...
    @flow.job
    def other(start: Annotated[str, Param(help="First day")], m: int | None = None) -> int: ...

    parameters = wired(flow).parameters
    assert list(parameters) == ["start", "n", "m"]
    start = parameters["start"]
    assert start.tasks == ("one", "other")
    assert (start.declared.help, start.declared.short) == ("First day", "-s")
    assert start.declared.default is REQUIRED


def test_defaults_arrive_as_the_function_will_get_them(flow: Flow) -> None:
    @flow.job
    def one(out: Path = "results") -> int: ...  # type: ignore[assignment]
    @flow.job
    def other(out: Path = Path("results")) -> int: ...

    assert wired(flow).parameters["out"].declared.default == Path("results")


def disagreeing() -> dict[str, tuple[Any, Any]]:
    def plain(x: int) -> int: ...
    def text(x: str) -> int: ...
    def three(x: int = 3) -> int: ...
    def four(x: int = 4) -> int: ...
    def optional(x: int | None) -> int: ...
    def short_a(x: Annotated[int, Param(short="-a")]) -> int: ...
    def short_b(x: Annotated[int, Param(short="-b")]) -> int: ...
    def yes(x: bool = True) -> int: ...
    def one(x: int = 1) -> int: ...

    return {
        "type, int and str": (plain, text),
        "type, int and int | None": (plain, optional),
        "default, 3 and 4": (three, four),
        "default, none at all and 3": (plain, three),
        "short flag, -a and -b": (short_a, short_b),
        "type, bool and int": (yes, one),
    }


@pytest.mark.parametrize("said", list(disagreeing()))
def test_tasks_that_disagree_about_a_shared_parameter_are_both_named(flow: Flow, said: str) -> None:
    first, second = disagreeing()[said]
    flow.job(name="one")(first)
    flow.job(name="two")(second)
    text = refused(flow)
    assert text.startswith("tasks 'one' and 'two' share parameter 'x' but not its ")
    assert said in text


def test_a_local_parameter_carries_the_name_of_its_task(flow: Flow) -> None:
    def task(x: Annotated[int, Param(namespace="local", short="-x")] = 1) -> int: ...
    def other(x: Annotated[str, Param(namespace="local")], y: int) -> int: ...

    flow.job(name="t")(task)
    flow.job(name="no identifier: 1²")(other)
    parameters = wired(flow).parameters
    assert list(parameters) == ["t_x", "no_identifier__1__x", "y"]
    assert parameters["t_x"].flag == "--t-x"
    assert parameters["t_x"].tasks == ("t",)


def test_a_local_parameter_must_not_hide_a_global_one(flow: Flow) -> None:
    @flow.job
    def t(x: Annotated[int, Param(namespace="local")]) -> int: ...
    @flow.job
    def other(t_x: int) -> int: ...

    assert "tasks 't' and 'other' have parameters that are both called 't_x'" in refused(flow)


def test_local_parameters_of_tasks_with_names_alike_are_an_error(flow: Flow) -> None:
    def task(x: Annotated[int, Param(namespace="local")]) -> int: ...

    flow.job(name="a b")(task)
    flow.job(name="a_b")(task)
    assert "tasks 'a b' and 'a_b' have names so alike" in refused(flow)


def test_a_local_parameter_must_not_become_an_option_of_reflow(flow: Flow) -> None:
    @flow.job
    def run(dir: Annotated[int, Param(namespace="local")]) -> int: ...

    text = refused(flow)
    assert "'run'" in text
    assert "'run_dir'" in text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a: bool", "no_a: int"),
        ("a: int", "_a: int"),
        ("a: Annotated[int, Param(short='-s')]", "b: Annotated[int, Param(short='-s')]"),
        ("a: Annotated[int, Param(short='-h')]", "b: int"),
    ],
)
def test_two_parameters_cannot_have_one_flag(flow: Flow, first: str, second: str) -> None:
    space: dict[str, Any] = {"Annotated": Annotated, "Param": Param}
    exec(f"def one({first}) -> int: ...\ndef two({second}) -> int: ...", space)
    flow.job(space["one"])
    flow.job(space["two"])
    assert "both have the flag -" in refused(flow)


@pytest.mark.parametrize("annotation", ["dict[str, int]", "int | str", "object", "3"])
def test_a_parameter_of_a_type_no_flag_can_have_is_an_error(flow: Flow, annotation: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def task(x: {annotation}) -> int: ...", space)
    flow.job(space["task"])
    text = refused(flow)
    assert text.startswith("task 'task', parameter 'x': type ")
    assert "use str, int, float" in text


def test_a_default_of_another_type_is_an_error(flow: Flow) -> None:
    @flow.job
    def task(x: int = "three") -> int: ...  # type: ignore[assignment]

    assert refused(flow) == "task 'task', parameter 'x': its default: must be int, not str 'three'"


def test_a_list_parameter_may_give_an_array_task_its_elements(flow: Flow) -> None:
    @flow.job(array=True)
    def measure(
        day: Annotated[str, Param(each=True)], n: Annotated[int, Param(each=True)] = 3
    ) -> int: ...
    @flow.job
    def table(values: Annotated[list[int], Result(step="measure")], day: list[str]) -> int: ...

    graph = wired(flow)
    assert graph.parameters["day"].declared.annotation == list[str]
    assert graph.parameters["day"].tasks == ("measure", "table")
    assert graph.parameters["n"].declared.default == [3]
    assert graph.zipped("measure") == ("day", "n")
    assert graph.given_each("measure") == {
        "day": "fan-out of --day, zip",
        "n": "fan-out of --n, zip",
    }
    assert graph.given_each("table") == {}


def test_a_list_parameter_for_each_element_is_for_array_tasks(flow: Flow) -> None:
    @flow.job
    def measure(day: Annotated[str, Param(each=True)]) -> int: ...

    assert "'day': Param(each=True)" in refused(flow)
    assert "add array=True" in refused(flow)


def test_a_list_parameter_holds_what_a_parameter_can(flow: Flow) -> None:
    @flow.job(array=True)
    def measure(pair: Annotated[tuple[int, int], Param(each=True)]) -> int: ...

    assert "'pair': type list[tuple[int, int]]" in refused(flow)


def test_the_default_of_a_list_parameter_is_a_single_item(flow: Flow) -> None:
    @flow.job(array=True)
    def measure(days: Annotated[str, Param(each=True)] = ("a", "b")) -> int: ...  # type: ignore[assignment]

    assert "'days': its default is a tuple, but with each=True" in refused(flow)


def test_a_gather_may_allow_failed_elements(flow: Flow) -> None:
    @flow.job(array=True)
    def measure(day: Annotated[str, Param(each=True)]) -> int: ...
    @flow.job
    def without(
        values: Annotated[list[int], Result(step="measure", allow_failed=True, min_success=0.5)],
    ) -> int: ...
    @flow.job
    def in_place(
        values: Annotated[list[int | None], Result(step="measure", allow_failed=True)],
    ) -> int: ...
    @flow.job
    def strict(values: Annotated[list[int], Result(step="measure")]) -> int: ...

    edges = {name: found[0] for name, found in wired(flow).edges.items() if found}
    assert (edges["without"].allow_failed, edges["without"].in_place) == (True, False)
    assert (edges["in_place"].allow_failed, edges["in_place"].in_place) == (True, True)
    assert not edges["strict"].allow_failed
    needed = [edges[name].needed(10) for name in ("without", "in_place", "strict")]
    assert needed == [5, 1, 10]
    assert wired(flow).how(edges["without"]) == "gather, failed allowed"


def test_only_gathers_allow_failed_elements(flow: Flow) -> None:
    @flow.job
    def one() -> int: ...
    @flow.job
    def other(value: Annotated[int, Result(step="one", allow_failed=True)]) -> int: ...

    assert "'other' takes value from step 'one' by direct: allow_failed=True is" in refused(flow)


def test_a_gather_per_group_has_an_element_for_each_group(flow: Flow) -> None:
    @flow.job(array=True)
    def split(day: Annotated[str, Param(each=True)]) -> list[str]: ...
    @flow.job(array=True)
    def work(part: Annotated[str, Result(step="split")]) -> int: ...
    @flow.job(array=True)
    def total(values: Annotated[list[int], Result(step="work", per="split")]) -> int: ...

    (edge,) = wired(flow).edges["total"]
    assert (edge.mode, edge.per, edge.rule) == (WireMode.GROUP, "split", "gather")
    assert wired(flow).how(edge) == "group per split"


@pytest.mark.parametrize(
    ("annotation", "array", "message"),
    [
        ('list[int], Result(step="work", per="splat")', True, "'splat' does not exist; did you"),
        ('list[int], Result(step="work", per="split")', False, "add array=True"),
        ('list[int], Result(step="work", per="plain")', True, "'plain' is no array task"),
        ('list[int], Result(step="plain", per="split")', True, "'plain' is no array task"),
        ('list[int], Result(step="work", per="work")', True, "without per"),
        ('list[int], Result(step="work", per="other")', True, "no element of 'work' comes from"),
        ('list[str], Result(step="work", per="split")', True, r"list\[int\] \(gather\)"),
    ],
)
def test_groups_that_cannot_be_are_refused(
    flow: Flow, annotation: str, array: bool, message: str
) -> None:
    @flow.job
    def plain() -> list[str]: ...
    @flow.job(array=True)
    def split(day: Annotated[str, Result(step="plain")]) -> list[str]: ...
    @flow.job(array=True)
    def other(day: Annotated[str, Result(step="plain")]) -> str: ...
    @flow.job(array=True)
    def work(part: Annotated[str, Result(step="split")]) -> int: ...

    space: dict[str, Any] = {"Annotated": Annotated, "Result": Result}
    exec(f"def total(values: Annotated[{annotation}]) -> int: ...", space)
    flow.job(array=array)(space["total"])
    with pytest.raises(DefinitionError, match=message):
        wired(flow)
