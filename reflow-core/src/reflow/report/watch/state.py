"""What a view of runs shows, and what keys do to that; nothing here reads or prints anything.

A view is a stack of pages: the list of runs, a run, its failures or a task's elements, a log. Each
page remembers the line that is chosen and how far it is scrolled. `press` returns the state after a
key, and what is to be done outside of the view, where the key asks for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TypeAlias

from reflow.model.states import RunState, TaskState
from reflow.report.layout import count
from reflow.runs.watching.glance import (
    MOST_LISTED,
    ElementName,
    Glance,
    LogGlance,
    RunsGlance,
    Wanted,
)

Look: TypeAlias = Glance | LogGlance | RunsGlance

FAILURES_OF_A_RUN = 20
"""Newest failures that a run's page has room for, at most."""


class Kind(Enum):
    """The kinds of pages."""

    RUNS = "runs"
    RUN = "run"
    FAILURES = "failures"
    ELEMENTS = "elements"
    LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, and where its reader is."""

    kind: Kind
    run_id: str = ""
    task: str = ""
    """Whose elements are shown."""
    element: ElementName | None = None
    """Whose log is shown."""
    chosen: int | None = None
    """The place of the chosen line; None before one was chosen. For a log, the first line shown;
    None: it follows the end."""


class Verb(StrEnum):
    """What a view asks for, as the command that does it is called."""

    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Request:
    """A command that the reader confirmed."""

    verb: Verb
    run_id: str
    task: str = ""
    """Empty for the whole run."""

    def __str__(self) -> str:
        return f"{self.task} of {self.run_id}" if self.task else self.run_id


@dataclass(frozen=True, slots=True)
class Quit:
    """The reader leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a view shows."""

    pages: tuple[Page, ...]
    """The last one is seen."""
    run: Glance | None = None
    """The last look at the run on the pages; None before the first."""
    runs: RunsGlance | None = None
    log: LogGlance | None = None
    trouble: str = ""
    """Why the last look failed."""
    said: str = ""
    """What a command has done, or is doing."""
    question: Request | None = None
    """What the reader is asked to confirm."""
    help: bool = False

    @property
    def page(self) -> Page:
        """The page that is seen."""
        return self.pages[-1]


def begin(run_id: str | None) -> State:
    """Return the state of a view that begins with a run, or with all of them."""
    if run_id is None:
        return State(pages=(Page(kind=Kind.RUNS),))
    return State(pages=(Page(kind=Kind.RUN, run_id=run_id),))


def wanted(state: State) -> Wanted:
    """Return what the page that is seen needs to know."""
    page = state.page
    run_id = page.run_id or None
    if page.kind is Kind.RUN:
        return Wanted(run_id=run_id, failures=FAILURES_OF_A_RUN, running=MOST_LISTED)
    if page.kind is Kind.FAILURES:
        return Wanted(run_id=run_id, failures=MOST_LISTED)
    if page.kind is Kind.ELEMENTS:
        return Wanted(run_id=run_id, failures=MOST_LISTED, running=MOST_LISTED, task=page.task)
    return Wanted(run_id=run_id, log=page.element)


def elements(state: State) -> Sequence[ElementName]:
    """Return the elements that are listed on the page: failed ones, then running ones."""
    if state.run is None:
        return []
    failed = [ElementName(each.task, each.index) for each in state.run.failures]
    if state.page.kind is Kind.FAILURES:
        return failed
    running = [each.element for each in state.run.running]
    return [each for each in (*failed, *running) if each.task == state.page.task]


def size_of(state: State) -> int:
    """Return how many lines can be chosen on the page; for a log, how many it has."""
    page = state.page
    if page.kind is Kind.RUNS:
        return 0 if state.runs is None else len(state.runs.rows)
    if page.kind is Kind.RUN:
        return 0 if state.run is None else len(state.run.status["tasks"])
    if page.kind is Kind.LOG:
        return 0 if state.log is None else len(state.log.lines)
    return len(elements(state))


_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1}


def press(state: State, key: str, room: int) -> tuple[State, Request | Quit | None]:
    """Return the state after a key, and what is to be done besides.

    `room` is the number of lines that the page shows of its list.
    """
    if state.question is not None:
        return _answer(state, state.question, key)
    if state.help:
        return (state, Quit()) if key == "q" else (replace(state, help=False), None)
    state = replace(state, said="") if state.said and key != "redraw" else state
    if key == "q":
        # A log is left as a pager is: by the same key.
        return (state, Quit()) if state.page.kind is not Kind.LOG else (_back(state), None)
    if key in ("esc", "left", "backspace"):
        return _back(state), None
    if key == "?":
        return replace(state, help=True), None
    if key in _MOVES or key in ("pageup", "pagedown", "home", "end", "g", "G", " "):
        return _moved(state, key, room), None
    if key in ("enter", "right", "l"):
        return _opened(state), None
    if key in ("f", "t"):
        return _switched(state, key), None
    if key in ("c", "r"):
        return _asked(state, Verb.CANCEL if key == "c" else Verb.RETRY), None
    return state, None


def _answer(state: State, asked: Request, key: str) -> tuple[State, Request | None]:
    if key in ("y", "Y"):
        doing = "cancelling" if asked.verb is Verb.CANCEL else "retrying"
        return replace(state, question=None, said=f"{doing} {asked} ..."), asked
    if key in ("n", "N", "q", "esc", "enter"):
        past = "cancelled" if asked.verb is Verb.CANCEL else "retried"
        return replace(state, question=None, said=f"nothing was {past}"), None
    return state, None


def _back(state: State) -> State:
    if len(state.pages) == 1:
        return _on_page(state, replace(state.page, chosen=None))
    back = replace(state, pages=state.pages[:-1], log=None)
    return replace(back, run=None) if back.page.kind is Kind.RUNS else back


def _on_page(state: State, page: Page) -> State:
    return replace(state, pages=(*state.pages[:-1], page))


def _moved(state: State, key: str, room: int) -> State:
    size, page = size_of(state), state.page
    if not size:
        return state
    step = max(room - 1, 1)
    if page.kind is Kind.LOG:
        last = max(size - room, 0)
        here = last if page.chosen is None else min(page.chosen, last)
        first = _place(key, here, last, step)
        # At the end it follows what is written.
        return _on_page(state, replace(page, chosen=None if first >= last else first))
    last = size - 1
    if page.chosen is None and page.kind is Kind.RUN:
        # No task is chosen at first: `c` and `r` mean the run.
        first = {"up": last, "k": last, "end": last, "G": last}.get(key, 0)
        return _on_page(state, replace(page, chosen=first))
    here = min(page.chosen or 0, last)
    return _on_page(state, replace(page, chosen=_place(key, here, last, step)))


def _place(key: str, here: int, last: int, step: int) -> int:
    if key in ("home", "g"):
        return 0
    if key in ("end", "G"):
        return last
    if key in ("pageup", "pagedown", " "):
        here += -step if key == "pageup" else step
    else:
        here += _MOVES[key]
    return min(max(here, 0), last)


def _opened(state: State) -> State:
    """Open what is chosen: a run, a task's elements, an element's log."""
    page = state.page
    at = min(page.chosen or 0, size_of(state) - 1)
    if at < 0 or page.kind is Kind.LOG:
        return state
    if page.kind is Kind.RUNS and state.runs is not None:
        run_id = state.runs.rows[at].record.run_id
        opened = _on_page(state, replace(page, chosen=at))
        return _with_page(replace(opened, run=None), Page(kind=Kind.RUN, run_id=run_id))
    if page.kind is Kind.RUN and state.run is not None:
        if page.chosen is None:
            return state
        return _opened_task(state, list(state.run.status["tasks"])[at])
    return _with_log(state, elements(state)[at])


def _opened_task(state: State, name: str) -> State:
    assert state.run is not None
    if state.run.status["tasks"][name]["array"]:
        return _with_page(state, Page(kind=Kind.ELEMENTS, run_id=state.page.run_id, task=name))
    return _with_log(state, ElementName(name, None))


def _with_log(state: State, element: ElementName) -> State:
    page = Page(kind=Kind.LOG, run_id=state.page.run_id, element=element)
    return _with_page(replace(state, log=None), page)


def _with_page(state: State, page: Page) -> State:
    return replace(state, pages=(*state.pages, page))


def _switched(state: State, key: str) -> State:
    """Show the failures of the run, or its tasks, from any of its pages."""
    pages = tuple(each for each in state.pages if each.kind in (Kind.RUNS, Kind.RUN))
    if pages[-1].kind is Kind.RUNS:
        return state
    shown = replace(state, pages=pages, log=None)
    if key == "t":
        return shown
    return _with_page(shown, Page(kind=Kind.FAILURES, run_id=shown.page.run_id))


def _asked(state: State, verb: Verb) -> State:
    """Ask whether to cancel or retry the chosen task, or the run."""
    page = state.page
    if page.kind is Kind.RUNS:
        if state.runs is None or not state.runs.rows:
            return state
        record = state.runs.rows[min(page.chosen or 0, len(state.runs.rows) - 1)].record
        request, run_state = Request(verb, record.run_id), str(record.state)
    elif state.run is None:
        return state
    else:
        request = Request(verb, page.run_id, _task_meant(state))
        run_state = state.run.status["run"]["status"]
    if verb is Verb.CANCEL and run_state != RunState.RUNNING:
        return replace(state, said=f"{request.run_id} has ended: {run_state}")
    return replace(state, question=request)


def _task_meant(state: State) -> str:
    page = state.page
    if page.kind is Kind.ELEMENTS:
        return page.task
    if page.element is not None:
        return page.element.task
    assert state.run is not None
    names = list(state.run.status["tasks"])
    if page.kind is Kind.RUN and page.chosen is not None and names:
        return str(names[min(page.chosen, len(names) - 1)])
    return ""


def question_text(state: State, asked: Request) -> str:
    """Write what the reader is asked: `Cancel convert of RUN, 12 elements? (y/n)`."""
    concerned = ""
    if state.run is not None and asked.run_id == state.run.status["run"]["run_id"]:
        states = _CONCERNED[asked.verb]
        tasks = state.run.status["tasks"]
        names = [asked.task] if asked.task else list(tasks)
        number = sum(
            int(tasks[name]["counts"].get(each, 0))
            for name in names
            if name in tasks
            for each in states
        )
        concerned = f", {count(number, 'instance')} so far" if number else ""
    return f"{asked.verb.capitalize()} {asked}{concerned}? (y/n)"


_CONCERNED = {
    Verb.CANCEL: (TaskState.PENDING, TaskState.SUBMITTED, TaskState.RUNNING),
    Verb.RETRY: (TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED),
}


def with_look(state: State, look: Look) -> State:
    """Return the state after a look; what is chosen stays chosen where new lines come above it."""
    before = _names(state)
    if isinstance(look, RunsGlance):
        after = replace(state, runs=look)
    elif isinstance(look, LogGlance):
        after = replace(state, log=look)
    elif state.page.kind is Kind.LOG and state.run is not None:
        # The elements were not read anew, and are shown when the reader comes back from the log.
        kept = replace(look, failures=state.run.failures, running=state.run.running)
        after = replace(state, run=replace(kept, hosts=state.run.hosts))
    else:
        after = replace(state, run=look)
    page, names = after.page, _names(after)
    if page.chosen is None or page.kind in (Kind.RUN, Kind.LOG) or page.chosen >= len(before):
        return after
    name = before[page.chosen]
    if page.chosen < len(names) and names[page.chosen] == name:
        return after
    places = {each: place for place, each in enumerate(names)}
    return _on_page(after, replace(page, chosen=places.get(name, page.chosen)))


def _names(state: State) -> Sequence[object]:
    if state.page.kind is Kind.RUNS:
        return [] if state.runs is None else [each.record.run_id for each in state.runs.rows]
    return elements(state)
