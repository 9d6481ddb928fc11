"""Whole runs on a batch scheduler that fails in every way a scheduler can."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.dispatch.dispatcher import Dispatcher
from reflow.dispatch.lease import take
from reflow.model.jobs import Limits
from reflow.rundir.run_settings import read_settings
from reflow.runs import dispatch_job, driver
from reflow.runs.driver import DispatchJob
from reflow.runs.failure_policy import Role
from reflow.runs.open_dispatcher import open_dispatcher
from reflow.runs.troubles import Troubles

from tests.e2e.support import FlowFile, counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault, ScriptedExecutor, Trouble

Flows = Callable[..., FlowFile]

FLOW = """
    wf = Workflow("batch")

    @wf.job()
    def items(size: int = 3) -> list[int]:
        did("items")
        return list(range(size))

    @wf.job(array=True, mem="1G", time="00:10:00")
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"each-{x}")
        return x * 10

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="each")]) -> int:
        did("total")
        return sum(xs)
"""

ONCE = {"items": 1, "each-0": 1, "each-1": 1, "each-2": 1, "total": 1}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispatcher in this process looks again at once."""
    from reflow.dispatch import dispatcher as dispatch
    from reflow.dispatch import reconcile, submit
    from reflow.dispatch import retry_policy as failures

    monkeypatch.setattr(driver, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(driver, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(reconcile, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(reconcile, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(failures, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(submit, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(submit, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(dispatch, "ASK_AFTER", 0.1)


class Batch:
    """Starts runs on the scheduler."""

    def __init__(self, scheduler: Folder, flow: FlowFile) -> None:
        self.scheduler = scheduler
        self.flow = flow

    def start(self, executor: dict[str, Any] | None = None, **given: Any) -> Any:
        """Submit, and leave it to the run's own jobs to go on."""
        chosen = ScriptedExecutor(folder=str(self.scheduler.path), **(executor or {}))
        return self.flow.load().submit(executor=chosen, **given)

    def follow(self, executor: dict[str, Any] | None = None, **given: Any) -> Any:
        """Submit, and dispatch from here until the run has ended."""
        run = self.start(executor, follow=True, **given)
        run.follow()
        return run

    def jobs(self, word: str) -> list[dict[str, Any]]:
        """What was submitted for a task, in order."""
        return [
            job
            for job in self.scheduler.submitted().values()
            if job["token"].startswith(f"{word}-")
        ]


@pytest.fixture
def batch(scheduler: Folder, flow_file: Flows, quick: None) -> Batch:
    return Batch(scheduler, flow_file(FLOW))


def test_a_run_goes_on_by_its_own_jobs_and_leaves_nothing_in_the_queue(batch: Batch) -> None:
    run = batch.start()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS"
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE
    until(lambda: not batch.scheduler.in_queue())
    # One element is a plain job, several are one dense array.
    assert [job["size"] for job in batch.jobs("items") + batch.jobs("each")] == [None, 3]


def test_dispatching_from_the_foreground_submits_no_dispatch_jobs(batch: Batch) -> None:
    run = batch.follow()
    assert run.state == "SUCCESS"
    assert batch.flow.calls == ONCE
    assert batch.jobs("dispatch") + batch.jobs("watchdog") == []


@pytest.mark.parametrize(
    ("fault", "cause", "said"),
    [
        ("memory", "MEMORY", "out of memory"),
        ("walltime", "WALLTIME", "out of time"),
        ("kill", "SIGNAL", "SIGKILL"),
        ("complete", "LOST", "left no result"),
        ("vanish", "LOST", "left no result"),
    ],
)
def test_the_cause_is_the_schedulers_and_retry_completes(
    batch: Batch, fault: str, cause: str, said: str
) -> None:
    batch.scheduler.arrange(JobFault(fault, "each", 1))
    run = batch.follow()
    assert run.state == "FAILED"
    assert counts(run, "each") == {"SUCCESS": 2, "FAILED": 1}
    assert counts(run, "total") == {"SKIPPED": 1}
    ((place, (found, error)),) = failed(run).items()
    assert (place, found) == (("each", 1), cause)
    assert said in error
    batch.flow.forget()
    assert run.retry() == 2
    run.follow()
    assert run.state == "SUCCESS"
    assert run.result("total") == 30
    assert batch.flow.calls == {"each-1": 1, "total": 1}
    # A retry of one element is a plain job.
    assert [job["size"] for job in batch.jobs("each")] == [3, None]


GROWING = FLOW.replace(
    'array=True, mem="1G", time="00:10:00"',
    'array=True, mem="1G", time="00:10:00", retries=2, retry_mem=2.0, retry_time=1.5',
)


def test_more_is_asked_for_of_what_ran_out_and_only_of_that(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = Batch(scheduler, flow_file(GROWING))
    batch.scheduler.arrange(
        JobFault("memory", "each", 0), JobFault("walltime", "each", 1), JobFault("kill", "each", 2)
    )
    run = batch.follow()
    assert run.state == "SUCCESS", failed(run)
    gib = 1024**3
    asked = sorted((job["mem"] / gib, job["time"] / 60) for job in batch.jobs("each")[1:])
    assert asked == [(1.0, 10.0), (1.0, 15.0), (2.0, 10.0)]
    assert run.result("each") == [0, 10, 20]


def test_retries_are_counted_and_then_it_has_failed(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = Batch(scheduler, flow_file(GROWING))
    batch.scheduler.arrange(JobFault("memory", "each", times=20))
    run = batch.follow(size=1)
    assert {place: cause for place, (cause, _) in failed(run).items()} == {("each", 0): "MEMORY"}
    assert [job["mem"] // 1024**3 for job in batch.jobs("each")] == [1, 2, 4]
    assert run.status(as_dict=True)["failed_instances"][0]["attempt"] == 3
    # By hand, it starts from the beginning: three tries, and what was learnt is kept.
    batch.scheduler.arrange(JobFault("memory", "each", times=0))
    run.retry()
    run.follow()
    assert [job["mem"] // 1024**3 for job in batch.jobs("each")][3:] == [4, 8, 16]


@pytest.mark.parametrize("fault", ["node", "preempted"])
def test_a_lost_node_costs_no_retry_but_not_for_ever(batch: Batch, fault: str) -> None:
    batch.scheduler.arrange(JobFault(fault, "each", 0, times=0), JobFault(fault, "each", times=1))
    run = batch.follow(size=1)
    assert run.state == "SUCCESS"
    assert len(batch.jobs("each")) == 2
    batch.scheduler.arrange(JobFault(fault, "total", times=100))
    run = batch.follow(size=1, force_tasks=["total"])
    assert {place: cause for place, (cause, _) in failed(run).items()} == {
        ("total", None): fault.upper()
    }
    # Ten are not counted; the one after them is, and there are no retries.
    assert len(batch.jobs("total")) == 1 + 11


@pytest.mark.parametrize("others", [True, False])
def test_a_host_that_loses_what_it_is_given_is_left_out_if_there_are_others(
    batch: Batch, others: bool
) -> None:
    if not others:
        batch.scheduler.arrange(Trouble("submit", "lack", "each", times=100))
    batch.scheduler.arrange(
        JobFault("node", "each", 1, times=1), JobFault("node", "each", 0, times=3)
    )
    run = batch.follow()
    assert run.state == "SUCCESS", failed(run)
    # Element 1 was lost once: that may happen anywhere. Element 0 was lost time and again.
    asked = [(job["size"], job["excluded"]) for job in batch.jobs("each")]
    bad = ["millhouse"] if others else []
    assert asked == [(3, []), (2, []), (None, bad), (None, bad)]
    assert run.result("total") == 30


def test_a_result_that_comes_after_the_job_was_forgotten_counts(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "60")
    flow = flow_file(
        """
        wf = Workflow("late")

        @wf.job()
        def slow() -> str:
            did("slow")
            wait_for("{here}/go")
            return "late"
        """
    )
    batch = Batch(scheduler, flow)
    scheduler.arrange(JobFault("forget", "slow"))
    run = batch.start(follow=True)
    thread = threading.Thread(target=run.follow)
    thread.start()
    until(lambda: flow.calls["slow"])
    until(lambda: any(i.missing_since for i in run.store.instances(run.run_id)))
    (flow.folder / "go").touch()
    thread.join(timeout=60)
    assert run.result("slow") == "late"
    assert flow.calls == {"slow": 1}


def test_a_status_query_that_fails_says_nothing_of_any_job(batch: Batch) -> None:
    batch.scheduler.arrange(Trouble("poll", "away", times=5))
    run = batch.follow()
    assert run.state == "SUCCESS"
    assert batch.flow.calls == ONCE


def test_a_job_that_can_never_start_is_shown_with_the_reason_and_fails_in_the_end(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_IMPOSSIBLE_MINUTES", "0.01")
    batch.scheduler.arrange(JobFault("impossible", "each", 1))
    run = batch.follow()
    assert failed(run) == {
        ("each", 1): (
            "SUBMIT",
            "the scheduler says it can never start: no machine is large enough",
        )
    }
    assert counts(run, "each") == {"SUCCESS": 2, "FAILED": 1}
    until(lambda: not batch.scheduler.in_queue())
    run.retry()
    run.follow()
    assert run.result("total") == 30


def test_a_refused_job_fails_with_the_schedulers_words(batch: Batch) -> None:
    batch.scheduler.arrange(Trouble("submit", "refuse", "each"))
    run = batch.follow()
    assert set(failed(run).values()) == {("SUBMIT", "no such queue: nowhere")}
    assert counts(run, "each") == {"FAILED": 3}
    run.retry()
    run.follow()
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE


def test_a_submission_put_off_is_tried_again_and_costs_nothing(batch: Batch) -> None:
    batch.scheduler.arrange(Trouble("submit", "defer", "each", times=3))
    run = batch.follow()
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE
    assert {item.attempt for item in run.store.instances(run.run_id)} == {1}


def test_a_queue_that_stays_full_is_tried_ever_more_seldom(
    scheduler: Folder, flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler.arrange(Trouble("submit", "defer", "items", times=1000))
    run = Batch(scheduler, flow_file(FLOW)).start(follow=True)
    executor = ScriptedExecutor(folder=str(scheduler.path))
    tried: list[float] = []
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    submit = executor.submit

    def counted(*given: Any) -> Any:
        tried.append(clock.now)
        return submit(*given)

    monkeypatch.setattr(executor, "submit", counted)
    monkeypatch.setattr("reflow.dispatch.submit.time", clock)
    settings = read_settings(run.run_dir, run.run_id)
    lease = take(run.store, run.run_id)
    assert lease is not None
    dispatcher = open_dispatcher(run.store, settings, lease, executor)

    while clock.now < 300:
        clock.now += 1
        dispatcher.step()

    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    assert dispatcher.release()


def test_a_queue_with_room_again_is_filled_with_few_arrays(batch: Batch) -> None:
    # Twelve, six, three and one at a time are too many, and then there is room.
    batch.scheduler.arrange(Trouble("submit", "defer", "each", times=4))

    run = batch.follow(size=12)

    assert run.state == "SUCCESS"
    assert [job["size"] for job in batch.jobs("each")] == [None, 2, 4, 5]


def test_a_submission_without_an_answer_that_was_not_accepted_is_made_again(
    batch: Batch,
) -> None:
    batch.scheduler.arrange(Trouble("submit", "lose", "each"))
    run = batch.follow()
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE
    assert {item.attempt for item in run.store.instances(run.run_id)} == {1}


def test_a_submission_without_an_answer_is_looked_up_while_others_are_put_off(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    flow = flow_file(
        """
        wf = Workflow("two")

        @wf.job()
        def first() -> int:
            did("first")
            return 1

        @wf.job()
        def other() -> int:
            return 2
        """
    )
    # Whoever submits loses the first answer, and so does whoever follows.
    scheduler.arrange(
        Trouble("submit", "lose", "first", times=2), Trouble("submit", "defer", "other", times=4)
    )

    run = Batch(scheduler, flow).follow()

    assert run.state == "SUCCESS"
    assert flow.calls == {"first": 1}
    submitted = run.store.submissions(run.run_id, open_only=False)
    assert [item.task for item in submitted].count("first") == 1


def test_a_submission_without_an_answer_that_was_accepted_is_adopted(batch: Batch) -> None:
    batch.scheduler.arrange(
        Trouble("submit", "swallow", "each"), Trouble("submit", "swallow", "items")
    )
    run = batch.follow()
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE
    assert len(batch.jobs("each")) == 1


def test_nobody_waits_for_a_follow_up_that_its_adopted_wave_has_not_got(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(FLOW.replace('did("items")', 'did("items"); wait_for("{here}/go")'))
    batch = Batch(scheduler, flow)
    scheduler.arrange(Trouble("submit", "swallow", "items"))
    run = batch.start()
    monkeypatch.setattr(driver, "LONGEST_STAY", 0.0)
    settings = read_settings(Path(run.run_dir), run.run_id)

    troubles = Troubles(settings, Role.DISPATCH_JOB)
    assert dispatch_job.dispatch_once(run.store, settings, troubles, DispatchJob()) == 0

    assert [item.kind for item in run.store.submissions(run.run_id) if not item.native_ids] == []
    (flow.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.result("total") == 30


def test_a_full_disk_in_a_dispatch_job_is_left_to_the_next(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(FLOW.replace('did("items")', 'did("items"); wait_for("{here}/go")'))
    run = Batch(scheduler, flow).start()
    until(lambda: flow.calls["items"])

    def full(self: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Dispatcher, "step", full)
        settings = read_settings(Path(run.run_dir), run.run_id)
        # A watchdog lies ahead, so this job need not submit itself again.
        troubles = Troubles(settings, Role.DISPATCH_JOB)
        assert dispatch_job.dispatch_once(run.store, settings, troubles, DispatchJob()) == 0
    assert run.state == "RUNNING"
    (flow.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.result("total") == 30
    assert flow.calls == ONCE


def test_a_full_disk_while_submitting_fails_what_was_not_submitted_and_nothing_else(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, waves = ScriptedExecutor.submit, []

    def submit_one_of_each(self: ScriptedExecutor, request: Any, follow_up: Any = None) -> Any:
        if request.token.startswith("each-"):
            waves.append(request.token)
            if len(waves) > 1:
                raise OSError(errno.ENOSPC, "No space left on device")
        return submit(self, request, follow_up)

    with monkeypatch.context() as patched:
        patched.setattr(ScriptedExecutor, "submit", submit_one_of_each)
        run = batch.follow({"max_array_size": 2})
    assert counts(run, "each") == {"SUCCESS": 2, "FAILED": 1}
    ((place, (_, error)),) = failed(run).items()
    assert place == ("each", 2)
    assert "No space left" in error
    run.retry()
    run.follow()
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE


def test_who_follows_a_run_fills_a_narrow_queue_in_few_steps(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    limits = ScriptedExecutor.limits

    def count(self: ScriptedExecutor) -> Limits:
        asked.append(1)
        return limits(self)

    monkeypatch.setattr(ScriptedExecutor, "limits", count)
    flow = flow_file(FLOW.replace('did(f"each-{x}")', "time.sleep(0.05)"))
    batch = Batch(scheduler, flow)
    run = batch.follow({"max_submit_jobs": 14}, size=60)
    assert run.state == "SUCCESS"
    # Not one job for each place that comes free, nor a question whenever one does.
    assert len(batch.jobs("each")) <= 12
    assert len(asked) <= 12


def test_two_arrays_of_one_wave_run_each_element_once(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    flow = flow_file(FLOW.replace('did(f"each-{x}")', 'did(f"each-{x}"); wait_for("{here}/go")'))
    batch = Batch(scheduler, flow)
    # Accepted, no answer, and the scheduler does not show it yet when it is looked for.
    scheduler.arrange(Trouble("submit", "swallow", "each"), Trouble("find", "blind", "each"))
    run = batch.start(follow=True, size=20)
    follower = threading.Thread(target=run.follow)
    follower.start()
    until(lambda: len(batch.jobs("each")) == 2)
    (flow.folder / "go").touch()
    follower.join(timeout=60)
    assert [job["size"] for job in batch.jobs("each")] == [20, 20]
    assert run.result("total") == sum(range(20)) * 10
    assert set(flow.calls.values()) == {1}
    assert len(flow.calls) == 22


@pytest.mark.parametrize(
    ("largest_array", "most_jobs"), [(4, 7), (None, 5), (3, None), (1, 4), (100, 3), (2, 3)]
)
def test_no_more_is_ever_in_the_queue_than_is_allowed(
    batch: Batch, largest_array: int | None, most_jobs: int | None
) -> None:
    run = batch.start({"max_array_size": largest_array, "max_submit_jobs": most_jobs}, size=11)
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == sum(range(11)) * 10
    assert set(batch.flow.calls.values()) == {1}
    peak = json.loads(batch.scheduler.peak.read_text())
    assert most_jobs is None or peak <= most_jobs
    sizes = [job["size"] or 1 for job in batch.jobs("each")]
    assert sum(sizes) == 11
    assert max(sizes) <= (largest_array or 11)


def test_one_job_at_a_time_is_enough_to_follow_a_run(batch: Batch) -> None:
    run = batch.follow({"max_submit_jobs": 1})
    assert run.state == "SUCCESS"
    assert json.loads(batch.scheduler.peak.read_text()) == 1


def test_a_limit_that_leaves_room_for_nothing_but_dispatching_fails_and_says_so(
    batch: Batch,
) -> None:
    run = batch.start({"max_submit_jobs": 1})
    until(lambda: run.state != "RUNNING")
    ((cause, error),) = failed(run).values()
    assert cause == "SUBMIT"
    assert "raise max_submit_jobs" in error


def test_no_more_elements_run_at_once_than_the_task_allows(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    flow = flow_file(
        """
        wf = Workflow("throttled")

        @wf.job()
        def items() -> list[int]:
            return list(range(9))

        @wf.job(array=True, array_parallelism=2)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did("+")
            time.sleep(0.03)
            did("-")
            return x
        """
    )
    run = Batch(scheduler, flow).follow({"max_array_size": 4})
    assert run.result("each") == list(range(9))
    running = most = 0
    for sign in flow.journal.read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    # On a busy machine two may happen not to meet.
    assert most <= 2


def test_what_is_cancelled_outside_is_said_to_be_and_can_be_retried(batch: Batch) -> None:
    batch.scheduler.arrange(JobFault("cancel", "each", 2))
    run = batch.follow()
    assert run.state == "CANCELLED"
    assert counts(run, "each") == {"SUCCESS": 2, "CANCELLED": 1}
    run.retry()
    run.follow()
    assert run.result("total") == 30
    assert batch.flow.calls == ONCE


SLOW = """
    wf = Workflow("slow")

    @wf.job()
    def items() -> list[int]:
        return list(range(3))

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"begun-{x}")
        try:
            if x:
                wait_for("{here}/go")
        except TaskInterrupted:
            did(f"interrupted-{x}")
            raise
        did(f"done-{x}")
        return x

    @wf.job()
    def apart() -> int:
        return 1

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="each")]) -> int:
        return sum(xs)
"""


def test_a_warning_signal_reaches_the_function_and_the_cause_is_the_schedulers(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    flow = flow_file(SLOW)
    batch = Batch(scheduler, flow)
    scheduler.arrange(JobFault("warn", "each", 1))
    (scheduler.path / "begun").touch()
    run = batch.start(follow=True)
    follower = threading.Thread(target=run.follow)
    follower.start()
    until(lambda: flow.calls["interrupted-1"] or failed(run))
    (flow.folder / "go").touch()
    follower.join(timeout=60)
    assert {place: cause for place, (cause, _) in failed(run).items()} == {("each", 1): "WALLTIME"}


@pytest.mark.parametrize("legs", [True, False])
def test_a_cancelled_run_leaves_nothing_in_the_queue_and_can_be_retried(
    scheduler: Folder, flow_file: Flows, quick: None, legs: bool
) -> None:
    flow = flow_file(SLOW)
    batch = Batch(scheduler, flow)
    run = batch.start(follow=not legs)
    if not legs:
        follower = threading.Thread(target=run.follow)
        follower.start()
    until(lambda: flow.calls["done-0"] and flow.calls["begun-1"] and flow.calls["begun-2"])
    assert run.cancel() > 0
    until(lambda: run.state == "CANCELLED")
    until(lambda: not scheduler.in_queue())
    until(lambda: flow.calls["interrupted-1"] and flow.calls["interrupted-2"])
    assert run.cancel() == 0
    assert run.state == "CANCELLED"
    assert run.retry(task="apart") == 0 or run.result("apart") == 1
    if not legs:
        follower.join(timeout=60)
    (flow.folder / "go").touch()
    assert run.retry() > 0
    if not legs:
        run.follow()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS"
    assert run.result("total") == 3
    assert flow.calls["done-0"] <= 2


def test_one_task_can_be_cancelled_and_retried(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    flow = flow_file(SLOW)
    batch = Batch(scheduler, flow)
    run = batch.start()
    until(lambda: flow.calls["begun-1"] and flow.calls["begun-2"])
    assert run.cancel(task="each") >= 2
    until(lambda: run.state != "RUNNING")
    assert run.state == "CANCELLED"
    assert run.result("apart") == 1
    assert counts(run, "total") == {"SKIPPED": 1}
    (flow.folder / "go").touch()
    assert run.retry(task="each") >= 2
    until(lambda: run.state != "RUNNING")
    assert run.result("total") == 3


def test_a_run_may_be_cancelled_before_anything_began(batch: Batch) -> None:
    batch.scheduler.arrange(JobFault("impossible", "items"))
    run = batch.start()
    assert run.cancel() > 0
    until(lambda: run.state == "CANCELLED")
    until(lambda: not batch.scheduler.in_queue())
    assert batch.flow.calls == {}
    assert run.retry() > 0
    until(lambda: run.state != "RUNNING")
    assert run.result("total") == 30
