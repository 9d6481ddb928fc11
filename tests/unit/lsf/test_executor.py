from __future__ import annotations

import dataclasses
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import (
    ConfigError,
    ExecutorError,
    ParameterError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.batch.command import CommandTimeoutError
from reflow.model.jobs import JobHandle, JobRequest
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow_lsf import site
from reflow_lsf.errors import submission_error
from reflow_lsf.executor import LSFExecutor
from reflow_lsf.script import begin_time
from reflow_lsf.states import STATES

from tests.docs.pages import REPOSITORY
from tests.unit.executors.batch.pond import ScriptedRunner
from tests.unit.executors.batch.requests import Answer, MakeRequest
from tests.unit.executors.batch.requests import request_for as request_for
from tests.unit.lsf.recordings import recording, recordings
from tests.unit.umask import umask

NO_JSON = recording("bjobs-json-unsupported").answer


def lsf(*answers: Answer, **settings: Any) -> tuple[LSFExecutor, ScriptedRunner]:
    executor, runner = LSFExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    return executor, runner


@pytest.fixture(autouse=True)
def lsf_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    return tmp_path / "lsf.conf"


def lines(executor: LSFExecutor, request: JobRequest) -> list[str]:
    return re.findall(r"^#BSUB (.*)$", executor.script(request), re.MULTILINE)


# -- the script ----------------------------------------------------------------------------
SCRIPT = r"""#!/bin/bash
#BSUB -J convert-ab12-3[1-10]%4
#BSUB -o /dev/null
#BSUB -r
#BSUB -n 8
#BSUB -R 'select[fast] span[ptile=4] rusage[mem=8192]'
#BSUB -M 8388608
#BSUB -W 26:01
#BSUB -q normal
#BSUB -P ab1234
#BSUB -app big
#BSUB -gpu num=1

# task weather / convert
# Written by reflow. To run the same job again by hand, submit this file.

# What the job writes has the permissions that it has where it was submitted.
umask 0027
exec >>/scratch/run/.reflow/r1/waves/3/scheduler.log 2>&1 || exit 1
# bsub hands on the locale that it was called with.
unset LC_ALL
# A job that is ended over its memory would leave all of that as a file.
ulimit -S -c 0
export REFLOW_NATIVE_ID="${LSB_JOBID}[${LSB_JOBINDEX}]"
export REFLOW_INCARNATION="$HOSTNAME:$LS_JOBPID"
export REFLOW_WAVE='3 of 4'
module load python
cd -- /data || exit 1
# The work is a process of its own, as LSF takes a job for done whose shell was killed. It is not
# to see the signal of the run limit, but SIGTERM instead; what bkill sends, all processes get.
# Which of the two it was is known by this script's exit code, whatever the work makes of it.
(trap - INT QUIT; trap '' USR2; exec /usr/bin/python3 -m work "$((LSB_JOBINDEX - 1))") &
work=$!
# A signal ends the waiting, not the work.
trap again=yes QUIT
trap 'again=yes; told=${told:-130}' INT
trap 'again=yes; told=${told:-143}' TERM
trap 'again=yes; over=140; kill -TERM "$work"' USR2
again=yes
while [ "$again" ]; do again=; wait "$work"; code=$?; done
[ "$code" = 0 ] || exit "${over:-${told:-$code}}"
"""


def test_everything_asked_for_is_in_the_script(request_for: MakeRequest) -> None:
    executor = LSFExecutor(setup=("module load python",), queue="slow", options={"app": "small"})
    request = request_for(
        directory=Path("/scratch/run/.reflow/r1/waves/3"),
        label="weather / convert",
        size=10,
        throttle=4,
        environment={"REFLOW_WAVE": "3 of 4"},
        resources=Resources(
            cpus=4,
            nodes=2,
            gpus=1,
            mem=8 * 1024**3,
            time=timedelta(days=1, hours=2, seconds=1),
            queue="normal",
            account="ab1234",
            options={"lsf": {"app": "big", "R": "select[fast]"}, "slurm": {"qos": "high"}},
        ),
    )

    with umask(0o027):
        assert executor.script(request) == SCRIPT


def test_a_plain_job_asks_for_little(request_for: MakeRequest) -> None:
    executor = LSFExecutor()

    assert lines(executor, request_for()) == ["-J convert-ab12-3", "-o /dev/null", "-r", "-n 1"]
    assert 'REFLOW_NATIVE_ID="$LSB_JOBID"\n' in executor.script(request_for())


def test_a_host_is_asked_for_as_a_whole_once(request_for: MakeRequest) -> None:
    executor = LSFExecutor()
    whole = Resources(whole_nodes=True)
    own = Resources(whole_nodes=True, options={"lsf": {"x": True}})

    assert lines(executor, request_for(resources=whole))[3:] == ["-n 1", "-x"]
    assert lines(executor, request_for(resources=own))[3:] == ["-n 1", "-x"]


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (timedelta(seconds=59), "0:01"),
        (timedelta(minutes=1), "0:01"),
        (timedelta(hours=1, seconds=1), "1:01"),
        (timedelta(days=8), "192:00"),
    ],
)
def test_limits_on_time_are_rounded_up_to_minutes(
    request_for: MakeRequest, time: timedelta, written: str
) -> None:
    assert f"-W {written}" in lines(LSFExecutor(), request_for(resources=Resources(time=time)))


