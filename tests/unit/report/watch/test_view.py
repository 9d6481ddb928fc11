from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from reflow.model.states import TaskState
from reflow.report.watch.state import Kind, Page, State, begin, press, with_look
from reflow.report.watch.view import KEYS, Size, view
from reflow.runs.watching.glance import (
    ElementName,
    Glance,
    LogGlance,
    Pace,
    RunRow,
    RunsGlance,
)
from rich.cells import cell_len

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

SIZES = [Size(80, 24), Size(60, 20), Size(40, 10), Size(200, 50), Size(20, 5), Size(1, 1)]
HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "two\nlines\tand\r\x07",
    "気象データの変換" * 9,
    "\u202egnp.exe\u2066",
    "e\u0301" * 60,
    "[bold]x[/] ",
    "👩\u200d🔬" * 30,
]


USUAL = Size(80, 24)


def text(state: State, size: Size = USUAL) -> str:
    return "\n".join(line.plain for line in view(state, size, NOW))


def many(number: int) -> Glance:
    tasks = {f"step{place}": task("PENDING", 5, array=True, PENDING=5) for place in range(number)}
    return glance(tasks)


def large() -> Glance:
    counts = {"SUCCESS": 50_000, "RUNNING": 4_000, "SUBMITTED": 45_000, "FAILED": 1_000}
    return glance(
        {"convert": task("RUNNING", 100_000, array=True, **counts)},
        failures=[failure("convert", index) for index in range(1_000)],
        running=[running("convert", index, f"n{index % 300}") for index in range(1_000)],
        hosts={f"n{place}": 4 for place in range(300)},
    )


def hostile() -> Glance:
    tasks = {name: task("RUNNING", 9, array=True, RUNNING=8, FAILED=1) for name in HOSTILE}
    return glance(
        {name: each | {"reason": name} for name, each in tasks.items()},
        failures=[failure(name, 0, name) for name in HOSTILE],
        running=[running(name, 1, name) for name in HOSTILE],
        hosts=dict.fromkeys(HOSTILE, 1),
        run_dir="/scratch/" + HOSTILE[0],
        executor=HOSTILE[2],
    )


def states() -> dict[str, State]:
    looks = {
        "weather": weather(),
        "no tasks": glance({}),
        "300 tasks": many(300),
        "100,000 elements": large(),
        "hostile": hostile(),
        "ended": glance({"a": task("SUCCESS")}, "SUCCESS"),
    }
    found = {name: shown(look) for name, look in looks.items()}
    found |= {f"{name}: failures": press(state, "f", 9)[0] for name, state in found.items()}
    found |= {f"{name}: asked": press(state, "c", 9)[0] for name, state in found.items()}
    found |= {
        "before the first look": begin(RUN_ID),
        "help": press(found["weather"], "?", 9)[0],
        "all runs": begin(None),
        "trouble": replace(found["weather"], trouble="the database " + HOSTILE[1], said="done"),
        "chosen": press(found["hostile"], "down", 9)[0],
        "log": log(HOSTILE),
    }
    return found


def log(lines: list[str]) -> State:
    page = Page(kind=Kind.LOG, run_id=RUN_ID, element=ElementName("convert", 3))
    look = LogGlance(element=ElementName("convert", 3), lines=lines, path="/x/3.1.log")
    return with_look(replace(shown(weather()), pages=(*shown(weather()).pages, page)), look)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", states())
def test_the_view_is_as_large_as_the_terminal_whatever_it_shows(name: str, size: Size) -> None:
    lines = view(states()[name], size, NOW)
    assert len(lines) == size.lines
    for line in lines:
        assert cell_len(line.plain) <= size.columns
        assert not set(line.plain) & {chr(each) for each in (*range(32), 127, 0x202E, 0x2066)}


def test_a_run_is_seen_at_a_glance() -> None:
    found = text(shown(weather()))
    assert found.splitlines()[0].startswith(f"{RUN_ID}  RUNNING  for 10 min 0 s")
    assert "~18 min left, until ~" in found.splitlines()[0]
    convert = next(line for line in found.splitlines() if "convert " in line)
    assert convert.split()[:3] == ["convert", "RUNNING", "512/1000"]
    assert convert.split()[4:] == ["64.2", "~7", "min", "10", "32", "446"]
    assert "convert waits: Priority" in found
    assert "running on 3 hosts: n0 11, n1 11, n2 10" in found
    assert "10 failed instances; the newest:" in found
    assert "convert[0]  ERROR  ValueError: no file 0" in found
    assert found.endswith("? help  q quit")


def test_columns_are_left_out_where_they_do_not_fit() -> None:
    wide, narrow = (text(shown(weather()), Size(width, 24)) for width in (120, 40))
    assert "waiting" in wide
    assert "64.2" not in narrow
    assert "512/1000" in narrow
    assert "~7 min" in narrow


