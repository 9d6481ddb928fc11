"""The fake Flux prints what the real Flux 0.88 printed."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reflow.testing.fakes import FakeScheduler

from tests.conformance.scenes import Player, load, playing
from tests.fakes import fake_of
from tests.fakes.flux import ids

VARYING = (
    (re.compile(r"/scratch/reflow-lab/flux/run/|(?:/[^/\s]+)+/fake-\w+/(?:tmp/)?"), "INSTANCE/"),
    (re.compile(r"(?m)^HOME=.*"), "HOME"),
    (re.compile(r"\b\d{10}\.\d+"), "MOMENT"),
    (re.compile(r'"(t_remaining|runtime)": ?[\d.]+'), r'"\1": SPAN'),
    (re.compile(r"\beta:[\d.]+[smh]"), "eta:SPAN"),
    (re.compile(r"(?m)^ ?\d\d:\d\d:\d\d run [\d.]+s,"), "CLOCK run SPAN,"),
    (re.compile(r"begin@\d\d:\d\d:\d\d"), "begin@CLOCK"),
    (re.compile(r" +[\d.]+m?s (?=\S*node\d|" + socket.gethostname() + ")"), " SPAN "),
    (re.compile(r"(?m)^\d+\.\d{3}s: "), "SPAN: "),
    (re.compile(r"rank0/core(\d+|\[[\d,-]+\])"), "rank0/CORES"),
    (re.compile(rf"\b({getpass.getuser()}|root)\b"), "USER"),
    (re.compile(r'"(userid|uid)": ?\d+|userid=\d+'), "UID"),
    (re.compile(rf"\b{socket.gethostname()}\b"), "node01"),
)


def normalise(text: str) -> str:
    """Replace what differs from one time to the next."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return text.strip()


class FluxPlayer(Player):
    """Gives the jobs of a scene the ids of the recording."""

    def play(self, count: int = 1, **rest: Any) -> None:
        """Play the next steps, each after making its ids known."""
        __tracebackhide__ = True
        for _ in range(count):
            self.announce()
            super().play(**rest)

    def do(self) -> str:
        """Run the next step."""
        self.announce()
        return super().do()

    def announce(self) -> None:
        """Make known the ids that the next step prints."""
        step = self.steps[self.at]
        if re.search(r"\bflux (submit|bulksubmit|batch)\b", step.command):
            found = re.findall(r"(?m)^[ƒf]\w+$", step.stdout)
            numbers = [ids.parse(text) for text in dict.fromkeys(found)]
            self.fake.do("use_numbers", numbers=numbers)

    def change(self, step: int, old: str, new: str) -> None:
        """Replace part of a command."""
        one = self.steps[step]
        self.steps[step] = replace(one, command=one.command.replace(old, new))

    def settle(self) -> None:
        """Wait until all jobs are over that will be over without help."""
        self.fake.wait_until_idle()


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    """Set a recorded scene."""

    @contextmanager
    def set_up(name: str, **settings: Any) -> Iterator[FluxPlayer]:
        place = "flux"
        with playing(
            "flux", load("flux", name), tmp_path, normalise, place=place, **settings
        ) as plain:
            player = FluxPlayer(**vars(plain))
            player.gates_on_path = True
            path = f"{tmp_path}/gates:{player.fake.environment['PATH']}"
            player.environment = {"PATH": path, "LC_ALL": "C.UTF-8"}
            yield player

    return set_up


def test_one_job_from_submission_to_its_end(scene: Any) -> None:
    with scene("submit-plain") as flux:
        flux.play(4)
        flux.skip()
        flux.open(2)
        flux.settle()
        flux.through(11)
        # Words and pictures for ids are not written.
        flux.change(12, " words", "")
        flux.change(12, " emoji", "")
        written = re.compile(r"(?m)^[^40ƒfj].*\n")
        flux.play(tidy=lambda text: written.sub("", text))
        flux.play(2)
        flux.settle()
        flux.play(2)
        flux.settle()
        flux.play(2)