# -- memory --------------------------------------------------------------------------------
def memory_lines(executor: LSFExecutor, make: MakeRequest, mem: int) -> list[str]:
    request = make(resources=Resources(cpus=4, mem=mem))
    return [line for line in lines(executor, request) if line.startswith(("-M", "-R"))]


def test_the_unit_of_memory_is_found_in_lsf_conf(request_for: MakeRequest, lsf_conf: Path) -> None:
    lsf_conf.write_text("# units\nLSF_UNIT_FOR_LIMITS = GB # since 2024\nLSB_JOB_MEMLIMIT=y\n")

    assert memory_lines(LSFExecutor(), request_for, 3 * 1024**3 + 1) == [
        "-R 'span[hosts=1] rusage[mem=4]'",
        "-M 4",
    ]
    assert site.memory(lsf_conf.read_text()).per == "job"


def test_settings_win_over_lsf_conf(request_for: MakeRequest, lsf_conf: Path) -> None:
    lsf_conf.write_text("LSF_UNIT_FOR_LIMITS=GB\n")
    executor = LSFExecutor(
        memory_unit="MB", memory_limit_per="slot", reserve_per_slot=True, gpu_option="-gpu x"
    )

    assert memory_lines(executor, request_for, 1024**3) == [
        "-R 'span[hosts=1] rusage[mem=256]'",
        "-M 256",
    ]


def test_memory_need_not_be_reserved(request_for: MakeRequest) -> None:
    found = memory_lines(LSFExecutor(reserve_memory=False), request_for, 1025)

    assert found == ["-R span[hosts=1]", "-M 2"]


def test_a_unit_that_is_none_is_refused(request_for: MakeRequest) -> None:
    with pytest.raises(ConfigError, match="KB, MB, GB"):
        LSFExecutor(memory_unit="megabytes").script(request_for(resources=Resources(mem=1)))


@pytest.mark.parametrize("text", ["", "LSF_UNIT_FOR_LIMITS=\n", "LSF_UNIT_FOR_LIMITS=bits\n"])
def test_what_lsf_takes_where_lsf_conf_says_nothing(text: str) -> None:
    assert site.memory(text) == site.Memory("KB", "MB", "process")


# -- what people write ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"x": True}, ["-x"]),
        ({"x": False, "sla": None}, []),
        ({"m": "host1 host2"}, ["-m 'host1 host2'"]),
        ({"sp": 10}, ["-sp 10"]),
        ({"G": ["a", "b"]}, ["-G a", "-G b"]),
        ({"R": ["select[x]", "order[ut]"]}, ["-R 'select[x] order[ut]'"]),
        ({"R": "select[type=='any']"}, ["-R \"select[type=='any']\""]),
    ],
)
def test_options_are_handed_on(
    request_for: MakeRequest, options: dict[str, object], written: list[str]
) -> None:
    request = request_for(resources=Resources(options={"lsf": options}))

    assert lines(LSFExecutor(), request)[4:] == written


@pytest.mark.parametrize(
    "options",
    [
        {"J": "mine"},
        {"-w": "done(3)"},
        {"a b": 1},
        {"G": {}},
        {"G": 'it\'s "both"'},
        {"G": "two\nlines"},
        {"G": ""},
        {"G": "#first"},
        {"n": 8},
        {"M": 1024},
        {"W": "1:00"},
    ],
)
def test_options_that_cannot_be_handed_on(
    request_for: MakeRequest, options: dict[str, object]
) -> None:
    executor, runner = lsf()
    with pytest.raises(SubmissionRefusedError):
        executor.submit(request_for(resources=Resources(options={"lsf": options})))
    assert runner.commands == []


@pytest.mark.parametrize("label", ["BSUB -q other", "x\n#BSUB -q other", " #BSUB -q other"])
def test_a_label_is_no_option(request_for: MakeRequest, label: str) -> None:
    assert len(lines(LSFExecutor(), request_for(label=label))) == 4
    assert "\n# task " in LSFExecutor().script(request_for(label=label))


@pytest.mark.parametrize(
    "fields",
    [
        {"environment": {"A": "x\n#BSUB -q other"}},
        {"environment": {"A": "x\n  # BSUB -q other"}},
        {"environment": {"A": "x\n_USER_SCRIPT_\n"}},
        {"environment": {"A": "x\n# as BSUB has it \\\nexit 1"}},
        {"working_directory": Path("/data/x\n#BSUB -q other")},
    ],
)
def test_what_bsub_would_take_for_an_option_is_refused(
    request_for: MakeRequest, fields: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError, match="read this line of the script as its own option"):
        LSFExecutor().script(request_for(**fields))


