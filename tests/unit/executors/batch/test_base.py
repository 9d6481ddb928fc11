from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from reflow.config.values import fit_settings
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.batch.command import CommandMissingError, CommandTimeoutError
from reflow.model.jobs import JobHandle, JobRequest, Limits
from reflow.model.resources import Resources
from reflow.model.states import JobState

from tests.unit.executors.batch.pond import PondExecutor, ScriptedRunner

Answer = tuple[int, str, str] | Exception


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("reflow.executors.batch.base.time.sleep", slept.append)
    return slept


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., JobRequest]:
    def make(token: str = "token-1", **fields: Any) -> JobRequest:
        directory = tmp_path / token
        directory.mkdir(exist_ok=True)
        given = {"command": ("true",), "working_directory": tmp_path, **fields}
        return JobRequest(token=token, directory=directory, **given)

    return make


MakeRequest = Callable[..., JobRequest]


def pond(*answers: Answer, **settings: Any) -> tuple[PondExecutor, ScriptedRunner]:
    executor, runner = PondExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    return executor, runner


# -- settings ------------------------------------------------------------------------------
def test_its_settings_make_the_same_executor_again() -> None:
    executor = PondExecutor(setup=("module load a",), depth=7, options={"qos": "high"})

    again = PondExecutor(**cast(Any, executor.settings))

    assert again.settings == executor.settings
    assert executor.settings == {"setup": ["module load a"], "depth": 7, "options": {"qos": "high"}}


def test_settings_from_a_file_are_checked_against_their_types() -> None:
    given = {"setup": ["a", "b"], "max_submit_jobs": 3, "timeout": 5, "options": {"x": 1}}

    executor = PondExecutor(**fit_settings("executor.pond", PondExecutor, given, {}))

    assert (executor.setup, executor.max_submit_jobs) == (("a", "b"), 3)


def test_one_text_of_setup_lines_is_taken_line_by_line() -> None:
    assert PondExecutor(setup="module load a\nmodule load b").setup == (  # type: ignore[arg-type]
        "module load a",
        "module load b",
    )