def test_outcomes(scene: Any) -> None:
    with scene("outcomes-exit-codes-and-signals") as flux:
        flux.play(14)
        flux.settle()
        flux.play()
        flux.skip()  # lists jobs of other scenes too
        flux.play(len(flux.steps) - flux.at)


def test_cancelling(scene: Any) -> None:
    with scene("cancel") as flux:
        flux.play(19)
        flux.fake.wait_for("ƒJoycbQB", "over")
        flux.open(1)
        flux.play(3)
        flux.wait_asleep(30)
        flux.play()
        flux.fake.wait_for("ƒLPfWBF5", "over")
        flux.play(4)
        flux.wait_asleep(20)
        flux.play()
        flux.fake.advance(5)
        flux.fake.wait_for("ƒLsetcpf", "over")
        flux.play(2)
        flux.fake.wait_for("ƒPmBVTnf", "over")
        flux.play(3)
        flux.fake.wait_for("ƒPxJQ5Nf", "over")
        flux.play(len(flux.steps) - flux.at)


def test_dependencies(scene: Any) -> None:
    with scene("dependencies", sleeps=(16, 17, 18, 19)) as flux:
        # So that they end one after the other.
        flux.change(1, "sleep 15", "sleep 16")
        flux.change(3, "sleep 15", "sleep 1$((7 + FLUX_JOB_CC))")
        flux.play(10)
        flux.fake.wait_for(str(ids.parse("ƒmEEnKLs")), "over")
        flux.play(8)
        for seconds, job in ((15, "kWkcQyD"), (16, "kcNmgy5"), (17, "kn4ezmm"), (18, "kn68z47")):
            flux.open(seconds)
            flux.fake.wait_for(f"ƒ{job}", "over")
        flux.open(19)
        flux.settle()
        flux.play(len(flux.steps) - flux.at)


def test_the_environment_of_jobs(scene: Any) -> None:
    with scene("environment-in-a-job") as flux:
        for _ in flux.steps:
            # Several tasks print in any order, and variables stand in any.
            flux.play(tidy=lambda text: "\n".join(sorted(text.splitlines())))
            flux.settle()


def test_a_stopped_instance(scene: Any) -> None:
    with scene("instance-down") as flux:
        flux.play(2)
        flux.fake.wait_for("ƒ2mhChdC3", "over")
        flux.fake.wait_for("ƒ2mbjSGtF", "running")
        flux.fake.go_down()
        flux.play(4)
        flux.fake.come_up()
        flux.settle()
        flux.play()


def test_a_stopped_queue(scene: Any) -> None:
    with scene("limit-on-concurrency") as flux:
        flux.play()


def test_many_jobs_by_one_command(scene: Any) -> None:
    with scene("many-at-once") as flux:
        for _ in range(12):
            flux.play()
            flux.settle()
        flux.skip()
        flux.play()


def test_why_jobs_wait(scene: Any) -> None:
    with scene("pending-and-why") as flux:
        flux.through(12)
        flux.fake.wait_for("ƒHAFUy2o", "over")
        flux.play(len(flux.steps) - flux.at)


def test_ids_that_are_not_known(scene: Any) -> None:
    with scene("query-unknown-ids") as flux:
        # Jobs of other scenes; the first of them is asked for once it was purged.
        flux.fake.do("use_numbers", numbers=[ids.parse("ƒ4hL9AxP")])
        flux.run("flux submit --quiet --cc=1-74 true")
        flux.settle()
        flux.play(2)
        flux.fake.wait_for("ƒQTAC6Xy", "over")
        flux.through(19)
        flux.settle()
        flux.play(len(flux.steps) - flux.at)


