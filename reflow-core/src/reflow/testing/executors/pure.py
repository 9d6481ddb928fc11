"""Tier 1: the scripts and commands of a backend, without a scheduler or any of its commands."""

# ruff: noqa: D102, S106 - the names of tests are sentences, and a token is no password.

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reflow.errors import (
    ConfigError,
    ExecutorError,
    ParameterError,
    SchedulerUnavailableError,
    SubmissionUncertainError,
)
from reflow.executors.batch.base import SCRIPT_NAME, BatchExecutor
from reflow.executors.batch.command import Command, CommandResult
from reflow.executors.batch.states import StateTable
from reflow.model.jobs import JobHandle, JobRequest
from reflow.model.resources import Resources
from reflow.model.states import JobState
from reflow.testing.executors.kit import ExecutorKit

WALLTIMES = (59, 60, 61, 3599, 3600, 86_399, 86_400, 86_401, 108_000, 359_999, 360_000, 691_200)
"""Time limits in seconds, from 59 seconds to eight days: around every limit of a format."""

MIB = 1024**2
MEMORIES = (1, MIB, MIB + 1, 300 * MIB - 1, 1024 * MIB, 1536 * MIB, 4096 * MIB + 1, 1024**4)
"""Bytes, around the limits of rounding."""

HOSTILE = (
    "it's",
    'say "so"',
    "$HOME $(touch pwned) `touch pwned` ${x",
    "a;touch pwned;b|c&d>e<f",
    "back\\slash \\n %j %% {cc} {{jobid}} {% raw %}",
    "two\nlines\n\ttabs ",
    "Übung 🌊",
    "-n --help",
    "*?[a-z]~#!",
    "",
)
"""Arguments that a shell, a scheduler or a template could misread."""

HOSTILE_NAMES = ("a b", "it's", 'say "so"', "$HOME", "`x`", "Übung", "a;b|c&d", "(x) [y]")
"""Names that folders may have."""

HOSTILE_IDS = ("host:0d3a:4711:99", "-h", "--all", "*", "", "1 2", "1;true", "$1", "1\n2", "../1")
"""Values of a job id's variable where a worker was started by hand, or by an attacker."""

NOISE = ("", "\n", "welcome to the cluster\n", "error: 7 problems\n", "Job submitted\n")
"""Output of a submit command that names no job."""

PROBE = """
import json, os, sys
seen = {"words": sys.argv[2:], "folder": os.getcwd(), "given": os.environ.get("GIVEN")}
with open(sys.argv[1], "w") as file:
    json.dump(seen, file)
"""