def test_settings_make_the_same_executor_again() -> None:
    settings = LSFExecutor(bsub="/opt/bsub", memory_unit="MB", setup=("a",)).settings

    assert settings == {"bsub": "/opt/bsub", "memory_unit": "MB", "setup": ["a"]}
    assert LSFExecutor(**settings).settings == settings  # type: ignore[arg-type]


# -- submitting ----------------------------------------------------------------------------
def test_bsub_reads_the_script_from_its_input(request_for: MakeRequest) -> None:
    executor, runner = lsf(recording("submit-array-range").answer)

    handle = executor.submit(request_for(size=10)).job

    assert handle.native_id == "204"
    (command,) = runner.commands
    assert command.argv == ("bsub",)
    assert command.stdin == executor.script(request_for(size=10))


def test_notes_beside_the_id_are_passed_over(request_for: MakeRequest) -> None:
    executor, runner = lsf(recording("submit-begin-later").answer)

    handle = executor.submit(request_for(begin_in=timedelta(minutes=10))).job

    assert handle.native_id == "231"
    assert re.fullmatch(r"bsub -b \d\d:\d\d:\d\d:\d\d", " ".join(runner.commands[0].argv))


@pytest.mark.parametrize(
    ("now", "begin_in", "written"),
    [
        ("2026-11-22T12:00:00", timedelta(0), "11:22:12:01"),
        ("2026-11-22T12:00:00", timedelta(seconds=1), "11:22:12:01"),
        ("2026-11-22T12:00:59.9", timedelta(seconds=1), "11:22:12:02"),
        ("2026-11-22T12:00:30", timedelta(minutes=10), "11:22:12:11"),
        ("2026-11-22T12:00:00", timedelta(minutes=10), "11:22:12:10"),
        ("2026-12-31T23:59:00", timedelta(minutes=1), "01:01:00:00"),
    ],
)
def test_a_job_begins_in_a_minute_that_is_not_over_when_bsub_reads_it(
    now: str, begin_in: timedelta, written: str
) -> None:
    assert begin_time(datetime.fromisoformat(now), begin_in) == written


def test_a_project_wins_over_the_one_of_the_environment(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To OpenLava's bsub LSB_DEFAULTPROJECT counts more than the script."""
    monkeypatch.setenv("LSB_DEFAULTPROJECT", "everybody")
    said = (0, "Job <231> is submitted to default queue <normal>.\n", "")
    executor, runner = lsf(said, said)

    executor.submit_one(request_for(resources=Resources(account="a b")))
    executor.submit_one(request_for())

    assert runner.argvs == [("bsub", "-P", "a b"), ("bsub",)]


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("/data/é 'x'", "/data/é 'x'"),
        ("/" + 254 * "x", "/" + 254 * "x"),
        ("/" + 255 * "x", "/"),
        ("/" + 128 * "é", "/"),
        ("/data/x\ny", "/"),
        ("/data/\udce9", "/"),
    ],
)
def test_a_job_is_submitted_where_lsf_can_hold_the_name(
    request_for: MakeRequest, folder: str, told: str
) -> None:
    request = request_for(working_directory=Path(folder))

    assert LSFExecutor().submit_directory(request) == Path(told)


@pytest.mark.parametrize("export_environment", [True, False])
def test_what_bsub_sees_of_the_environment(export_environment: bool) -> None:
    """Defaults of the person's, but nothing that is the calling job's, or acts as an option."""
    person = {"LSB_DEFAULTQUEUE": "night", "LSB_DEFAULTPROJECT": "p", "LSF_ENVDIR": "/opt/conf"}
    person |= {"LSB_DEFAULT_JOBGROUP": "/g", "LSB_DEFAULT_USERGROUP": "u", "PWD": "/home"}
    of_the_job = {"LSB_JOBINDEX": "3", "LSB_QUEUE": "day", "LS_JOBPID": "7", "BSUB_QUIET": "1"}
    variables = LSFExecutor(export_environment=export_environment).passed_variables()

    assert variables.environment({**person, **of_the_job}) == {**person, "LC_ALL": "C"}


def test_a_bsub_that_tries_for_ever_where_too_many_jobs_wait(request_for: MakeRequest) -> None:
    said = "User <a>: Pending job threshold reached. Retrying in 60 seconds..."
    nobody = (255, "", "Job <x> is not found\n")
    executor, _ = lsf(CommandTimeoutError("bsub did not answer", said), nobody, nobody)

    with pytest.raises(SubmissionDeferredError, match="threshold reached"):
        executor.submit(request_for())


