"""Turning elements that are ready into waves, and handing those to the executor.

A wave is one job or array. Its files and its intent are written and committed before it is handed
over, so that a dispatcher that dies in between leaves a record by which the next one finds the job,
or knows that there is none.

Room in the queue: schedulers limit how many jobs a user may have, and a run that fills its last
place can no longer submit the dispatch jobs that keep it going. So before a wave is cut, places are
counted: those that the limit leaves, minus one for the follow-up of each wave that is open or to
come, minus those kept for watchdogs. Elements that do not fit wait for the next step. Where nothing
of the run is in the queue, what is kept free is given up: otherwise nothing would ever make room. A
refusal despite that count halves the number tried at once, as there may be a limit that the
scheduler does not report. Pilots are counted in the same way, just before they are submitted.

Most limits count each element of an array, some count an array once. Both kinds may hold at the
same time, so each is counted in its own unit.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TypeVar

from reflow.dispatch.arguments import TaskArguments, Wired
from reflow.dispatch.cache import Cache
from reflow.dispatch.changes import call_off
from reflow.dispatch.continuation import is_watched, most_watchdogs
from reflow.dispatch.jobs.advice import note_advice
from reflow.dispatch.jobs.answers import keep_answers, read_answers
from reflow.dispatch.jobs.follow_ups import new_follow_up
from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.jobs.long_elements import durations_of
from reflow.dispatch.jobs.lost_hosts import LOSSES, hosts_to_avoid
from reflow.dispatch.jobs.names import token
from reflow.dispatch.jobs.packing import Packing, is_suspect, job_resources, within
from reflow.dispatch.jobs.requests import array_size, dispatch_request, wave_request
from reflow.dispatch.modes import mode_of
from reflow.dispatch.pilots.jobs import PilotJobs
from reflow.dispatch.pilots.open_waves import is_open
from reflow.dispatch.plan import EARLY_SHARE
from reflow.dispatch.tracked_run import TrackedRun, TrackedTask, TrackedWave
from reflow.errors import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.execution.completion import prepare_counters
from reflow.execution.outcomes import outcome_without_job
from reflow.executors.contract import (
    Executor,
    FollowsLater,
    KnowsLongestTime,
    RemembersAnswers,
)
from reflow.model.jobs import Limits, Submission
from reflow.model.records import (
    Instance,
    StoredOutput,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
)
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, TaskState
from reflow.model.tasks import TaskSpec
from reflow.permissions import make_folder
from reflow.rundir.looks import files_mode
from reflow.rundir.packs import JobCounts, Pack, write_job_counts
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import InputRecord, WaveSpec, write_inputs

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds before a scheduler that took nothing more is tried again: first, and at most."""
LIMITS_HOLD = 10.0
"""Seconds that the scheduler's limits, and what it counted against them, are believed."""
DISPATCH_MEMORY = 256 * 2**20
"""Bytes that a job must have requested if its last worker is to dispatch within it: a dispatcher
of 100,000 elements holds some 160 MB (benchmarks), and shares them with what the task has left."""
SLICE = 10_000
"""Elements that are looked up in the cache at once."""

FIRST_SHARE = 1_000
"""Elements of a large array that are handed over before the others are prepared."""

log = logging.getLogger("reflow.dispatch")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Ready:
    instance: Instance
    values: tuple[Wired, ...]
    candidate: str = ""
    """As in `InputRecord`."""


