"""The view as lines: a function of its state, the terminal's size and the time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.text import Text

from reflow.model.records import FailedInstance
from reflow.model.states import RunState, TaskState
from reflow.report.layout import GAP, count, duration, moment, near
from reflow.report.pilots import pilot_lines
from reflow.report.status import (
    OWN_EXECUTORS,
    fitting,
    job_lines,
    note_lines,
    state_text,
)
from reflow.report.watch.lines import (
    NO_MARK,
    broken,
    fitted,
    marked,
    spread,
    visible,
    window,
)
from reflow.report.watch.state import Kind, Page, State, elements, question_text, size_of
from reflow.report.watch.tables import element_rows, left, run_rows, task_table
from reflow.runs.watching.glance import MOST_LISTED, ElementName, Glance, LogGlance


class Size(NamedTuple):
    """The size of a terminal."""

    columns: int
    lines: int


KEYS = {
    Kind.RUNS: ("↑↓ choose", "enter open", "c cancel", "r retry", "? help", "q quit"),
    Kind.RUN: ("↑↓ choose", "enter open", "f failures", "c cancel", "r retry", "? help", "q quit"),
    Kind.FAILURES: ("↑↓ choose", "enter log", "t tasks", "esc back", "? help", "q quit"),
    Kind.ELEMENTS: (
        "↑↓ choose",
        "enter log",
        "c cancel",
        "r retry",
        "esc back",
        "? help",
        "q quit",
    ),
    Kind.LOG: ("↑↓ scroll", "end follow", "esc back", "? help"),
}
HELP = (
    ("up, down, k, j", "choose a line, or scroll a log"),
    ("PageUp, PageDown", "a page up or down"),
    ("Home, End, g, G", "the first and the last line; at its end, a log is followed"),
    ("Enter", "open it: a run, the elements of a task, the log of an element"),
    ("Esc, Left", "back"),
    ("f, t", "the failures of the run, newest first; its tasks"),
    ("c", "cancel the task that is chosen, or else the run; asks first"),
    ("r", "retry what failed, was cancelled or skipped, likewise; asks first"),
    ("q, Ctrl-C", "quit; the run goes on. In a log: back"),
    ("Ctrl-Z", "suspend; fg comes back"),
)


_MOST_TOLD = 3
"""Lines that one message takes, at most."""
_STALE = timedelta(seconds=10)
"""The age from which what is shown is said to be old: the database, say, does not answer."""


def view(state: State, size: Size, now: datetime) -> list[Text]:
    """Return the lines of the view, as many as the terminal has, each no wider than it is."""
    width, height = max(size.columns, 1), max(size.lines, 1)
    head = _head(state, now, width)[: max(height - 3, 1)]
    foot = _foot(state, now, width)[-max(height - len(head), 0) :] if height > len(head) else []
    room = height - len(head) - len(foot)
    body = (_help(width) if state.help else _body(state, width, room, now))[:room] if room else []
    body += [Text("")] * (room - len(body))
    return [fitted(line, width) for line in (*head, *body, *foot)]


def list_room(state: State, size: Size) -> int:
    """Return how many lines of the page's list are seen, by which its reader turns pages."""
    return max(size.lines - 6, 1)


# -- above and below -------------------------------------------------------------------------


def _head(state: State, now: datetime, width: int) -> list[Text]:
    page, run = state.page, state.run
    if page.kind is Kind.RUNS:
        return [_runs_head(state), Text("")]
    title = Text(visible(page.run_id), "bold")
    if run is None:
        return [title, Text("")]
    facts = run.status["run"]
    started = datetime.fromisoformat(facts["created_at"])
    finished = facts.get("finished_at")
    title.append(GAP).append_text(state_text(facts["status"]))
    if finished:
        title.append(f"{GAP}after {duration(datetime.fromisoformat(finished) - started)}")
    else:
        title.append(f"{GAP}for {duration(_since(started, now))}")
    lines = [spread(title, _expected(run, now), width)]
    if page.kind is Kind.RUN:
        executor = facts.get("executor") or ""
        shown = (near(facts["run_dir"]), OWN_EXECUTORS.get(executor, executor), moment(started))
        lines.append(Text(visible(GAP + " · ".join(fact for fact in shown if fact)), "dim"))
    else:
        lines.append(_place(state, page))
    return [*lines, Text("")]


def _since(started: datetime, now: datetime) -> timedelta:
    """Return the time since a run began, in whole seconds: the view is drawn every second."""
    return timedelta(seconds=max(int((now - started).total_seconds()), 0))


def _runs_head(state: State) -> Text:
    if state.runs is None:
        return Text("runs", "bold")
    states = Counter(str(row.record.state) for row in state.runs.rows)
    head = Text.assemble((count(len(state.runs.rows), "run"), "bold"))
    for each in RunState:
        if states[each]:
            head.append(f"{GAP}{states[each]} ").append_text(state_text(each))
    if state.runs.more:
        head.append(f"{GAP}the newest; --last N or --all shows more", "dim")
    return head