def test_a_bsub_that_got_through_at_the_moment_it_was_given_up(request_for: MakeRequest) -> None:
    said = "User <a>: Pending job threshold reached. Retrying in 60 seconds..."
    executor, _ = lsf(CommandTimeoutError("bsub did not answer", said))
    request = request_for(size=3)
    there = JobHandle(native_id="24", token=request.token)
    executor.find = lambda token: [there] if token == request.token else []  # type: ignore[method-assign]

    handle = executor.submit(request).job

    assert (handle.native_id, handle.size, handle.directory) == ("24", 3, request.directory)


def test_a_bsub_that_was_given_up_while_nobody_answers_is_uncertain(
    request_for: MakeRequest,
) -> None:
    said = "User <a>: Pending job threshold reached. Retrying in 60 seconds..."
    silent = CommandTimeoutError("bjobs did not answer")
    executor, _ = lsf(CommandTimeoutError("bsub did not answer", said), silent, silent, silent)

    with pytest.raises(SubmissionUncertainError):
        executor.submit(request_for())


def test_gpus_can_be_a_resource(request_for: MakeRequest) -> None:
    executor = LSFExecutor(gpu_option="-R 'rusage[ngpus={gpus}]'")
    request = request_for(resources=Resources(cpus=2, gpus=3))

    assert "-R 'span[hosts=1] rusage[ngpus=3]'" in lines(executor, request)


@pytest.mark.parametrize(
    ("gpu_option", "asked", "written"),
    [
        ("-R 'rusage[ngpus={gpus}]'", (), "rusage[mem=1024:ngpus=3]"),
        ("-R 'gpuhost rusage[ngpus={gpus}]'", (), "select[gpuhost] rusage[mem=1024:ngpus=3]"),
        ("-R 'rusage[ngpus={gpus}]'", "select[a]", "select[a] rusage[mem=1024:ngpus=3]"),
        ("-R 'rusage[ngpus={gpus}]'", "rusage[mem=9]", "rusage[mem=9]"),
    ],
)
def test_gpus_as_a_resource_leave_memory_reserved(
    request_for: MakeRequest, gpu_option: str, asked: str, written: str
) -> None:
    executor = LSFExecutor(gpu_option=gpu_option, options={"R": asked})
    request = request_for(resources=Resources(mem=1024**3, gpus=3))

    (line,) = [line for line in lines(executor, request) if line.startswith("-R")]
    assert line.removeprefix("-R ").strip("'") == written


def test_openlava_is_given_no_option_that_it_would_pass_over(request_for: MakeRequest) -> None:
    version = (0, "", "OpenLava 4.0dev4, Nov 22 2026\n")
    executor, runner = lsf(version)
    request = request_for(resources=Resources(gpus=1))

    for _ in range(2):
        with pytest.raises(SubmissionRefusedError, match=r"no -gpu.*gpu_option"):
            executor.submit(request)

    assert runner.argvs == [("bsub", "-V")]


def test_other_lsfs_are_given_every_option(request_for: MakeRequest) -> None:
    version = (0, "", "IBM Spectrum LSF 10.1.0.13, Apr 15 2022\n")
    executor, runner = lsf(version, recording("submit-exit0").answer)

    executor.submit(request_for(resources=Resources(options={"lsf": {"app": "big"}})))

    assert "#BSUB -app big\n" in runner.commands[1].stdin


def test_a_follow_up_waits_for_any_end(request_for: MakeRequest) -> None:
    executor, runner = lsf(*[recording("submit-array-range").answer] * 2)

    executor.submit(request_for(), request_for(token="dispatch-ab12-4"))

    assert runner.commands[1].argv == ("bsub", "-w", "ended(204)")


def test_a_follow_up_of_what_is_forgotten_does_not_wait(request_for: MakeRequest) -> None:
    accepted = recording("submit-array-range").answer
    executor, runner = lsf(accepted, recording("dep-unknown").answer, accepted)

    submission = executor.submit(request_for(), request_for(token="dispatch-ab12-4"))

    assert submission.follow_up is not None
    assert runner.commands[2].argv == ("bsub",)


def test_an_answer_without_an_id_is_uncertain(request_for: MakeRequest) -> None:
    executor, _ = lsf((0, "", ""))
    with pytest.raises(SubmissionUncertainError):
        executor.submit(request_for())