class Submitter:
    """Takes elements from the cache where it can, and submits the others in waves."""

    def __init__(
        self,
        tracked: TrackedRun,
        settings: RunSettings,
        executor: Executor,
        cache: Cache,
        commit: Callable[[], None],
        pilots: PilotJobs | None = None,
    ) -> None:
        self._tracked = tracked
        self._pilots = pilots
        self._settings = settings
        self._executor = executor
        self._cache = cache
        self._commit = commit
        config = settings.config
        continues = executor.capabilities.dispatch_jobs
        self._notifies = continues and config.dispatch.last_worker
        self._follows = continues and config.dispatch.follow_up
        self._throttles = executor.capabilities.throttle
        self._begins_at_once = mode_of(executor).begins_at_once
        self._excludes = executor.capabilities.exclude_hosts
        self._max_submit_jobs = config.max_submit_jobs
        self._defaults = config.defaults
        self._watched = is_watched(executor, config.dispatch)
        self._before_first: Callable[[], None] | None = None
        self._limits: Limits | None = None
        self._ask_again_at = 0.0
        self._handed_over = 0
        self._number_when_asked = tracked.number
        self._never_room = False
        self._packings: dict[str, Packing] = {}
        """By task, as far as known since the last look at the scheduler's limits."""
        self._takeable: dict[str | None, int] = {}
        """By task, how many jobs to try at once where the scheduler has put off more."""
        self._pause = FIRST_PAUSE
        self._try_again_at = 0.0
        self._pilots_again_at = 0.0
        if pilots is not None:
            pilots.room = self._grant_pilots
        self.has_more = False
        """Whether elements are left to the next step, so that those handed over can begin."""
        self.deferred = ""
        """Why the scheduler took nothing more for now; empty when it did."""
        self.missing = ""
        """Why nothing can ever be submitted from here; empty where it can."""
        self.unavailable = ""
        """Why the scheduler could not be asked to take anything; empty when it could."""

    def new_step(self) -> None:
        """Query the limits anew when next needed; try again what is due.

        Limits are kept for a while, as `reflow follow` takes a step every few seconds: at worst,
        outdated limits leave too little room.
        """
        self.has_more = False
        if time.monotonic() >= self._ask_again_at or not self._tracked.outstanding():
            self._limits = None
            self._handed_over = 0
            self._packings.clear()
        if time.monotonic() >= self._try_again_at:
            self.deferred = self.unavailable = ""

    def before_first_wave(self, action: Callable[[], None]) -> None:
        """Have an action carried out before the next wave is made: it submits a watchdog."""
        self._before_first = action

    @property
    def most_watchdogs(self) -> int:
        """How many watchdogs the queue has places for."""
        return most_watchdogs(self._most_places)

    @property
    def _most_places(self) -> int | None:
        """How many plain jobs may be in the queue; None where that is not limited."""
        return _least(self._most_elements, self._limit().max_whole_jobs)

    @property
    def _most_elements(self) -> int | None:
        """How many jobs may be in the queue, each element counted; None where not limited."""
        return _least(self._limit().max_submit_jobs, self._max_submit_jobs)

    def _defer(self, message: str) -> None:
        """Submit nothing more for a while, a longer one each time."""
        self.deferred = message
        self._try_again_at = time.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def schedule(self, arguments: TaskArguments, ready: Sequence[Instance]) -> bool:
        """Settle or submit elements that are ready; return whether anything moved."""
        task = arguments.task
        early = self._is_to_begin_early(task)
        jobs: int | None = None
        room = 0
        waiting: list[_Ready] = []
        for_pilots: list[_Ready] = []
        used = {
            item.source
            for item in task.instances
            if item.source is not None and item.state is not TaskState.PENDING
        }
        passed: dict[str, StoredOutput] = {}
        hits = 0
        for share in _shares(ready, early):
            found, missed = self._look_up(arguments, share, used, passed)
            hits += found
            if self._pilots is not None:
                served, missed = self._served_by_pilots(self._pilots, task, missed)
                for_pilots.extend(served)
            waiting.extend(missed)
            if missed and jobs is None:
                # Not before: a run that comes from the cache altogether asks the scheduler nothing.
                jobs = self._room(task)
                room = self._packing_of(task.spec).elements_in(jobs) if jobs else 0
                room = min(room, FIRST_SHARE) if early else room
            if for_pilots:
                if early and len(for_pilots) >= FIRST_SHARE:
                    break
            elif jobs is not None and len(waiting) >= room:
                break
        if waiting and self._never_room:
            return self._refuse_all([item.instance for item in waiting])
        chosen = waiting[:room]
        self.has_more |= early and max(len(chosen), len(for_pilots)) >= FIRST_SHARE
        chunks: list[tuple[list[_Ready], Pack | None]] = []
        refused = False
        if for_pilots:
            self._prepare_first()
            if self._pilots_are_there([item.instance for item in for_pilots]):
                chunks += self._open_chunks(task, for_pilots)
            refused = any(item.instance.state.final for item in for_pilots)
        if chosen:
            self._prepare_first()
            chunks += islice(self._chunks(task, chosen, jobs or 0), self._room_for_arrays())
            mode = mode_of(self._executor)
            note_advice(self._tracked, self._settings, mode, task.spec, len(chosen))
        if task.spec.array_parallelism is not None:
            # Each wave has a throttle or permits of its own, be it of jobs or of pilots.
            del chunks[1:]
        waves = [self._prepare(arguments, chunk, pack) for chunk, pack in chunks]
        if waves or hits:
            self._commit()
        for spec in waves:
            if self.deferred and not (spec.pack and spec.pack.open):
                self._take_back(*self._intent(spec))
            else:
                self.submit_wave(spec)
        return bool(hits or waves or refused)

    # -- pilots ----------------------------------------------------------------------------
    def _is_for_pilots(self, spec: TaskSpec) -> bool:
        """Tell whether pilots run the elements of a task that were not tried before."""
        resources = self._defaults.fill(spec.resources)
        return self._pilots is not None and self._pilots.serve(resources, spec.name)

    def _served_by_pilots(
        self, pilots: PilotJobs, task: TrackedTask, missed: Sequence[_Ready]
    ) -> tuple[list[_Ready], list[_Ready]]:
        """Split elements into those that pilots run now, and those that need jobs of their own.

        What one job is to hold alone, or is to be kept from bad hosts, is not for pilots.
        """
        spec = task.spec
        if spec.array_parallelism is not None and task.active:
            return [], list(missed)
        parts: tuple[list[_Ready], list[_Ready]] = ([], [])
        served: dict[tuple[float, float], bool] = {}
        for item in missed:
            instance = item.instance
            key = (instance.mem_scale, instance.time_scale)
            if key not in served:
                served[key] = pilots.serve(self._resources_of(spec, instance), spec.name)
            own = is_suspect(instance) or self._is_choosy(instance) or not served[key]
            parts[own].append(item)
        return parts

    def _pilots_are_there(self, instances: Sequence[Instance]) -> bool:
        """Submit pilots where there are none; return whether there are any."""
        assert self._pilots is not None
        if self.deferred and not self._pilots.hosts.submissions:
            return False
        try:
            if self._pilots.are_there():
                return True
            if self._never_room:
                self._refuse_all(instances)
        except SubmissionRefusedError as error:
            self._fail(instances, str(error))
        except ExecutorError as error:
            self._note_trouble(error)
        return False

    def replace_pilots(self) -> None:
        """Submit pilots for those that have ended, while there is work for them."""
        if self._pilots is None or self.deferred or time.monotonic() < self._pilots_again_at:
            return
        try:
            self._pilots.replace_ended()
        except ExecutorError as error:
            self._note_trouble(error)

    def _grant_pilots(self, wanted: int) -> int:
        """Return how many of so many pilots may be submitted now, and count those as handed over.

        Where that is fewer, the others are not asked for again before each stage.
        """
        granted = min(wanted, self._room_for_pilots())
        if granted < wanted:
            self._pilots_again_at = time.monotonic() + LONGEST_PAUSE
        self._handed_over += granted + (granted > 0 and self._follows)
        return granted

    def _room_for_pilots(self) -> int:
        """Return how many pilots the queue has places for, beside what the run needs to go on."""
        assert self._pilots is not None
        if self._room_for_arrays() == 0:
            return 0
        most, largest = self._most_elements, self._limit().max_array_size or sys.maxsize
        if most is None:
            return largest
        taken = self._limit().queued_jobs + self._handed_over
        places = most - taken - (self._watched and self._before_first is not None)
        room = min(places - self._places_for_watchdogs - self._follows, largest)
        if room > 0 or self._pilots.hosts.running or self._pilots.hosts.waiting:
            return max(0, room)
        return self._last_place(places, taken, most)

    def _note_trouble(self, error: ExecutorError) -> None:
        """Try again later what the scheduler did not take."""
        log.info("submission of pilots put off: %s", error)
        self._defer(str(error))
        if isinstance(error, SchedulerUnavailableError):
            self.unavailable = str(error)
            self.missing = str(error) if error.lasting else ""

    def _open_chunks(
        self, task: TrackedTask, chosen: Sequence[_Ready]
    ) -> Iterator[tuple[list[_Ready], Pack]]:
        """Split elements for pilots into groups that ask for the same."""
        assert self._pilots is not None
        groups: dict[tuple[float, float], list[_Ready]] = {}
        for item in chosen:
            key = (item.instance.mem_scale, item.instance.time_scale)
            groups.setdefault(key, []).append(item)
        # The scheduler's limits do not matter, and are not asked for between two waves.
        durations = partial(durations_of, self._tracked, self._settings, task.name)
        packing = Packing(task.spec, self._defaults, mode_of(self._executor), None, durations)
        for group in groups.values():
            yield group, packing.open_pack(len(group), self._pilots.workers, self._pilots.seconds)

    def _is_to_begin_early(self, task: TrackedTask) -> bool:
        """Tell whether the first elements of an array are to run while the others are prepared."""
        if task.tally[TaskState.PENDING] < (task.size or 0):
            return False
        return task.spec.array_parallelism is None and (
            self._begins_at_once or self._is_for_pilots(task.spec)
        )

    # -- results that exist already --------------------------------------------------------
    def _look_up(
        self,
        arguments: TaskArguments,
        ready: Sequence[Instance],
        used: set[int],
        passed: dict[str, StoredOutput],
    ) -> tuple[int, list[_Ready]]:
        values = [arguments.values(instance.index) for instance in ready]
        identities = [arguments.identity(own) for own in values]
        wanted = [(item.index, identity) for item, identity in zip(ready, identities, strict=True)]
        found = self._cache.find(arguments.task.spec, wanted, used, passed)
        self._note_unread(arguments.task.spec, found.values())
        missed = []
        for instance, own, identity in zip(ready, values, identities, strict=True):
            instance.identity = identity
            hit = found.get(instance.index)
            instance.source = None if hit is None else hit.key
            if hit is None:
                missed.append(_Ready(instance, own))
                continue
            if self._cache.is_touched(hit):
                missed.append(_Ready(instance, own, hit.paths or ""))
                continue
            instance.cause, instance.error = None, ""
            self._tracked.move(instance, TaskState.SUCCESS)
        return len(ready) - len(missed), missed

    def _note_unread(self, spec: TaskSpec, found: Iterable[StoredOutput]) -> None:
        """Note, where results are to be verified, files known only by size and time."""
        if not self._settings.verify or files_mode(spec, self._settings) != "stat":
            return
        if any(output.paths for output in found):
            self._tracked.note(
                spec.name,
                "verified by size and time",
                f"files that {spec.name!r} returned were verified by size and time only: their "
                "contents were not recorded. With --files content they are, from the next run on",
            )

    # -- waves -----------------------------------------------------------------------------
    def _room(self, task: TrackedTask) -> int:
        """Return how many jobs of a task may be submitted now; see the module's docstring."""
        if self.deferred:
            return 0
        if task.spec.array_parallelism is not None and task.active:
            # Each wave has a throttle of its own; two would allow twice as many.
            return 0
        arrays = self._room_for_arrays()
        if arrays == 0:
            return 0
        room = self._room_for_elements(task)
        largest = self._limit().max_array_size
        return room if arrays is None or largest is None else min(room, arrays * largest)

    def _room_for_arrays(self) -> int | None:
        """Return how many waves the limit that counts an array once leaves room for.

        None where there is no such limit.
        """
        most = self._limit().max_whole_jobs
        if most is None:
            return None
        # What was submitted since the scheduler was asked, refused or not. Pilots' waves are not.
        asked = self._number_when_asked
        waves = self._tracked.waves.items()
        opened = sum(number >= asked and is_open(wave.record) for number, wave in waves)
        taken = self._limit().queued_whole_jobs + self._tracked.number - asked - opened
        places = most - taken - (self._watched and self._before_first is not None)
        arrays = (places - self._places_for_watchdogs) // (1 + self._follows)
        if arrays > 0 or self._tracked.jobs():
            return max(0, arrays)
        return self._last_place(places, taken, most)

    @property
    def _places_for_watchdogs(self) -> int:
        """How many places are kept free for watchdogs: one always, for the next of them."""
        now = datetime.now(UTC)
        ahead = sum(
            item.kind is SubmissionKind.WATCHDOG
            and item.begins_at is not None
            and item.begins_at > now
            for item in self._tracked.dispatches.values()
        )
        return max(1, self.most_watchdogs - ahead) if self._watched else 0

    def _room_for_elements(self, task: TrackedTask) -> int:
        """Return how many jobs the limits that count each element leave room for."""
        most = self._most_elements
        if most is None:
            return len(task.instances)
        # Every open wave has a follow-up in the queue. What the scheduler counted holds for the
        # moment at which it was asked.
        jobs = self._tracked.jobs()
        ours = jobs + len(self._tracked.waves)
        taken = max(self._limit().queued_jobs + self._handed_over, ours)
        places = most - taken - (self._watched and self._before_first is not None)
        # Places stay free for the watchdogs, and one for the follow-up of each wave.
        free = max(0, places - most_watchdogs(most))
        room = jobs_that_fit(free, self._limit().max_array_size)
        if room * EARLY_SHARE < jobs and room < self._jobs_for(task):
            # More places come free while these jobs run: better few waves than many.
            return 0
        if room or jobs:
            return room
        return self._last_place(places, taken, most)

    def _last_place(self, places: int, taken: int, most: int) -> int:
        """Return 1 where a place is free that is kept for the run's own jobs; wait where none is.

        Nothing of the run would go on by itself: that matters more than what is kept free.
        """
        if places > 0:
            return 1
        if not self.deferred:
            self._defer(f"{taken} of {most} places in the queue are taken")
            self._never_room = most <= self._dispatch_jobs
        return 0

    def _jobs_for(self, task: TrackedTask) -> int:
        """Return how many jobs the elements of a task that wait are likely to take."""
        return self._packing_of(task.spec).jobs_for(task.tally[TaskState.PENDING])

    @property
    def _dispatch_jobs(self) -> int:
        """How many places the run's own dispatch jobs take whenever one of them dispatches."""
        return int(self._watched) + bool(os.environ.get("REFLOW_NATIVE_ID"))

    def _prepare_first(self) -> None:
        """Do what is to be done before the run's first wave, once."""
        before_first, self._before_first = self._before_first, None
        if before_first is not None:
            before_first()
            self._handed_over += self._watched and self._limits is not None

    def _refuse_all(self, ready: Sequence[Instance]) -> bool:
        most = self._most_places
        self._fail(
            ready,
            f"no more than {most} jobs may be in the queue, and the jobs that dispatch "
            "the run take as many: raise max_submit_jobs, or follow the run from a terminal",
        )
        return True

    def _fail(self, instances: Sequence[Instance], message: str) -> None:
        """Let elements fail whose jobs will never be taken."""
        for instance in instances:
            outcome = outcome_without_job(instance, TaskState.FAILED, message, FailureCause.SUBMIT)
            self._tracked.finish(instance, outcome)

    def _limit(self) -> Limits:
        if self._limits is None:
            try:
                self._number_when_asked = self._tracked.number
                self._limits = self._ask(self._executor.limits)
                self._ask_again_at = time.monotonic() + LIMITS_HOLD
            except SchedulerUnavailableError as error:
                log.warning("the scheduler did not tell its limits: %s", error)
                self._defer(str(error))
                self.unavailable = str(error)
                self._limits = Limits(max_submit_jobs=0)
        return self._limits

    def _ask(self, question: Callable[[], _T]) -> _T:
        """Ask the executor what an earlier dispatcher of the run may have learnt already.

        Raises `SchedulerUnavailableError`.
        """
        if not isinstance(self._executor, RemembersAnswers):
            return question()
        kept = read_answers(self._settings.layout.answers)
        self._executor.answers.update(kept)
        try:
            return question()
        finally:
            if self._executor.answers != kept:
                keep_answers(self._settings.layout.answers, self._executor.answers)

    def _chunks(
        self, task: TrackedTask, chosen: Sequence[_Ready], jobs: int
    ) -> Iterator[tuple[list[_Ready], Pack | None]]:
        """Split elements into groups that one job or array can take, with how they share jobs."""
        groups: dict[tuple[float, float, bool, bool], list[_Ready]] = {}
        for item in chosen:
            instance = item.instance
            alone = is_suspect(instance)
            key = (instance.mem_scale, instance.time_scale, self._is_choosy(instance), alone)
            groups.setdefault(key, []).append(item)
        spec, packing = task.spec, self._packing_of(task.spec)
        largest = self._limit().max_array_size if chosen else None
        most = min(largest or jobs, self._takeable.get(task.name, jobs), jobs)
        held_back = spec.array_parallelism is not None and not self._throttles
        if held_back:
            most = min(most, packing.jobs_at_once)
        left = jobs
        for (*_, alone), group in groups.items():
            resources = self._resources_of(spec, group[0].instance)
            start = 0
            while start < len(group) and left > 0:
                at_most = min(most, left)
                step = at_most if alone else packing.elements_in(at_most)
                chunk = group[start : start + step]
                start += step
                pack = None if alone else packing.pack(len(chunk), at_most, resources.time)
                pack = self._within_the_queue(pack, resources)
                left -= len(chunk) if pack is None else pack.hosts
                yield chunk, pack
                if spec.array_parallelism is not None or task.name in self._takeable:
                    return

    def _within_the_queue(self, pack: Pack | None, resources: Resources) -> Pack | None:
        """Have jobs that elements share ask for no more time than their queue allows."""
        executor = self._executor
        if pack is None or pack.time is None or not isinstance(executor, KnowsLongestTime):
            return pack
        try:
            return within(pack, self._ask(lambda: executor.longest_time(resources)))
        except SchedulerUnavailableError as error:
            self._defer(str(error))
            self.unavailable = str(error)
            return pack

    def _packing_of(self, spec: TaskSpec) -> Packing:
        if spec.name not in self._packings:
            mode, cpus = mode_of(self._executor), self._limit().cpus
            durations = partial(durations_of, self._tracked, self._settings, spec.name)
            self._packings[spec.name] = Packing(spec, self._defaults, mode, cpus, durations)
        return self._packings[spec.name]

    def _resources_of(self, spec: TaskSpec, instance: Instance) -> Resources:
        filled = self._defaults.fill(spec.resources)
        return scaled(filled, instance.mem_scale, instance.time_scale)

    def _is_choosy(self, instance: Instance) -> bool:
        """Tell whether an element met enough bad hosts to be kept from them."""
        return self._excludes and instance.node_losses >= LOSSES

    def _prepare(
        self, arguments: TaskArguments, members: list[_Ready], pack: Pack | None
    ) -> WaveSpec:
        """Write a wave's files and record its intent, to be committed before it is handed over."""
        task = arguments.task
        number = self._new_folder()
        first = members[0].instance
        resources = self._resources_of(task.spec, first)
        open_to_pilots = pack is not None and pack.open
        memory = (resources if pack is None else job_resources(resources, pack)).mem
        roomy = memory is None or memory >= DISPATCH_MEMORY or open_to_pilots
        # A dispatcher that may be too large for its job is better than none: follow-ups get lost.
        alone = not self._watched
        spec = WaveSpec(
            run_id=self._settings.run_id,
            task=task.name,
            number=number,
            token=token(self._settings.run_id, number, task.name),
            size=len(members),
            code=arguments.planned.code,
            source=arguments.planned.source,
            common=arguments.common,
            each=arguments.each,
            states=arguments.common_states,
            resources=resources,
            throttle=task.spec.array_parallelism,
            excluded_hosts=hosts_to_avoid(self._settings.layout.lost_hosts)
            if self._is_choosy(first)
            else (),
            notify=self._notifies and (roomy or alone),
            pack=pack,
        )
        layout = self._settings.layout.wave(number)
        for folder in (layout.claims, layout.results):
            make_folder(folder, exist_ok=False, within=layout.directory)
        if spec.notify:
            prepare_counters(layout, spec.claims)
        spec.write(layout)
        if pack is not None and not open_to_pilots:
            write_job_counts(layout.job_counts, JobCounts(running=0, queued=pack.hosts, at_once=0))
        write_inputs(
            layout.inputs,
            (
                InputRecord(
                    item.instance.index,
                    item.instance.attempt + 1,
                    tuple(value.text for value in item.values),
                    arguments.states(item.values),
                    item.candidate,
                )
                for item in members
            ),
        )
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.WAVE,
            token=spec.token,
            task=task.name,
            size=array_size(spec),
            submitted_at=datetime.now(UTC),
        )
        self._tracked.add_submission(record)
        wave = self._tracked.waves[number]
        for position, item in enumerate(members):
            instance = item.instance
            instance.attempt += 1
            instance.wave, instance.position = number, position
            instance.not_before = instance.missing_since = None
            wave.members[position] = instance
            self._tracked.move(instance, TaskState.SUBMITTED)
        if self._follows and not open_to_pilots:
            self._tracked.add_submission(new_follow_up(self._tracked, self._settings, number))
        return spec

    def _new_folder(self) -> int:
        """Return the number of a wave whose folder belongs to this dispatcher alone.

        One that was overtaken without knowing it yet would write into its successor's.
        """
        layout = self._settings.layout
        while True:
            number = self._tracked.number
            try:
                make_folder(layout.wave(number).directory, exist_ok=False, within=layout.root)
            except FileExistsError:
                self._tracked.number += 1
            else:
                return number

    # -- handing over ----------------------------------------------------------------------
    def submit_wave(self, spec: WaveSpec) -> None:
        """Submit a wave whose intent is committed, or open it to pilots."""
        wave, follow_up = self._intent(spec)
        if spec.pack is not None and spec.pack.open:
            assert self._pilots is not None
            self._tracked.set_submission(replace(wave.record, state=SubmissionState.ACCEPTED))
            self._pilots.open(spec.number)
            return
        try:
            submission = self._executor.submit(
                wave_request(self._settings, spec),
                None if follow_up is None else dispatch_request(self._settings, follow_up),
            )
        except SubmissionRefusedError as error:
            if spec.excluded_hosts:
                # The hosts that are left may not be enough; bad ones are better than none.
                self._settings.layout.lost_hosts.unlink(missing_ok=True)
                self._put_off(wave, follow_up, str(error))
            else:
                self._refuse(wave, follow_up, str(error))
        except SubmissionUncertainError as error:
            log.warning("no answer to the submission of %s: %s", spec.token, error)
        except SubmissionDeferredError as error:
            log.info("submission of %s put off: %s", spec.token, error)
            self._put_off(wave, follow_up, str(error))
        except SchedulerUnavailableError as error:
            log.info("submission of %s put off: %s", spec.token, error)
            self._defer(str(error))
            self.unavailable = str(error)
            self.missing = str(error) if error.lasting else ""
            self._take_back(wave, follow_up)
        else:
            self._accept(wave, follow_up, submission)

    def follow(self, wave: SubmissionRecord, follow_up: SubmissionRecord) -> None:
        """Submit the follow-up of a wave that was found after its submission's answer was lost.

        Where watchdogs lie ahead, or the executor cannot do that, the wave goes on without.
        """
        handles = handles_of(self._settings.layout, [wave])
        if self._watched or not handles or not isinstance(self._executor, FollowsLater):
            self._tracked.set_submission(replace(follow_up, state=SubmissionState.OVER))
            return
        try:
            handle = self._executor.submit_after(
                dispatch_request(self._settings, follow_up), handles[-1]
            )
        except SubmissionUncertainError as error:
            log.warning("no answer to the submission of %s: %s", follow_up.token, error)
        except ExecutorError as error:
            log.warning("%s was not submitted: %s", follow_up.token, error)
            self._tracked.set_submission(replace(follow_up, state=SubmissionState.OVER))
        else:
            known = self._tracked.add_native_id(follow_up, handle.native_id)
            self._tracked.set_submission(replace(known, state=SubmissionState.ACCEPTED))

    def _intent(self, spec: WaveSpec) -> tuple[TrackedWave, SubmissionRecord | None]:
        """Return the records of a wave and of its follow-up, None where it has none."""
        follow_up = next(
            (item for item in self._tracked.dispatches.values() if item.follows == spec.number),
            None,
        )
        return self._tracked.waves[spec.number], follow_up

    def _accept(
        self, wave: TrackedWave, follow_up: SubmissionRecord | None, submission: Submission
    ) -> None:
        self._handed_over += (wave.record.size or 1) + (follow_up is not None)
        self._pause = FIRST_PAUSE
        if wave.record.task in self._takeable:
            self._takeable[wave.record.task] *= 2
        accepted = self._tracked.add_native_id(wave.record, submission.job.native_id)
        self._tracked.set_submission(replace(accepted, state=SubmissionState.ACCEPTED))
        if follow_up is None:
            return
        if submission.follow_up is None:
            self._tracked.set_submission(replace(follow_up, state=SubmissionState.OVER))
            return
        accepted = self._tracked.add_native_id(follow_up, submission.follow_up.native_id)
        self._tracked.set_submission(replace(accepted, state=SubmissionState.ACCEPTED))

    def _refuse(self, wave: TrackedWave, follow_up: SubmissionRecord | None, message: str) -> None:
        self._fail(list(wave.members.values()), message)
        self._close(wave, follow_up)

    def _put_off(self, wave: TrackedWave, follow_up: SubmissionRecord | None, message: str) -> None:
        """Wait for room; where no job of the task will make any, try fewer elements at once."""
        self._take_back(wave, follow_up)
        size = wave.record.size or 1
        others = (item.record for item in self._tracked.waves.values())
        accepted = any(item.native_ids for item in others if item.task == wave.record.task)
        if size > 1 and not accepted:
            # There may be a limit that the scheduler does not report, such as one of a queue.
            self._takeable[wave.record.task] = size // 2
        else:
            self._defer(message)

    def _take_back(self, wave: TrackedWave, follow_up: SubmissionRecord | None) -> None:
        """Make elements wait again whose wave was certainly not accepted."""
        for instance in list(wave.members.values()):
            self._tracked.detach(instance)
            instance.attempt -= 1
            self._tracked.move(instance, TaskState.PENDING)
        self._close(wave, follow_up)

    def _close(self, wave: TrackedWave, follow_up: SubmissionRecord | None) -> None:
        # An earlier try may have been accepted without an answer, and show up later.
        call_off(self._settings.layout.wave(wave.record.number))
        self._tracked.set_submission(replace(wave.record, state=SubmissionState.OVER))
        if follow_up is not None:
            self._tracked.set_submission(replace(follow_up, state=SubmissionState.OVER))


def _shares(ready: Sequence[Instance], early: bool) -> Iterator[Sequence[Instance]]:
    """Split elements into those that are looked up in the cache at once."""
    first = FIRST_SHARE if early else SLICE
    yield ready[:first]
    for start in range(first, len(ready), SLICE):
        yield ready[start : start + SLICE]


def jobs_that_fit(places: int, largest: int | None) -> int:
    """Return how many jobs fit into places of the queue, with a follow-up for each array."""
    array = largest or max(places, 1)
    full, rest = divmod(places, array + 1)
    return full * array + max(0, rest - 1)


def _least(*limits: int | None) -> int | None:
    """Return the tightest limit; None stands for none."""
    return min((limit for limit in limits if limit is not None), default=None)


def scaled(resources: Resources, mem: float, time: float) -> Resources:
    """Return resources grown by the factors of retries."""
    return replace(
        resources,
        mem=None if resources.mem is None else round(resources.mem * mem),
        time=None if resources.time is None else resources.time * time,
    )
