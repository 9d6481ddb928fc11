"""The kit itself: executors with one thing wrong, and the test of the kit that finds it out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import ExecutorError, SubmissionRefusedError
from reflow.model.jobs import JobHandle, JobRequest, JobStatus, Submission
from reflow.model.states import JobState
from reflow.testing.executors import Bench, ExecutorConformance, FakeSite, NoSite, Site
from reflow.testing.executors.pure import Recorder
from reflow_slurm.executor import SlurmExecutor

from tests.conformance import test_executors_slurm as right
from tests.fakes import target


# -- tier 1 --------------------------------------------------------------------------------
class Hasty(SlurmExecutor):
    """Gives a task a second less than it asked for."""

    def template_variables(self, request: JobRequest) -> dict[str, Any]:
        resources = request.resources
        less = None if resources.time is None else resources.time - timedelta(seconds=1)
        return dict(
            super().template_variables(replace(request, resources=replace(resources, time=less)))
        )


class Stingy(SlurmExecutor):
    """Rounds memory down."""

    def template_variables(self, request: JobRequest) -> dict[str, Any]:
        variables = dict(super().template_variables(request))
        if request.resources.mem is not None:
            variables["memory"] = f"{request.resources.mem // 1024**2}M"
        return variables


class Careless(SlurmExecutor):
    """Puts whatever it is given on its command lines."""

    def is_native_id(self, native_id: str) -> bool:
        return True


class Credulous(SlurmExecutor):
    """Takes the first number for an id."""

    def parse_submission(self, result: Any) -> str | None:
        digits = [word for word in result.stdout.split() if word.isdigit()]
        return digits[0] if digits else None


class Unquoted(SlurmExecutor):
    """Lets a queue be code."""

    def filled(self, request: JobRequest) -> JobRequest:
        plain = replace(request.resources, queue=None, account=None)
        done = super().filled(replace(request, resources=plain))
        named = replace(done.resources, account=request.resources.account)
        return replace(done, resources=named)


class Deaf(SlurmExecutor):
    """Takes a command that failed for an empty answer."""

    def parse_queue(self, result: Any, handles: Sequence[JobHandle]) -> Iterable[JobStatus]:
        return []

    def accounting_command(self, handles: Sequence[JobHandle]) -> None:
        return None


@pytest.mark.parametrize(
    ("wrong", "test", "given"),
    [
        (Hasty, "test_a_walltime_is_asked_for_whole", {"seconds": 3600}),
        (
            Stingy,
            "test_never_less_memory_is_asked_for_than_the_task_needs",
            {"size": 1024**2 + 1, "cpus": 1},
        ),
        (Careless, "test_a_word_that_is_no_id_reaches_no_command", {"word": "*"}),
        (Credulous, "test_an_answer_without_an_id_names_no_job", {"noise": "7 jobs\n"}),
        (Unquoted, "test_no_queue_or_account_can_be_code", {"word": "it's"}),
        (Deaf, "test_silence_says_nothing_of_any_job", {}),
    ],
)
def test_what_is_wrong_with_a_backend_is_found_out(
    wrong: type[SlurmExecutor], test: str, given: dict[str, Any], tmp_path: Path
) -> None:
    kit = _kit(wrong)
    recorder = Recorder()
    known = {"batch": kit.bare_executor(recorder), "recorder": recorder, "tmp_path": tmp_path}
    method = getattr(kit, test)
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        method(**{name: known[name] for name in names if name in known}, **given)


# -- tier 2 --------------------------------------------------------------------------------
class Optimist(SlurmExecutor):
    """Takes a job that is gone for one that is done."""

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        return [
            replace(status, state=JobState.COMPLETED)
            if status.state is JobState.UNKNOWN
            else status
            for status in super().poll(handles)
        ]


class Forgetful(SlurmExecutor):
    """Finds nothing."""

    def find(self, token: str) -> Sequence[JobHandle]:
        return []


class Final(SlurmExecutor):
    """Takes a lost answer for a refusal."""

    def submission_error(self, result: Any) -> ExecutorError:
        return SubmissionRefusedError(result.message)


class Impatient(SlurmExecutor):
    """Lets a follow-up start at once."""

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        job = self.submit_one(request)
        return Submission(job, None if follow_up is None else self.submit_one(follow_up))


class Unbounded(SlurmExecutor):
    """Lets all elements run at once."""

    def script(self, request: JobRequest) -> str:
        return super().script(replace(request, throttle=None))


class Lame(SlurmExecutor):
    """Cancels nothing."""

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        return


@dataclass
class Short(Site):
    """A site on which nothing takes long."""

    site: FakeSite

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def patience(self) -> float:
        return 3.0

    def vanish(self, handle: JobHandle) -> None:
        self.site.vanish(handle)

    def lose_next_answer(self) -> None:
        self.site.lose_next_answer()


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeSite]:
    site = FakeSite(target("slurm"), tmp_path_factory.mktemp("fake"), "sbatch", ("squeue",))
    site.start()
    yield site
    site.close()


@pytest.mark.parametrize(
    ("wrong", "test", "given"),
    [
        (Optimist, "test_a_job_that_vanishes_while_it_runs_is_unknown", {}),
        (Forgetful, "test_a_job_is_found_by_its_token_before_and_after_its_end", {"size": None}),
        (
            Final,
            "test_a_submission_whose_answer_is_lost_is_uncertain_and_found_by_its_token",
            {"size": None},
        ),
        (Impatient, "test_it_waits_for_the_last_element_and_then_starts", {"size": None}),
        (Unbounded, "test_no_more_elements_run_at_once_than_wanted", {}),
        (
            Lame,
            "test_what_is_cancelled_while_it_runs_ends_and_is_not_said_to_be_done",
            {"size": None},
        ),
    ],
)
def test_what_an_executor_does_wrong_is_found_out(
    wrong: type[SlurmExecutor],
    test: str,
    given: dict[str, Any],
    fake: FakeSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in fake.variables.items():
        monkeypatch.setenv(name, value)
    kit = _kit(wrong)
    bench = Bench(kit.make_executor(), Short(fake), tmp_path, "kit")
    scenario: Callable[..., None] = getattr(kit, test)
    try:
        with pytest.raises((AssertionError, ExecutorError)):
            scenario(bench, **given)
    finally:
        bench.executor = SlurmExecutor()
        bench.clean_up()
        for job in fake.fake.jobs():
            if job.phase != "over":
                bench.executor.cancel([JobHandle(native_id=job.id)])


def test_what_a_site_cannot_do_is_why_a_scenario_is_skipped() -> None:
    with pytest.raises(Exception, match="an executor without a scheduler cannot stop its daemon"):
        NoSite().go_down()


# -- tier 3 --------------------------------------------------------------------------------
LIVE = """
from reflow.testing.executors import RunningConformance
from reflow_slurm.executor import SlurmExecutor