REFUSED = [
    item
    for item in recordings(r".*bsub .*")
    if item.exit_code == 255 and "Job not submitted" in item.stderr
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda item: item.name)
def test_what_bsub_refuses_is_refused_in_its_own_words(refused: Any) -> None:
    error = submission_error(refused.stderr.strip(), waits=False)

    assert isinstance(error, SubmissionRefusedError)
    assert refused.stderr.strip() in str(error)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "User <a>: Pending job threshold reached. Retrying in 60 seconds",
            SubmissionDeferredError,
        ),
        ("normal: Queue has been closed. Job not submitted.", SubmissionDeferredError),
        ("Failed in an LSF library call: Timed out", SubmissionUncertainError),
        ("batch system daemon not responding ... still trying", SchedulerUnavailableError),
        ("Failed in an LSF library call: LIM is down; try later", SchedulerUnavailableError),
        ("LSF is down. Please wait ...", SchedulerUnavailableError),
        ("Failed in an LSF library call: Bad host name", SchedulerUnavailableError),
        ("Connection refused by server. Job not submitted.", SchedulerUnavailableError),
        ("Request from non-LSF host rejected. Job not submitted.", SchedulerUnavailableError),
        ("Master batch daemon internal error. Job not submitted.", SubmissionUncertainError),
        ("Batch system call failed: Broken pipe. Job not submitted.", SubmissionUncertainError),
        ("Failed in an LSF library call: Connection reset by peer", SubmissionUncertainError),
        ("Cannot allocate memory. Job not submitted.", SchedulerUnavailableError),
        ("fork: Resource temporarily unavailable. Job not submitted.", SchedulerUnavailableError),
        (
            "night: The destination queue has reached its job limit. Job not submitted.",
            SubmissionDeferredError,
        ),
    ],
)
def test_what_is_not_for_good(said: str, kind: type[ExecutorError]) -> None:
    assert type(submission_error(said, waits=False)) is kind


# -- asking --------------------------------------------------------------------------------
def test_a_bjobs_without_json_is_asked_for_text_from_then_on() -> None:
    text = recording("bjobs-l-exit3").answer
    executor, runner = lsf(NO_JSON, text, text)
    handle = JobHandle(native_id="217")

    for _ in range(2):
        (status,) = executor.poll([handle])
        assert status.exit_code == 3

    assert ["-json" in command.argv for command in runner.commands] == [True, False, False]


@pytest.mark.parametrize(
    "said",
    [
        "bjobs: illegal option -- j\nUsage: bjobs [-h] [-V]",
        "Unknown field name in -o option: combined_resreq",
        "combined_resreq: Invalid output field",
    ],
)
def test_a_bjobs_without_one_of_the_fields_is_asked_for_text(said: str) -> None:
    executor, runner = lsf((255, "", said), recording("bjobs-l-exit3").answer)

    (status,) = executor.poll([JobHandle(native_id="217")])

    assert status.exit_code == 3
    assert runner.argvs[1] == ("bjobs", "-a", "-l", "217")


def record(**told: str) -> dict[str, str]:
    return {"JOBID": "24", "JOBINDEX": "0", "STAT": "PEND", **told}


def in_json(*records: dict[str, str], exit_code: int = 0) -> tuple[int, str, str]:
    return exit_code, json.dumps({"COMMAND": "bjobs", "RECORDS": records}, indent=2), ""


def test_an_answer_in_json_counts_whatever_the_exit_code() -> None:
    """LSB_BJOBS_CONSISTENT_EXIT_CODE decides on it where one job of several is unknown."""
    unknown = {"JOBID": "9", "ERROR": "Job <9> is not found"}
    done = record(STAT="EXIT", EXIT_CODE="3", EXEC_HOST="vm")
    code, told, _ = in_json(done, unknown, exit_code=255)
    executor, runner = lsf((code, told, "some option will be gone some day"))

    (status,) = executor.poll([JobHandle(native_id="24")])

    assert status.exit_code == 3
    assert len(runner.commands) == 1


def test_json_that_is_spoiled_is_asked_for_in_text() -> None:
    """Quotes in what a job asks for are not always escaped."""
    code, told, _ = in_json(record(COMBINED_RESREQ="select[hname != QUOTE]"))
    spoiled = (code, told.replace("QUOTE", '"vm"'), "")
    executor, runner = lsf(*[spoiled, recording("bjobs-l-exit3").answer] * 2)

    for _ in range(2):
        (status,) = executor.poll([JobHandle(native_id="217")])
        assert status.exit_code == 3

    assert ["-json" in argv for argv in runner.argvs] == [True, False] * 2


@pytest.mark.parametrize("name", ["convert-ab12-3[2]", "*ab12-3[2]", "*ab12-3", ""])
def test_a_job_is_known_by_what_is_shown_of_its_name(name: str) -> None:
    executor, _ = lsf(in_json(record(JOB_NAME=name, STAT="RUN")))

    (status,) = executor.poll([JobHandle(native_id="24", token="convert-ab12-3")])

    assert status.state is JobState.RUNNING


def test_a_job_of_another_name_has_only_the_same_number_in_json_too() -> None:
    other = in_json(record(JOB_NAME="somebody-else[3]"))
    executor, _ = lsf(other, recording("bhist-unknown").answer)

    (status,) = executor.poll([JobHandle(native_id="24", token="convert-ab12-3")])

    assert status.state is JobState.UNKNOWN


def test_whether_bjobs_has_json_can_be_set() -> None:
    executor, runner = lsf(recording("bjobs-l-exit3").answer, json=False)

    executor.poll([JobHandle(native_id="217")])

    assert runner.commands[0].argv == ("bjobs", "-a", "-l", "217")


