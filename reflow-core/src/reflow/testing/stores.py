'''What every store must do, as a class of tests that its author subclasses.

An author writes, in a test module::

    from reflow.testing.stores import StoreConformance

    class TestPondStore(StoreConformance):
        store_class = PondStore

        @pytest.fixture
        def url(self, tmp_path):
            """Return the URL of an empty store, a new one for every test."""
            return f"pond://{tmp_path}/store"

and runs pytest. The store's class must be importable by other processes, for some of the tests
start them.
'''

# ruff: noqa: D102, S106 - the names of tests are sentences, and a token is no password.

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, ClassVar

import pytest

from reflow.errors import (
    LeaseLostError,
    NotFoundError,
    NotReadyError,
    ParameterError,
    StoreError,
)
from reflow.model.attempts import Attempt
from reflow.model.cleaning import Extent, RowPosition, RunContents
from reflow.model.json import Json
from reflow.model.lineage import kin_of
from reflow.model.notes import Note
from reflow.model.outcomes import Outcome, Reuse
from reflow.model.records import (
    FailedInstance,
    Instance,
    Lease,
    LeaseRecord,
    Look,
    RequestKind,
    RunRecord,
    StoredOutput,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
    Taker,
    TaskRecord,
)
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.stores.contract import (
    CleansUp,
    FencedWriter,
    KeepsAttempts,
    ReadsAttempts,
    ReadsNewest,
    Store,
    TellsOrigins,
    TracesResults,
    find_instance,
    finished_since,
    newest_failures,
    running_instances,
)
from reflow.testing.store_process import TASK

RUN = "tide-20261122-a1b2"
"""The run that most tests have."""

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)

HOSTILE = "nul \x00, lone \udcff\ud800, mark \x1a, quotes '\"`, percent %s ?, Ωmega 🌊, \r\n\t\\ "
"""Characters that file names and error texts may hold."""


def new_run(run_id: str = RUN, **changes: Any) -> RunRecord:
    """Make the record of a run to be created."""
    run = RunRecord(
        run_id=run_id,
        workflow="tide",
        state=RunState.RUNNING,
        run_dir=Path("/scratch/tide"),
        created_at=NOON,
        parameters={},
    )
    return replace(run, **changes)


def plain_and_array() -> list[TaskRecord]:
    """Make the records of a plain task and of an array task after it."""
    return [
        TaskRecord(name="prepare", ordinal=0, array=False, size=1),
        TaskRecord(name=TASK, ordinal=1, array=True),
    ]


def taker(**changes: Any) -> Taker:
    """Make a run that looks for results, and may take those of any other."""
    taker = Taker(workflow="tide", place="", uid=None, kin=kin_of("", "new"))
    return replace(taker, **changes)


def success(index: int = 0, **changes: Any) -> Outcome:
    """Make the outcome of an element that succeeded."""
    outcome = Outcome(
        task=TASK, index=index, attempt=1, state=TaskState.SUCCESS, output=f'"{index}"'
    )
    return replace(outcome, **changes)


def failure(index: int = 0, **changes: Any) -> Outcome:
    """Make the outcome of an element that failed."""
    outcome = Outcome(
        task=TASK,
        index=index,
        attempt=1,
        state=TaskState.FAILED,
        cause=FailureCause.ERROR,
        error="ValueError: ebb",
        traceback="Traceback ...",
    )
    return replace(outcome, **changes)