def test_of_many_tasks_those_that_matter_are_seen_and_the_others_counted() -> None:
    tasks = {f"step{place}": task("SUCCESS") for place in range(300)}
    tasks["step150"] = task("RUNNING")
    found = text(shown(glance(tasks)))
    assert "step150" in found
    hidden = 300 - found.count("step")
    assert f"and {hidden} more tasks" in found


def test_all_tasks_can_be_reached() -> None:
    state, seen = shown(many(300)), set()
    for _ in range(300):
        state, _asked = press(state, "down", 10)
        seen |= {line.split()[1] for line in text(state).splitlines() if line.startswith("› ")}
    assert seen == {f"step{place}" for place in range(300)}


def test_the_chosen_line_is_marked_by_more_than_colour() -> None:
    state, _asked = press(shown(weather()), "down", 9)
    assert "› fetch" in text(state)


def test_what_could_not_be_looked_at_is_said_above_the_keys() -> None:
    found = text(replace(shown(weather()), trouble="the manifest is locked")).splitlines()
    assert found[-2] == "not seen: the manifest is locked; tried again"


def test_the_end_of_a_log_is_shown_until_it_is_scrolled() -> None:
    state = log([f"line {number}" for number in range(100)])
    assert "line 99" in text(state)
    state, _asked = press(state, "pageup", 18)
    assert "line 99" not in text(state)
    state, _asked = press(state, "end", 18)
    assert "line 99" in text(state)


def test_a_log_is_shown_as_a_terminal_would_with_long_lines_broken() -> None:
    lines = ["\x1b[32mgreen\x1b[0m", "10 %\r100 %\r", "a\tb", "x" * 100, ""]
    shown_lines = text(log(lines)).splitlines()
    assert shown_lines[3:8] == ["green", "100 %", "a       b", "x" * 80, "x" * 20]


def test_above_the_log_of_a_failed_element_stands_why_it_failed() -> None:
    state = press(press(shown(weather()), "f", 9)[0], "enter", 9)[0]
    element = ElementName("convert", 0)
    state = with_look(state, LogGlance(element=element, lines=["hello"], state=TaskState.FAILED))
    assert text(state).splitlines()[3:6] == ["ERROR  ValueError: no file 0", "", "hello"]
    state = with_look(state, LogGlance(element=element, lines=["hello"], state=TaskState.RUNNING))
    assert "ValueError" not in text(state)


def test_what_is_old_is_said_to_be() -> None:
    state = shown(weather())
    assert "last seen" not in text(state)
    lines = [line.plain for line in view(state, USUAL, NOW + timedelta(seconds=31))]
    assert "last seen 31 s ago" in lines


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (TaskState.SUBMITTED, "it has not begun"),
        (TaskState.RUNNING, "nothing was printed"),
        (TaskState.SUCCESS, "or the result came from the cache"),
    ],
)
def test_where_there_is_no_log_the_page_says_why(state: TaskState, why: str) -> None:
    opened = log([])
    look = LogGlance(element=ElementName("convert", 3), state=state)
    assert why in text(with_look(opened, look))


def test_nothing_is_said_of_an_end_that_is_not_known() -> None:
    assert "left" not in text(shown(glance({"a": task("RUNNING")})))


def test_an_end_tomorrow_is_told_with_its_day() -> None:
    look = glance({"a": task("RUNNING")}, left=timedelta(hours=30))
    assert "~1 d 6 h left, until ~Mon " in text(shown(look))


def test_where_there_is_no_room_for_the_hour_the_time_left_is_told_alone() -> None:
    look = glance({"a": task("RUNNING")}, left=timedelta(seconds=2))
    assert text(shown(look), Size(60, 20)).splitlines()[0].endswith("  ~2 s left")
    assert "left" not in text(shown(look), Size(50, 20))


def test_rates_are_as_exact_as_they_are_known() -> None:
    tasks = {name: task("RUNNING", 9, array=True, RUNNING=9) for name in "abc"}
    paces = {"a": Pace(1234.5), "b": Pace(12.34), "c": Pace(0.123)}
    found = text(shown(glance(tasks, paces=paces)))
    assert "1,234 " in found
    assert "12.3 " in found
    assert "0.12 " in found


def test_runs_are_listed_with_how_far_they_are() -> None:
    rows = [
        RunRow(record=record("a-20261122-0001", finished=False), done=3, failed=1, size=10),
        RunRow(record=record("a-20261122-0002", finished=True)),
    ]
    state = with_look(begin(None), RunsGlance(at=NOW, rows=rows, more=True))
    found = text(state)
    assert "2 runs  1 RUNNING  1 SUCCESS" in found
    assert "3/10" in found
    assert "10 min 0 s ..." in found


@pytest.mark.parametrize("kind", Kind)
def test_every_page_says_how_to_get_help(kind: Kind) -> None:
    assert "? help" in KEYS[kind]


def test_a_large_run_is_drawn_in_no_time() -> None:
    state = shown(large())
    began = time.process_time()
    for _ in range(5):
        view(state, Size(200, 50), NOW)
    assert time.process_time() - began < 1