def test_of_a_list_with_an_unknown_id_the_others_are_read() -> None:
    code, _, unknown = recording("bjobs-batch-one-unknown").answer
    answer = (code, recording("bjobs-l-exit3").stdout, unknown)
    executor, runner = lsf(answer, recording("bhist-unknown").answer, json=False)

    states = [item.state for item in executor.poll([JobHandle(native_id=i) for i in ("217", "9")])]

    assert states == [JobState.FAILED, JobState.UNKNOWN]
    assert runner.commands[1].argv == ("bhist", "-l", "-n", "0", "9")


def test_a_job_of_another_name_has_only_the_same_number() -> None:
    ended = recording("bhist-l-exit3").answer
    executor, _ = lsf(recording("bjobs-l-exit3").answer, ended, json=False)

    (status,) = executor.poll([JobHandle(native_id="217", token="convert-ab12-3")])
    assert status.state is JobState.UNKNOWN

    mixed = recording("bjobs-l-finished-array-mixed").answer
    executor, _ = lsf(mixed, recording("bhist-l-array-element").answer, json=False)
    states = executor.poll([JobHandle(native_id="221", token="arrmix", size=5)])
    assert all(status.state.over for status in states)


def test_words_that_are_no_ids_are_not_asked_about() -> None:
    executor, runner = lsf(json=False)

    (status,) = executor.poll([JobHandle(native_id="node01:77:123456")])
    executor.cancel([JobHandle(native_id="node01:77:123456")])

    assert status.state is JobState.UNKNOWN
    assert runner.commands == []


def test_a_job_that_may_have_been_killed_is_looked_up() -> None:
    executor, runner = lsf(
        recording("bjobs-l-after-bkill-long").answer,
        recording("bhist-l-after-bkill-running").answer,
        json=False,
    )

    (status,) = executor.poll([JobHandle(native_id="225")])

    assert (status.state, status.reason) == (JobState.CANCELLED, "killed by hpcuser")
    assert runner.commands[1].argv[0] == "bhist"


def test_a_history_that_cannot_be_asked_leaves_the_signal() -> None:
    executor, _ = lsf(
        recording("bjobs-l-after-bkill-long").answer, (1, "", "cannot open lsb.events"), json=False
    )

    (status,) = executor.poll([JobHandle(native_id="225")])

    assert (status.cause, status.signal) == (FailureCause.SIGNAL, 2)


UNREADABLE = (
    255,
    "",
    "/opt/openlava/work/logdir/lsb.events: Permission denied\n",
)


def test_a_history_that_nobody_may_read_here_knows_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nothing = recording("bjobs-unknown").answer
    executor, _ = lsf(*[nothing, UNREADABLE] * 2, UNREADABLE, UNREADABLE, json=False)

    for _ in range(2):
        (status,) = executor.poll([JobHandle(native_id="24")])
        assert status.state is JobState.UNKNOWN

    assert executor.find("convert") == []
    assert len(caplog.records) == 1
    assert "cannot be looked up here" in caplog.text


LIMITED = recording("bjobs-l-after-bkill-long").stdout + "\n MEMLIMIT\n   1024 M\n"
UNKNOWING = re.sub(
    r"^.*Signal <KILL>.*\n", "", recording("bhist-l-after-bkill-running").stdout, flags=re.M
)


@pytest.mark.parametrize(
    ("conf", "bjobs", "bhist", "cause"),
    [
        ("LSB_MEMLIMIT_ENFORCE=y\n", LIMITED, (0, UNKNOWING, ""), FailureCause.MEMORY),
        ("LSB_JOB_MEMLIMIT = Y\n", LIMITED, (0, UNKNOWING, ""), FailureCause.MEMORY),
        ("", LIMITED, (0, UNKNOWING, ""), FailureCause.SIGNAL),
        ("LSB_MEMLIMIT_ENFORCE=y\n", LIMITED, UNREADABLE, FailureCause.SIGNAL),
        (
            "LSB_MEMLIMIT_ENFORCE=y\n",
            LIMITED,
            (0, recording("bhist-l-after-bkill-running").stdout, ""),
            None,
        ),
        (
            "LSB_MEMLIMIT_ENFORCE=y\n",
            recording("bjobs-l-after-bkill-long").stdout,
            (0, UNKNOWING, ""),
            FailureCause.SIGNAL,
        ),
    ],
)
def test_what_nobody_killed_was_over_its_memory_where_that_is_enforced(
    lsf_conf: Path, conf: str, bjobs: str, bhist: Answer, cause: FailureCause | None
) -> None:
    """OpenLava itself says nothing of it."""
    lsf_conf.write_text(conf)
    executor, _ = lsf((0, bjobs, ""), bhist, json=False)

    (status,) = executor.poll([JobHandle(native_id="225")])

    assert status.cause is cause
    assert (status.state is JobState.CANCELLED) == (cause is None)