class TestLive(RunningConformance):
    executor_class = SlurmExecutor
    submit_command = "sbatch"
    query_commands = ("squeue",)
"""


def run_live(folder: Path, *words: str, **variables: str) -> str:
    """What pytest prints when it runs a module of an author's with the kit's options."""
    (folder / "test_live.py").write_text(LIVE)
    options = ["-p", "reflow.testing.pytest_plugin", "-p", "no:cacheprovider", "-q", "-rs"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *words, "test_live.py"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout


def test_the_third_tier_is_skipped_with_a_reason_where_there_is_no_scheduler(
    tmp_path: Path,
) -> None:
    words = ("-k", "plain_job", "--reflow-live")
    said = run_live(tmp_path, *words, PATH=str(tmp_path))
    assert "there is no sbatch and no squeue on PATH" in said


def test_the_third_tier_runs_where_the_commands_are_and_does_to_them_what_it_can(
    tmp_path: Path, fake: FakeSite
) -> None:
    shared = tmp_path / "shared"
    words = ("-k", "plain_job or answer or down", "--reflow-live", "--reflow-live-folder")
    said = run_live(tmp_path, *words, str(shared), **fake.variables)
    assert "6 passed, 1 skipped" in said, said
    assert "the scheduler of sbatch cannot stop its daemon" in said
    assert shared.exists()


# -- what an author has forgotten ----------------------------------------------------------
def test_without_a_site_scenarios_are_skipped_and_the_reason_says_what_would_be_one(
    tmp_path: Path,
) -> None:
    said = run_live(tmp_path, "-k", "plain_job")
    assert "there is no site: TestLive names no emulator in `fake`" in said
    assert "runs on a real scheduler with --reflow-live" in said


@pytest.mark.parametrize("name", ["submit_command", "query_commands"])
def test_commands_that_nobody_named_are_asked_for(name: str, tmp_path: Path) -> None:
    changes = {"executor_class": SlurmExecutor, name: type(getattr(right.TestSlurm, name))()}
    kit: Any = type("TestForgetful", (right.TestSlurm,), changes)
    with pytest.raises(pytest.fail.Exception, match=f"TestForgetful must say {name}: "):
        kit.fake_site(None, tmp_path)
    with pytest.raises(pytest.fail.Exception, match=f"TestForgetful must say {name}: "):
        kit.live_site(None, tmp_path)


@pytest.mark.parametrize(
    "name", ["executor_class", "documented_states", "submission_answers", "complaints"]
)
def test_what_an_author_has_not_supplied_is_asked_for(name: str) -> None:
    kit = type("TestForgetful", (ExecutorConformance,), {})()
    with pytest.raises(pytest.fail.Exception, match=f"TestForgetful must say {name}: "):
        getattr(kit, name)
    assert not hasattr(kit, "setup_method")


def test_a_backend_that_takes_a_private_name_of_the_base_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Pond\._read: BatchExecutor uses _read itself"):
        type("Pond", (SlurmExecutor,), {"_read": lambda self: None})


def _kit(executor_class: type[SlurmExecutor]) -> Any:
    return type("Kit", (right.TestSlurm,), {"executor_class": executor_class})()