def test_a_job_is_submitted_from_the_folder_that_it_works_in(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    executor, runner = pond((0, "24", ""))

    executor.submit_one(request_for())

    assert [command.directory for command in runner.commands] == [tmp_path]


def test_an_executor_reads_no_configuration_of_its_own(home: Path) -> None:
    (home / ".config" / "reflow" / "templates").mkdir(parents=True)

    assert PondExecutor().settings == {}


# -- submitting ----------------------------------------------------------------------------
def test_the_script_is_kept_as_it_was_submitted(request_for: MakeRequest) -> None:
    executor, runner = pond((0, "7\n", ""), setup=("echo ready",))
    request = request_for(command=("work", "it's"), size=3)

    submission = executor.submit(request)

    script = request.directory / "job.sh"
    assert runner.argvs == [("pondsub", str(script))]
    assert script.read_text() == executor.script(request)
    assert "echo ready\n" in script.read_text()
    job = submission.job
    assert (job.native_id, job.token, job.size) == ("7", "token-1", 3)
    assert job.directory == request.directory
    assert job.submitted_at is not None


def test_a_follow_up_waits_for_the_work(request_for: MakeRequest) -> None:
    executor, runner = pond((0, "7", ""), (0, "8", ""))

    submission = executor.submit(request_for(), request_for("token-2"))

    assert submission.follow_up is not None
    assert submission.follow_up.native_id == "8"
    assert runner.argvs[1][:3] == ("pondsub", "-after", "7")


@pytest.mark.parametrize(
    "trouble", [(1, "", "no"), (1, "", "full"), CommandTimeoutError("late"), (0, "", "")]
)
def test_work_that_was_accepted_stays_so_without_a_follow_up(
    request_for: MakeRequest, trouble: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    executor, _ = pond((0, "7", ""), trouble)

    submission = executor.submit(request_for(), request_for("token-2"))

    assert (submission.job.native_id, submission.follow_up) == ("7", None)
    assert "the follow-up of token-1 was not submitted" in caplog.text


def test_a_script_that_cannot_be_written_is_not_submitted(
    request_for: MakeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    executor, runner = pond((0, "7", ""))
    gone = request_for("token-2")
    gone.directory.rmdir()

    submission = executor.submit(request_for(), gone)

    assert (submission.job.native_id, submission.follow_up) == ("7", None)
    assert "cannot be written: No such file or directory" in caplog.text
    with pytest.raises(SubmissionRefusedError, match="cannot be written"):
        executor.submit(gone)
    assert len(runner.commands) == 1


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", ""])
def test_jobs_that_inherit_the_environment_have_the_persons_locale(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)

    script = PondExecutor(export_environment=True).script(request_for())

    assert f"export LC_ALL={shlex.quote(locale)}\n" in script
    assert "LC_ALL" not in PondExecutor().script(request_for())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((1, "", "no such queue"), SubmissionRefusedError),
        ((1, "", "queue is full"), SubmissionDeferredError),
        (CommandTimeoutError("late"), SubmissionUncertainError),
        ((0, "", "welcome to the pond"), SubmissionUncertainError),
        ((-9, "", ""), SubmissionUncertainError),
    ],
)
def test_a_failed_submission_is_tried_once_and_told_for_what_it_is(
    request_for: MakeRequest, answer: Answer, error: type[Exception], sleeps: list[float]
) -> None:
    executor, runner = pond(answer)

    with pytest.raises(error):
        executor.submit(request_for())

    assert len(runner.commands) == 1
    assert sleeps == []


def test_the_executors_queue_and_options_stand_behind_the_tasks(request_for: MakeRequest) -> None:
    executor, _ = pond(queue="deep", account="ducks", options={"qos": "low", "x": 1})
    seen: list[Resources] = []
    executor.template_variables = lambda request: seen.append(request.resources) or {}  # type: ignore[method-assign, func-returns-value]
    own = Resources(queue="shallow", options={"pond": {"qos": "high"}, "lake": {"y": 2}})

    executor.script(request_for())
    executor.script(request_for(resources=own))

    assert [item.queue for item in seen] == ["deep", "shallow"]
    assert [item.account for item in seen] == ["ducks", "ducks"]
    assert seen[0].options == {"pond": {"qos": "low", "x": 1}}
    assert seen[1].options == {"pond": {"qos": "high", "x": 1}}


def test_a_name_that_no_variable_can_have_is_refused(request_for: MakeRequest) -> None:
    executor, runner = pond()

    with pytest.raises(SubmissionRefusedError, match="not the name of an environment variable"):
        executor.submit(request_for(environment={"A; rm -rf /": "x"}))

    assert runner.commands == []


def test_asking_for_the_script_writes_nothing(request_for: MakeRequest) -> None:
    executor, runner = pond()
    request = request_for(label="a preview")

    assert "# a preview\n" in executor.script(request)

    assert runner.commands == []
    assert list(request.directory.iterdir()) == []


# -- asking --------------------------------------------------------------------------------
def test_accounting_is_asked_only_about_what_the_queue_leaves_open() -> None:
    handles = [JobHandle(native_id="1"), JobHandle(native_id="2"), JobHandle(native_id="3", size=3)]
    executor, runner = pond((0, "1 s\n3 w 1\n3 w 3\n", ""), (0, "2 d\n", ""))

    statuses = executor.poll(handles)

    assert runner.argvs == [("pondstat", "1", "2", "3"), ("pondacct", "2", "3")]
    assert {(status.native_id, status.positions, status.state) for status in statuses} == {
        ("1", None, JobState.RUNNING),
        ("2", None, JobState.COMPLETED),
        ("3", range(1), JobState.QUEUED),
        ("3", range(1, 2), JobState.UNKNOWN),
        ("3", range(2, 3), JobState.QUEUED),
    }


def test_a_long_list_of_jobs_is_asked_for_in_chunks() -> None:
    handles = [JobHandle(native_id=str(number)) for number in range(7)]
    answers: list[Answer] = [(0, "0 s\n1 s\n2 s\n", ""), (0, "3 s\n4 s\n5 s\n", ""), (0, "6 s", "")]
    executor, runner = pond(*answers)

    assert {status.state for status in executor.poll(handles)} == {JobState.RUNNING}
    assert [len(argv) - 1 for argv in runner.argvs] == [3, 3, 1]


def test_no_jobs_take_no_command() -> None:
    executor, runner = pond()

    assert list(executor.poll([])) == []
    executor.cancel([])
    executor.cancel_positions(JobHandle(native_id="1", size=3), [])

    assert runner.commands == []


@pytest.mark.parametrize(
    "answers",
    [
        [(1, "", "cannot reach the pond")],
        [CommandTimeoutError("late")],
        [(0, "1 s\n2 w x\n", "")],
        [(0, "", ""), (1, "", "accounting is away")],
    ],
)
def test_a_question_without_a_whole_answer_says_nothing_of_any_job(answers: list[Answer]) -> None:
    executor, _ = pond(*answers)

    with pytest.raises(SchedulerUnavailableError):
        executor.poll([JobHandle(native_id="1"), JobHandle(native_id="2", size=2)])


def test_nobody_waits_for_accounting_whose_command_is_not_there() -> None:
    executor, _ = pond((0, "1 s\n", ""), CommandMissingError("there is no pondacct"))

    statuses = executor.poll([JobHandle(native_id="1"), JobHandle(native_id="2")])

    assert {status.native_id: status.state for status in statuses} == {
        "1": JobState.RUNNING,
        "2": JobState.UNKNOWN,
    }


def test_what_could_not_be_asked_about_is_left_out() -> None:
    executor, runner = pond((0, "1 s\n3 w 1\n", ""), (1, "", "accounting is away"))
    handles = [JobHandle(native_id="1"), JobHandle(native_id="2"), JobHandle(native_id="3", size=2)]

    statuses = executor.poll(handles)

    assert {(status.native_id, status.positions, status.state) for status in statuses} == {
        ("1", None, JobState.RUNNING),
        ("3", range(1), JobState.QUEUED),
    }
    assert runner.answers == []


def test_a_scheduler_that_stops_answering_is_not_asked_about_the_rest() -> None:
    handles = [JobHandle(native_id=str(number)) for number in range(7)]
    executor, runner = pond((0, "0 s\n1 s\n", ""), (1, "", "cannot reach the pond"))

    statuses = executor.poll(handles)

    assert {status.native_id for status in statuses} == {"0", "1"}
    assert len(runner.commands) == 2


def test_a_passing_trouble_is_asked_again_after_a_while(sleeps: list[float]) -> None:
    executor, runner = pond((1, "", "busy"), (1, "", "busy"), (0, "1 s", ""))

    (status,) = executor.poll([JobHandle(native_id="1")])

    assert status.state is JobState.RUNNING
    assert len(runner.commands) == 3
    assert sleeps == sorted(sleeps)
    assert len(sleeps) == 2


def test_a_trouble_that_does_not_pass_is_told_in_the_schedulers_words(sleeps: list[float]) -> None:
    executor, runner = pond(*[(1, "", "the pond is\n  busy")] * 3)

    said = "Pond did not answer: pondstat: the pond is busy"
    with pytest.raises(SchedulerUnavailableError, match=said):
        executor.poll([JobHandle(native_id="1")])

    assert runner.answers == []
    with pytest.raises(SchedulerUnavailableError, match=said):
        executor._silence.check("pondsub")


def test_a_token_is_looked_for_until_one_command_finds_it() -> None:
    executor, runner = pond((0, "", ""), (0, "5 d\n", ""))

    (found,) = executor.find("token-9")

    assert (found.native_id, found.token) == ("5", "token-9")
    assert runner.argvs == [("pondstat", "-n", "token-9"), ("pondacct", "-n", "token-9")]


# -- cancelling ----------------------------------------------------------------------------
def test_elements_are_cancelled_by_the_schedulers_own_indices() -> None:
    executor, runner = pond((0, "", ""), (0, "", ""))

    executor.cancel_positions(JobHandle(native_id="3", size=9), [0, 1, 4])
    executor.cancel_positions(JobHandle(native_id="4"), [0])

    assert runner.argvs == [("pondkill", "3[1-2,5]"), ("pondkill", "4")]


def test_many_jobs_are_cancelled_in_chunks() -> None:
    executor, runner = pond((0, "", ""), (0, "", ""))

    executor.cancel([JobHandle(native_id=str(number)) for number in range(5)])

    assert runner.argvs == [("pondkill", "0", "1", "2"), ("pondkill", "3", "4")]


# -- limits --------------------------------------------------------------------------------
def test_without_settings_the_limits_are_the_schedulers() -> None:
    executor, runner = pond()
    assert executor.limits() == Limits()
    assert runner.commands == []


@pytest.mark.parametrize(
    ("asked", "queued", "tightest"),
    [
        (Limits(), 5, (20, 5)),
        (Limits(max_submit_jobs=300, queued_jobs=10), 5, (20, 5)),
        (Limits(max_submit_jobs=10, queued_jobs=5), 5, (10, 5)),
        (Limits(max_submit_jobs=300, queued_jobs=299), 5, (300, 299)),
    ],
)
def test_the_tighter_of_two_limits_counts(
    asked: Limits, queued: int, tightest: tuple[int, int]
) -> None:
    executor, _ = pond((0, "x\n" * queued, ""), max_submit_jobs=20, max_array_size=7)
    executor.ask_limits = lambda: asked  # type: ignore[method-assign]

    found = executor.limits()

    assert (found.max_submit_jobs, found.queued_jobs) == tightest
    assert found.max_array_size == 7
