"""A run with two open waves of six elements each, and pilots that begin, claim and die."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from reflow.dispatch.jobs.hosts import Blame, Fate, Hosts
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.execution.pool.pilot_files import SILENT_AFTER, mark_left
from reflow.execution.pool.protocol import Slots
from reflow.model.jobs import JobStatus
from reflow.model.pilots import Pilots
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.rundir.claims import Claim, claim
from reflow.rundir.packs import Pack, new_slots_file
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import WaveSpec

from tests.unit.dispatch.tasks import task, tracked_run_of

SIZE, BLOCK = 6, 2
NOTHING = Resources()
FIRST, SECOND = 1, 2
"""The waves."""


def says(state: JobState, cause: FailureCause | None = None, **more: Any) -> JobStatus:
    return JobStatus(native_id="70", state=state, cause=cause, **more)


RUNS, WAITS = says(JobState.RUNNING), says(JobState.QUEUED, reason="Priority")
DONE, UNKNOWN = says(JobState.COMPLETED), says(JobState.UNKNOWN)
KILLED = says(JobState.FAILED, signal=9)


class Life:
    """One life of a pilot."""

    def __init__(self, scene: PilotScene, submission: int, job: int, incarnation: str) -> None:
        native = f"{scene.native_id(submission)}_{job}"
        self._scene = scene
        self.claim = Claim(
            native_id=native, incarnation=incarnation, host="node", pid=1, element=job
        )
        folder = scene.settings.layout.hosts
        folder.mkdir(exist_ok=True)
        self.file = new_slots_file(folder, self.claim, submission, job)
        self.file.write_bytes(bytes(Slots.size_for(4)))

    def takes(self, wave: int, *blocks: int) -> Life:
        for block in blocks:
            assert claim(self._scene.settings.layout.wave(wave), block, self.claim)
        return self

    def holds(self, wave: int, *permits: int) -> Life:
        pack = Pack(hosts=0, at_once=1, block=BLOCK)
        return self.takes(wave, *(pack.permit(permit, SIZE) for permit in permits))

    def is_at(self, *elements: tuple[int, int], late: float = 0.0) -> Life:
        """Have its workers begin elements, by wave and position, `late` seconds after it began."""
        begun = int(self.file.name.split(".")[2]) / 1e9
        descriptor = os.open(self.file, os.O_RDWR)
        for worker, (wave, position) in enumerate(elements):
            Slots(descriptor).set(worker, wave, position, begun + late)
        os.close(descriptor)
        return self

    def is_silent(self) -> Life:
        then = self.file.stat().st_mtime - SILENT_AFTER - 60
        os.utime(self.file, (then, then))
        return self

    def leaves(self) -> Life:
        mark_left(self.file)
        return self


class PilotScene:
    """The run."""

    def __init__(self, folder: Path, need: Resources = NOTHING, given: float | None = None) -> None:
        self.settings = RunSettings(
            run_id="r",
            workflow="tide",
            run_dir=folder,
            store="sqlite:///m.db",
            executor="pond",
            python="python",
            working_directory=folder,
            flow=None,
            parameters={},
            pilots=Pilots(jobs=2, cpus=2),
        )
        self.tracked: TrackedRun = tracked_run_of(task("a", "Q" * SIZE), task("b", "Q" * SIZE))
        for number, name in ((FIRST, "a"), (SECOND, "b")):
            self.opens(number, name, need, given)
        self.waves = Hosts(self.tracked, self.settings.layout)

    def opens(self, number: int, name: str, need: Resources, given: float | None) -> None:
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.WAVE,
            task=name,
            token=f"{name}-{number}",
            state=SubmissionState.ACCEPTED,
        )
        members = dict(enumerate(self.tracked.tasks[name].instances))
        self.tracked.waves[number] = TrackedWave(record, members)
        self.tracked.number = max(self.tracked.number, number + 1)
        layout = self.settings.layout.wave(number)
        layout.claims.mkdir(parents=True)
        WaveSpec(
            run_id="r",
            task=name,
            number=number,
            token=record.token,
            size=SIZE,
            code="",
            common={},
            each=(),
            resources=need,
            pack=Pack(hosts=0, at_once=1, block=BLOCK, time=given, open=True),
        ).write(layout)

    def asks(self, wave: int, need: Resources, permits: int | None = None) -> None:
        """Have the elements of a wave ask for so much, and only so many run at once."""
        layout = self.settings.layout.wave(wave)
        spec = WaveSpec.read(layout)
        assert spec.pack is not None
        pack = replace(spec.pack, permits=permits)
        replace(spec, resources=need, pack=pack).write(layout)

    def native_id(self, submission: int) -> str:
        return f"7{submission}"

    def submits(self, number: int, jobs: int = 2, *more_ids: str) -> SubmissionRecord:
        """Have pilots been submitted and accepted."""
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.PILOTS,
            token=f"pilots-{number}",
            size=jobs if jobs > 1 else None,
            state=SubmissionState.ACCEPTED,
            native_ids=(self.native_id(number), *more_ids),
        )
        self.settings.layout.pilots(number).mkdir(parents=True, exist_ok=True)
        self.tracked.add_submission(record)
        return record

    def begins(self, submission: int, job: int = 0, incarnation: str = "0") -> Life:
        return Life(self, submission, job, incarnation)

    def ended(self, wave: int, *positions: int) -> None:
        """Have positions got a result."""
        for position in positions:
            del self.tracked.waves[wave].members[position]

    def fates(self, states: Any, wave: int = FIRST) -> dict[int, Fate]:
        return {fate.position: fate for fate in self.waves.fates(self.tracked.waves[wave], states)}

    def blames(self, states: Any, wave: int = FIRST) -> dict[int, Blame]:
        return {position: fate.blame for position, fate in self.fates(states, wave).items()}