class StoreProcess:
    """Another process that uses a store; see `reflow.testing.store_process`."""

    def __init__(self, store_class: type, url: str, action: str, *words: object) -> None:
        target = f"{store_class.__module__}:{store_class.__qualname__}"
        command = [sys.executable, "-m", "reflow.testing.store_process", target, url, action]
        self._process = subprocess.Popen(
            [*command, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def __enter__(self) -> StoreProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def hear(self) -> str:
        """Read the next line that the process says."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def say(self, line: object = "go") -> None:
        """Send a line, by which the process goes on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        self._process.kill()
        self._process.wait()


class StoreConformance:
    """Subclass it, name the class of the store, and give a fixture `url` of an empty one."""

    store_class: ClassVar[type]
    """Called with a URL as its only argument, as a plugin's target is."""

    @pytest.fixture
    def url(self) -> str:
        """Return the URL of an empty store, another one for every test."""
        raise NotImplementedError("give a fixture `url` that returns the URL of an empty store")

    @pytest.fixture
    def open_store(self, url: str) -> Iterator[Callable[[], Store]]:
        """Open the store once more; everything is closed in the end."""
        with ExitStack() as stack:

            def opened() -> Store:
                store: Store = self.store_class(url)
                stack.callback(store.close)
                return store

            yield opened

    @pytest.fixture
    def store(self, open_store: Callable[[], Store]) -> Store:
        """Open the store under test, without runs."""
        return open_store()

    @pytest.fixture
    def lease(self, store: Store) -> Lease:
        """Take the lease of a run with a plain task and an array task."""
        store.create_run(new_run(), plain_and_array())
        return self.taken(store)

    @pytest.fixture
    def process(self, url: str) -> Iterator[Callable[..., StoreProcess]]:
        """Start another process on the store; all are ended in the end."""
        with ExitStack() as stack:
            yield lambda action, *words: stack.enter_context(
                StoreProcess(self.store_class, url, action, *words)
            )

    @staticmethod
    def taken(store: Store, seen: LeaseRecord | None = None, run_id: str = RUN) -> Lease:
        """Take the lease, which must be free."""
        lease = store.acquire(run_id, {"host": "login1", "pid": 7}, seen)
        assert lease is not None
        return lease

    @staticmethod
    def written(store: Store, lease: Lease, *writes: Callable[[FencedWriter], None]) -> None:
        """Carry out writes in one transaction."""
        with store.fenced(lease) as writer:
            for write in writes:
                write(writer)

    @staticmethod
    def texts(store: Store) -> dict[int, str]:
        """Read the outputs of the array task, by index."""
        return {index: text for index, text, _ in store.outputs(RUN, TASK)}

    def with_elements(self, store: Store, lease: Lease, number: int) -> list[Instance]:
        """Add elements of the array task, and return them."""
        instances = [Instance(task=TASK, index=index) for index in range(number)]
        self.written(store, lease, lambda write: write.add_instances(instances))
        return instances

    # -- opening ---------------------------------------------------------------------------
    def test_it_has_every_method_of_the_contract(self, store: Store) -> None:
        assert isinstance(store, Store)

    def test_its_url_opens_it_again_from_any_folder(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.create_run(new_run(), [])
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        again: Store = self.store_class(store.url)
        assert again.run(RUN) == new_run()
        assert again.url == store.url
        again.close()

    def test_it_can_be_used_after_it_was_closed(self, store: Store) -> None:
        store.create_run(new_run(), [])
        store.close()
        store.close()
        assert store.run(RUN) == new_run()

    def test_threads_share_it(self, store: Store, lease: Lease) -> None:
        def add(index: int) -> int:
            with store.fenced(lease) as write:
                write.add_instances([Instance(task=TASK, index=index)])
            return len(store.instances(RUN))

        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(add, range(64)))
        assert max(seen) == 64
        assert [instance.index for instance in store.instances(RUN)] == list(range(64))

    def test_a_forked_process_uses_it_without_harming_its_parent(
        self, store: Store, process: Callable[..., StoreProcess]
    ) -> None:
        store.create_run(new_run(), [])
        assert process("fork", RUN).hear() == "0 1"

    def test_many_processes_open_a_new_store_at_once(
        self, open_store: Callable[[], Store], process: Callable[..., StoreProcess]
    ) -> None:
        names = [f"many-{number}" for number in range(8)]
        openers = [process("create", name) for name in names]
        assert [opener.hear() for opener in openers] == ["ready"] * 8
        for opener in openers:
            opener.say()
        assert [opener.hear() for opener in openers] == ["True"] * 8
        assert sorted(run.run_id for run in open_store().list_runs()) == names

    # -- runs ------------------------------------------------------------------------------
    def test_a_run_comes_back_as_it_was_created(self, store: Store) -> None:
        run = new_run(
            state=RunState.FAILED,
            finished_at=NOON + timedelta(microseconds=1),
            executor="pond",
            parameters={"deep": [1, 2.5, None, True, {"ü": "é\x00"}], "big": 10**30},
            message="out of water",
            uid=2**31,
        )
        assert store.create_run(run, plain_and_array())
        assert store.run(RUN) == run
        assert store.tasks(RUN) == plain_and_array()

    def test_a_run_may_have_no_tasks(self, store: Store) -> None:
        store.create_run(new_run(), [])
        assert store.tasks(RUN) == []
        assert store.counts(RUN) == {}

    def test_a_taken_run_id_is_refused_and_nothing_is_written(self, store: Store) -> None:
        assert store.create_run(new_run(), plain_and_array())
        assert not store.create_run(new_run(workflow="other"), [replace(plain_and_array()[0])])
        assert store.run(RUN) == new_run()
        assert store.tasks(RUN) == plain_and_array()

    def test_tasks_come_in_topological_order(self, store: Store) -> None:
        tasks = [TaskRecord(name=f"t{place}", ordinal=place, array=True) for place in range(12)]
        store.create_run(new_run(), [*tasks[6:], *tasks[:6]])
        assert store.tasks(RUN) == tasks

    @pytest.mark.parametrize(
        "use",
        [
            lambda store, run: store.run(run),
            lambda store, run: store.tasks(run),
            lambda store, run: store.counts(run),
            lambda store, run: store.failures(run),
            lambda store, run: store.instances(run),
            lambda store, run: store.outputs(run, TASK),
            lambda store, run: store.log_of(run, TASK, 0),
            lambda store, run: store.lease(run),
            lambda store, run: store.acquire(run, {}),
            lambda store, run: store.heartbeat(Lease(run, 1)),
            lambda store, run: store.request_wakeup(run),
            lambda store, run: store.clear_wakeup(Lease(run, 1)),
            lambda store, run: store.release(Lease(run, 1)),
            lambda store, run: store.fenced(Lease(run, 1)).__enter__(),
            lambda store, run: store.submissions(run),
            lambda store, run: store.next_submission_number(run),
            lambda store, run: store.add_native_id(run, "token", "1"),
            lambda store, run: store.add_request(run, RequestKind.CANCEL),
            lambda store, run: store.requests(run),
        ],
    )
    def test_an_unknown_run_is_an_error_that_names_the_nearest(
        self, store: Store, lease: Lease, use: Callable[[Store, str], object]
    ) -> None:
        with pytest.raises(NotFoundError, match=f"tide-20261122-a1b3.*'{RUN}'"):
            use(store, "tide-20261122-a1b3")

    @pytest.mark.parametrize(
        "use",
        [
            lambda store: store.failures(RUN, task="wark"),
            lambda store: store.instances(RUN, task="wark"),
            lambda store: store.outputs(RUN, "wark"),
            lambda store: store.log_of(RUN, "wark", 0),
            lambda store: find_instance(store, RUN, "wark", 0),
        ],
    )
    def test_an_unknown_task_is_an_error_that_names_the_nearest(
        self, store: Store, lease: Lease, use: Callable[[Store], object]
    ) -> None:
        with pytest.raises(NotFoundError, match=f"'wark'.*'{TASK}'"):
            use(store)

    def test_hostile_text_comes_back_unchanged(self, store: Store) -> None:
        run = new_run(
            HOSTILE,
            workflow=HOSTILE,
            run_dir=Path("/scratch") / HOSTILE.replace("\x00", ""),
            executor=HOSTILE,
            parameters={HOSTILE: HOSTILE},
            message=HOSTILE,
        )
        tasks = [TaskRecord(name=HOSTILE, ordinal=0, array=True)]
        assert store.create_run(run, tasks)
        assert store.run(HOSTILE) == run
        assert store.list_runs(graph_name=HOSTILE) == [run]
        assert store.tasks(HOSTILE) == tasks
        lease = store.acquire(HOSTILE, {HOSTILE: HOSTILE})
        assert lease is not None
        assert store.lease(HOSTILE).owner == {HOSTILE: HOSTILE}
        bad, good = (
            Instance(task=HOSTILE, index=index, identity=HOSTILE, error=HOSTILE, native_id=HOSTILE)
            for index in range(2)
        )
        failed = failure(
            task=HOSTILE, error=HOSTILE, traceback=HOSTILE, log=HOSTILE, native_id=HOSTILE
        )
        well = success(
            1, task=HOSTILE, output=HOSTILE, paths=HOSTILE, bound_dir=HOSTILE, host=HOSTILE
        )
        with store.fenced(lease) as write:
            write.add_instances([bad, good])
        assert store.instances(HOSTILE) == [bad, good]
        with store.fenced(lease) as write:
            write.record_outcomes([failed, well])
        (shown,) = store.failures(HOSTILE, task=HOSTILE)
        assert (shown.task, shown.error, shown.traceback) == (HOSTILE,) * 3
        assert (shown.log, shown.job_id) == (HOSTILE,) * 2
        assert store.log_of(HOSTILE, HOSTILE, 0) == HOSTILE
        assert list(store.outputs(HOSTILE, HOSTILE)) == [(1, HOSTILE, HOSTILE)]
        (found,) = store.find_outputs(taker(), [Look(identity=HOSTILE, limit=2)])[HOSTILE]
        assert (found.paths, found.bound_dir, found.run_id) == (HOSTILE,) * 3
        store.add_request(HOSTILE, RequestKind.RETRY, HOSTILE)
        assert [wish.task for wish in store.requests(HOSTILE)] == [HOSTILE]

    # -- listing ---------------------------------------------------------------------------
    @pytest.fixture
    def days(self, store: Store) -> list[str]:
        """Create runs of five days, of two workflows, the oldest first."""
        names = []
        for day in range(1, 6):
            run = new_run(
                f"run-{day}",
                workflow="ebb" if day % 2 else "flood",
                state=RunState.FAILED if day > 3 else RunState.SUCCESS,
                created_at=datetime(2025, 3, day, 12, tzinfo=UTC),
            )
            store.create_run(run, [])
            names.append(run.run_id)
        return names

    @staticmethod
    def names(runs: Sequence[RunRecord]) -> list[str]:
        """List the ids of runs, in their order."""
        return [run.run_id for run in runs]

    def test_runs_are_listed_newest_first(self, store: Store, days: list[str]) -> None:
        assert self.names(store.list_runs()) == days[::-1]

    def test_no_runs_are_no_error(self, store: Store) -> None:
        assert store.list_runs() == []

    def test_runs_are_listed_by_workflow(self, store: Store, days: list[str]) -> None:
        assert self.names(store.list_runs(graph_name="flood")) == ["run-4", "run-2"]
        assert store.list_runs(graph_name="floo") == []

    @pytest.mark.parametrize("limit", [0, 1, 5, 9])
    def test_a_limit_keeps_the_newest(self, store: Store, days: list[str], limit: int) -> None:
        assert self.names(store.list_runs(limit=limit)) == days[::-1][:limit]

    @pytest.mark.parametrize(
        "moment",
        [
            datetime(2025, 3, 3, 12, tzinfo=UTC),
            datetime(2025, 3, 3, 12, tzinfo=UTC).astimezone().replace(tzinfo=None),
            "2025-03-03T12:00:00Z",
            "2025-03-03T14:00+02:00",
            datetime(2025, 3, 3, 12, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M"),
        ],
        ids=["aware", "naive", "Z", "offset", "local text"],
    )
    def test_since_is_inclusive_and_until_exclusive(
        self, store: Store, days: list[str], moment: str | datetime
    ) -> None:
        assert self.names(store.list_runs(since=moment)) == ["run-5", "run-4", "run-3"]
        assert self.names(store.list_runs(until=moment)) == ["run-2", "run-1"]

    def test_a_date_means_its_first_moment_here(self, store: Store) -> None:
        midnight = datetime(2025, 3, 2).astimezone()
        store.create_run(new_run("at", created_at=midnight.astimezone(UTC)), [])
        before = (midnight - timedelta(microseconds=1)).astimezone(UTC)
        store.create_run(new_run("before", created_at=before), [])
        assert self.names(store.list_runs(since="2025-03-02")) == ["at"]
        assert self.names(store.list_runs(until="2025-03-02")) == ["before"]

    @pytest.mark.parametrize("status", ["FAILED", "failed", RunState.FAILED])
    def test_runs_are_listed_by_state(
        self, store: Store, days: list[str], status: str | RunState
    ) -> None:
        assert self.names(store.list_runs(status=status)) == ["run-5", "run-4"]

    def test_filters_go_together_and_have_a_fixed_order(
        self, store: Store, days: list[str]
    ) -> None:
        assert self.names(store.list_runs("ebb", 1, "2025-03-02", "2025-03-05", "SUCCESS")) == [
            "run-3"
        ]

    @pytest.mark.parametrize(
        ("filters", "message"),
        [
            ({"status": "FIALED"}, "FIALED.*'FAILED'"),
            ({"status": "PENDING"}, "PENDING.*RUNNING"),
            ({"since": "yesterday"}, "since.*yesterday"),
            ({"until": "2025-13-01"}, "until.*2025-13-01"),
            ({"since": 20250301}, "since.*20250301"),
            ({"until": "0001-01-01"}, "until=0001"),
            ({"limit": -1}, "limit.*-1"),
            ({"limit": "3"}, "limit.*'3'"),
        ],
    )
    def test_a_filter_that_makes_no_sense_is_an_error(
        self, store: Store, filters: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ParameterError, match=message):
            store.list_runs(**filters)

    # -- instances -------------------------------------------------------------------------
    @pytest.mark.parametrize("number", [1, 3, 100])
    def test_instances_come_back_as_they_were_added(
        self, store: Store, lease: Lease, number: int
    ) -> None:
        self.with_result(store, "one", "a")
        (result,) = self.looked(store, "a")
        instances = [
            Instance(
                task=TASK,
                index=index,
                state=TaskState.FAILED,
                attempt=3,
                retries_used=2,
                node_losses=1,
                wave=4,
                position=number - index,
                identity="d" * 64,
                source=result.key,
                cause=FailureCause.WALLTIME,
                error="it's 5 o'clock",
                native_id=f"123_{index}",
                mem_scale=1.5,
                time_scale=2.25,
                missing_since=1763812800.125,
                not_before=1763812801.5 + index,
            )
            for index in range(number)
        ]
        self.written(store, lease, lambda write: write.add_instances(instances))
        assert store.instances(RUN) == instances

    def test_instances_come_in_order_of_task_and_index(self, store: Store, lease: Lease) -> None:
        elements = [Instance(task=TASK, index=index) for index in (2, 0, 11, 1)]
        plain = Instance(task="prepare", index=0)
        self.written(store, lease, lambda write: write.add_instances([*elements, plain]))
        expected = [("prepare", 0), (TASK, 0), (TASK, 1), (TASK, 2), (TASK, 11)]
        assert [(one.task, one.index) for one in store.instances(RUN)] == expected

    def test_instances_are_chosen_by_task_and_state(self, store: Store, lease: Lease) -> None:
        states = [TaskState.PENDING, TaskState.FAILED, TaskState.PENDING, TaskState.RUNNING]
        instances = [
            Instance(task=TASK, index=index, state=state) for index, state in enumerate(states)
        ]
        instances.append(Instance(task="prepare", index=0))
        self.written(store, lease, lambda write: write.add_instances(instances))
        assert store.instances(RUN, task="prepare") == [instances[4]]
        assert store.instances(RUN, states=[]) == []
        some = store.instances(RUN, TASK, iter((TaskState.PENDING, TaskState.RUNNING)))
        assert [one.index for one in some] == [0, 2, 3]

    def test_one_instance_is_found_by_its_index(self, store: Store, lease: Lease) -> None:
        instances = [
            Instance(task=TASK, index=index, state=TaskState.RUNNING, attempt=index + 1)
            for index in range(3)
        ]
        instances.append(Instance(task="prepare", index=0))
        self.written(store, lease, lambda write: write.add_instances(instances))
        assert find_instance(store, RUN, TASK, 2) == instances[2]
        assert find_instance(store, RUN, "prepare", 0) == instances[3]
        assert find_instance(store, RUN, TASK, 3) is None

    def test_an_update_writes_every_field(self, store: Store, lease: Lease) -> None:
        instances = self.with_elements(store, lease, 20)
        for one in instances[5:]:
            one.state = TaskState.SUBMITTED
            one.attempt, one.retries_used, one.node_losses = 1, 2, 3
            one.wave, one.position = 7, one.index
            one.identity, one.source = f"{one.index:064x}", 5
            one.cause, one.error = FailureCause.NODE, "n1"
            one.native_id = "9"
            one.mem_scale, one.time_scale = 2.0, 3.0
            one.missing_since, one.not_before = 1.5, 2.5
        self.written(store, lease, lambda write: write.update_instances(instances[5:]))
        assert store.instances(RUN) == instances
        instances[6] = Instance(task=TASK, index=6)
        self.written(store, lease, lambda write: write.update_instances(instances[6:7]))
        assert store.instances(RUN) == instances

    def test_every_try_of_an_instance_is_kept(self, store: Store, lease: Lease) -> None:
        if not isinstance(store, ReadsAttempts):
            pytest.skip("this store keeps the last try of an instance only")
        self.with_elements(store, lease, 3)
        lost = Attempt(
            outcome=Outcome(
                task=TASK,
                index=1,
                attempt=1,
                state=TaskState.FAILED,
                cause=FailureCause.MEMORY,
                error=HOSTILE,
                native_id="7_1",
                host="n1",
                log="logs/1.log",
                started_at=5.5,
                ended_at=9.25,
                peak_memory=1 << 40,
                cpu_time=3.5,
            ),
            wave=4,
            mem_scale=2.0,
            time_scale=1.5,
        )
        again = Instance(task=TASK, index=1, attempt=2, wave=5)

        def keep(write: FencedWriter) -> None:
            assert isinstance(write, KeepsAttempts)
            write.add_attempts([lost])

        self.written(store, lease, keep, lambda write: write.update_instances([again]))
        assert list(store.attempts(RUN)) == [lost]
        well = success(index=1, attempt=2, host="n2", started_at=10.0, ended_at=11.0)
        self.written(store, lease, lambda write: write.record_outcomes([well]))
        kept = list(store.attempts(RUN, TASK))
        assert kept[0] == lost
        assert [(one.outcome.attempt, one.outcome.host, one.wave) for one in kept] == [
            (1, "n1", 4),
            (2, "n2", 5),
        ]
        anew = Instance(task=TASK, index=1, attempt=2)
        self.written(store, lease, lambda write: write.replace_instances([anew]))
        assert list(store.attempts(RUN, TASK)) == kept
        assert list(store.attempts(RUN, "prepare")) == []

    def test_a_result_of_another_run_took_no_try(self, store: Store) -> None:
        if not isinstance(store, ReadsAttempts):
            pytest.skip("this store keeps the last try of an instance only")
        self.with_result(store, "one", "a")
        [found] = self.looked(store, "a")
        self.taking_over(store, new_run("other"), found.key)
        assert list(store.attempts("other")) == []

    def test_results_of_other_runs_are_counted_by_run(self, store: Store) -> None:
        if not isinstance(store, TellsOrigins):
            pytest.skip("this store does not tell which runs results came from")
        self.with_result(store, "one", "a")
        [found] = self.looked(store, "a")
        self.taking_over(store, new_run("other"), found.key)
        assert store.origins("other") == {TASK: {"one": 1}}
        assert store.origins("one") == {}

    def test_nothing_to_write_is_no_error(self, store: Store, lease: Lease) -> None:
        self.written(
            store,
            lease,
            lambda write: write.add_instances([]),
            lambda write: write.update_instances([]),
            lambda write: write.record_outcomes([]),
        )
        assert store.instances(RUN) == []

    def test_an_instance_cannot_be_added_twice(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 3)
        again = [Instance(task=TASK, index=index) for index in (5, 2)]
        with pytest.raises(StoreError):
            self.written(store, lease, lambda write: write.add_instances(again))
        assert len(store.instances(RUN)) == 3

    def test_an_instance_that_was_never_added_cannot_be_updated(
        self, store: Store, lease: Lease
    ) -> None:
        instances = self.with_elements(store, lease, 1)
        instances[0].attempt = 9
        instances.append(Instance(task=TASK, index=1))
        with pytest.raises(NotFoundError):
            self.written(store, lease, lambda write: write.update_instances(instances))
        assert store.instances(RUN) == [Instance(task=TASK, index=0)]

    def test_an_instance_of_an_unknown_task_cannot_be_added(
        self, store: Store, lease: Lease
    ) -> None:
        stray = [Instance(task="wark", index=0)]
        with pytest.raises(NotFoundError, match=f"'wark'.*'{TASK}'"):
            self.written(store, lease, lambda write: write.add_instances(stray))

    def test_runs_do_not_see_each_others_instances(self, store: Store, lease: Lease) -> None:
        store.create_run(new_run("other"), plain_and_array())
        other = self.taken(store, run_id="other")
        self.with_elements(store, lease, 2)
        self.with_elements(store, other, 1)
        self.written(store, other, lambda write: write.record_outcomes([failure(), failure(1)]))
        assert len(store.instances(RUN)) == 2
        assert store.counts(RUN)[TASK] == {TaskState.PENDING: 2}
        assert store.counts("other")[TASK] == {TaskState.FAILED: 1}
        assert store.failures(RUN) == []

    def test_counts_name_every_task(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 5)
        self.written(store, lease, lambda write: write.record_outcomes([success(1), failure(2)]))
        assert store.counts(RUN) == {
            "prepare": {},
            TASK: {TaskState.PENDING: 3, TaskState.SUCCESS: 1, TaskState.FAILED: 1},
        }

    def test_reasons_count_what_waits_for_each(self, store: Store, lease: Lease) -> None:
        waiting = [
            Instance(task=TASK, index=index, state=TaskState.SUBMITTED, error="Priority")
            for index in range(3)
        ]
        waiting.append(Instance(task=TASK, index=3, state=TaskState.SUBMITTED))
        waiting.append(Instance(task=TASK, index=4, state=TaskState.RUNNING, error="Priority"))
        self.written(store, lease, lambda write: write.add_instances(waiting))
        assert store.reasons(RUN) == {TASK: {"Priority": 3}}

    def test_attempts_after_the_first_are_counted(self, store: Store, lease: Lease) -> None:
        tried = [Instance(task=TASK, index=index, attempt=index) for index in (1, 2, 4)]
        self.written(store, lease, lambda write: write.add_instances(tried))
        assert store.retried(RUN) == {TASK: 4}

    # -- outcomes --------------------------------------------------------------------------
    def test_a_failure_is_shown_with_everything_about_it(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 1)
        element = Instance(task=TASK, index=0, attempt=2, native_id="11")
        plain = Instance(task="prepare", index=0, state=TaskState.FAILED)
        outcome = failure(
            attempt=2,
            native_id="12",
            host="n1",
            log="logs/0.2.log",
            started_at=1.0,
            ended_at=2.5,
            peak_memory=2**40,
            cpu_time=0.25,
        )
        self.written(
            store,
            lease,
            lambda write: write.update_instances([element]),
            lambda write: write.add_instances([plain]),
            lambda write: write.record_outcomes([outcome]),
        )
        first, second = store.failures(RUN)
        assert (first.task, first.index) == ("prepare", None)
        assert second == FailedInstance(
            task=TASK,
            index=0,
            cause=FailureCause.ERROR,
            error="ValueError: ebb",
            traceback="Traceback ...",
            log="logs/0.2.log",
            job_id="12",
            attempt=2,
        )

    def test_failures_are_chosen_by_task_and_limited(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 4)
        plain = Instance(task="prepare", index=0, state=TaskState.FAILED)
        self.written(
            store,
            lease,
            lambda write: write.add_instances([plain]),
            lambda write: write.record_outcomes([failure(3), failure(1), success(2), failure(0)]),
        )
        assert [one.index for one in store.failures(RUN)] == [None, 0, 1, 3]
        assert [one.index for one in store.failures(RUN, limit=3)] == [None, 0, 1]
        assert [one.index for one in store.failures(RUN, task=TASK, limit=2)] == [0, 1]
        assert store.failures(RUN, limit=0) == []

    def test_the_newest_failures_come_first_where_the_store_can_tell(
        self, store: Store, lease: Lease
    ) -> None:
        self.with_elements(store, lease, 6)
        plain = Instance(task="prepare", index=0, state=TaskState.FAILED)
        self.written(store, lease, lambda write: write.add_instances([plain]))
        for index in (4, 1, 3):
            with store.fenced(lease) as write:
                write.record_outcomes([failure(index, error=HOSTILE)])
        found = newest_failures(store, RUN, TASK, limit=9)
        if isinstance(store, ReadsNewest):
            assert [one.index for one in found] == [3, 1, 4]
            assert [one.traceback for one in found] == ["", "", ""]
        assert {one.index for one in found} == {1, 3, 4}
        assert {one.error for one in found} == {one.error for one in store.failures(RUN, TASK)}
        assert {one.index for one in newest_failures(store, RUN, limit=9)} == {None, 1, 3, 4}
        assert len(newest_failures(store, RUN, limit=2)) == 2
        assert newest_failures(store, RUN, limit=0) == []

    def test_running_instances_are_read_in_order_and_limited(
        self, store: Store, lease: Lease
    ) -> None:
        instances = self.with_elements(store, lease, 6)
        for one in instances[1:5]:
            one.state = TaskState.RUNNING
        self.written(store, lease, lambda write: write.update_instances(instances))
        assert running_instances(store, RUN, limit=9) == instances[1:5]
        assert running_instances(store, RUN, TASK, limit=2) == instances[1:3]
        assert running_instances(store, RUN, "prepare", limit=9) == []

    def test_what_has_ended_lately_is_counted_where_the_store_can_tell(
        self, store: Store, lease: Lease
    ) -> None:
        self.with_elements(store, lease, 6)
        ended = [
            success(index, started_at=100.0 + index, ended_at=200.0 + index) for index in range(3)
        ]
        lost = failure(4, started_at=None, ended_at=None)
        self.written(store, lease, lambda write: write.record_outcomes([*ended, lost]))
        if isinstance(store, ReadsNewest):
            assert finished_since(store, RUN, 201.0) == {TASK: (2, 101.0)}
        assert finished_since(store, RUN, 300.0) == {}

    def test_the_first_success_stays(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 1)
        later = success(output='"later"', log="later.log", native_id="later")
        for outcomes in ([success(log="first.log", native_id="1")], [later], [failure()]):
            with store.fenced(lease) as write:
                write.record_outcomes(outcomes)
            assert self.texts(store) == {0: '"0"'}
            assert store.log_of(RUN, TASK, 0) == "first.log"
            assert store.instances(RUN)[0].native_id == "1"
        assert store.failures(RUN) == []

    @pytest.mark.parametrize("padding", [0, 20])
    def test_the_first_success_of_one_batch_stays(
        self, store: Store, lease: Lease, padding: int
    ) -> None:
        self.with_elements(store, lease, padding + 1)
        others = [success(index) for index in range(1, padding + 1)]
        same = [failure(), success(output='"first"'), success(output='"second"'), failure()]
        self.written(store, lease, lambda write: write.record_outcomes([*others, *same]))
        assert self.texts(store)[0] == '"first"'
        assert store.counts(RUN)[TASK] == {TaskState.SUCCESS: padding + 1}

    def test_a_success_clears_what_was_said_of_a_failure(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 1)
        again = success(cause=FailureCause.NODE, error="old", traceback="old")
        self.written(store, lease, lambda write: write.record_outcomes([failure()]))
        self.written(store, lease, lambda write: write.record_outcomes([again]))
        (instance,) = store.instances(RUN)
        assert (instance.state, instance.cause, instance.error) == (TaskState.SUCCESS, None, "")
        assert store.failures(RUN) == []

    def test_a_failure_replaces_a_failure(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 1)
        again = failure(cause=FailureCause.MEMORY, error="too much", traceback="")
        self.written(store, lease, lambda write: write.record_outcomes([failure()]))
        self.written(store, lease, lambda write: write.record_outcomes([again]))
        (shown,) = store.failures(RUN)
        assert (shown.cause, shown.error, shown.traceback) == (FailureCause.MEMORY, "too much", "")

    def test_an_outcome_leaves_attempt_and_known_job_alone(
        self, store: Store, lease: Lease
    ) -> None:
        instances = [
            Instance(task=TASK, index=index, attempt=3, native_id=f"{index}") for index in range(2)
        ]
        self.written(
            store,
            lease,
            lambda write: write.add_instances(instances),
            lambda write: write.record_outcomes([failure(), failure(1, native_id="new")]),
        )
        shown = store.failures(RUN)
        assert [(one.attempt, one.job_id) for one in shown] == [(3, "0"), (3, "new")]

    def test_an_output_is_kept_though_the_success_was_announced_before(
        self, store: Store, lease: Lease
    ) -> None:
        (instance,) = self.with_elements(store, lease, 1)
        instance.state = TaskState.SUCCESS
        self.written(
            store,
            lease,
            lambda write: write.update_instances([instance]),
            lambda write: write.record_outcomes([success()]),
        )
        assert self.texts(store) == {0: '"0"'}

    def test_results_that_look_like_nothing_are_results(self, store: Store, lease: Lease) -> None:
        texts = ["null", "0", '""', "[]", "false"]
        self.with_elements(store, lease, len(texts))
        outcomes = [success(index, output=text) for index, text in enumerate(texts)]
        self.written(store, lease, lambda write: write.record_outcomes(outcomes))
        assert self.texts(store) == dict(enumerate(texts))

    def test_outputs_can_be_read_while_others_are_written(self, store: Store, lease: Lease) -> None:
        number = 2_500
        self.with_elements(store, lease, number)
        done = [success(index) for index in range(number)]
        self.written(store, lease, lambda write: write.record_outcomes(done))
        outputs = store.outputs(RUN, TASK)
        first = next(outputs)
        late = Instance(task="prepare", index=0)
        self.written(store, lease, lambda write: write.add_instances([late]))
        assert [first, *outputs] == [(index, f'"{index}"', None) for index in range(number)]

    def test_outputs_are_those_of_success_alone(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 4)
        self.written(
            store, lease, lambda write: write.record_outcomes([success(3), failure(1), success(0)])
        )
        assert list(self.texts(store)) == [0, 3]
        assert list(store.outputs(RUN, "prepare")) == []

    def test_a_success_without_an_output_is_an_error_rather_than_left_out(
        self, store: Store, lease: Lease
    ) -> None:
        self.written(
            store,
            lease,
            lambda write: write.add_instances(
                [Instance(task=TASK, index=0, state=TaskState.SUCCESS)]
            ),
        )
        with pytest.raises(StoreError, match=TASK):
            list(store.outputs(RUN, TASK))

    def test_a_log_that_was_never_recorded_is_none(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 1)
        assert store.log_of(RUN, TASK, 0) is None
        assert store.log_of(RUN, TASK, 1) is None

    def test_durations_are_those_of_elements_that_succeeded(
        self, store: Store, lease: Lease
    ) -> None:
        self.with_elements(store, lease, 5)
        ended = [
            success(0, started_at=100.0, ended_at=102.5),
            success(1, started_at=100.0, ended_at=107.5),
            success(2),
            failure(3, started_at=100.0, ended_at=900.0),
        ]
        self.written(store, lease, lambda write: write.record_outcomes(ended))
        durations = store.durations("tide", TASK)
        assert durations is not None
        assert (durations.mean, durations.longest) == (5.0, 7.5)
        assert store.durations("tide", "prepare") is None
        assert store.durations("ebb", TASK) is None

    def test_durations_are_those_of_the_newest_runs(self, store: Store) -> None:
        for number in range(20):
            run = f"run-{number}"
            store.create_run(new_run(run), plain_and_array())
            seconds = 1000.0 if number < 10 else 2.0
            self.written(
                store,
                self.taken(store, store.lease(run), run),
                lambda write: write.add_instances([Instance(task=TASK, index=0)]),
                lambda write, end=seconds: write.record_outcomes(  # type: ignore[misc]
                    [success(started_at=0.0, ended_at=end)]
                ),
            )
        durations = store.durations("tide", TASK)
        assert durations is not None
        assert durations.longest == 2.0

    # -- cache -----------------------------------------------------------------------------
    def with_result(self, store: Store, run_id: str, identity: str, **changes: Any) -> None:
        """Create a run with one element that succeeded."""
        if run_id != RUN:
            store.create_run(new_run(run_id), plain_and_array())
        lease = self.taken(store, store.lease(run_id), run_id)
        instance = Instance(task=TASK, index=0, identity=identity)
        self.written(
            store,
            lease,
            lambda write: write.add_instances([instance]),
            lambda write: write.record_outcomes([success(**changes)]),
        )

    def looked(
        self, store: Store, identity: str, limit: int = 9, **changes: Any
    ) -> list[StoredOutput]:
        """Find the reusable results of an identity for a taker."""
        look = Look(identity=identity, limit=limit)
        return store.find_outputs(taker(**changes), [look]).get(identity, [])

    def had(self, store: Store, *wanted: tuple[int, str], **changes: Any) -> dict[int, str]:
        """Return, by index, the run of the previous output that a taker finds."""
        found = store.previous_outputs(taker(**changes), wanted)
        return {index: output.run_id for index, output in found.items()}

    def with_results(self, store: Store, run: RunRecord, *identities: str) -> None:
        """Create a run whose elements succeeded, written from the last to the first."""
        store.create_run(run, plain_and_array())
        lease = self.taken(store, store.lease(run.run_id), run.run_id)
        new = [
            Instance(task=TASK, index=index, identity=identity)
            for index, identity in enumerate(identities)
        ][::-1]
        self.written(
            store,
            lease,
            lambda write: write.add_instances(new),
            lambda write: write.record_outcomes([success(one.index) for one in new]),
        )

    def taking_over(self, store: Store, run: RunRecord, *keys: int, identity: str = "a") -> None:
        """Create a run whose elements took their results over."""
        store.create_run(run, plain_and_array())
        lease = self.taken(store, store.lease(run.run_id), run.run_id)
        new = [
            Instance(task=TASK, index=index, state=TaskState.SUCCESS, identity=identity, source=key)
            for index, key in enumerate(keys)
        ]
        self.written(store, lease, lambda write: write.add_instances(new))

    def test_an_instance_that_is_replaced_takes_nothing_from_other_runs(
        self, store: Store, lease: Lease
    ) -> None:
        self.with_result(store, RUN, "a")
        [found] = self.looked(store, "a")
        self.taking_over(store, new_run("other"), found.key)
        lease = self.taken(store, store.lease(RUN), RUN)
        new = Instance(task=TASK, index=0, attempt=1)
        self.written(store, lease, lambda write: write.replace_instances([new]))
        [instance] = [one for one in store.instances(RUN) if one.task == TASK]
        assert (instance.state, instance.attempt) == (TaskState.PENDING, 1)
        assert self.texts(store) == {}
        assert [text for _, text, _ in store.outputs("other", TASK)] == ['"0"']
        assert self.looked(store, "a") == []
        self.written(store, lease, lambda write: write.record_outcomes([success(output="2")]))
        assert self.texts(store) == {0: "2"}
        self.written(store, lease, lambda write: write.replace_instances([new]))
        assert [text for _, text, _ in store.outputs("other", TASK)] == ['"0"']

    def test_results_can_be_traced_to_the_runs_that_computed_them(self, store: Store) -> None:
        if not isinstance(store, TracesResults):
            pytest.skip("this store does not tell where results came from")
        times = {"started_at": 5.5, "ended_at": 9.25}
        self.with_result(store, "one", "a", paths="[1]", bound_dir="/here", host="n1", **times)
        self.with_results(store, new_run("two"), "a", "a")
        keys = [found.key for found in self.looked(store, "a")]
        self.taking_over(store, new_run("three"), *keys)
        assert store.sources("three", TASK) == {"two": 2, "one": 1}
        assert store.sources("one", TASK) == {}
        found = store.result_at("one", TASK, 0)
        assert found is not None
        assert store.result_of(found.key) == found
        assert (found.run_id, found.task, found.index, found.identity) == ("one", TASK, 0, "a")
        assert (found.paths, found.bound_dir, found.host) == ("[1]", "/here", "n1")
        assert found.started_at == datetime.fromtimestamp(5.5, UTC)
        assert found.ended_at == datetime.fromtimestamp(9.25, UTC)
        assert found.reusable
        assert store.result_at("one", TASK, 1) is None
        assert store.result_of(max(keys) + 1_000) is None

    def test_reusable_results_are_found_by_identity(self, store: Store) -> None:
        self.with_result(store, "one", "a", paths="[1]", bound_dir="/here", output='"A"')
        self.with_result(store, "two", "b")
        looks = [Look(identity=name, limit=5) for name in ("a", "nothing")]
        found = store.find_outputs(taker(), looks)
        assert list(found) == ["a"]
        (result,) = found["a"]
        assert (result.identity, result.run_id) == ("a", "one")
        assert (result.paths, result.bound_dir) == ("[1]", "/here")
        assert store.output(result.key) == '"A"'
        assert store.find_outputs(taker(), []) == {}
        assert store.previous_outputs(taker(), []) == {}

    def test_what_is_recorded_of_files_can_be_replaced(self, store: Store) -> None:
        self.with_result(store, "one", "a", paths="[1]")
        store.create_run(new_run("two"), plain_and_array())
        (before,) = self.looked(store, "a")
        lease = self.taken(store, run_id="two")
        self.written(store, lease, lambda write: write.refresh_paths(before.key, "[2]"))
        (after,) = self.looked(store, "a")
        assert after == replace(before, paths="[2]")

    def test_the_result_of_the_newest_run_comes_first(self, store: Store) -> None:
        store.create_run(new_run("slow"), plain_and_array())
        slow = self.taken(store, run_id="slow")
        waiting = Instance(task=TASK, index=0, identity="a")
        self.written(store, slow, lambda write: write.add_instances([waiting]))
        self.with_result(store, "quick", "a")
        self.written(store, slow, lambda write: write.record_outcomes([success()]))
        assert [result.run_id for result in self.looked(store, "a")] == ["quick", "slow"]
        assert self.had(store, (0, "a")) == {0: "quick"}

    def test_results_come_by_run_and_index_in_pages(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a", "b", "a", "a")
        self.with_results(store, new_run("two"), "a", "a", "b")
        seen: list[StoredOutput] = []
        while page := store.find_outputs(
            taker(),
            [
                Look(identity="a", limit=2, after=seen[-1] if seen else None),
                Look(identity="b", limit=1),
            ],
        ).get("a"):
            assert len(page) <= 2
            seen += page
        places = [("two", 0), ("two", 1), ("one", 0), ("one", 2), ("one", 3)]
        assert [(result.run_id, result.order[1]) for result in seen] == places
        assert [result.run_id for result in self.looked(store, "b", 1)] == ["two"]

    def test_many_identities_are_looked_up_at_once(self, store: Store) -> None:
        names = [f"identity {number}" for number in range(1_200)]
        self.with_results(store, new_run("one"), *names)
        self.with_results(store, new_run("two"), *names)
        looks = [Look(identity=name, limit=3) for name in [*names, "nothing"]]
        found = store.find_outputs(taker(), looks)
        assert {len(results) for results in found.values()} == {2}
        assert len(found) == len(names)
        wanted = [(index, name) for index, name in enumerate([*names, "nothing"])]
        assert set(self.had(store, *wanted).values()) == {"two"}
        assert list(store.previous_outputs(taker(), wanted)) == list(range(len(names)))

    def test_an_index_finds_what_it_had_when_last_it_had_that_identity(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a", "a", "c")
        self.with_results(store, new_run("two"), "a", "b")
        assert self.had(store, (0, "a"), (1, "a"), (2, "a"), (3, "a")) == {0: "two", 1: "one"}

    def test_an_index_finds_what_it_had_taken_over(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a", "a")
        first, second = (result.key for result in self.looked(store, "a"))
        self.with_results(store, new_run("two"), "a", "a")
        self.taking_over(store, new_run("three"), second, first)
        found = store.previous_outputs(taker(), [(0, "a"), (1, "a")])
        assert [found[0].key, found[1].key] == [second, first]
        assert {output.run_id for output in found.values()} == {"one"}

    def test_only_runs_of_the_same_workflow_and_place_show_what_an_index_had(
        self, store: Store
    ) -> None:
        self.with_results(store, new_run("one"), "a")
        self.with_results(store, new_run("other", workflow="ebb"), "a")
        self.with_results(store, new_run("inner", lineage="x/t/0,", place="t/0,"), "a")
        assert self.had(store, (0, "a")) == {0: "one"}
        assert self.had(store, (0, "a"), workflow="ebb") == {0: "other"}
        assert self.had(store, (0, "a"), place="t/0,") == {0: "inner"}
        assert len(self.looked(store, "a", workflow="ebb")) == 3

    def test_results_of_kin_are_not_found(self, store: Store) -> None:
        for run_id, lineage in (
            ("me", ""),
            ("mine", "me/t/0,"),
            ("not mine", "me%/t/0,"),
            ("free", ""),
        ):
            self.with_results(store, new_run(run_id, lineage=lineage), "a")
        found = self.looked(store, "a", kin=kin_of("", "me"))
        assert [result.run_id for result in found] == ["free", "not mine"]
        key = self.looked(store, "a")[-1].key
        self.taking_over(store, new_run("last"), key)
        assert self.had(store, (0, "a")) == {0: "me"}
        assert self.had(store, (0, "a"), kin=kin_of("", "me")) == {}

    def test_of_a_family_only_results_of_the_same_element_are_found(self, store: Store) -> None:
        for run_id, lineage in (
            ("outer", ""),
            ("other", "outer/t/1,"),
            ("inside other", "outer/t/1,other/t/0,"),
            ("before", "outer/t/10,"),
            ("inside before", "outer/t/10,before/t/0,"),
        ):
            self.with_results(store, new_run(run_id, lineage=lineage), "a")
        found = self.looked(store, "a", kin=kin_of("outer/t/10,", "me"))
        assert [result.run_id for result in found] == ["inside before", "before"]

    def test_what_kin_took_over_is_known(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a", "a", "a")
        first, second, third = (result.key for result in self.looked(store, "a"))
        self.taking_over(store, new_run("stranger"), first)
        self.taking_over(store, new_run("beside", lineage="outer/t/1,", uid=7), second)
        self.taking_over(store, new_run("before", lineage="outer/t/0,"), third)
        assert store.taken_by_kin(taker(kin=kin_of("outer/t/0,", "me"), uid=1)) == {second}
        assert store.taken_by_kin(taker(kin=kin_of("", "outer"))) == {second, third}
        assert store.taken_by_kin(taker()) == set()

    def test_results_of_another_user_are_found_where_everybodys_are(self, store: Store) -> None:
        self.with_results(store, new_run("unknown"), "a")
        self.with_results(store, new_run("hers", uid=1001), "a")
        own = self.looked(store, "a", uid=1000)
        assert [result.run_id for result in own] == ["unknown"]
        assert self.had(store, (0, "a"), uid=1000) == {}
        everybodys = self.looked(store, "a", uid=None)
        assert [result.run_id for result in everybodys] == ["hers", "unknown"]

    def test_who_started_a_run_is_kept(self, store: Store) -> None:
        run = new_run(lineage=f"{HOSTILE}/t/3,", place="t/3,")
        store.create_run(run, [])
        assert store.run(RUN) == run

    def test_the_tags_of_a_run_are_kept(self, store: Store) -> None:
        run = new_run(tags=("paper", HOSTILE))
        store.create_run(run, [])
        assert store.run(RUN) == run
        assert store.list_runs() == [run]

    def test_what_failed_or_may_not_be_reused_is_not_found(self, store: Store) -> None:
        self.with_result(store, "kept", "a", reusable=Reuse.NEVER)
        self.with_result(store, "failed", "b", state=TaskState.FAILED, output=None)
        looks = [Look(identity=name, limit=5) for name in "ab"]
        assert store.find_outputs(taker(), looks) == {}
        assert self.had(store, (0, "a")) == {}
        assert self.had(store, (0, "b")) == {}

    def test_the_keys_of_outputs_tell_executions_apart(self, store: Store, lease: Lease) -> None:
        self.with_results(store, new_run("one"), "a", "a")
        keys = sorted(result.key for result in self.looked(store, "a"))
        assert store.output_keys("one", TASK) == keys
        self.taking_over(store, new_run("two"), *keys[::-1])
        assert store.output_keys("two", TASK) == keys
        self.with_elements(store, lease, 2)
        self.written(store, lease, lambda write: write.record_outcomes([success(), failure(1)]))
        (own,) = store.output_keys(RUN, TASK)
        assert own not in keys
        assert store.output_keys(RUN, "prepare") == []

    def test_an_output_can_be_taken_over(self, store: Store, lease: Lease) -> None:
        self.with_result(store, "one", "a", output='"A"')
        (result,) = self.looked(store, "a")
        cached = Instance(
            task=TASK, index=0, state=TaskState.SUCCESS, identity="a", source=result.key
        )
        self.written(store, lease, lambda write: write.add_instances([cached]))
        assert self.texts(store) == {0: '"A"'}
        assert store.instances(RUN) == [cached]
        assert store.counts(RUN)[TASK] == {TaskState.SUCCESS: 1}
        assert store.cached(RUN) == {TASK: 1}
        # It is still one result, and the copy stays a success whatever comes later.
        assert len(self.looked(store, "a")) == 1
        self.written(store, lease, lambda write: write.record_outcomes([success(), failure()]))
        assert self.texts(store) == {0: '"A"'}

    def test_what_was_recorded_of_files_comes_with_an_output(
        self, store: Store, lease: Lease
    ) -> None:
        self.with_result(store, "one", "a", output='"A"', paths="[1]")
        (result,) = self.looked(store, "a")
        cached = Instance(
            task=TASK, index=0, state=TaskState.SUCCESS, identity="a", source=result.key
        )
        own = Instance(task=TASK, index=1)
        self.written(
            store,
            lease,
            lambda write: write.add_instances([cached, own]),
            lambda write: write.record_outcomes([success(1, output='"B"', paths="[2]")]),
        )
        assert list(store.outputs(RUN, TASK)) == [(0, '"A"', "[1]"), (1, '"B"', "[2]")]

    def test_a_result_that_waits_for_its_wave_is_found_once_that_is_allowed(
        self, store: Store, lease: Lease
    ) -> None:
        waves = {"a": 1, "b": 2}
        elements = [
            Instance(task=TASK, index=index, identity=identity, wave=wave)
            for index, (identity, wave) in enumerate(waves.items())
        ]
        never = Instance(task=TASK, index=2, identity="c", wave=1)
        self.written(
            store,
            lease,
            lambda write: write.add_instances([*elements, never]),
            lambda write: write.record_outcomes(
                [success(index, reusable=Reuse.LATER) for index in range(2)]
            ),
            lambda write: write.record_outcomes([success(2, reusable=Reuse.NEVER)]),
        )
        self.with_result(store, "other", "d", reusable=Reuse.LATER)
        looks = [Look(identity=name, limit=5) for name in "abcd"]
        assert store.find_outputs(taker(), looks) == {}
        self.written(store, lease, lambda write: write.allow_reuse(1))
        assert list(store.find_outputs(taker(), looks)) == ["a"]
        assert self.had(store, (0, "a"), (1, "b"), (2, "c")) == {0: RUN}

    def test_an_output_of_its_own_replaces_one_that_was_taken_over(
        self, store: Store, lease: Lease
    ) -> None:
        self.with_result(store, "one", "a", output='"A"')
        (result,) = self.looked(store, "a")
        again = Instance(task=TASK, index=0, state=TaskState.PENDING, source=result.key)
        self.written(store, lease, lambda write: write.add_instances([again]))
        self.written(store, lease, lambda write: write.record_outcomes([success(output='"B"')]))
        assert self.texts(store) == {0: '"B"'}

    def test_an_unknown_key_is_an_error(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match="12345"):
            store.output(12345)

    # -- run and task state ----------------------------------------------------------------
    def test_a_final_state_sets_the_end_and_running_clears_it(
        self, store: Store, lease: Lease
    ) -> None:
        before = datetime.now(UTC)
        self.written(store, lease, lambda write: write.set_run_state(RunState.FAILED, "no water"))
        run = store.run(RUN)
        assert (run.state, run.message) == (RunState.FAILED, "no water")
        assert run.finished_at is not None
        assert before <= run.finished_at <= datetime.now(UTC)
        self.written(store, lease, lambda write: write.set_run_state(RunState.RUNNING))
        assert store.run(RUN) == new_run()

    def test_size_and_state_of_a_task_are_recorded(self, store: Store, lease: Lease) -> None:
        plain, array = plain_and_array()
        self.written(
            store,
            lease,
            lambda write: write.set_task_size(TASK, 10**10),
            lambda write: write.set_task_state("prepare", TaskState.SKIPPED),
        )
        skipped = replace(plain, state=TaskState.SKIPPED)
        assert store.tasks(RUN) == [skipped, replace(array, size=10**10)]
        self.written(store, lease, lambda write: write.set_task_state("prepare", None))
        assert store.tasks(RUN)[0] == plain

    # -- lease -----------------------------------------------------------------------------
    def test_a_new_run_is_dispatched_by_nobody(self, store: Store) -> None:
        store.create_run(new_run(), [])
        lease = store.lease(RUN)
        assert (lease.wakeup, lease.owner) == (False, None)

    def test_taking_the_lease_raises_the_epoch_and_names_the_owner(self, store: Store) -> None:
        store.create_run(new_run(), [])
        epoch = store.lease(RUN).epoch
        owner: dict[str, Json] = {"host": "login1", "pid": 7, "native": None}
        lease = store.acquire(RUN, owner)
        assert lease == Lease(RUN, epoch + 1)
        assert store.lease(RUN).epoch == epoch + 1
        assert store.lease(RUN).owner == owner

    def test_a_held_lease_is_not_to_be_had(self, store: Store, lease: Lease) -> None:
        assert store.acquire(RUN, {}) is None
        assert store.lease(RUN).epoch == lease.epoch

    def test_a_lease_seen_without_a_beat_can_be_taken_over(
        self, store: Store, lease: Lease
    ) -> None:
        taken = self.taken(store, store.lease(RUN))
        assert taken.epoch > lease.epoch

    def test_a_lease_that_has_beaten_since_cannot_be_taken_over(
        self, store: Store, lease: Lease
    ) -> None:
        seen = store.lease(RUN)
        store.heartbeat(lease)
        assert store.acquire(RUN, {}, seen) is None
        store.heartbeat(lease)

    def test_a_lease_that_changed_hands_since_cannot_be_taken_over(
        self, store: Store, lease: Lease
    ) -> None:
        seen = store.lease(RUN)
        store.release(lease)
        self.taken(store)
        assert store.acquire(RUN, {}, seen) is None

    def test_a_free_lease_can_be_had_whatever_was_seen(self, store: Store, lease: Lease) -> None:
        seen = store.lease(RUN)
        store.heartbeat(lease)
        store.release(lease)
        assert store.acquire(RUN, {}, seen) is not None

    def test_of_many_that_take_over_one_gets_it(
        self, lease: Lease, open_store: Callable[[], Store]
    ) -> None:
        contenders = [open_store() for _ in range(8)]
        barrier = Barrier(len(contenders))

        def take(store: Store) -> Lease | None:
            seen = store.lease(RUN)
            barrier.wait()
            return store.acquire(RUN, {}, seen)

        with ThreadPoolExecutor(len(contenders)) as pool:
            leases = [taken for taken in pool.map(take, contenders) if taken is not None]
        assert leases == [Lease(RUN, lease.epoch + 1)]

    def test_a_beat_can_be_seen(self, store: Store, lease: Lease) -> None:
        seen = [store.lease(RUN)]
        for _ in range(3):
            store.heartbeat(lease)
            seen.append(store.lease(RUN))
        assert len({(one.epoch, one.heartbeat) for one in seen}) == 4

    def test_a_mark_is_told_by_the_beat_until_it_is_cleared(
        self, store: Store, lease: Lease
    ) -> None:
        assert store.heartbeat(lease) is False
        store.request_wakeup(RUN)
        assert store.lease(RUN).wakeup
        assert store.heartbeat(lease) is True
        assert store.heartbeat(lease) is True
        store.clear_wakeup(lease)
        assert store.heartbeat(lease) is False

    def test_a_marked_lease_is_kept_at_release(self, store: Store, lease: Lease) -> None:
        store.request_wakeup(RUN)
        assert store.release(lease) is False
        assert store.acquire(RUN, {}) is None
        store.clear_wakeup(lease)
        assert store.release(lease) is True
        assert store.lease(RUN).owner is None
        assert store.acquire(RUN, {}) is not None

    def test_letting_go_twice_does_no_harm(self, store: Store, lease: Lease) -> None:
        assert store.release(lease) is True
        assert store.release(lease) is True

    def test_a_mark_outlives_a_killed_holder(self, store: Store, lease: Lease) -> None:
        store.request_wakeup(RUN)
        assert store.heartbeat(self.taken(store, store.lease(RUN))) is True

    @pytest.mark.parametrize(
        "use",
        [
            lambda store, lease: store.heartbeat(lease),
            lambda store, lease: store.clear_wakeup(lease),
            lambda store, lease: store.release(lease),
            lambda store, lease: store.fenced(lease).__enter__(),
        ],
        ids=["heartbeat", "clear_wakeup", "release", "fenced"],
    )
    def test_a_lost_lease_does_nothing_any_more(
        self, store: Store, lease: Lease, use: Callable[[Store, Lease], object]
    ) -> None:
        taken = self.taken(store, store.lease(RUN))
        store.request_wakeup(RUN)
        present = store.lease(RUN)
        with pytest.raises(LeaseLostError, match=RUN):
            use(store, lease)
        assert store.lease(RUN) == present
        store.clear_wakeup(taken)

    def test_a_released_lease_writes_nothing(self, store: Store, lease: Lease) -> None:
        store.release(lease)
        with pytest.raises(LeaseLostError):
            self.written(store, lease, lambda write: write.set_run_state(RunState.FAILED))
        assert store.run(RUN) == new_run()

    def test_leases_of_different_runs_have_nothing_to_do_with_each_other(
        self, store: Store, lease: Lease
    ) -> None:
        store.create_run(new_run("other"), [])
        other = self.taken(store, run_id="other")
        store.request_wakeup("other")
        assert store.heartbeat(lease) is False
        assert store.release(other) is False
        assert store.release(lease) is True

    # -- fenced writes ---------------------------------------------------------------------
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_an_exception_in_the_block_rolls_everything_back(
        self, store: Store, lease: Lease, error: type[BaseException]
    ) -> None:
        instances = self.with_elements(store, lease, 2)
        intent = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t1")
        store.add_request(RUN, RequestKind.RETRY)
        requests = store.requests(RUN)
        instances[1].attempt = 5
        writes: list[Callable[[FencedWriter], None]] = [
            lambda write: write.set_run_state(RunState.FAILED, "no"),
            lambda write: write.set_task_size(TASK, 9),
            lambda write: write.set_task_state(TASK, TaskState.CANCELLED),
            lambda write: write.add_instances([Instance(task=TASK, index=9)]),
            lambda write: write.update_instances(instances),
            lambda write: write.record_outcomes([success()]),
            lambda write: write.add_submission(intent),
            lambda write: write.drop_request(requests[0].key),
        ]

        def fail(_: FencedWriter) -> None:
            raise error("in the middle")

        with pytest.raises(error, match="in the middle"):
            self.written(store, lease, *writes, fail)
        assert store.run(RUN) == new_run()
        assert store.tasks(RUN) == plain_and_array()
        assert store.instances(RUN) == [Instance(task=TASK, index=index) for index in range(2)]
        assert store.submissions(RUN) == []
        assert store.requests(RUN) == requests
        self.written(store, lease, *writes)
        assert store.run(RUN).state is RunState.FAILED
        assert store.counts(RUN)[TASK] == {TaskState.PENDING: 2, TaskState.SUCCESS: 1}

    def test_a_writer_is_of_no_use_after_its_transaction(self, store: Store, lease: Lease) -> None:
        with store.fenced(lease) as write:
            write.set_task_size(TASK, 1)
        with pytest.raises(StoreError):
            write.set_task_size(TASK, 2)
        assert store.tasks(RUN)[1].size == 1

    def test_a_stopped_holder_wakes_up_and_writes_nothing(
        self, store: Store, process: Callable[..., StoreProcess]
    ) -> None:
        store.create_run(new_run(), plain_and_array())
        holder = process("hold", RUN)
        assert holder.hear() == "held"
        holder.send(signal.SIGSTOP)
        taken = self.taken(store, store.lease(RUN))
        holder.send(signal.SIGCONT)
        holder.say()
        assert holder.hear() == "lost"
        assert store.instances(RUN) == []
        assert store.heartbeat(taken) is False

    def test_a_process_killed_inside_a_transaction_leaves_nothing_behind(
        self, store: Store, process: Callable[..., StoreProcess]
    ) -> None:
        store.create_run(new_run(), plain_and_array())
        victim = process("stay_inside", RUN)
        assert victim.hear() == "inside"
        victim.kill()
        lease = self.taken(store, store.lease(RUN))
        assert store.instances(RUN) == []
        self.with_elements(store, lease, 1)
        assert len(store.instances(RUN)) == 1

    def test_nothing_is_written_by_the_old_holder_once_there_is_a_new_one(
        self, store: Store, process: Callable[..., StoreProcess]
    ) -> None:
        store.create_run(new_run(), plain_and_array())
        holder = process("stay_inside", RUN)
        assert holder.hear() == "inside"
        seen = store.lease(RUN)

        def take_over() -> list[Instance]:
            self.taken(store, seen)
            return store.instances(RUN)

        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(take_over)
            # Taking over must wait for the transaction; otherwise it would be done by now.
            futures.wait([taken], timeout=0.3)
            holder.say()
            assert holder.hear() == "outside"
            present = taken.result()
        assert store.instances(RUN) == present

    def test_many_dispatchers_and_readers_lose_nothing(
        self, store: Store, process: Callable[..., StoreProcess]
    ) -> None:
        each, dispatchers = 25, 4
        store.create_run(new_run(), plain_and_array())
        epoch = store.lease(RUN).epoch
        readers = [process("read", RUN) for _ in range(2)]
        for reader in readers:
            reader.say(each * dispatchers)
        writers = [process("dispatch", RUN, each * n, each) for n in range(dispatchers)]
        assert [writer.hear() for writer in writers] == ["done"] * dispatchers
        assert all(int(reader.hear()) > 0 for reader in readers)
        assert [one.index for one in store.instances(RUN)] == list(range(each * dispatchers))
        assert store.lease(RUN).epoch == epoch + each * dispatchers
        assert store.lease(RUN).owner is None

    # -- submissions -----------------------------------------------------------------------
    def test_submissions_come_back_as_they_were_added(self, store: Store, lease: Lease) -> None:
        wave = SubmissionRecord(
            number=1,
            kind=SubmissionKind.WAVE,
            token="reflow-1",
            task=TASK,
            size=1000,
            submitted_at=NOON,
        )
        follow_up = SubmissionRecord(
            number=2, kind=SubmissionKind.FOLLOW_UP, token="reflow-2", follows=1
        )
        watchdog = SubmissionRecord(
            number=3,
            kind=SubmissionKind.WATCHDOG,
            token="reflow-3",
            state=SubmissionState.ACCEPTED,
            begins_at=NOON,
        )
        assert store.next_submission_number(RUN) == 1
        for record in (watchdog, wave, follow_up):
            with store.fenced(lease) as write:
                write.add_submission(record)
        assert store.submissions(RUN) == [wave, follow_up, watchdog]
        assert store.next_submission_number(RUN) == 4

    def test_a_submission_that_is_over_is_kept_but_not_open(
        self, store: Store, lease: Lease
    ) -> None:
        intent = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t1", task=TASK)
        over = replace(intent, state=SubmissionState.OVER, submitted_at=NOON, begins_at=NOON)
        self.written(store, lease, lambda write: write.add_submission(intent))
        store.add_native_id(RUN, "t1", "77")
        self.written(store, lease, lambda write: write.update_submission(over))
        assert store.submissions(RUN) == []
        # The ids are a set that only grows; the record may not hold them all.
        assert store.submissions(RUN, open_only=False) == [replace(over, native_ids=("77",))]
        assert store.next_submission_number(RUN) == 2

    def test_a_submission_that_is_still_to_be_cancelled_is_open(
        self, store: Store, lease: Lease
    ) -> None:
        intent = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t1", task=TASK)
        cancelling = replace(intent, state=SubmissionState.CANCELLING)
        self.written(store, lease, lambda write: write.add_submission(intent))
        self.written(store, lease, lambda write: write.update_submission(cancelling))
        assert store.submissions(RUN) == [cancelling]

    @pytest.mark.parametrize("taken", [{"number": 1}, {"token": "t1"}])
    def test_number_and_token_must_be_new(
        self, store: Store, lease: Lease, taken: dict[str, Any]
    ) -> None:
        first = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t1")
        second = replace(first, **{"number": 2, "token": "t2", **taken})
        self.written(store, lease, lambda write: write.add_submission(first))
        with pytest.raises(StoreError):
            self.written(store, lease, lambda write: write.add_submission(second))
        assert store.submissions(RUN) == [first]

    def test_a_submission_that_was_never_added_cannot_be_updated(
        self, store: Store, lease: Lease
    ) -> None:
        stray = SubmissionRecord(number=9, kind=SubmissionKind.WAVE, token="t9")
        with pytest.raises(NotFoundError, match="9"):
            self.written(store, lease, lambda write: write.update_submission(stray))

    def test_native_ids_are_a_set_in_the_order_they_came(self, store: Store, lease: Lease) -> None:
        first, second = (
            SubmissionRecord(number=number, kind=SubmissionKind.WAVE, token=f"t{number}")
            for number in (1, 2)
        )
        self.written(
            store,
            lease,
            lambda write: write.add_submission(first),
            lambda write: write.add_submission(second),
        )
        for native_id in ("9", "10", "9", "8[]"):
            store.add_native_id(RUN, "t1", native_id)
        store.add_native_id(RUN, "t2", "9")
        assert [one.native_ids for one in store.submissions(RUN)] == [("9", "10", "8[]"), ("9",)]

    def test_a_native_id_can_be_added_without_the_lease(self, store: Store, lease: Lease) -> None:
        intent = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t1")
        self.written(store, lease, lambda write: write.add_submission(intent))
        self.taken(store, store.lease(RUN))
        store.add_native_id(RUN, "t1", "5")
        assert store.submissions(RUN)[0].native_ids == ("5",)

    def test_an_unknown_token_is_an_error(self, store: Store, lease: Lease) -> None:
        with pytest.raises(NotFoundError, match="t1"):
            store.add_native_id(RUN, "t1", "5")

    # -- requests of users -----------------------------------------------------------------
    def test_of_notes_on_a_task_the_first_of_a_key_stays(self, store: Store, lease: Lease) -> None:
        first = Note(task="prepare", key="argument x", text="it is changed")
        other = Note(task="prepare", key="argument y", text=HOSTILE)
        self.written(store, lease, lambda write: write.add_notes([first, other]))
        again = replace(first, text="it is changed once more")
        elsewhere = replace(first, task=TASK)
        self.written(store, lease, lambda write: write.add_notes([again, elsewhere]))
        assert store.notes(RUN) == [first, other, elsewhere]

    def test_a_wish_leaves_a_mark_and_stays_until_it_is_carried_out(
        self, store: Store, lease: Lease
    ) -> None:
        store.add_request(RUN, RequestKind.CANCEL)
        options: dict[str, Json] = {"changed": True, "source": "\u00e9"}
        store.add_request(RUN, RequestKind.RETRY, TASK, uid=1000, options=options)
        first, second = store.requests(RUN)
        assert (first.uid, first.options, second.uid, second.options) == (None, {}, 1000, options)
        assert (first.kind, first.task) == (RequestKind.CANCEL, None)
        assert (second.kind, second.task) == (RequestKind.RETRY, TASK)
        assert store.heartbeat(lease) is True
        self.written(store, lease, lambda write: write.drop_request(first.key))
        self.written(store, lease, lambda write: write.drop_request(first.key))
        assert store.requests(RUN) == [second]

    def test_a_wish_can_be_left_where_nobody_dispatches(self, store: Store) -> None:
        store.create_run(new_run(), [])
        store.add_request(RUN, RequestKind.RETRY)
        assert store.lease(RUN).wakeup
        assert len(store.requests(RUN)) == 1

    # -- cleaning up -----------------------------------------------------------------------
    @staticmethod
    def cleaning(store: Store) -> CleansUp:
        """Return the store as one that removes records, or skip the test."""
        if not isinstance(store, CleansUp):
            pytest.skip("this store removes no records")
        return store

    def begun(self, store: Store, run_id: str, extent: Extent) -> Lease:
        """End a run, and begin to clean it up."""
        lease = self.taken(store, store.lease(run_id), run_id)
        if store.run(run_id).state is RunState.RUNNING:
            self.written(store, lease, lambda write: write.set_run_state(RunState.SUCCESS))
        self.cleaning(store).begin_cleaning(lease, extent)
        return lease

    def removed(self, store: Store, run_id: str, extent: Extent, most: int = 1_000) -> bool:
        """Clean a run up; tell whether nothing is left of it."""
        records, lease = self.cleaning(store), self.begun(store, run_id, extent)
        position: RowPosition | None = RowPosition()
        while position is not None:
            position = records.remove_records(lease, extent, position, most)
        gone = records.end_cleaning(lease)
        assert gone or store.lease(run_id).owner is None
        return gone

    def test_a_run_in_use_is_not_begun_to_be_cleaned_up(self, store: Store, lease: Lease) -> None:
        records = self.cleaning(store)
        with pytest.raises(NotReadyError):
            records.begin_cleaning(lease, Extent.FILES)
        wave = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t-1", task=TASK)
        over = replace(wave, state=SubmissionState.OVER)
        self.written(store, lease, lambda write: write.add_submission(wave))
        self.written(store, lease, lambda write: write.set_run_state(RunState.FAILED))
        with pytest.raises(NotReadyError):
            records.begin_cleaning(lease, Extent.FILES)
        self.written(store, lease, lambda write: write.update_submission(over))
        store.add_request(RUN, RequestKind.RETRY)
        with pytest.raises(NotReadyError):
            records.begin_cleaning(lease, Extent.FILES)
        assert store.run(RUN).cleaned_at is None
        [request] = store.requests(RUN)
        self.written(store, lease, lambda write: write.drop_request(request.key))
        records.begin_cleaning(lease, Extent.FILES)
        run = store.run(RUN)
        assert (run.cleaning, run.extent) == (True, Extent.FILES)
        assert run.cleaned_at is not None

    def test_who_has_lost_the_lease_removes_nothing(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a")
        lease = self.begun(store, "one", Extent.RUN)
        self.taken(store, store.lease("one"), "one")
        with pytest.raises(LeaseLostError):
            self.cleaning(store).remove_records(lease, Extent.RUN, RowPosition(), 9)
        with pytest.raises(LeaseLostError):
            self.cleaning(store).end_cleaning(lease)
        assert len(store.instances("one")) == 1

    @pytest.mark.parametrize("most", [1, 2, 1_000])
    def test_results_that_may_be_offered_stay_when_only_files_go(
        self, store: Store, most: int
    ) -> None:
        self.with_results(store, new_run("one"), "a", "b", "c", "d")
        lease = self.taken(store, store.lease("one"), "one")
        outcomes = [
            success(0),
            failure(1),
            success(2, reusable=Reuse.NEVER),
            success(3, output='"D"'),
        ]
        new = [Instance(task=TASK, index=index, identity="abcd"[index]) for index in range(4)]
        self.written(
            store,
            lease,
            lambda write: write.replace_instances(new),
            lambda write: write.record_outcomes(outcomes),
        )
        assert not self.removed(store, "one", Extent.FILES, most)
        assert [one.index for one in store.instances("one")] == [0, 3]
        assert [bool(self.looked(store, identity)) for identity in "abcd"] == [
            True,
            False,
            False,
            True,
        ]
        assert self.cleaning(store).contents("one") == RunContents(instances=2, results=2)

    def test_a_run_is_removed_with_all_that_it_had(self, store: Store, lease: Lease) -> None:
        note = Note(task=TASK, key="k", text="t")
        wave = SubmissionRecord(number=1, kind=SubmissionKind.WAVE, token="t-1", task=TASK)
        self.with_elements(store, lease, 5)
        self.written(
            store,
            lease,
            lambda write: write.add_notes([note]),
            lambda write: write.add_submission(replace(wave, state=SubmissionState.OVER)),
            lambda write: write.record_outcomes([success(index) for index in range(4)]),
        )
        store.add_native_id(RUN, "t-1", "77")
        assert self.removed(store, RUN, Extent.RUN, 2)
        with pytest.raises(NotFoundError):
            store.run(RUN)
        store.create_run(new_run(), plain_and_array())
        again = self.taken(store)
        self.written(store, again, lambda write: write.add_submission(wave))
        assert store.notes(RUN) == []
        assert store.instances(RUN) == []
        assert [one.native_ids for one in store.submissions(RUN)] == [()]

    @pytest.mark.parametrize("extent", [Extent.RESULTS, Extent.RUN])
    def test_results_that_were_taken_over_stay_and_are_offered_further(
        self, store: Store, extent: Extent
    ) -> None:
        self.with_results(store, new_run("one"), "a", "a", "b")
        keys = [found.key for found in self.looked(store, "a")]
        self.taking_over(store, new_run("two"), keys[1])
        assert not self.removed(store, "one", extent)
        assert [one.index for one in store.instances("one")] == [1]
        assert [text for _, text, _ in store.outputs("two", TASK)] == ['"1"']
        assert [found.key for found in self.looked(store, "a")] == [keys[1]]
        assert self.looked(store, "b") == []
        assert self.removed(store, "two", Extent.RUN)
        assert self.removed(store, "one", Extent.RUN)

    def test_a_result_whose_run_was_removed_stays_with_a_taker_of_which_only_files_go(
        self, store: Store
    ) -> None:
        self.with_results(store, new_run("one"), "a")
        self.with_results(store, new_run("three"), "c")
        [one], [three] = self.looked(store, "a"), self.looked(store, "c")
        self.taking_over(store, new_run("two"), one.key, three.key)
        self.removed(store, "one", Extent.RUN)
        self.removed(store, "two", Extent.FILES)
        assert [each.source for each in store.instances("two")] == [one.key]
        assert len(self.looked(store, "a")) == 1

    def test_a_replaced_instance_that_nobody_has_goes(self, store: Store, lease: Lease) -> None:
        self.with_result(store, RUN, "a", paths="[1]")
        lease = self.taken(store, store.lease(RUN), RUN)
        new = Instance(task=TASK, index=0, attempt=1)
        self.written(store, lease, lambda write: write.replace_instances([new]))
        assert list(self.cleaning(store).result_paths(RUN)) == ["[1]"]
        assert self.removed(store, RUN, Extent.RUN)

    def test_while_results_are_removed_none_of_them_is_offered(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a")
        lease = self.begun(store, "one", Extent.FILES)
        assert len(self.looked(store, "a")) == 1
        self.cleaning(store).begin_cleaning(lease, Extent.RESULTS)
        assert self.looked(store, "a") == []
        assert self.had(store, (0, "a")) == {}

    def test_a_result_that_was_removed_is_not_taken_over(self, store: Store, lease: Lease) -> None:
        self.with_results(store, new_run("one"), "a", "a")
        first, second = self.looked(store, "a")
        self.taking_over(store, new_run("two"), second.key)
        self.removed(store, "one", Extent.RUN)
        new = [
            Instance(task=TASK, index=index, state=TaskState.SUCCESS, identity="a", source=key)
            for index, key in enumerate((second.key, first.key))
        ]
        with pytest.raises(StoreError) as refused:
            self.written(store, lease, lambda write: write.add_instances(new))
        assert not refused.value.lasting
        assert store.instances(RUN) == []
        self.written(store, lease, lambda write: write.add_instances(new[:1]))

    def test_a_result_is_not_removed_that_is_being_taken_over(
        self, store: Store, lease: Lease, open_store: Callable[[], Store]
    ) -> None:
        self.with_results(store, new_run("one"), "a", "b")
        [found] = self.looked(store, "a")
        cleaner = open_store()
        self.begun(cleaner, "one", Extent.RUN)
        new = Instance(task=TASK, index=0, state=TaskState.SUCCESS, identity="a", source=found.key)
        with ThreadPoolExecutor(1) as pool:
            with store.fenced(lease) as writer:
                writer.add_instances([new])
                # It waits for this transaction, or passes over what is taken in it.
                gone = pool.submit(self.removed, cleaner, "one", Extent.RUN)
                futures.wait([gone], timeout=0.5)
            assert not gone.result()
        assert self.texts(store) == {0: '"0"'}

    def test_forgotten_results_are_not_offered_and_stay_where_they_are(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a", "b", "c")
        self.with_results(store, new_run("two", uid=1000), "b")
        records = self.cleaning(store)
        had = {identity: key for _, identity, key in records.results_had("one", TASK)}
        assert list(had) == ["a", "b", "c"]
        offered = records.offered(["b", "c", "d"])
        assert sorted(uid or 0 for _, uid in offered) == [0, 0, 1000]
        assert {key for key, _ in offered} >= {had["b"], had["c"]}
        records.forbid_reuse([key for key, _ in offered])
        assert [bool(self.looked(store, identity)) for identity in "abc"] == [True, False, False]
        assert len(list(store.outputs("one", TASK))) == 3

    def test_instances_of_many_runs_are_counted(self, store: Store) -> None:
        self.with_results(store, new_run("one"), "a", "b", "c")
        self.with_results(store, new_run("two"), "b")
        counts = self.cleaning(store).instance_counts(["one", "two", "none"])
        assert counts == {"one": 3, "two": 1}
        assert self.cleaning(store).size().total > 0

    # -- size ------------------------------------------------------------------------------
    def test_a_hundred_thousand_elements_are_kept(self, store: Store, lease: Lease) -> None:
        number, fresh, bad = 100_000, 10_000, 7_777
        self.with_result(store, "one", "a", output='"A"')
        (result,) = self.looked(store, "a")
        new = [Instance(task=TASK, index=index, identity=f"{index:064}") for index in range(fresh)]
        cached = [
            Instance(task=TASK, index=index, state=TaskState.SUCCESS, source=result.key)
            for index in range(fresh, number)
        ]
        outcomes = [success(index, output='"new"') for index in range(fresh)]
        outcomes[bad] = failure(bad)
        self.written(
            store,
            lease,
            lambda write: write.add_instances([*new, *cached]),
            lambda write: write.record_outcomes(outcomes),
        )
        assert store.counts(RUN)[TASK] == {TaskState.SUCCESS: number - 1, TaskState.FAILED: 1}
        assert [one.index for one in store.failures(RUN)] == [bad]
        assert self.texts(store) == {
            index: '"new"' if index < fresh else '"A"' for index in range(number) if index != bad
        }
        looks = [Look(identity=one.identity or "", limit=1) for one in new]
        assert len(store.find_outputs(taker(), looks)) == fresh - 1
        assert len(store.instances(RUN)) == number

    def test_a_large_output_is_kept(self, store: Store, lease: Lease) -> None:
        self.with_elements(store, lease, 1)
        text = '"' + "x" * 20_000_000 + '"'
        self.written(store, lease, lambda write: write.record_outcomes([success(output=text)]))
        assert self.texts(store) == {0: text}