def test_limits_of_queues(scene: Any) -> None:
    queues = {"main": {}, "short": {"duration": 60, "ncores": 2}}
    with scene("queue-limits", queues=queues) as flux:
        flux.skip()
        flux.play(7)
        flux.settle()
        flux.skip(2)
        flux.play()


def test_what_is_refused(scene: Any) -> None:
    with scene("rejected-submissions") as flux:
        flux.fake.do("use_numbers", numbers=[1996723585024])
        flux.run("flux submit true")
        flux.settle()
        for _ in flux.steps:
            flux.play()
            flux.settle()


def test_running_and_waiting(scene: Any) -> None:
    with scene("run-and-wait") as flux:
        flux.play(len(flux.steps))


def test_batch_scripts(scene: Any) -> None:
    with scene("batch") as flux:
        flux.play()
        flux.settle()
        flux.play()
        flux.skip()  # the broker of its own, which is not there
        for _ in flux.steps[3:9]:
            flux.play()
            flux.settle()
        flux.skip()
        flux.play()
        said = (flux.place / "batch-ƒCK2XCb1.txt").read_text()
        assert said.startswith("in batch\n")
        assert "FLUX_ENCLOSING_ID=ƒCK2XCb1\n" in said
        assert "FLUX_JOB_ID" not in said


def test_waiting_for_events(scene: Any) -> None:
    with scene("watching-instead-of-polling") as flux:
        flux.play()
        flux.open(2)
        flux.play(2)


def test_before_the_first_job(scene: Any) -> None:
    with scene("versions") as flux:
        flux.play(6)
        flux.skip(3)
        flux.play(3)


def test_a_killed_submission_leaves_the_jobs_it_had_made(tmp_path: Path) -> None:
    with fake_of("flux", tmp_path) as fake:
        fake.do("cut_next_submission", after=3)
        command = ["flux", "submit", "--cc=0-9", "true"]
        done = subprocess.run(command, env=fake.environment, capture_output=True, timeout=60)
        assert done.returncode == -9
        assert len(done.stdout.split()) == 3
        assert len(fake.jobs()) == 3


