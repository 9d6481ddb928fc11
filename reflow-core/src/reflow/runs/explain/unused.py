"""Why a stored result of the same identity did not serve an element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from reflow.errors import StoredValueError
from reflow.fingerprint.files.states import State
from reflow.model.lineage import kin_of
from reflow.model.records import Instance, RecordedResult, RunRecord
from reflow.model.states import TaskState
from reflow.rundir.file_states import Recorded
from reflow.rundir.looks import RunLooks
from reflow.rundir.ownership import user_name
from reflow.rundir.run_settings import RunSettings
from reflow.runs.explain.words import Difference, Field, Reason
from reflow.stores.contract import Store

MOST_FILES = 20
"""Files of one result whose state is told."""


class Unused(NamedTuple):
    """Why a result was not used."""

    reason: Reason
    text: str
    differences: tuple[Difference, ...] = ()


class Refusals:
    """Tells why a run did not use results, by the rules of the cache."""

    def __init__(self, store: Store, record: RunRecord, settings: RunSettings | None) -> None:
        self._store = store
        self._record = record
        self._settings = settings
        self._looks = None if settings is None else RunLooks(settings)

    def of(
        self,
        result: RecordedResult,
        run: RunRecord,
        taken: Mapping[int, int],
        own: RecordedResult | None,
    ) -> Unused:
        """Tell why a result of another run was not used.

        `taken` are the keys of the results that serve elements of the run, with their indexes;
        `own` is what the element recorded instead.
        """
        if not result.reusable:
            return self._not_reusable(result)
        kin = kin_of(self._record.lineage, self._record.run_id)
        if any(each.has(run.run_id, run.lineage) for each in kin):
            text = f"{run.run_id} was started by the same run: its results are not shared"
            return Unused(Reason.NOT_REUSABLE, text)
        if not self._takes_from(run):
            text = (
                f"it belongs to {user_name(run.uid)}: results of other users are used only with "
                '`[store] share = "all"`'
            )
            return Unused(Reason.NOT_REUSABLE, text)
        if result.bound_dir not in (None, str(self._record.run_dir)):
            text = f"it holds a path under its run directory, {result.bound_dir}"
            return Unused(Reason.NOT_REUSABLE, text)
        if result.key in taken:
            text = f"it serves {result.task}[{taken[result.key]}] of this run, which counts alike"
            return Unused(Reason.USED, text)
        return self._by_files(result, own)

    def _takes_from(self, run: RunRecord) -> bool:
        if run.uid in (None, self._record.uid):
            return True
        return self._settings is not None and self._settings.config.store.share == "all"

    def _not_reusable(self, result: RecordedResult) -> Unused:
        if result.state is not TaskState.SUCCESS:
            return Unused(Reason.NO_RESULT, f"it ended {result.state}, so there was no result")
        notes = [note for note in self._store.notes(result.run_id) if note.task == result.task]
        said = "; ".join(note.text for note in notes[:3])
        text = said or "its result was for that run only, or was invalidated since"
        return Unused(Reason.NOT_REUSABLE, text)

    # -- files -----------------------------------------------------------------------------
    def _by_files(self, result: RecordedResult, own: RecordedResult | None) -> Unused:
        try:
            recorded = Recorded.parse(result.paths)
            made = Recorded.parse(None if own is None else own.paths)
        except StoredValueError as error:
            return Unused(Reason.FILES, str(error))
        settings = self._settings
        if settings is None:
            return Unused(Reason.UNKNOWN, "the run directory is gone, which would say why not")
        here = str(settings.working_directory)
        if recorded.working_directory not in (None, here):
            text = f"its relative paths start in {recorded.working_directory}, and here in {here}"
            return Unused(Reason.FILES, text)
        differences = tuple(self._changed(recorded, made))
        if differences:
            return Unused(Reason.FILES, "a file of its result is not as recorded", differences)
        if settings.verify:
            return Unused(Reason.NOT_REUSABLE, "with --verify, its check did not accept it")
        return Unused(
            Reason.UNKNOWN,
            "nothing shows any more why not: a file of it may have been away, or it came later",
        )

    def _changed(self, recorded: Recorded, made: Recorded) -> Iterator[Difference]:
        assert self._looks is not None
        after = {state.place: state for state in (*made.states, *made.shared)}
        states = dict.fromkeys([*recorded.states, *recorded.shared])
        for state in list(states)[:MOST_FILES]:
            now = after.get(state.place) or self._looks.state(state.place, state.mode)
            if not now.agrees_with(state):
                since = " (made again since)" if state.place in after else ""
                yield _of_state(now, state, since)
        for file in recorded.held[:MOST_FILES]:
            if not self._looks.holds(file):
                detail = "gone: bytes of the value lay in it"
                yield Difference(field=Field.FILE, name=file.path, detail=detail)
            elif self._looks.was_written_to(file):
                detail = "written to since: bytes of the value lie in it"
                yield Difference(field=Field.FILE, name=file.path, detail=detail)


def _of_state(now: State, recorded: State, since: str) -> Difference:
    gone = now.kind == "missing"
    detail = "gone" if gone else f"{now.difference(recorded)}{since}"
    return Difference(field=Field.FILE, name=recorded.place, detail=detail)


def taken_results(instances: list[Instance]) -> dict[int, int]:
    """Return the keys of the stored results that serve elements, with their indexes."""
    return {each.source: each.index for each in instances if each.source is not None}
