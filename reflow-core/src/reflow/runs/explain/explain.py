"""Explaining why elements ran, or came from the cache: one of them, or all of a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from reflow.errors import NotFoundError
from reflow.execution.execute import plugin_codecs
from reflow.model.attempts import Attempt
from reflow.model.fields import as_json
from reflow.model.lineage import kin_of
from reflow.model.records import (
    Instance,
    Look,
    RecordedResult,
    RunRecord,
    StoredOutput,
    Taker,
    TaskRecord,
)
from reflow.model.secrets import shown_source, shown_text
from reflow.model.states import TaskState
from reflow.rundir.ownership import user_name
from reflow.runs.explain.compare import Comparison
from reflow.runs.explain.earlier import Nearest, nearest_elements
from reflow.runs.explain.sides import UNREADABLE, Planned, Side, Sides, TaskSides
from reflow.runs.explain.unused import Refusals, Unused, taken_results
from reflow.runs.explain.words import (
    MOST_NAMED,
    Difference,
    Earlier,
    Explanation,
    Field,
    Group,
    Reason,
)
from reflow.stores.contract import ReadsAttempts, Store, TracesResults, find_instance

VERSION = 1
"""Of the JSON documents; fields are only ever added."""


def explain_element(
    store: Store, record: RunRecord, task: TaskRecord, index: int
) -> dict[str, Any]:
    """Return why one element ran, or where its result came from, as plain data.

    Raises `NotFoundError` for an element that the task does not have.
    """
    if index < 0 or (task.size is not None and index >= task.size):
        raise NotFoundError(f"task {task.name!r} of {record.run_id} has no element {index}")
    instance = find_instance(store, record.run_id, task.name, index)
    explanation = Explainer(store, record, task).element(index, instance)
    return {
        "version": VERSION,
        "run_id": record.run_id,
        "task": task.name,
        "index": index if task.array else None,
        "state": str(task.state or TaskState.PENDING if instance is None else instance.state),
        "attempt": 0 if instance is None else instance.attempt,
        **_as_data(explanation),
    }


def explain_task(store: Store, record: RunRecord, task: TaskRecord) -> dict[str, Any]:
    """Return why the elements of a task ran, or where their results came from, as plain data."""
    groups = Explainer(store, record, task).groups()
    return {
        "version": VERSION,
        "run_id": record.run_id,
        "task": task.name,
        "size": task.size,
        "groups": groups_as_data(groups),
    }


def groups_as_data(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Return groups as plain data, the largest first."""
    return [
        {"count": group.count, "elements": list(group.elements[:MOST_NAMED])}
        | _as_data(group.explanation)
        for group in sorted(groups, key=lambda group: -group.count)
    ]


def _as_data(explanation: Explanation) -> dict[str, Any]:
    differences = [_without_secrets(each) for each in explanation.differences]
    return dict(as_json(replace(explanation, differences=differences)))


def _without_secrets(difference: Difference) -> Difference:
    """Hide the values of what is a secret by its name, or by that of the argument."""
    if difference.field is Field.FILE:
        return difference
    name = f"{difference.name} {difference.argument}"
    return replace(
        difference,
        old=shown_text(name, difference.old),
        new=shown_text(name, difference.new),
        diff=tuple(map(shown_source, difference.diff)),
    )