def test_a_command_without_an_instance_says_so(tmp_path: Path) -> None:
    with fake_of("flux", tmp_path) as fake:
        environment = {key: value for key, value in fake.environment.items() if key != "FLUX_URI"}
        done = subprocess.run(
            ["flux", "jobs"], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert done.stderr == (
            "flux-jobs: ERROR: Unable to connect to Flux: broker socket /run/flux/local was not "
            "found\n"
        )


def flux(fake: FakeScheduler, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the fake command."""
    return subprocess.run(
        ["flux", *words],
        env=fake.environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
    )


USAGE = "usage: flux submit [OPTIONS...] COMMAND [ARGS...]\nflux submit: error: "
CANCEL = "usage: flux cancel [OPTIONS] [JOBID...]\nflux-cancel: error: "
# What flux/cli/submit.py of 0.88 said of the same words; of the last two, job-ingest would.
REFUSED = {
    "submit --job-nam=x true": (2, f"{USAGE}unrecognized arguments: --job-nam=x"),
    "submit --conf=x true": (2, f"{USAGE}unrecognized arguments: --conf=x"),
    "submit --exclusive=1 true": (
        2,
        f"{USAGE}argument -x/--exclusive: ignored explicit argument '1'",
    ),
    "submit --nodes": (2, f"{USAGE}argument -N/--nodes: expected one argument"),
    "submit -x true": (1, "flux-submit: ERROR: exclusive can only be set with a node count"),
    "submit -N2 -n1 true": (
        1,
        "flux-submit: ERROR: node count must not be greater than task count",
    ),
    "submit -c1 --tasks-per-node=2 true": (
        1,
        "flux-submit: ERROR: Per-resource options can't be used with per-task options. "
        "(See --help for details)",
    ),
    "submit --gpus-per-node=1 true": (1, "flux-submit: ERROR: --gpus-per-node requires --nodes"),
    "submit --cc=0 --bcc=1 true": (1, "flux-submit: ERROR: specify only one of --cc or --bcc"),
    'submit --cc=0-1 --setattr=x={"a":1} true': (
        1,
        """flux: ERROR: Replacement key '"a"' not found in '--setattr=['x={"a":1}']'""",
    ),
    "submit --cc=0-1 echo {x}": (
        1,
        "flux: ERROR: Invalid replacement string in command: '{x}'",
    ),
    "submit --cc=0-1 --job-name=} true": (
        1,
        "flux-submit: ERROR: Single '}' encountered in format string",
    ),
    "cancel -a": (2, f"{CANCEL}unrecognized arguments: -a"),
    "cancel --all f1": (
        1,
        "flux-cancel: ERROR: Do not specify a list of jobids with --all,--user,--states options",
    ),
    "submit --dependency=afterany:f12345 true": (
        1,
        "[Errno 22] dependency: afterany: id f12345: job not found",
    ),
    "submit --cwd=/\udcff true": (
        1,
        "[Errno 22] jobspec: invalid JSON: invalid Unicode '\\uDCFF'",
    ),
    "submit echo \udcff": (1, "[Errno 22] jobspec: invalid JSON: invalid Unicode '\\uDCFF'"),
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeScheduler]:
    """One for all that leaves no job in it."""
    with fake_of("flux", tmp_path_factory.mktemp("flux")) as fake:
        yield fake


@pytest.mark.parametrize("line", REFUSED, ids=ascii)
def test_what_the_source_refuses_is_refused(instance: FakeScheduler, line: str) -> None:
    done = flux(instance, *line.split())

    assert (done.returncode, done.stderr.rstrip("\n"), done.stdout) == (*REFUSED[line], "")
    assert instance.jobs() == []


@pytest.mark.parametrize("line", ["submit --help true", "submit --cc=0-3 --dry true"])
def test_some_options_submit_nothing_and_are_no_failure(instance: FakeScheduler, line: str) -> None:
    done = flux(instance, *line.split())

    assert (done.returncode, done.stderr) == (0, "")
    assert instance.jobs() == []


def test_single_braces_are_the_commands_and_double_ones_the_jobs(tmp_path: Path) -> None:
    with fake_of("flux", tmp_path) as fake:
        done = flux(fake, "submit", "--cc=3", "--job-name={cc}-{{id}}", "true")
        assert done.returncode == 0
        assert flux(fake, "jobs", "-a", "-n", "-o", "{name}").stdout == "3-{{id}}\n"


def test_of_one_command_some_jobs_are_taken_and_others_not(tmp_path: Path) -> None:
    with fake_of("flux", tmp_path, max_active_jobs=2) as fake:
        done = flux(fake, "submit", "--cc=0-3", "--begin-time=+1h", "true")

        assert done.returncode == 1
        assert len(done.stdout.split()) == 2
        assert done.stderr == "".join(
            f"cc={position}: [Errno 22] user has max active jobs\n" for position in (2, 3)
        )
        assert flux(fake, "cancel", *done.stdout.split()).returncode == 0


def test_nobody_ends_the_input_of_a_job(tmp_path: Path) -> None:
    with fake_of("flux", tmp_path) as fake:
        done = flux(fake, "run", "bash", "-c", "read -t 0.2 line; exit $?")

        assert done.returncode > 128


def test_a_job_whose_node_was_lost_says_so(tmp_path: Path) -> None:
    with fake_of("flux", tmp_path) as fake:
        job = flux(fake, "submit", "sleep", "60").stdout.strip()
        fake.wait_for(job, "running")
        fake.lose_node(job)
        fake.wait_for(job, "over")

        form = "{result} {returncode} {exception.type} {exception.severity} {exception.note}"
        said = flux(fake, "jobs", "-n", "-o", form, job).stdout
        assert said == "FAILED 1 exec 0 node failure on node01 (rank 0)\n"
