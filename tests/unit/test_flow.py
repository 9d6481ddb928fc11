"""Flows: decorating functions and including other flows."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import functools
import types
from typing import Annotated, Any

import pytest
from reflow.errors import DefinitionError, NotFoundError, OptionError
from reflow.flow import Flow
from reflow.model.tasks import REQUIRED, ResultInput
from reflow.wiring.graph import build_graph
from reflow.wiring.markers import Param, Result, RunDir
from reflow.wiring.parameters import bind_parameters
from reflow.wiring.rules import builtin_type_rules


@pytest.fixture
def flow() -> Flow:
    return Flow("flow")


def steps(flow: Flow, task: str) -> list[tuple[str, ...]]:
    return [item.steps for item in flow.spec(task).inputs if isinstance(item, ResultInput)]


def test_a_decorated_function_stays_as_it_is(flow: Flow) -> None:
    def double(value: int) -> int:
        return 2 * value

    assert flow.job(double) is double
    assert flow.job(name="b", cpus=4)(double) is double
    assert flow.array_job(name="c")(double) is double
    assert double(21) == 42


def test_options_reach_the_task(flow: Flow) -> None:
    @flow.job(name="My task", cpus=4, retries=2, after="other", version="7")
    def task() -> int: ...
    @flow.array_job(array_parallelism=3)
    def many() -> int: ...

    first, second = flow.specs()
    assert (first.name, first.resources.cpus, first.retries) == ("My task", 4, 2)
    assert (first.after, first.version, first.array) == (("other",), "7", False)
    assert (second.name, second.array, second.array_parallelism) == ("many", True, 3)


def test_an_unknown_option_is_a_type_error_that_suggests_the_nearest(flow: Flow) -> None:
    with pytest.raises(TypeError, match="'cpu'; did you mean 'cpus'"):
        flow.job(cpu=4)  # type: ignore[call-overload]


def test_array_job_takes_no_array(flow: Flow) -> None:
    with pytest.raises(OptionError, match="leave array out"):
        flow.array_job(array=False)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", 3])
def test_a_flow_has_a_name_that_can_be_used(name: Any) -> None:
    with pytest.raises(DefinitionError, match="flow"):
        Flow(name)


async def asynchronous() -> int: ...
def generator() -> Any:
    yield 1


async def asynchronous_generator() -> Any:
    yield 1


class Class: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (asynchronous, "async"),
        (asynchronous_generator, "async"),
        (generator, "return a list"),
        (Class, "must be a function"),
        ("name", "name='...'"),
        (3, "must be a function"),
    ],
)
def test_what_is_no_plain_function_is_refused(flow: Flow, function: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        flow.job(function)


def test_what_has_no_name_needs_one(flow: Flow) -> None:
    import functools

    nameless = functools.partial(print, "x")
    with pytest.raises(DefinitionError, match=r"name='...'"):
        flow.job(nameless)
    assert flow.job(name="given")(nameless) is nameless


def test_two_tasks_of_one_name_are_an_error_that_says_where_both_are(flow: Flow) -> None:
    def task() -> int: ...

    flow.job(task)
    first_line = task.__code__.co_firstlineno
    with pytest.raises(DefinitionError, match=r"'task'") as caught:

        @flow.job(name="task")
        def another() -> int: ...

    assert f"{__file__}:{first_line}" in str(caught.value)
    assert str(caught.value).count(__file__) == 2
    assert [spec.function for spec in flow.specs()] == [task]


CELL = """
@flow.job
def task() -> {}: ...
"""


def run_cell(flow: Flow, returns: str, number: int) -> None:
    space = {"flow": flow, "__name__": "__main__"}
    exec(compile(CELL.format(returns), f"/tmp/ipykernel_1/{number}.py", "exec"), space)


def test_a_notebook_cell_run_again_replaces_its_task(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cell(flow, "int", 1)
    run_cell(flow, "str", 2)
    assert [spec.returns for spec in flow.specs()] == [str]


def test_a_task_that_names_the_function_of_a_cell_follows_the_cell_when_it_is_run_again(
    flow: Flow,
) -> None:
    run_cell(flow, "int", 1)
    (first,) = (spec.function for spec in flow.specs())

    @flow.job
    def second(x: Annotated[str, Result(step=first)]) -> int: ...

    run_cell(flow, "str", 2)
    assert steps(flow, "second") == [("task",)]


LAMBDAS = """
f, g = lambda: 1, lambda: 2
f.__annotations__ = g.__annotations__ = {"return": int}

