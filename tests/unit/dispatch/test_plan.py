"""What is to be done next, by how the tasks of a run stand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.dispatch.plan import Plan, Planner, end_state, plan_tasks
from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.model.records import Instance
from reflow.model.states import RunState, TaskState

from tests.unit.dispatch.tasks import task, tracked_run_of

NOW = 1000.0


def plan(*tasks: TrackedTask) -> Plan:
    return plan_tasks({one.name: one for one in tasks}, [one.name for one in tasks], lambda: NOW)


def shown(plan: Plan) -> dict[str, object]:
    """What a plan says, by names and indices; what is empty is left out."""

    def indices(items: list[Instance]) -> list[int]:
        return [item.index for item in items]

    found: dict[str, object] = {
        "expand": [task.name for task in plan.expand],
        "skip": [task.name for task in plan.skip],
        "skip_elements": [(item.task, item.index) for item in plan.skip_elements],
        "ready": {name: indices(items) for name, items in plan.ready.items()},
    }
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize(
    ("upstream", "wire", "said"),
    [
        # A plain task whose value is wanted whole.
        ("P", "direct", {"ready": {"a": [0]}}),
        ("Q", "direct", {}),
        ("R", "direct", {}),
        ("S", "direct", {"ready": {"b": [0]}}),
        ("F", "direct", {"skip": ["b"]}),
        ("C", "direct", {"skip": ["b"]}),
        ("K", "direct", {"skip": ["b"]}),
        # An array that is wanted whole: all of it, or none.
        ("SSS", "gather", {"ready": {"b": [0]}}),
        ("SSR", "gather", {}),
        ("SFR", "gather", {"skip": ["b"]}),
        ("", "gather", {"ready": {"b": [0]}}),
        ("SSP", "gather", {"ready": {"a": [2]}}),
    ],
)
def test_a_plain_task_goes_on_once_all_before_it_succeeded(
    upstream: str, wire: str, said: dict[str, object]
) -> None:
    assert shown(plan(task("a", upstream), task("b", "P", f"a:{wire}"))) == said


@pytest.mark.parametrize(
    ("upstream", "wire", "said"),
    [
        ("S", "fan-out", {"expand": ["b"]}),
        ("R", "fan-out", {}),
        ("F", "fan-out", {"skip": ["b"]}),
        ("SSS", "fan-out-flat", {"expand": ["b"]}),
        ("SSR", "fan-out-flat", {}),
        # Chained elements are counted as soon as those before them are, whatever became of them.
        ("RRR", "chain", {"expand": ["b"]}),
        ("FFF", "chain", {"expand": ["b"]}),
        (None, "chain", {"expand": ["a"]}),
    ],
)
def test_an_array_gets_its_elements_once_they_can_be_counted(
    upstream: str | None, wire: str, said: dict[str, object]
) -> None:
    assert shown(plan(task("a", upstream), task("b", None, f"a:{wire}"))) == said


@pytest.mark.parametrize(
    ("upstream", "own", "said"),
    [
        ("SSSS", "PPPP", {"ready": {"b": [0, 1, 2, 3]}}),
        ("RRRR", "PPPP", {}),
        # A quarter of those that wait goes ahead.
        ("SRRR", "PPPP", {"ready": {"b": [0]}}),
        ("SRRRR", "PPPPP", {}),
        ("SSRRRRRR", "PPPPPPPP", {"ready": {"b": [0, 1]}}),
        ("SRRRRRRR", "PPPPPPPP", {}),
        # What is under way or over does not count among them.
        ("SSSSSRRR", "SSSRPPPP", {"ready": {"b": [4]}}),
        # Each fails for itself.
        ("SFSS", "PPPP", {"skip_elements": [("b", 1)], "ready": {"b": [0, 2, 3]}}),
        ("FFFF", "PPPP", {"skip_elements": [("b", i) for i in range(4)]}),
        ("FRRR", "PPPP", {"skip_elements": [("b", 0)]}),
        ("KCSS", "PPSS", {"skip_elements": [("b", 0), ("b", 1)]}),
        ("SFSS", "SKSS", {}),
    ],
)
def test_chained_elements_go_on_one_by_one(
    upstream: str, own: str, said: dict[str, object]
) -> None:
    assert shown(plan(task("a", upstream), task("b", own, "a:chain"))) == said


def test_an_element_that_is_chained_twice_waits_for_both() -> None:
    two, one = task("two", "SSRF"), task("one", "SRSS")
    after = task("c", "PPPP", "one:chain", "two:chain")
    said = {"skip_elements": [("c", 3)], "ready": {"c": [0]}}
    assert shown(plan(one, two, after)) == said


def test_chained_steps_of_one_argument_stand_one_behind_the_other() -> None:
    after = task("c", "PPPPP", "a:chain:x", "b:chain:x")
    assert shown(plan(task("a", "RS"), task("b", "SRS"), after)) == {"ready": {"c": [1, 2, 4]}}


def test_a_chained_array_that_also_takes_a_whole_value_waits_for_that() -> None:
    after = task("c", "PP", "a:chain", "b:broadcast")
    assert shown(plan(task("a", "SS"), task("b", "R"), after)) == {}
    assert shown(plan(task("a", "SS"), task("b", "S"), after)) == {"ready": {"c": [0, 1]}}
    assert shown(plan(task("a", "SS"), task("b", "F"), after)) == {"skip": ["c"]}


def test_after_waits_for_the_whole_task_though_nothing_of_it_is_wanted() -> None:
    after = task("b", "P", after=("a",))
    assert shown(plan(task("a", "SR"), after)) == {}
    assert shown(plan(task("a", "SF"), after)) == {"skip": ["b"]}
    assert shown(plan(task("a", "SS"), after)) == {"ready": {"b": [0]}}


def test_what_must_wait_is_not_ready_and_keeps_nobody_waiting() -> None:
    waits = task("a", "PPPP")
    waits.instances[1].not_before = NOW + 1
    waits.instances[2].not_before = NOW
    assert shown(plan(waits)) == {"ready": {"a": [0, 2, 3]}}


def test_elements_that_run_are_not_skipped_with_those_that_wait() -> None:
    """Whoever skips a task skips what is pending; one with nothing pending is left alone."""
    failed = task("a", "F")
    assert shown(plan(failed, task("b", "RRS", "a:fan-out"))) == {}
    assert shown(plan(failed, task("b", "RPS", "a:fan-out"))) == {"skip": ["b"]}


def test_a_skipped_array_has_what_is_chained_to_it_skipped() -> None:
    gone = task("a", None, state=TaskState.SKIPPED)
    assert shown(plan(gone, task("b", None, "a:chain"))) == {"skip": ["b"]}


def end_of(*tasks: TrackedTask) -> RunState | None:
    return Planner(tracked_run_of(*tasks), lambda: NOW).next().end


@pytest.mark.parametrize(
    ("states", "end"),
    [
        (["S", "SS", ""], RunState.SUCCESS),
        ([], RunState.SUCCESS),
        (["S", "SF"], RunState.FAILED),
        (["F", "K", "C"], RunState.FAILED),
        (["S", "C"], RunState.CANCELLED),
        (["S", "SR"], None),
        (["F", "R"], None),
    ],
)
def test_a_run_ends_when_nothing_of_it_can_change_any_more(
    states: list[str], end: RunState | None
) -> None:
    tasks = [task(f"t{number}", state) for number, state in enumerate(states)]
    assert end_of(*tasks) == end


def test_a_task_that_failed_as_a_whole_fails_the_run() -> None:
    assert end_of(task("a", None, state=TaskState.FAILED)) is RunState.FAILED
    assert end_of(task("a", None, state=TaskState.SKIPPED)) is RunState.CANCELLED


def test_a_run_does_not_end_while_there_is_something_to_do() -> None:
    assert end_of(task("a", "F"), task("b", "P", "a:direct")) is None


# -- plan after plan -----------------------------------------------------------------------


class Counted(dict[str, TrackedTask]):
    """Tasks that count how often one of them is looked up."""

    looks = 0

    def __getitem__(self, name: str) -> TrackedTask:
        self.looks += 1
        return super().__getitem__(name)


def chain(length: int) -> TrackedRun:
    tasks = [task("t0")]
    tasks += [task(f"t{i}", "P", f"t{i - 1}:direct") for i in range(1, length)]
    return tracked_run_of(*tasks)


def looks_until_the_end(tracked: TrackedRun) -> int:
    tracked.tasks = counted = Counted(tracked.tasks)
    planner = Planner(tracked, lambda: NOW)
    while plan := planner.next():
        for instances in plan.ready.values():
            for instance in instances:
                tracked.move(instance, TaskState.SUCCESS)
    assert plan.end is RunState.SUCCESS
    return counted.looks


def test_planning_a_chain_of_stages_costs_as_much_per_stage_however_long_it_is() -> None:
    assert looks_until_the_end(chain(200)) < 11 * looks_until_the_end(chain(20))


def test_what_could_not_be_submitted_is_planned_again_though_nothing_changed() -> None:
    planner = Planner(tracked_run_of(task("a", "PP")), lambda: NOW)
    assert shown(planner.next()) == shown(planner.next()) == {"ready": {"a": [0, 1]}}


def test_what_waits_for_time_is_planned_when_it_is_due_though_nothing_changed() -> None:
    waits = task("a")
    waits.instances[0].not_before = NOW + 5
    times = iter([NOW, NOW + 5])
    planner = Planner(tracked_run_of(waits), lambda: next(times))
    first = planner.next()
    assert (shown(first), first.due) == ({}, {"a": 5.0})
    assert shown(planner.next()) == {"ready": {"a": [0]}}


def test_the_clock_is_read_only_where_something_waits_for_time() -> None:
    planner = Planner(tracked_run_of(task("a", "PPP")), lambda: pytest.fail("the clock was read"))
    assert shown(planner.next()) == {"ready": {"a": [0, 1, 2]}}


def test_a_task_that_a_retry_wires_to_another_waits_for_it_from_then_on() -> None:
    tracked = tracked_run_of(task("a", "SR"), task("b"))
    planner = Planner(tracked, lambda: NOW)
    assert shown(planner.next()) == {"ready": {"b": [0]}}
    tracked.take_graph(tracked_run_of(task("a", "SR"), task("b", "P", "a:gather")).graph)
    assert shown(planner.next()) == {}
    tracked.move(tracked.tasks["a"].instances[1], TaskState.SUCCESS)
    assert shown(planner.next()) == {"ready": {"b": [0]}}


WIRES = ("direct", "chain")
MOVES = st.tuples(
    st.integers(0, 5),
    st.integers(0, 2),
    st.sampled_from([state for state in TaskState if state is not TaskState.SKIPPED]),
)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(WIRES)), min_size=5, max_size=5),
    st.lists(st.lists(MOVES, max_size=4), max_size=8),
)
def test_a_plan_of_what_has_changed_is_a_plan_of_everything(
    wires: list[tuple[int, str]], steps: list[list[tuple[int, int, TaskState]]]
) -> None:
    tasks = [task("t0", "PPP")]
    tasks += [
        task(f"t{number}", "PPP", f"t{before % number}:{wire}")
        for number, (before, wire) in enumerate(wires, start=1)
    ]
    tracked = tracked_run_of(*tasks)
    planner = Planner(tracked, lambda: NOW)
    for moves in steps:
        for number, index, state in moves:
            tracked.move(tasks[number].instances[index], state)
        assert shown(planner.next()) == shown(plan(*tracked.tasks.values()))


# -- gathers that allow failed elements ------------------------------------------------------------
def allowing(
    name: str, *wires: str, elements: str = "P", least: float | None = None
) -> TrackedTask:
    one = task(name, elements, *wires)
    edges = (replace(edge, allow_failed=True, min_success=least) for edge in one.edges)
    one.define(one.spec, tuple(edges))
    return one


@pytest.mark.parametrize(
    ("upstream", "least", "said"),
    [
        ("SFS", None, {"ready": {"b": [0]}}),
        ("SFR", None, {}),
        ("SKC", None, {"ready": {"b": [0]}}),
        ("FFR", None, {}),
        ("FFF", None, {"skip": ["b"]}),
        ("", None, {"ready": {"b": [0]}}),
        ("FFF", 0, {"ready": {"b": [0]}}),
        ("SFS", 2, {"ready": {"b": [0]}}),
        ("SFS", 3, {"skip": ["b"]}),
        ("SFRR", 4, {"skip": ["b"]}),
        ("SSSSSSSFFF", 0.7, {"ready": {"b": [0]}}),
        ("SSSSSSFFFF", 0.7, {"skip": ["b"]}),
        ("SSF", 1.0, {"skip": ["b"]}),
    ],
)
def test_a_gather_goes_on_with_what_succeeded_once_all_have_ended(
    upstream: str, least: float | None, said: dict[str, object]
) -> None:
    assert shown(plan(task("a", upstream), allowing("b", "a:gather", least=least))) == said


def test_a_gather_of_a_task_that_ended_before_its_elements_were_known_is_skipped() -> None:
    upstream = task("a", None, state=TaskState.SKIPPED)
    assert shown(plan(upstream, allowing("b", "a:gather", least=0))) == {"skip": ["b"]}


@pytest.mark.parametrize(
    ("tasks", "state"),
    [
        ([task("a", "SF"), allowing("b", "a:gather", elements="S")], RunState.SUCCESS),
        ([task("a", "SC"), allowing("b", "a:gather", elements="S")], RunState.SUCCESS),
        ([task("a", "SF"), allowing("b", "a:gather", elements="F")], RunState.FAILED),
        ([task("a", "FF"), allowing("b", "a:gather", elements="K")], RunState.FAILED),
        (
            [task("a", "SF"), task("b", "SK", "a:chain"), allowing("c", "b:gather", elements="S")],
            RunState.SUCCESS,
        ),
        (
            [task("a", "SF"), task("b", "SK", "a:chain"), allowing("c", "a:gather", elements="S")],
            RunState.FAILED,
        ),
        (
            [
                task("a", "SF"),
                allowing("b", "a:gather", elements="S"),
                task("c", "K", "a:gather"),
            ],
            RunState.FAILED,
        ),
        (
            [
                task("a", "SF"),
                allowing("b", "a:gather", elements="S"),
                task("c", "K", after=("a",)),
            ],
            RunState.FAILED,
        ),
    ],
)
def test_a_run_has_succeeded_if_all_that_take_what_failed_allow_it(
    tasks: list[TrackedTask], state: RunState
) -> None:
    assert end_state({one.name: one for one in tasks}) is state


@pytest.mark.parametrize(
    ("elements", "state"),
    [("SSS", RunState.FAILED), ("", RunState.FAILED), ("SSSSC", RunState.CANCELLED)],
)
def test_a_run_fails_in_which_a_gather_needs_more_elements_than_there_are(
    elements: str, state: RunState
) -> None:
    tasks = [task("a", elements), allowing("b", "a:gather", elements="K", least=5)]
    assert end_state({one.name: one for one in tasks}) is state


# -- groups ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("split", "said"), [("SSS", {"expand": ["joined"]}), ("SPS", {"ready": {"split": [1]}})]
)
def test_a_group_waits_for_what_says_which_elements_belong_to_it(
    split: str, said: dict[str, object]
) -> None:
    joined = task("joined", None, "more:group")
    joined.define(joined.spec, tuple(replace(edge, per="split") for edge in joined.edges))
    tracked = tracked_run_of(
        task("split", split),
        task("work", "SSSS", "split:fan-out-flat"),
        task("more", "SSSS", "work:chain"),
        joined,
    )
    assert tracked.tasks["joined"].upstream == {"more", "split"}
    assert shown(plan(*tracked.tasks.values())) == said
