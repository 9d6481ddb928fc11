from __future__ import annotations

from dataclasses import replace

import pytest
from reflow.report.watch.state import (
    Kind,
    Quit,
    Request,
    State,
    Verb,
    begin,
    elements,
    press,
    question_text,
    wanted,
    with_look,
)
from reflow.runs.watching.glance import ElementName, LogGlance, RunRow, RunsGlance

from tests.unit.report.statuses import RUN_ID, task
from tests.unit.report.watch.glances import (
    NOW,
    failure,
    glance,
    record,
    running,
    shown,
    weather,
)

ROOM = 10


def pressed(state: State, *keys: str) -> State:
    for key in keys:
        state, _asked = press(state, key, ROOM)
    return state


def all_runs() -> State:
    names = ("b-20261122-0002", "a-20261122-0001")
    rows = [RunRow(record=record(name, finished=name.startswith("a"))) for name in names]
    return with_look(begin(None), RunsGlance(at=NOW, rows=rows))


def test_enter_leads_from_a_task_to_its_elements_and_to_the_log_of_one() -> None:
    state = pressed(shown(weather()), "down", "down", "enter")
    assert state.page.kind is Kind.ELEMENTS
    assert state.page.task == "convert"
    assert wanted(state).task == "convert"
    state = pressed(state, "down", "enter")
    assert state.page.kind is Kind.LOG
    assert state.page.element == ElementName("convert", 1)
    assert wanted(state).log == ElementName("convert", 1)
    assert pressed(state, "esc").page.chosen == 1
    assert pressed(state, "esc", "esc").page.kind is Kind.RUN


def test_enter_on_a_plain_task_opens_its_log() -> None:
    state = pressed(shown(weather()), "down", "enter")
    assert state.page.element == ElementName("fetch", None)


@pytest.mark.parametrize("key", ["enter", "up", "pagedown", "end", "c", "f", "esc", "x"])
def test_keys_before_the_first_look_do_no_harm(key: str) -> None:
    for state in (begin(RUN_ID), begin(None)):
        pressed(state, key, key)


@pytest.mark.parametrize("key", ["enter", "up", "down", "pageup", "end", "c", "r", "t", "esc"])
def test_keys_on_an_empty_list_do_no_harm(key: str) -> None:
    pressed(shown(glance({})), "f", key, key)
    pressed(shown(glance({})), key, key)


def test_pages_are_turned_by_what_fits() -> None:
    state = pressed(
        shown(glance({"a": task("FAILED")}, failures=[failure("a", n) for n in range(50)])), "f"
    )
    places = []
    for key in ("pagedown", "pagedown", "pageup", "end", "pagedown", "home", "j", "k", "G", "g"):
        state = pressed(state, key)
        places.append(state.page.chosen)
    assert places == [9, 18, 9, 49, 49, 0, 1, 0, 49, 0]


def test_what_is_chosen_stays_chosen_when_newer_failures_come_above_it() -> None:
    tasks = {"a": task("RUNNING", 99, array=True, FAILED=9, RUNNING=9)}
    first = [failure("a", index) for index in (5, 4)]
    state = pressed(shown(glance(tasks, failures=first)), "f", "down")
    assert elements(state)[1] == ElementName("a", 4)
    later = glance(tasks, failures=[failure("a", 8), *first])
    state = with_look(state, later)
    assert state.page.chosen == 2


def test_failures_are_there_when_the_reader_comes_back_from_a_log() -> None:
    state = pressed(shown(weather()), "f", "enter")
    state = with_look(state, replace(weather(), failures=(), running=()))
    assert elements(pressed(state, "esc"))


def test_a_log_follows_its_end_until_it_is_scrolled() -> None:
    state = pressed(shown(weather()), "f", "enter")
    look = LogGlance(element=ElementName("convert", 0), lines=[str(n) for n in range(100)])
    state = with_look(state, look)
    assert state.page.chosen is None
    state = pressed(state, "up")
    assert state.page.chosen == 89
    assert pressed(state, "down").page.chosen is None
    assert pressed(state, "home").page.chosen == 0


@pytest.mark.parametrize(
    ("keys", "meant"),
    [(["c"], ""), (["down", "down", "c"], "convert"), (["down", "down", "enter", "c"], "convert")],
)
def test_cancel_asks_first_and_means_the_chosen_task_or_the_run(
    keys: list[str], meant: str
) -> None:
    state = pressed(shown(weather()), *keys)
    assert state.question == Request(Verb.CANCEL, RUN_ID, meant)
    state, asked = press(state, "y", ROOM)
    assert asked == Request(Verb.CANCEL, RUN_ID, meant)
    assert state.question is None
    assert state.said.startswith("cancelling")


@pytest.mark.parametrize("key", ["n", "esc", "q", "enter"])
def test_only_yes_means_yes(key: str) -> None:
    state, asked = press(pressed(shown(weather()), "r"), key, ROOM)
    assert asked is None
    assert state.question is None
    assert state.said == "nothing was retried"


@pytest.mark.parametrize("key", ["x", "down", "c", " "])
def test_a_question_stays_until_it_is_answered(key: str) -> None:
    state, asked = press(pressed(shown(weather()), "c"), key, ROOM)
    assert asked is None
    assert state.question is not None


def test_the_question_says_how_much_it_is_about() -> None:
    state = pressed(shown(weather()), "down", "down", "c")
    assert state.question is not None
    told = question_text(state, state.question)
    assert told == f"Cancel convert of {RUN_ID}, 478 instances so far? (y/n)"


def test_what_has_ended_is_not_cancelled() -> None:
    state = pressed(shown(glance({"a": task("SUCCESS")}, "SUCCESS")), "c")
    assert state.question is None
    assert state.said == f"{RUN_ID} has ended: SUCCESS"


def test_of_all_runs_the_chosen_one_is_meant() -> None:
    state = pressed(all_runs(), "c")
    assert state.question == Request(Verb.CANCEL, "b-20261122-0002")
    state = pressed(all_runs(), "down", "r")
    assert state.question == Request(Verb.RETRY, "a-20261122-0001")


def test_a_run_is_opened_and_left_again() -> None:
    state = pressed(all_runs(), "down", "enter")
    assert state.page.kind is Kind.RUN
    assert wanted(state).run_id == "a-20261122-0001"
    assert state.run is None
    assert pressed(state, "esc").page.kind is Kind.RUNS
    assert pressed(state, "f", "t").page.kind is Kind.RUN


def test_a_new_run_does_not_move_the_choice() -> None:
    state = pressed(all_runs(), "down")
    assert state.runs is not None
    newer = RunRow(record=record("c-20261122-0003", finished=False))
    state = with_look(state, replace(state.runs, rows=[newer, *state.runs.rows]))
    assert state.page.chosen == 2


def test_q_quits_everywhere_but_in_a_log_which_it_leaves() -> None:
    for keys in ([], ["f"], ["?"], ["down", "down", "enter"]):
        assert press(pressed(shown(weather()), *keys), "q", ROOM)[1] == Quit()
    state, asked = press(pressed(shown(weather()), "f", "enter"), "q", ROOM)
    assert asked is None
    assert state.page.kind is Kind.FAILURES


def test_the_elements_of_a_task_are_those_that_failed_and_those_that_run() -> None:
    tasks = {name: task("RUNNING", 9, array=True, FAILED=1, RUNNING=1) for name in "ab"}
    look = glance(
        tasks,
        failures=[failure("a", 1), failure("b", 2)],
        running=[running("a", 3), running("b", 4)],
    )
    state = pressed(shown(look), "end", "enter")
    assert elements(state) == [ElementName("b", 2), ElementName("b", 4)]