@dataclass
class Recorder:
    """A stand-in for running commands: it records them and gives all the same answer."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    commands: list[Command] = field(default_factory=list)

    def run(self, command: Command) -> CommandResult:
        """Record a command and return the answer."""
        self.commands.append(command)
        return CommandResult(
            argv=command.argv, exit_code=self.exit_code, stdout=self.stdout, stderr=self.stderr
        )


class PureConformance(ExecutorKit):
    """Tier 1, for executors derived from `BatchExecutor`. It needs no scheduler.

    PATH is empty meanwhile, so that a command run without the recorder fails.
    """

    documented_states: ClassVar[Mapping[str, JobState]]
    """Every state in the scheduler's manual, by its code or its name, and what it means."""
    submission_answers: ClassVar[Mapping[str, str]]
    """What the submit command prints for a job it has accepted, and the id in it."""
    complaints: ClassVar[Mapping[tuple[int, str], type[ExecutorError]]]
    """Exit codes and messages of failed submit commands, and the exception that each means."""
    walltime_unit: ClassVar[timedelta] = timedelta(seconds=1)
    """Times may be rounded up to this."""
    memory_unit: ClassVar[int] = MIB
    """Memory may be rounded up to this many bytes."""

    whole_node_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings without which whole nodes cannot be asked for."""

    @abstractmethod
    def asked_time(self, submission: str) -> timedelta | None:
        """Return the time limit of a submission; None where it sets none.

        `submission` is the submit command as a shell command, and on the lines below it the
        script. Parse it as the scheduler does, according to its manual.
        """
        raise NotImplementedError("tell how much time a submission asks for")

    @abstractmethod
    def asked_memory(self, submission: str) -> int | None:
        """Return the bytes per node that a submission asks for; None where it sets none."""
        raise NotImplementedError("tell how much memory a submission asks for")

    # -- what tests are given --------------------------------------------------------------
    @pytest.fixture
    def recorder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
        """Make what the executors of a test run their commands with."""
        nothing = tmp_path / "no-commands"
        nothing.mkdir()
        monkeypatch.setenv("PATH", str(nothing))
        return Recorder()

    @pytest.fixture
    def batch(self, recorder: Recorder) -> BatchExecutor:
        """Make an executor that reaches no scheduler."""
        return self.bare_executor(recorder)

    def bare_executor(self, recorder: Recorder, **changes: Any) -> BatchExecutor:
        """Make an executor whose commands go to a recorder."""
        executor = self.make_executor(**changes)
        assert isinstance(executor, BatchExecutor)
        executor.runner = recorder  # type: ignore[assignment]
        return executor

    def new_request(self, folder: Path, **fields: Any) -> JobRequest:
        """Make a request with a folder of its own."""
        directory = fields.pop("directory", folder / "job")
        directory.mkdir(exist_ok=True)
        given = {"token": "tide-each-0-a1b2c3", "command": ("true",), "working_directory": folder}
        return JobRequest(**{**given, **fields}, directory=directory)

    def submission(self, batch: BatchExecutor, request: JobRequest) -> str:
        """Write the submit command, and below it the script."""
        script = self.rendered(batch, request)
        command = batch.submit_command(script, batch.filled(request), None)
        return f"{shlex.join(command.argv)}\n{script.read_text()}"

    def rendered(self, batch: BatchExecutor, request: JobRequest) -> Path:
        """Write a request's script, and return its file."""
        script = request.directory / SCRIPT_NAME
        script.write_bytes(batch.script(request).encode("utf-8", "surrogateescape"))
        return script

    def run_script(
        self, batch: BatchExecutor, request: JobRequest, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as a node would, without any scheduler."""
        script = self.rendered(batch, request)
        return subprocess.run(
            [*shlex.split(batch.shell), str(script)],
            cwd=request.directory,
            env={"PATH": os.defpath, "HOME": str(request.directory), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    # -- states ----------------------------------------------------------------------------
    def test_every_documented_state_means_what_the_manual_says(self, batch: BatchExecutor) -> None:
        found = {word: batch.states.look_up(word) for word in self.documented_states}

        assert {word: native.state for word, native in found.items()} == self.documented_states
        assert [word for word, native in found.items() if native not in batch.states.states] == []

    def test_each_state_has_one_code_and_the_manuals_name(self, batch: BatchExecutor) -> None:
        states = batch.states.states
        assert len({state.code for state in states}) == len(states)
        assert all(state.code.strip() and state.name.strip() for state in states)

    def test_a_state_that_no_manual_has_is_unknown_and_neither_done_nor_failed(
        self, batch: BatchExecutor, caplog: pytest.LogCaptureFixture
    ) -> None:
        known = {word for state in batch.states.states for word in (state.code, state.name)}
        near = {
            word for code in known for word in (f"{code}_X", f"UN{code}", f" {code}", f"{code}?")
        }
        strange = sorted({*near, "", "DONE ALREADY"} - known)

        # A table warns only once, and another test may have had the warning.
        table = StateTable(batch.scheduler, batch.states.states)
        assert {table.look_up(word).state for word in strange} == {JobState.UNKNOWN}
        assert repr(strange[0]) in caplog.text

    def test_an_end_with_a_cause_of_its_own_is_a_failure(self, batch: BatchExecutor) -> None:
        causes = [state for state in batch.states.states if state.cause is not None]
        assert {state.state for state in causes} <= {JobState.FAILED, JobState.UNKNOWN}

    # -- resources -------------------------------------------------------------------------
    @pytest.mark.parametrize("seconds", WALLTIMES)
    def test_a_walltime_is_asked_for_whole(
        self, batch: BatchExecutor, tmp_path: Path, seconds: int
    ) -> None:
        wanted = timedelta(seconds=seconds)
        request = self.new_request(tmp_path, resources=Resources(time=wanted))

        asked = self.asked_time(self.submission(batch, request))

        assert asked is not None
        assert wanted <= asked < wanted + self.walltime_unit

    def test_a_part_of_a_second_is_a_second(self, batch: BatchExecutor, tmp_path: Path) -> None:
        wanted = timedelta(seconds=60.25)
        request = self.new_request(tmp_path, resources=Resources(time=wanted))

        asked = self.asked_time(self.submission(batch, request))

        assert asked is not None
        assert asked >= timedelta(seconds=61)

    @pytest.mark.parametrize("cpus", [1, 3])
    @pytest.mark.parametrize("size", MEMORIES)
    def test_never_less_memory_is_asked_for_than_the_task_needs(
        self, batch: BatchExecutor, tmp_path: Path, size: int, cpus: int
    ) -> None:
        request = self.new_request(tmp_path, resources=Resources(mem=size, cpus=cpus))

        asked = self.asked_memory(self.submission(batch, request))

        if asked is None:
            assert not batch.capabilities.memory_limit, "memory= is not passed on"
        else:
            # Where it counts by CPU, each share is rounded up.
            assert size <= asked < size + cpus * self.memory_unit

    def test_nothing_is_asked_for_where_the_task_says_nothing(
        self, batch: BatchExecutor, tmp_path: Path
    ) -> None:
        submission = self.submission(batch, self.new_request(tmp_path))

        assert self.asked_time(submission) is None
        assert self.asked_memory(submission) is None

    def test_whole_nodes_are_asked_for_where_the_executor_says_that_it_can(
        self, recorder: Recorder, tmp_path: Path
    ) -> None:
        batch = self.bare_executor(recorder, **self.whole_node_settings)
        whole, shared = (
            self.submission(batch, self.new_request(tmp_path, resources=resources))
            for resources in (Resources(whole_nodes=True), Resources())
        )

        assert (whole != shared) is batch.capabilities.whole_nodes

    def test_queue_and_account_are_asked_for(self, batch: BatchExecutor, tmp_path: Path) -> None:
        resources = Resources(queue="deepqueue", account="ab1234")

        submission = self.submission(batch, self.new_request(tmp_path, resources=resources))

        assert "deepqueue" in submission
        assert "ab1234" in submission

    def test_the_executors_own_queue_stands_behind_the_tasks(
        self, recorder: Recorder, tmp_path: Path
    ) -> None:
        batch = self.bare_executor(recorder, queue="deepqueue")

        assert "deepqueue" in self.submission(batch, self.new_request(tmp_path))
        own = self.new_request(tmp_path, resources=Resources(queue="shallow"))
        assert "deepqueue" not in self.submission(batch, own)

    # -- scripts ---------------------------------------------------------------------------
    def test_the_work_gets_its_words_and_its_variables_as_they_are(
        self, batch: BatchExecutor, tmp_path: Path
    ) -> None:
        seen = tmp_path / "seen.json"
        request = self.new_request(
            tmp_path,
            command=(sys.executable, "-c", PROBE, str(seen), *HOSTILE),
            environment={"GIVEN": "\n".join(HOSTILE)},
            label="$(touch pwned) `touch pwned`\ntouch pwned\r\x1b[31m",
        )

        ran = self.run_script(batch, request)

        assert ran.returncode == 0, ran.stderr
        received = json.loads(seen.read_text())
        assert received["words"] == list(HOSTILE)
        assert received["given"] == "\n".join(HOSTILE)
        assert not list(tmp_path.rglob("pwned"))

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_folders_may_have_any_name(
        self, batch: BatchExecutor, tmp_path: Path, name: str
    ) -> None:
        folder = tmp_path / name
        folder.mkdir()
        seen = tmp_path / "seen.json"
        request = self.new_request(folder, command=(sys.executable, "-c", PROBE, str(seen)))

        ran = self.run_script(batch, request)

        assert ran.returncode == 0, ran.stderr
        assert json.loads(seen.read_text())["folder"] == str(folder)

    @pytest.mark.parametrize("position", [0, 1, 999])
    def test_an_element_is_told_its_position(
        self, batch: BatchExecutor, tmp_path: Path, position: int
    ) -> None:
        seen = tmp_path / "seen.json"
        request = self.new_request(
            tmp_path, size=1000, command=(sys.executable, "-c", PROBE, str(seen))
        )
        variable = re.search(r"[A-Za-z_]\w*", batch.array.variable)
        assert variable is not None

        index = batch.array.index(position)
        ran = self.run_script(batch, request, **{variable[0]: str(index)})

        assert ran.returncode == 0, ran.stderr
        assert json.loads(seen.read_text())["words"] == [str(position)]

    def test_the_end_of_the_work_is_the_end_of_the_script(
        self, batch: BatchExecutor, tmp_path: Path
    ) -> None:
        codes = (0, 1, 3, 70, 127)
        requests = [self.new_request(tmp_path, command=("sh", "-c", f"exit {c}")) for c in codes]
        assert [self.run_script(batch, request).returncode for request in requests] == list(codes)

    def test_a_script_whose_folder_is_missing_does_not_run_its_work_elsewhere(
        self, batch: BatchExecutor, tmp_path: Path
    ) -> None:
        seen = tmp_path / "seen.json"
        request = self.new_request(
            tmp_path,
            working_directory=tmp_path / "gone",
            command=(sys.executable, "-c", PROBE, str(seen)),
        )

        assert self.run_script(batch, request).returncode != 0
        assert not seen.exists()

    def test_set_up_lines_come_before_the_work(self, recorder: Recorder, tmp_path: Path) -> None:
        batch = self.bare_executor(recorder, setup=('export WATER="deep $GIVEN"',))
        request = self.new_request(
            tmp_path,
            command=("sh", "-c", 'echo "$WATER" >water'),
            environment={"GIVEN": "blue"},
        )

        assert self.run_script(batch, request).returncode == 0
        assert (tmp_path / "water").read_text() == "deep blue\n"

    @pytest.mark.parametrize("word", HOSTILE[:-1])
    def test_no_queue_or_account_can_be_code(
        self, batch: BatchExecutor, tmp_path: Path, word: str
    ) -> None:
        request = self.new_request(
            tmp_path,
            command=("touch", str(tmp_path / "ran")),
            resources=Resources(queue=word, account=f"x\ntouch {tmp_path}/pwned\n{word}"),
        )

        with contextlib.suppress(ParameterError, ConfigError):  # refused, which is as good
            self.run_script(batch, request)
        assert not list(tmp_path.rglob("pwned"))

    # -- templates -------------------------------------------------------------------------
    def site_template(self, folder: Path, batch: BatchExecutor, block: str) -> dict[str, str]:
        """Make settings with a template of the site's own, which changes what is set up."""
        folder.mkdir()
        (folder / batch.template).write_text(
            f'{{% extends "packaged/{batch.template}" %}}\n'
            f"{{% block setup %}}\n{block}\n{{% endblock %}}\n"
        )
        return {"templates": str(folder)}

    def test_a_variable_that_a_template_does_not_get_is_an_error_that_names_it(
        self, batch: BatchExecutor, recorder: Recorder, tmp_path: Path
    ) -> None:
        changes = self.site_template(tmp_path / "site", batch, "echo {{ nosuchthing }}")
        changed = self.bare_executor(recorder, **changes)

        with pytest.raises(ConfigError, match="nosuchthing"):
            changed.script(self.new_request(tmp_path))

    def test_a_site_may_change_a_block_and_what_it_puts_in_is_quoted(
        self, batch: BatchExecutor, recorder: Recorder, tmp_path: Path
    ) -> None:
        block = '{{ super() }}printf %s {{ "it\'s $(touch pwned)" }} >site-says'
        changes = self.site_template(tmp_path / "site", batch, block)
        changed = self.bare_executor(recorder, **changes)
        request = self.new_request(tmp_path)

        assert self.run_script(changed, request).returncode == 0
        assert (request.directory / "site-says").read_text() == "it's $(touch pwned)"

    def test_a_dry_run_calls_no_command_and_writes_nothing(
        self, batch: BatchExecutor, recorder: Recorder, tmp_path: Path
    ) -> None:
        resources = Resources(cpus=2, mem=MIB, time=timedelta(hours=1))
        request = self.new_request(tmp_path, size=3, resources=resources, label="a preview")

        assert "a preview" in batch.script(request)

        assert recorder.commands == []
        assert list(request.directory.iterdir()) == []

    # -- submitting ------------------------------------------------------------------------
    def test_ids_are_read_whatever_a_sites_wrapper_prints_before_them(
        self, batch: BatchExecutor
    ) -> None:
        assert self.submission_answers, "give the answer to a submission at least"
        for answer, native_id in self.submission_answers.items():
            for noise in NOISE:
                result = CommandResult(argv=("x",), exit_code=0, stdout=f"{noise}{answer}")
                assert batch.parse_submission(result) == native_id
            assert batch.is_native_id(native_id)

    @pytest.mark.parametrize("noise", NOISE)
    def test_an_answer_without_an_id_names_no_job(self, batch: BatchExecutor, noise: str) -> None:
        result = CommandResult(argv=("x",), exit_code=0, stdout=noise)
        assert batch.parse_submission(result) is None

    def test_the_script_is_kept_as_it_was_submitted(
        self, batch: BatchExecutor, recorder: Recorder, tmp_path: Path
    ) -> None:
        recorder.stdout, native_id = next(iter(self.submission_answers.items()))
        request = self.new_request(tmp_path)

        handle = batch.submit(request).job

        assert (request.directory / SCRIPT_NAME).read_text() == batch.script(request)
        assert handle.token == request.token
        assert (handle.native_id, handle.directory) == (native_id, request.directory)
        assert handle.submitted_at is not None

    def test_complaints_of_the_submit_command_are_told_for_what_they_are(
        self, batch: BatchExecutor, recorder: Recorder, tmp_path: Path
    ) -> None:
        assert self.complaints, "give a complaint at least"
        for (code, message), kind in self.complaints.items():
            recorder.stderr, recorder.exit_code = message, code
            with pytest.raises(ExecutorError) as caught:
                batch.submit(self.new_request(tmp_path))
            assert isinstance(caught.value, kind), message
            assert " ".join(message.split()) in str(caught.value)

    def test_a_submit_command_that_is_killed_may_have_got_through(
        self, batch: BatchExecutor, recorder: Recorder, tmp_path: Path
    ) -> None:
        recorder.exit_code = -9
        with pytest.raises(SubmissionUncertainError):
            batch.submit(self.new_request(tmp_path))

    # -- asking ----------------------------------------------------------------------------
    @pytest.mark.parametrize("word", HOSTILE_IDS)
    def test_a_word_that_is_no_id_reaches_no_command(
        self, batch: BatchExecutor, recorder: Recorder, word: str
    ) -> None:
        recorder.stderr, recorder.exit_code = "this is no answer", 1
        handle = JobHandle(native_id=word, token="tide-each-0-a1b2c3")
        for action in (batch.poll, batch.cancel):
            with contextlib.suppress(SchedulerUnavailableError):  # it ran a query and got no answer
                action([handle])
        assert [command for command in recorder.commands if word in command.argv] == []

    def test_silence_says_nothing_of_any_job(
        self, batch: BatchExecutor, recorder: Recorder
    ) -> None:
        recorder.stderr, recorder.exit_code = "the cluster is on fire", 1
        native_id = next(iter(self.submission_answers.values()))

        with pytest.raises(SchedulerUnavailableError, match="on fire"):
            batch.poll([JobHandle(native_id=native_id, token="tide-each-0-a1b2c3")])

    def test_elements_are_cancelled_by_names_of_their_own(self, batch: BatchExecutor) -> None:
        command = batch.cancel_command(["11", "12", "13"])
        assert command.argv[-3:] == ("11", "12", "13")

    # -- the object itself -----------------------------------------------------------------
    def test_making_an_executor_runs_no_command(self, recorder: Recorder) -> None:
        self.bare_executor(recorder)
        assert recorder.commands == []

    def test_its_settings_make_the_same_executor_again(self, batch: BatchExecutor) -> None:
        changed = self.make_executor(setup=("module load water",), queue="deep", timeout=7.0)

        told = json.loads(json.dumps(dict(changed.settings)))

        assert type(batch)(**told).settings == changed.settings
        assert {"setup", "queue", "timeout"} <= told.keys()

    def test_what_it_cannot_do_is_said_in_sentences(self, batch: BatchExecutor) -> None:
        assert batch.name
        assert batch.scheduler
        for note in batch.capabilities.notes:
            assert note.endswith("."), note