def _expected(run: Glance, now: datetime) -> list[str]:
    """Write `~8 min left, until ~17:45`, at length and in short, where that can be known."""
    if run.left is None or run.status["run"]["status"] != RunState.RUNNING:
        return []
    rest = run.left - (now - run.at)
    end = (now + rest).astimezone()
    rest = max(rest, timedelta(seconds=1))
    day = "" if rest < timedelta(hours=12) else f"{end:%a} "
    return [f"{left(rest)} left, until ~{day}{end:%H:%M}", f"{left(rest)} left"]


def _place(state: State, page: Page) -> Text:
    """Say what a page shows."""
    run = state.run
    if page.kind is Kind.FAILURES:
        number = _number(run, TaskState.FAILED)
        beyond = f", the newest {MOST_LISTED:,} of them" if number > MOST_LISTED else ""
        return Text(f"{GAP}{count(number, 'failed instance')}, newest first{beyond}", "dim")
    if page.kind is Kind.ELEMENTS:
        failed, runs = (
            _number(run, each, page.task) for each in (TaskState.FAILED, TaskState.RUNNING)
        )
        most = f"; at most {MOST_LISTED:,} of each are listed"
        beyond = most if max(failed, runs) > MOST_LISTED else ""
        told = f"{failed:,} failed, {runs:,} running{beyond}"
        return Text.assemble(GAP, (visible(page.task), "bold"), GAP, (told, "dim"))
    line = Text.assemble(GAP, (visible(str(page.element)), "bold"))
    if state.log is not None and state.log.state is not None:
        line.append(GAP).append_text(state_text(state.log.state))
        if state.log.attempt > 1:
            line.append(f"{GAP}attempt {state.log.attempt}")
    if state.log is not None and state.log.path:
        line.append(f"{GAP}{visible(near(state.log.path))}", "dim")
    return line


def _number(run: Glance | None, state: TaskState, task: str | None = None) -> int:
    tasks = {} if run is None else run.status["tasks"]
    return sum(int(tasks[name]["counts"].get(state, 0)) for name in tasks if task in (None, name))


def _foot(state: State, now: datetime, width: int) -> list[Text]:
    told: list[tuple[str, str]] = []
    if state.trouble:
        told.append((f"not seen: {state.trouble}; tried again", "red"))
    elif (seen := _seen(state)) is not None and now - seen > _STALE:
        told.append((f"last seen {duration(_since(seen, now))} ago", "yellow"))
    if state.question is not None:
        told.append((question_text(state, state.question), "bold yellow"))
    elif state.said:
        told.append((state.said, "bold"))
    lines = [Text(line, style) for text, style in told for line in broken(text, width)[:_MOST_TOLD]]
    if state.question is not None:
        return lines
    keys = ("any key: back", "q quit") if state.help else KEYS[state.page.kind]
    while len(keys) > 2 and len(GAP.join(keys)) > width:
        # The last two tell how to get help and out.
        keys = (*keys[:-3], *keys[-2:])
    return [*lines, Text(GAP.join(keys), "dim")]


def _seen(state: State) -> datetime | None:
    """Return when what is on the screen was seen."""
    if state.page.kind is Kind.RUNS:
        return None if state.runs is None else state.runs.at
    return None if state.run is None else state.run.at


def _help(width: int) -> list[Text]:
    longest = max(len(keys) for keys, _ in HELP)
    if longest + 24 > width:
        return [Text.assemble((keys, "bold"), f": {does}") for keys, does in HELP]
    return [Text.assemble((keys.ljust(longest), "bold"), GAP, does) for keys, does in HELP]


# -- pages -----------------------------------------------------------------------------------


def _body(state: State, width: int, room: int, now: datetime) -> list[Text]:
    kind = state.page.kind
    if kind is Kind.LOG:
        return _log(state, width, room)
    if kind is Kind.RUNS:
        return _runs(state, width, room, now)
    if state.run is None:
        return [Text("looking ...", "dim")]
    if kind is Kind.RUN:
        return _run(state, state.run, width, room)
    return _elements(state, state.run, width, room)