def make(number):
    def made() -> int:
        return number
    return made

inner, other = make(1), make(2)
"""


@pytest.mark.parametrize(("task", "taken"), [("f", "g"), ("inner", "other")])
def test_a_function_without_a_name_of_its_own_is_not_taken_for_another_of_its_cell(
    flow: Flow, task: str, taken: str
) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(LAMBDAS, "/tmp/ipykernel_1/1.py", "exec"), space)
    flow.job(name="first")(space[task])

    @flow.job
    def taker(x: Annotated[int, Result(step=space[taken])]) -> int: ...

    with pytest.raises(DefinitionError, match="no task of this flow"):
        flow.specs()
    flow.job(name="second")(space[taken])
    assert steps(flow, "taker") == [("second",)]


def test_a_cell_that_is_run_again_includes_its_flow_anew(flow: Flow) -> None:
    cell = """
part = Flow("part")
@part.job
def task() -> int: ...
flow.include(part, prefix="a")
"""
    for number in (1, 2):
        space = {"flow": flow, "Flow": Flow, "__name__": "__main__"}
        exec(compile(cell, f"/tmp/ipykernel_1/{number}.py", "exec"), space)
    assert flow.task_names == ("a_task",)


def test_a_cell_may_include_another_flow_of_that_name_with_other_tasks(flow: Flow) -> None:
    cell = """
part = Flow("part")
@part.job
def {}() -> int: ...
flow.include(part, prefix="a")
"""
    for number, name in enumerate(["one", "two"]):
        space = {"flow": flow, "Flow": Flow, "__name__": "__main__"}
        exec(compile(cell.format(name), f"/tmp/ipykernel_1/{number}.py", "exec"), space)
    assert flow.task_names == ("a_one", "a_two")


def test_no_task_of_a_file_is_replaced(flow: Flow) -> None:
    for _ in "a":

        @flow.job
        def task() -> int: ...

    with pytest.raises(DefinitionError, match="two tasks"):

        @flow.job
        def task() -> int: ...


def test_signatures_are_read_when_asked_for(flow: Flow) -> None:
    space = types.ModuleType("flow_module")
    space.__dict__.update(flow=flow, Annotated=Annotated, Result=Result)
    source = """
from __future__ import annotations

