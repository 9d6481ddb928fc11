"""What a worker sees of the files of its element's arguments, before the call and after it.

A state that was recorded elsewhere may not have reached this host yet, so the worker opens each
file and waits a little. Large trees would take too long to open: they are looked at once, after the
call. A file that is not as recorded, before or after, restricts the result to this run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reflow.fingerprint.files.contents import Contents, Memory
from reflow.fingerprint.files.look import MANY
from reflow.fingerprint.files.states import State
from reflow.model.notes import Note
from reflow.model.tasks import TaskSpec
from reflow.rundir.looks import RunLooks
from reflow.rundir.run_settings import RunSettings

States = Mapping[str, tuple[State, ...]]
"""By argument, what was recorded of its files."""


@dataclass(frozen=True, slots=True)
class Change:
    """A place whose state differs from the earlier one."""

    argument: str
    before: State
    now: State
    during: bool
    """Whether it changed while the task ran; else it was not as recorded when the call began."""


class Witness:
    """Checks that the files of one element's arguments are, and stay, as recorded."""

    def __init__(self, settings: RunSettings, memory: Memory) -> None:
        contents = Contents(memory)
        self._latency = settings.latency
        self._memory = memory
        self._opening = RunLooks(settings, opening=True, at_most=MANY, contents=contents)
        self._walking = RunLooks(settings, contents=contents)
        self._expected: States = {}
        self._before: dict[str, State] = {}

    def before(self, expected: States) -> None:
        """Look at the files that the element is given, and wait for those that are late."""
        self._expected = expected
        self._before = {}
        self._opening.forget()
        for states in expected.values():
            for state in states:
                # A file that was read elsewhere is read here only if it has been touched since.
                self._memory.remember(state.place, state.stamp, state.content)
            if not are_many(states):
                self._before |= {state.place: self._arrived(state) for state in states}

    def changes(self) -> Iterator[Change]:
        """Look again, and yield what is not as recorded, or not as it was before."""
        self._opening.forget()
        self._walking.forget()
        for argument, states in self._expected.items():
            looks = self._walking if are_many(states) else self._opening
            for state in states:
                before = self._before.get(state.place, state)
                now = looks.state(state.place, state.mode)
                if not before.agrees_with(state):
                    yield Change(argument, state, before, during=False)
                elif not now.agrees_with(before):
                    yield Change(argument, before, now, during=True)

    def _arrived(self, expected: State) -> State:
        seen = self._opening.state(expected.place, expected.mode)
        if seen.agrees_with(expected) or not _may_be_older(seen, expected):
            return seen
        return self._opening.wait_for(expected, self._latency)


def are_many(states: tuple[State, ...]) -> bool:
    """Tell whether the files of an argument are too many to be opened one by one."""
    return sum(max(1, state.entries) for state in states) > MANY


def _may_be_older(seen: State, expected: State) -> bool:
    """Tell whether a host may still see an earlier state rather than a later one."""
    return seen.newest is None or expected.newest is None or seen.newest <= expected.newest


def note_of(spec: TaskSpec, change: Change) -> Note:
    """Return a note on which argument's files have changed, and what to write."""
    argument, steps = change.argument, _steps_of(spec, change.argument)
    named = " and ".join(map(repr, steps))
    whose = f", which {named} returned" if steps else ""
    where = f"{change.now.place}{whose}: {change.now.difference(change.before)}"
    if not change.during:
        left = f"{named} had left it" if steps else "it was when the run was submitted"
        return Note(
            task=spec.name,
            key=f"changed before: {argument}",
            text=f"{argument} of {spec.name!r} was not as {left} when the call began ({where}): "
            "results made of it are not used again",
        )
    return Note(
        task=spec.name,
        key=f"changed: {argument}",
        text=f"{spec.name!r} changes {argument} ({where}), so its results are not used again. If "
        f"it is meant to write there, say so: {argument}: Annotated[Path, {_marker(steps)}]. Else "
        "let it write to a path of its own, and return that",
    )


def _steps_of(spec: TaskSpec, argument: str) -> tuple[str, ...]:
    return next((item.steps for item in spec.results if item.argument == argument), ())


def _marker(steps: tuple[str, ...]) -> str:
    if not steps:
        return "Param(output=True)"
    named = f"step={steps[0]!r}" if len(steps) == 1 else f"steps={list(steps)!r}"
    return f"Result({named}, output=True)"