def test_a_job_whose_condition_can_never_be_true_is_killed() -> None:
    doomed = recording("dep-bjobs-l-after-done-failing")
    executor, runner = lsf(doomed.answer, recording("bkill-pending").answer, json=False)

    (status,) = executor.poll([JobHandle(native_id="241")])

    assert (status.state, status.cause) == (JobState.FAILED, FailureCause.SUBMIT)
    assert "never satisfied" in status.reason
    assert runner.argvs[1] == ("bkill", "241")


LSHOSTS = """\
HOST_NAME                       type       model  cpuf ncpus maxmem maxswp server RESOURCES
vm                             linux     IntelI5 100.0     8  7807M  5119M    Yes (cs)
login                          linux     IntelI5 100.0     -      -      -     No ()
"""


def waiting(asked: str, reason: str) -> Answer:
    return (
        0,
        "\nJob Id <24>, Job Name <never>, User <me>, Project <default>, Status <PEND>, "
        "Queue <normal>, Command <true>\n"
        f"Sun Nov 22 06:26:48: Submitted from host <vm>, CWD </>, {asked};\n"
        f" PENDING REASONS:\n {reason}: 1 host;\n",
        "",
    )


@pytest.mark.parametrize(
    ("asked", "reason", "hosts", "word"),
    [
        (
            "Requested Resources <span[hosts=1] rusage[mem=9000]>",
            "Job's requirements for resource reservation not satisfied",
            LSHOSTS,
            "9000, where the largest has 7807",
        ),
        (
            "Requested Resources <rusage[mem=9000]>",
            "Job slot limit reached: 2 hosts;\n Job's requirements for resource reservation not "
            "satisfied",
            LSHOSTS,
            "9000, where the largest has 7807",
        ),
        (
            "Requested Resources <rusage[mem=9000]>",
            "Job requirements for reserving resource (mem) not satisfied",
            LSHOSTS,
            "9000, where the largest has 7807",
        ),
        (
            "Requested Resources <rusage[mem=7807]>",
            "Job's requirements for resource reservation not satisfied",
            LSHOSTS,
            "",
        ),
        (
            "Requested Resources <rusage[mem=9000]>",
            "Job's requirements for resource reservation not satisfied",
            LSHOSTS.replace("7807M", "    -"),
            "",
        ),
        (
            "16 Processors Requested, Requested Resources <span[hosts=1]>",
            "Not enough processors to meet the job's spanning requirement",
            recording("version").stdout[recording("version").stdout.index("HOST_NAME") :],
            "at most 8",
        ),
        (
            "16 Processors Requested, Requested Resources <span[ptile=4]>",
            "Not enough hosts to meet the job's spanning requirement",
            "HOST_NAME STATUS JL/U MAX\nvm ok - 8\n",
            "",
        ),
    ],
)
def test_a_job_that_no_host_can_take_is_hopeless(
    asked: str, reason: str, hosts: str, word: str
) -> None:
    executor, runner = lsf(waiting(asked, reason), (0, hosts.partition("QUEUE")[0], ""), json=False)

    (status,) = executor.poll([JobHandle(native_id="24")])

    assert (status.state, status.impossible) == (JobState.QUEUED, bool(word))
    assert (word or reason) in status.reason
    assert len(runner.commands) == 2


@pytest.mark.parametrize(
    ("asked", "reason", "word"),
    [
        (
            {"COMBINED_RESREQ": "select[type == any] rusage[mem=9000.00] span[hosts=1]"},
            "Job requirements for reserving resource (mem) not satisfied: 1 host;",
            "9000, where the largest has 7807",
        ),
        (
            {"COMBINED_RESREQ": "rusage[mem=9000.00]"},
            "There are no suitable hosts for the job;",
            "9000, where the largest has 7807",
        ),
        (
            {"COMBINED_RESREQ": "rusage[mem=9000.00]"},
            "The user has reached his/her job slot limit;",
            "",
        ),
        (
            {"COMBINED_RESREQ": "rusage[mem=9000KB]"},
            "Job requirements for reserving resource (mem) not satisfied: 1 host;",
            "",
        ),
        (
            {"COMBINED_RESREQ": "-"},
            "Job requirements for reserving resource (mem) not satisfied: 1 host;",
            "",
        ),
    ],
)
def test_a_job_that_no_host_can_take_is_hopeless_in_json_too(
    asked: dict[str, str], reason: str, word: str
) -> None:
    executor, _ = lsf(in_json(record(PEND_REASON=reason, **asked)), (0, LSHOSTS, ""))

    (status,) = executor.poll([JobHandle(native_id="24")])

    assert (status.state, status.impossible) == (JobState.QUEUED, bool(word))
    assert (word or reason.strip(";")) in status.reason


def test_every_reason_for_waiting_is_told() -> None:
    executor, _ = lsf(
        waiting("a", "Closed by LSF administrator: 2 hosts;\n Load threshold reached"), json=False
    )

    (status,) = executor.poll([JobHandle(native_id="24")])

    assert status.reason == "Closed by LSF administrator: 2 hosts; Load threshold reached: 1 host"