def _run(state: State, run: Glance, width: int, room: int) -> list[Text]:
    """Show tasks, what is known of their jobs and why they wait, and the newest failures.

    Where there is not room for all, the tasks have half of it, and notes and failures a quarter.
    """
    tasks = run.status["tasks"]
    facts = _facts(run, width)
    failures = element_rows(run.failures[: room // 2], (), width)
    facts_room = min(len(facts), max(room // 4, room - len(tasks) - 2 - len(failures) - 2))
    failed_room = 0
    if failures:
        free = room - len(tasks) - 1 - facts_room
        failed_room = min(len(failures) + 2, max(room // 4, free))
        failed_room = failed_room if failed_room >= 3 else 0
    lines = _tasks(state, run, width, room - facts_room - failed_room)
    lines += facts[:facts_room]
    if failed_room:
        number = _number(run, TaskState.FAILED)
        heading = f"{count(number, 'failed instance')}; the newest:"
        lines += [Text(""), Text(heading, "dim")]
        lines += [Text.assemble(NO_MARK, line) for line in failures[: failed_room - 2]]
    return lines


def _tasks(state: State, run: Glance, width: int, room: int) -> list[Text]:
    tasks: dict[str, Any] = run.status["tasks"]
    if not tasks:
        return [Text("the run has no tasks", "dim")]
    chosen, names = state.page.chosen, list(tasks)
    hidden = len(tasks) > room - 1
    rows = max(room - 1 - hidden, 1)
    if chosen is None:
        shown = fitting(tasks, rows + 1)
        place = None
    else:
        chosen = min(chosen, len(names) - 1)
        places = window(len(names), rows, chosen)
        shown = {names[each]: tasks[names[each]] for each in places}
        place = chosen - places.start
    heading, *lines = task_table(shown, run.paces, tasks, width - len(NO_MARK))
    lines = [Text.assemble(NO_MARK, heading), *marked(lines, place)]
    if more := len(tasks) - len(shown):
        lines.append(Text(f"{NO_MARK}and {count(more, 'more task')}", "dim"))
    return lines[: max(room, 1)]


def _facts(run: Glance, width: int) -> list[Text]:
    """Tell of jobs, pilots and hosts, of what waits and why, and what else is to be known."""
    tasks = run.status["tasks"]
    lines = [*pilot_lines(run.status.get("pilots"), width=width), *job_lines(tasks, width=width)]
    if run.hosts and not (len(run.hosts) == 1 and run.status["run"]["executor"] in OWN_EXECUTORS):
        most = sorted(run.hosts.items(), key=lambda each: (-each[1], each[0]))
        told = ", ".join(f"{host} {number:,}" for host, number in most)
        lines.append(Text(f"running on {count(len(most), 'host')}: {told}", "dim"))
    return [Text.assemble(NO_MARK, line) for line in (*lines, *note_lines(run.status)[1:])]


def _elements(state: State, run: Glance, width: int, room: int) -> list[Text]:
    page, names = state.page, elements(state)
    if not names:
        told = "nothing has failed" if page.kind is Kind.FAILURES else "nothing runs or has failed"
        return [Text(f"{NO_MARK}{told}", "dim")]
    chosen = min(page.chosen or 0, len(names) - 1)
    places = window(len(names), room, chosen)
    failures = [
        each for each in run.failures if page.kind is Kind.FAILURES or each.task == page.task
    ]
    running = [] if page.kind is Kind.FAILURES else run.running
    here = [*failures, *(each for each in running if each.element.task == page.task)]
    seen = [here[place] for place in places]
    failed = failures[places.start : places.stop]
    rows = element_rows(failed, seen[len(failed) :], width)  # type: ignore[arg-type]
    return marked(rows, chosen - places.start)


def _log(state: State, width: int, room: int) -> list[Text]:
    """Show why the element failed, if it has, and its log below, with long lines broken."""
    log, failure = state.log, _failure_of(state)
    head: list[Text] = []
    if failure is not None:
        told = f"{failure.cause or 'FAILED'}  {failure.error}"
        head = [Text(line, "red") for line in broken(told, width)][: max(room // 4, 1)]
        head.append(Text(""))
    room -= len(head)
    if log is None:
        return [*head, Text("looking ...", "dim")]
    if not log.lines:
        return [*head, Text(_why_empty(log), "dim")]
    last = max(size_of(state) - room, 0)
    chosen = state.page.chosen
    if chosen is None or chosen >= last:
        shown = [line for text in log.lines[-room:] for line in broken(text, width)][-room:]
    else:
        texts = log.lines[chosen : chosen + room]
        shown = [line for text in texts for line in broken(text, width)]
    return [*head, *map(Text, shown[:room])]


def _failure_of(state: State) -> FailedInstance | None:
    """Return the failure of the element whose log is shown."""
    if state.run is None or (state.log is not None and state.log.state is not TaskState.FAILED):
        return None
    same = (
        each
        for each in state.run.failures
        if ElementName(each.task, each.index) == state.page.element
    )
    return next(same, None)


def _why_empty(log: LogGlance) -> str:
    if log.state is None or log.state in (TaskState.PENDING, TaskState.SUBMITTED):
        return "there is no log yet: it has not begun"
    if log.state is TaskState.RUNNING:
        return "there is no log yet: nothing was printed"
    return "there is no log: nothing was printed, or the result came from the cache"


def _runs(state: State, width: int, room: int, now: datetime) -> list[Text]:
    if state.runs is None:
        return [Text("looking ...", "dim")]
    rows = state.runs.rows
    if not rows:
        return [Text(f"{NO_MARK}no runs", "dim")]
    chosen = min(state.page.chosen or 0, len(rows) - 1)
    places = window(len(rows), max(room - 1, 1), chosen)
    shown = [rows[place] for place in places]
    heading, *lines = run_rows(shown, now.astimezone(UTC), width - len(NO_MARK))
    return [Text.assemble(NO_MARK, heading), *marked(lines, chosen - places.start)]