@flow.job
def task(item: Annotated[Later, Result(step="other")]) -> list[Later]: ...
"""
    exec(source, space.__dict__)
    with pytest.raises(DefinitionError, match=r"task 'task', argument 'item'.*Later"):
        flow.specs()
    space.__dict__["Later"] = Class
    assert flow.specs()[0].returns == list[Class]


def test_annotations_may_name_what_is_local_where_the_function_is_defined(flow: Flow) -> None:
    class Local: ...

    @flow.job
    def bare() -> list[Local]: ...

    @flow.job()
    def called() -> list[Local]: ...

    assert [spec.returns for spec in flow.specs()] == [list[Local], list[Local]]


def test_a_parameter_named_like_an_option_of_reflow_is_an_error_at_definition(flow: Flow) -> None:
    with pytest.raises(DefinitionError, match="'force'"):

        @flow.job
        def task(force: bool = False) -> int: ...

    assert flow.task_names == ()


def test_such_a_name_does_no_harm_where_it_is_no_run_parameter(flow: Flow) -> None:
    @flow.job
    def task(
        force: Annotated[bool, Result(step="other")],
        wait: Annotated[int, Param(namespace="local")],
        run_dir: RunDir = RunDir(),  # noqa: B008
    ) -> int: ...

    assert len(flow.spec("task").inputs) == 3


def test_one_task_can_be_asked_for_without_reading_the_others(flow: Flow) -> None:
    @flow.job
    def broken(x: Missing) -> int: ...  # type: ignore[name-defined]  # noqa: F821
    @flow.job
    def task() -> int: ...

    assert flow.spec("task").function is task
    with pytest.raises(NotFoundError, match="'flow' has no task 'tusk'; did you mean 'task'"):
        flow.spec("tusk")


# -- including ----------------------------------------------------------------------------


@pytest.fixture
def preprocessing() -> Flow:
    inner = Flow("preprocess")

    @inner.job(after="outside")
    def download() -> list[str]: ...
    @inner.array_job(after="download")
    def clean(item: Annotated[str, Result(steps=["download", "outside"])]) -> str: ...

    return inner


def test_included_tasks_are_renamed_and_rewired_with_a_prefix(
    flow: Flow, preprocessing: Flow
) -> None:
    flow.include(preprocessing, prefix="pre")
    assert flow.task_names == ("pre_download", "pre_clean")
    assert steps(flow, "pre_clean") == [("pre_download", "outside")]
    assert flow.spec("pre_clean").after == ("pre_download",)
    assert flow.spec("pre_download").after == ("outside",)


def test_without_a_prefix_names_stay(flow: Flow, preprocessing: Flow) -> None:
    flow.include(preprocessing)
    assert flow.specs() == preprocessing.specs()


def test_a_flow_can_be_included_twice(flow: Flow, preprocessing: Flow) -> None:
    flow.include(preprocessing, prefix="a")
    flow.include(preprocessing, prefix="b")
    assert flow.task_names == ("a_download", "a_clean", "b_download", "b_clean")
    assert steps(flow, "b_clean") == [("b_download", "outside")]
    assert preprocessing.task_names == ("download", "clean")


def test_inclusions_nest(flow: Flow, preprocessing: Flow) -> None:
    middle = Flow("middle")

    @middle.job
    def outside() -> list[str]: ...

    middle.include(preprocessing, prefix="pre")
    flow.include(middle, prefix="mid")
    assert flow.task_names == ("mid_outside", "mid_pre_download", "mid_pre_clean")
    assert steps(flow, "mid_pre_clean") == [("mid_pre_download", "mid_outside")]


def test_an_inner_step_wins_over_one_of_the_same_name_outside(
    flow: Flow, preprocessing: Flow
) -> None:
    @flow.job
    def download() -> list[str]: ...

    flow.include(preprocessing, prefix="pre")
    assert steps(flow, "pre_clean") == [("pre_download", "outside")]


def test_tasks_added_later_belong_to_the_inclusion(flow: Flow, preprocessing: Flow) -> None:
    flow.include(preprocessing, prefix="pre")

    @preprocessing.job
    def check() -> int: ...

    assert "pre_check" in flow.task_names


def test_two_tasks_of_one_name_by_inclusion_are_an_error(flow: Flow, preprocessing: Flow) -> None:
    @flow.job
    def pre_clean() -> int: ...

    with pytest.raises(DefinitionError, match="two tasks are called 'pre_clean'"):
        flow.include(preprocessing, prefix="pre")
    assert flow.task_names == ("pre_clean",)


@pytest.mark.parametrize("prefix", ["", "a/b", 3])
def test_a_prefix_must_be_usable(flow: Flow, preprocessing: Flow, prefix: Any) -> None:
    with pytest.raises(DefinitionError, match="prefix"):
        flow.include(preprocessing, prefix=prefix)


def test_only_flows_can_be_included_and_never_in_a_circle(flow: Flow) -> None:
    other = Flow("other")
    other.include(flow)
    for circle in (flow, other):
        with pytest.raises(DefinitionError, match="inside"):
            flow.include(circle)
    with pytest.raises(DefinitionError, match="takes a Flow"):
        flow.include("other")  # type: ignore[arg-type]


# -- tasks named by their functions ----------------------------------------------------------------
def test_a_task_may_be_given_as_its_function(flow: Flow) -> None:
    @flow.job(name="the first")
    def first() -> list[str]: ...
    @flow.job(array=True)
    def each(item: Annotated[str, Result(step=first)]) -> str: ...
    @flow.job(array=True, after=[first, "each"])
    def group(
        items: Annotated[list[str], Result(step=each, per="each")],
        more: Annotated[list[str], Result(steps=[each, "the first"])],
    ) -> str: ...

    assert steps(flow, "each") == [("the first",)]
    assert steps(flow, "group") == [("each",), ("each", "the first")]
    assert flow.spec("group").after == ("the first", "each")
    marker = Result(steps=[first, "each"])
    assert repr(marker) == "Result(steps=[first, 'each'], broadcast=False)"


def test_a_function_names_the_task_of_its_own_inclusion(flow: Flow) -> None:
    inner = Flow("inner")

    @inner.job
    def first() -> int: ...
    @inner.job
    def second(x: Annotated[int, Result(step=first)]) -> int: ...

    flow.include(inner, prefix="a")
    flow.include(inner, prefix="b")
    assert steps(flow, "a_second") == [("a_first",)]
    assert steps(flow, "b_second") == [("b_first",)]

    @flow.job
    def third(x: Annotated[int, Result(step=second)]) -> int: ...

    with pytest.raises(DefinitionError, match="several tasks are made of, 'a_second', 'b_second'"):
        flow.spec("third")


def test_a_function_of_an_included_flow_names_its_task_under_the_prefix(flow: Flow) -> None:
    inner = Flow("inner")

    @inner.job
    def first() -> int: ...

    flow.include(inner, prefix="a")

    @flow.job(after=first)
    def second(x: Annotated[int, Result(step=first)]) -> int: ...

    assert (steps(flow, "second"), flow.spec("second").after) == ([("a_first",)], ("a_first",))


def test_a_function_that_is_decorated_further_still_names_its_task(flow: Flow) -> None:
    def traced(function: Any) -> Any:
        return functools.wraps(function)(lambda: function())

    @traced
    @flow.job
    def first() -> int: ...
    @flow.job
    def second(x: Annotated[int, Result(step=first)]) -> int: ...

    assert steps(flow, "second") == [("first",)]


def test_a_function_that_is_no_task_is_named(flow: Flow) -> None:
    def helper() -> int: ...
    @flow.job
    def second(x: Annotated[int, Result(step=helper)]) -> int: ...

    with pytest.raises(DefinitionError, match=r"'second' takes .* 'helper', which is no task"):
        flow.spec("second")


# -- bound parameters ------------------------------------------------------------------------------
@pytest.fixture
def filtering() -> Flow:
    inner = Flow("filtering")

    @inner.job
    def keep(threshold: int, name: str = "x") -> int: ...
    @inner.job
    def fit(level: Annotated[float, Param(namespace="local")], threshold: int) -> int: ...

    return inner


def parameters_of(flow: Flow) -> tuple[dict[str, Any], dict[str, Any]]:
    graph = build_graph(flow.name, flow.specs(), builtin_type_rules())
    return (
        {name: item.declared.default for name, item in graph.parameters.items()},
        bind_parameters(graph, dict.fromkeys(graph.parameters.keys() & {"threshold"}, 9)),
    )


def test_an_inclusion_binds_parameters_for_itself_alone(flow: Flow, filtering: Flow) -> None:
    flow.include(filtering, prefix="low", bind={"threshold": 3, "fit_level": 1})
    flow.include(filtering, prefix="high", bind={"fit_level": 2.5})
    given, values = parameters_of(flow)
    assert given == {"threshold": REQUIRED, "name": "x"}
    assert values == {
        "threshold": 9,
        "name": "x",
        "low_keep.threshold": 3,
        "low_fit.threshold": 3,
        "low_fit.level": 1.0,
        "high_fit.level": 2.5,
    }


def test_what_is_bound_inside_stays_and_the_rest_can_be_bound_outside(
    flow: Flow, filtering: Flow
) -> None:
    middle = Flow("middle")
    middle.include(filtering, prefix="a", bind={"threshold": 3})
    flow.include(middle, prefix="b", bind={"a_fit_level": 1.5, "name": "z"})
    given, values = parameters_of(flow)
    assert given == {}
    assert values == {
        "b_a_keep.threshold": 3,
        "b_a_keep.name": "z",
        "b_a_fit.threshold": 3,
        "b_a_fit.level": 1.5,
    }
    flow.include(middle, prefix="c", bind={"threshold": 4})
    with pytest.raises(DefinitionError, match="flow 'middle' has no such parameter"):
        flow.specs()


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ({"treshold": 3}, "'treshold': .*flow 'filtering' has no such parameter; did you mean"),
        ({"threshold": "3"}, "task 'keep': bind=.'threshold': ....: must be int"),
        ({"threshold": None}, "must be int"),
    ],
)
def test_what_cannot_be_bound_is_refused(
    flow: Flow, filtering: Flow, bind: dict[str, Any], message: str
) -> None:
    flow.include(filtering, bind=bind)
    with pytest.raises(DefinitionError, match=message):
        parameters_of(flow)


def test_bound_values_are_given_by_name(flow: Flow, filtering: Flow) -> None:
    with pytest.raises(DefinitionError, match="by parameter"):
        flow.include(filtering, bind=[3])  # type: ignore[arg-type]