def test_hosts_are_asked_about_once_and_need_not_answer() -> None:
    job = waiting(
        "Requested Resources <rusage[mem=9000]>",
        "Job's requirements for resource reservation not satisfied",
    )
    executor, runner = lsf(job, SchedulerUnavailableError("no lshosts"), job, json=False)

    for _ in range(2):
        (status,) = executor.poll([JobHandle(native_id="24")])
        assert not status.impossible

    assert [argv[0] for argv in runner.argvs] == ["bjobs", "lshosts", "bjobs"]


@pytest.mark.parametrize("answer", [(255, "", "LIM is down"), (0, "Job <24>, cut sho", "")])
def test_a_question_without_a_whole_answer_says_nothing(answer: Answer) -> None:
    executor, _ = lsf(answer, json=False)
    with pytest.raises(SchedulerUnavailableError):
        executor.poll([JobHandle(native_id="24")])


STATES_OF_THE_MANUAL = {
    "PEND": JobState.QUEUED,
    "PROV": JobState.QUEUED,
    "WAIT": JobState.QUEUED,
    "PSUSP": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "USUSP": JobState.SUSPENDED,
    "SSUSP": JobState.SUSPENDED,
    "DONE": JobState.COMPLETED,
    "EXIT": JobState.FAILED,
    "UNKWN": JobState.UNKNOWN,
    "ZOMBI": JobState.FAILED,
}


def test_every_state_of_the_manual_has_a_meaning() -> None:
    assert {state.code: state.state for state in STATES.states} == STATES_OF_THE_MANUAL


# -- cancelling, finding, counting ---------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["bkill-finished", "bkill-unknown", "bkill-two-ids-one-unknown", "bkill-running"]
)
def test_cancelling_what_is_over_is_no_failure(name: str) -> None:
    executor, _ = lsf(recording(name).answer)
    executor.cancel([JobHandle(native_id="24")])


def test_what_is_ended_later_is_no_failure() -> None:
    executor, runner = lsf(recording("bkill-array").answer)

    executor.cancel([JobHandle(native_id="228")])

    assert len(runner.commands) == 1


def test_arrays_are_ended_by_their_elements() -> None:
    executor, runner = lsf(*[(0, "", "")] * 3)

    executor.cancel(
        [
            JobHandle(native_id="24"),
            JobHandle(native_id="25", size=1500),
            JobHandle(native_id="26"),
        ]
    )

    assert runner.argvs == [
        ("bkill", "24", "26"),
        ("bkill", "25[1-1000]"),
        ("bkill", "25[1001-1500]"),
    ]


def test_elements_are_cancelled_by_ranges() -> None:
    executor, runner = lsf((0, "", ""))

    executor.cancel_positions(JobHandle(native_id="24", size=10), [0, 1, 2, 6])

    assert runner.commands[0].argv == ("bkill", "24[1-3,7]")


def test_many_elements_are_named_in_words_that_lsf_can_hold() -> None:
    """Its commands copy each word into a line of 512 characters, unchecked."""
    executor, runner = lsf((0, "", ""))

    executor.cancel_positions(JobHandle(native_id="24", size=1000), list(range(0, 1000, 2)))

    (argv,) = runner.argvs
    assert max(map(len, argv)) < 512
    named = [int(index) for word in argv[1:] for index in word[3:-1].split(",")]
    assert named == list(range(1, 1001, 2))
    assert all(re.fullmatch(r"24\[[\d,]+\]", word) for word in argv[1:])


def test_a_bkill_that_fails_without_a_word_has_failed() -> None:
    executor, _ = lsf((134, "", ""))

    with pytest.raises(SchedulerUnavailableError):
        executor.cancel([JobHandle(native_id="24")])


def test_a_submission_is_found_in_the_queue_or_in_the_history() -> None:
    nothing = (255, "", "Job <convert> is not found")
    executor, runner = lsf(nothing, recording("bhist-array").answer)

    (found,) = executor.find("convert")

    assert found.native_id == "221"
    assert [command.argv[0] for command in runner.commands] == ["bjobs", "bhist"]


def test_the_largest_array_is_asked_for_once() -> None:
    executor, runner = lsf(recording("version").answer)

    assert [executor.limits().max_array_size for _ in range(2)] == [1000, 1000]
    assert len(runner.commands) == 1


def test_an_empty_queue_has_no_jobs() -> None:
    executor, _ = lsf(
        recording("version").answer, recording("bjobs-none").answer, max_submit_jobs=10
    )

    assert executor.limits().queued_jobs == 0


def test_every_setting_is_documented() -> None:
    page = (REPOSITORY / "docs" / "schedulers" / "lsf.md").read_text()
    for item in dataclasses.fields(LSFExecutor):
        assert not item.init or f"`{item.name}`" in page, item.name