class Explainer:
    """Explains elements of one task of a run."""

    def __init__(
        self, store: Store, record: RunRecord, task: TaskRecord, planned: Side | None = None
    ) -> None:
        """Explain elements of a recorded run, or those of a run that is `planned`."""
        self._store = store
        self._record = record
        self._task = task
        self._codecs = plugin_codecs()
        self._is_recorded = planned is None
        self._sides: TaskSides = (
            Sides(store, record, task.name, self._codecs) if planned is None else Planned(planned)
        )
        self._refusals = Refusals(store, record, self._sides.settings)
        self._runs: dict[str, RunRecord] = {}
        self._others: dict[str, Sides] = {}
        self._comparisons: dict[tuple[int, int], Comparison] = {}

    def element(self, index: int, instance: Instance | None) -> Explanation:
        """Explain one element."""
        if instance is None or instance.identity is None:
            return self._waiting(instance)
        if instance.source is not None and instance.state is TaskState.SUCCESS:
            return self._cached(instance.source)
        given_up = self._given_up([instance]).get(index)
        if given_up is not None:
            return self._again(instance, given_up)
        bypassed = self._bypassed(instance)
        if bypassed is not None:
            return bypassed
        same = self._same([instance.identity]).get(instance.identity)
        if same is not None:
            return self._unused(same, instance, self._taken)
        return self._compared(instance, self._near([instance])[index])

    def _near(self, instances: Sequence[Instance]) -> dict[int, Nearest]:
        identities = {each.index: each.identity for each in instances}
        return nearest_elements(self._store, self._record, self._task.name, identities)

    def _compared(self, instance: Instance, near: Nearest) -> Explanation:
        """Explain an element by what there is of it in earlier runs."""
        if near.element is None:
            return _first(near)
        run, other = near.element
        if other.identity == instance.identity:
            return self._without_result(run, other)
        return self._different(instance, near, run, other)

    # -- an earlier attempt of the same run ------------------------------------------------
    def _given_up(self, instances: Iterable[Instance]) -> dict[int, Attempt]:
        """Return, by index, the last attempt before the present one that had succeeded."""
        store, present = self._store, {each.index: each.attempt for each in instances}
        last = max((index for index, attempt in present.items() if attempt > 1), default=None)
        found: dict[int, Attempt] = {}
        if last is None or not self._is_recorded or not isinstance(store, ReadsAttempts):
            return found
        for attempt in store.attempts(self._record.run_id, self._task.name):
            outcome = attempt.outcome
            if outcome.index > last:
                break
            before = outcome.attempt < present.get(outcome.index, 0)
            if before and outcome.state is TaskState.SUCCESS:
                found[outcome.index] = attempt
        return found

    def _again(self, instance: Instance, attempt: Attempt) -> Explanation:
        """Explain why an element ran again in its run though it had succeeded there."""
        text = f"attempt {attempt.outcome.attempt} had succeeded, and its result was given up"
        old, new = self._around(instance, attempt)
        if old is None or new is None or old is new:
            return Explanation(reason=Reason.RETRIED, text=text)
        try:
            differences = self._comparison(old, new).common()
        except UNREADABLE as error:
            return Explanation(reason=Reason.RETRIED, text=text, notes=[str(error)])
        why = "this differs" if differences else "something before it ran again"
        return Explanation(
            reason=Reason.RETRIED,
            text=f"{text} in a retry, since {why}",
            differences=differences,
        )

    def _around(self, instance: Instance, attempt: Attempt) -> tuple[Side | None, Side | None]:
        """Return the sides before and after a retry."""
        old = None if attempt.wave is None else self._sides.of_wave(attempt.wave)
        return old, self._sides.of(instance)

    def _groups_again(self, ran: Iterable[Instance], given_up: dict[int, Attempt]) -> list[Group]:
        found: dict[Any, list[Instance]] = {}
        for each in ran:
            attempt = given_up[each.index]
            kind = attempt.outcome.attempt, *map(id, self._around(each, attempt))
            found.setdefault(kind, []).append(each)
        return [
            _group(each, self._again(each[0], given_up[each[0].index])) for each in found.values()
        ]

    # -- without a comparison --------------------------------------------------------------
    def _waiting(self, instance: Instance | None) -> Explanation:
        state = self._task.state if instance is None else instance.state
        said = "" if instance is None else instance.error
        if state is TaskState.SKIPPED:
            text = said or "something before it has no result"
        elif state is TaskState.CANCELLED:
            text = said or "it was cancelled before its inputs were known"
        else:
            text = said or "its inputs are not known yet"
        return Explanation(reason=Reason.WAITS, text=text)

    def _cached(self, key: int) -> Explanation:
        result = self._store.result_of(key) if isinstance(self._store, TracesResults) else None
        if result is None:
            return Explanation(
                reason=Reason.CACHED, text="from a result that is in no run any more"
            )
        return Explanation(reason=Reason.CACHED, earlier=self._earlier_result(result))

    def _bypassed(self, instance: Instance) -> Explanation | None:
        settings = self._sides.settings
        if settings is not None and settings.force:
            text = "no stored result was looked for: --force, or `[cache] reuse = false`"
            return Explanation(reason=Reason.FORCED, text=text)
        if settings is not None and self._task.name in settings.force_tasks:
            text = f"no stored result was looked for: --force-tasks {self._task.name}"
            return Explanation(reason=Reason.FORCED, text=text)
        side = self._sides.of(instance)
        if side is not None and not side.arguments.task.spec.cache:
            return Explanation(reason=Reason.NOT_CACHED, text="the task says cache=False")
        return None

    # -- the same inputs before ------------------------------------------------------------
    def _same(self, identities: Iterable[str]) -> dict[str, StoredOutput]:
        """Return, by identity, a result of an earlier run that counts alike."""
        taker = Taker(
            workflow=self._record.workflow,
            place=self._record.place,
            uid=None,
            kin=kin_of("", self._record.run_id),
        )
        looks = [Look(identity=each, limit=1) for each in dict.fromkeys(identities)]
        found = self._store.find_outputs(taker, looks)
        return {
            identity: outputs[0]
            for identity, outputs in found.items()
            if self._run(outputs[0].run_id).created_at < self._record.created_at
        }

    @cached_property
    def _taken(self) -> dict[int, int]:
        return taken_results(self._store.instances(self._record.run_id, self._task.name))

    def _unused(
        self, output: StoredOutput, instance: Instance, taken: dict[int, int]
    ) -> Explanation:
        """Explain why a result of the same identity was not used."""
        store = self._store
        if not isinstance(store, TracesResults):
            return Explanation(reason=Reason.UNKNOWN, text=f"{output.run_id} has the same")
        result = store.result_of(output.key)
        if result is None:
            return Explanation(reason=Reason.UNKNOWN, text=f"{output.run_id} has the same")
        own = None
        if self._is_recorded:
            own = store.result_at(self._record.run_id, self._task.name, instance.index)
        found = self._refusals.of(result, self._run(output.run_id), taken, own)
        return self._refused(found, self._earlier_result(result))

    def _without_result(self, run: RunRecord, other: Instance) -> Explanation:
        """Explain why an earlier element of the same identity gave no result to use."""
        earlier = self._earlier(run, other)
        if other.state is not TaskState.SUCCESS:
            why = f": {other.error}" if other.error else ""
            text = f"it ended {other.state}{why}"
            return Explanation(reason=Reason.NO_RESULT, text=text, earlier=earlier)
        store = self._store
        result = None
        if isinstance(store, TracesResults):
            result = (
                store.result_at(run.run_id, other.task, other.index)
                if other.source is None
                else store.result_of(other.source)
            )
        if result is None:
            return Explanation(reason=Reason.UNKNOWN, earlier=earlier)
        return self._refused(self._refusals.of(result, run, {}, None), earlier)

    def _refused(self, found: Unused, earlier: Earlier) -> Explanation:
        return Explanation(
            reason=found.reason,
            text=found.text,
            earlier=earlier,
            differences=found.differences,
        )

    # -- other inputs than before ----------------------------------------------------------
    def _different(
        self, instance: Instance, near: Nearest, run: RunRecord, other: Instance
    ) -> Explanation:
        earlier, notes = self._earlier(run, other), _passed(near)
        sides = self._both(instance, run, other)
        if sides is None:
            return self._by_rows(instance, near, run, other, earlier)
        old, new = sides
        for side, each in ((old, other), (new, instance)):
            if side.identity(each.index) != each.identity:
                notes.append(_not_as_planned(side.tracked.run_id))
        try:
            comparison = self._comparison(old, new)
            if other.index == instance.index:
                differences = comparison.of_element(other.index, instance.index)
            else:
                differences = [*comparison.common(), self._new_element(run)]
        except UNREADABLE as error:
            return self._by_rows(instance, near, run, other, earlier, str(error))
        return Explanation(
            reason=Reason.DIFFERS, earlier=earlier, differences=differences, notes=notes
        )

    def _both(
        self, instance: Instance, run: RunRecord, other: Instance
    ) -> tuple[Side, Side] | None:
        new = self._sides.of(instance)
        if run.run_id not in self._others:
            self._others[run.run_id] = Sides(self._store, run, self._task.name, self._codecs)
        old = self._others[run.run_id].of(other)
        return None if old is None or new is None else (old, new)

    def _comparison(self, old: Side, new: Side) -> Comparison:
        return self._comparisons.setdefault((id(old), id(new)), Comparison(old, new))

    def _by_rows(
        self,
        instance: Instance,
        near: Nearest,
        run: RunRecord,
        other: Instance,
        earlier: Earlier,
        trouble: str = "",
    ) -> Explanation:
        """Explain a difference by the rows alone: nothing else of one of the runs is left."""
        old, new = run.parameters, self._record.parameters
        taken = self._taken_parameters(instance, run, other)
        differences = [
            Difference(
                field=Field.PARAMETER,
                name=name,
                old=repr(old[name]) if name in old else "",
                new=repr(new[name]) if name in new else "",
                detail="of the run" if taken is None else "",
            )
            for name in dict.fromkeys([*new, *old])
            if taken is None or name in taken
            if old.get(name) != new.get(name) or (name in old) != (name in new)
        ]
        if other.index != instance.index:
            differences.append(self._new_element(run))
        others = self._others.get(run.run_id)
        trouble = trouble or self._sides.trouble or (others.trouble if others else "")
        if run.cleaned_at is not None:
            trouble = f"{run.run_id} was cleaned up on {run.cleaned_at.astimezone():%Y-%m-%d}"
        notes = [*_passed(near), f"only rows of the store could be compared: {trouble}"]
        reason = Reason.DIFFERS if differences else Reason.UNKNOWN
        text = "" if differences else "its source, or what it was given, differs"
        return Explanation(
            reason=reason, text=text, earlier=earlier, differences=differences, notes=notes
        )

    def _taken_parameters(
        self, instance: Instance, run: RunRecord, other: Instance
    ) -> set[str] | None:
        """Return the keywords of the parameters that the task takes; None where none can tell."""
        others = self._others.get(run.run_id)
        for side in (self._sides.of(instance), others.of(other) if others else None):
            if side is not None:
                spec = side.arguments.task.spec
                return {item.keyword(spec.name) for item in spec.parameters}
        return None

    def _new_element(self, run: RunRecord) -> Difference:
        sizes = {each.name: each.size for each in self._store.tasks(run.run_id)}
        return Difference(
            field=Field.UPSTREAM,
            name=self._task.name,
            detail=f"a new element: there were {sizes[self._task.name] or 0:,}",
        )

    # -- all elements of a task ------------------------------------------------------------
    def groups(self) -> list[Group]:
        """Explain all elements of the task, those alike together."""
        instances = self._store.instances(self._record.run_id, self._task.name)
        if not instances:
            count = 1 if self._task.size is None else self._task.size
            return [Group(count=count, explanation=self._waiting(None))] if count else []
        waiting = [each for each in instances if each.identity is None]
        known = [each for each in instances if each.identity is not None]
        ran = [each for each in known if each.source is None or each.state is not TaskState.SUCCESS]
        served = [each for each in known if each.source is not None]
        return [
            *self._groups_cached(len(served) - sum(each.source is not None for each in ran)),
            *self.of_missed(ran, taken_results(instances)),
            *self._groups_waiting(waiting),
        ]

    def _groups_cached(self, number: int) -> list[Group]:
        if not number:
            return []
        if not isinstance(self._store, TracesResults):
            return [Group(count=number, explanation=Explanation(reason=Reason.CACHED))]
        return self.of_served(self._store.sources(self._record.run_id, self._task.name))

    def of_served(self, sources: Mapping[str, int]) -> list[Group]:
        """Explain elements from the cache, counted by the run whose result they took over."""
        return [
            Group(
                count=number,
                explanation=Explanation(
                    reason=Reason.CACHED, earlier=self._earlier_run(self._run(run_id))
                ),
            )
            for run_id, number in sources.items()
        ]

    def _groups_waiting(self, waiting: list[Instance]) -> list[Group]:
        by_state: dict[tuple[TaskState, str], list[Instance]] = {}
        for each in waiting:
            by_state.setdefault((each.state, each.error), []).append(each)
        return [_group(each, self._waiting(each[0])) for each in by_state.values()]

    def of_missed(self, ran: Sequence[Instance], taken: dict[int, int]) -> list[Group]:
        """Explain elements that no stored result served.

        `taken` are the keys of the results that serve others, with their indexes.
        """
        given_up = self._given_up(ran)
        again = self._groups_again((each for each in ran if each.index in given_up), given_up)
        return [
            *again,
            *self._of_missed([each for each in ran if each.index not in given_up], taken),
        ]

    def _of_missed(self, ran: Sequence[Instance], taken: dict[int, int]) -> list[Group]:
        if not ran:
            return []
        bypassed = self._bypassed(ran[0])
        if bypassed is not None:
            return [_group(ran, bypassed)]
        same = self._same(each.identity for each in ran if each.identity)
        refused = [each for each in ran if each.identity in same]
        others = [each for each in ran if each.identity not in same]
        return [
            *self._groups_refused(refused, same, taken),
            *self._groups_compared(others, self._near(others)),
        ]

    def _groups_refused(
        self, refused: list[Instance], same: dict[str, StoredOutput], taken: dict[int, int]
    ) -> list[Group]:
        """Group elements whose result was there; of each such result, one is looked into."""
        found: dict[tuple[str, bool, bool], list[Instance]] = {}
        for each in refused:
            output = same[each.identity or ""]
            key = (output.run_id, output.paths is None, output.key in taken)
            found.setdefault(key, []).append(each)
        return [
            _group(each, self._unused(same[each[0].identity or ""], each[0], taken))
            for each in found.values()
        ]

    def _groups_compared(self, ran: list[Instance], near: dict[int, Nearest]) -> list[Group]:
        found: dict[Any, list[Instance]] = {}
        for each in ran:
            passed = near[each.index].passed
            behind = None if passed is None else (passed[0].run_id, passed[1])
            found.setdefault((behind, self._kind(each, near[each.index])), []).append(each)
        return [
            _group(elements, self._of_group(elements, near[elements[0].index]))
            for elements in found.values()
        ]

    def _kind(self, instance: Instance, near: Nearest) -> Any:
        """Return what elements have in common that are explained together."""
        if near.element is None:
            return None
        run, other = near.element
        if other.identity == instance.identity:
            return run.run_id, other.state, other.error if other.state.final else ""
        if other.index != instance.index:
            return run.run_id, "new"
        try:
            both = self._both(instance, run, other)
            if both is None:
                return run.run_id, "rows"
            names = self._comparison(*both).differing(other.index, instance.index)
        except UNREADABLE:
            return run.run_id, "unreadable"
        return run.run_id, tuple(map(id, both)), names

    def _of_group(self, elements: list[Instance], near: Nearest) -> Explanation:
        first = elements[0]
        if near.element is None or len(elements) == 1:
            return self._compared(first, near)
        run, other = near.element
        if other.identity == first.identity or other.index != first.index:
            return self._compared(first, near)
        both = self._both(first, run, other)
        earlier = self._earlier_run(run)
        if both is None:
            return self._by_rows(first, near, run, other, earlier)
        try:
            comparison = self._comparison(*both)
            names = comparison.differing(other.index, first.index)
            differences = comparison.of_elements([each.index for each in elements], names)
        except UNREADABLE as error:
            return self._by_rows(first, near, run, other, earlier, str(error))
        notes = _passed(near) + [
            _not_as_planned(side.tracked.run_id)
            for side, each in zip(both, (other, first), strict=True)
            if side.identity(each.index) != each.identity
        ]
        return Explanation(
            reason=Reason.DIFFERS, earlier=earlier, differences=differences, notes=notes
        )

    # -- runs ------------------------------------------------------------------------------
    def _run(self, run_id: str) -> RunRecord:
        if run_id not in self._runs:
            self._runs[run_id] = self._store.run(run_id)
        return self._runs[run_id]

    def _user(self, run: RunRecord) -> str:
        return "" if run.uid in (None, self._record.uid) else user_name(run.uid)

    def _earlier(self, run: RunRecord, other: Instance) -> Earlier:
        return Earlier(
            run_id=run.run_id,
            task=other.task,
            index=other.index,
            state=str(other.state),
            created_at=run.created_at.isoformat(),
            user=self._user(run),
        )

    def _earlier_run(self, run: RunRecord) -> Earlier:
        return Earlier(
            run_id=run.run_id,
            task=self._task.name,
            index=None,
            state="",
            created_at=run.created_at.isoformat(),
            user=self._user(run),
        )

    def _earlier_result(self, result: RecordedResult) -> Earlier:
        run = self._run(result.run_id)
        started, ended = result.started_at, result.ended_at
        return Earlier(
            run_id=result.run_id,
            task=result.task,
            index=result.index,
            state=str(result.state),
            created_at=run.created_at.isoformat(),
            user=self._user(run),
            host=result.host,
            started_at=started.isoformat() if started else "",
            seconds=(ended - started).total_seconds() if started and ended else None,
        )


def _group(elements: Sequence[Instance], explanation: Explanation) -> Group:
    return Group(
        elements=[each.index for each in elements], count=len(elements), explanation=explanation
    )


def _first(near: Nearest) -> Explanation:
    if near.passed is None:
        return Explanation(reason=Reason.FIRST)
    run, why = near.passed
    return Explanation(reason=Reason.FIRST, text=f"{run.run_id}: {why}")


def _passed(near: Nearest) -> list[str]:
    """Say which later run an element is not compared with."""
    if near.passed is None or near.element is None:
        return []
    run, why = near.passed
    return [f"not compared with {run.run_id}, which is later: {why}"]


def _not_as_planned(run_id: str) -> str:
    return (
        f"what can be read of {run_id} now is not all that it was planned with: it was retried "
        "with another source, or values of it are gone"
    )
