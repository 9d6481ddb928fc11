"""The fake LSF prints what the real OpenLava printed."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.scenes import Player, load_text, playing
from tests.fakes.lsf import scripts
from tests.fakes.lsf.jobs import wrap

VARYING = (
    (re.compile(r"\n {21}"), ""),
    # The day of a begin time is the day of the test; the space before the clock's time may be lost.
    (re.compile(r"\w{3} \w{3} +\d+ ?(23:59:00)( \d{4})?"), r"DAY \1"),
    (re.compile(r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d( \d{4})?"), "MOMENT"),
    (re.compile(r"\w{3} [ \d]\d \d\d:\d\d"), "MOMENT"),
    (re.compile(rf"\b({getpass.getuser()}|hpcuser)\b"), "USER"),
    # What a running job uses is known once it was polled.
    (re.compile(r"MOMENT: Resource usage collected\.\n?(?:.|\n)*?\n\n"), "\n"),
    (re.compile(r"Pid \d+|Pid <\d+>"), "Pid N"),
    (re.compile(r"(?m)^  (\d+ +){7}$"), "  SECONDS"),
    (re.compile(r"CPU time used is \d+\.\d seconds"), "CPU time used is N seconds"),
    (re.compile(r"(?m)^(real|user|sys)\s.*\n"), ""),
    (re.compile(r" +"), ""),
)
SCRIPTS = {
    "ok.lsf": "#BSUB -J scriptjob\n#BSUB -o logs/%J.out\ntrue",
    "arr.sh": "GATES/sleep ${SLEEP:-0.01}",
    "arrmix.sh": "case $LSB_JOBINDEX in 3) exit 3;; 4) kill -9 $$;; esac",
    "kill9.sh": "kill -9 $$",
    "trap.sh": "trap : INT\ntrap 'exit 42' TERM\nwhile :; do GATES/sleep 300 & wait; done",
    "memx.sh": "exec python3 -c 'x = bytearray(400 * 2**20); import time; time.sleep(60)'",
    "first_fails.sh": "exit $((LSB_JOBINDEX == 1 ? 3 : 0))",
    "envdump.sh": "env | sort; echo cwd=$PWD; echo umask=$(umask)",
}
ARRAY_ERRORS = ("1001", "reversed", "too-large", "zero-0-3")
REJECTED = (
    "M-with-unit",
    "bad-M",
    "bad-W",
    "bad-resreq",
    "no-command",
    "queue-mem",
    "queue-runlimit",
    "queue-slots",
    "queue-user",
    "unknown-queue",
)


def normalise(text: str) -> str:
    """Replace what differs from one time to the next; the order of lines is left out too."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return "\n".join(sorted(text.split("\n"))).strip()


class LsfPlayer:
    """Plays recordings of single commands by their names."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.fake = player.fake
        self.open = player.open
        self.run = player.run
        self.wait_asleep = player.wait_asleep

    def play(self, *names: str) -> None:
        """Run the commands of these recordings and compare what they print."""
        __tracebackhide__ = True
        for name in names:
            self.player.steps = [load_text("lsf", name)]
            self.player.at = 0
            self.player.play()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set up a cluster with the scripts of the recordings."""
    home = tmp_path / "home"
    (home / "lsf" / "logs").mkdir(parents=True)
    (home / "lsf" / "naming").mkdir()
    for name, text in SCRIPTS.items():
        script = home / "lsf" / name
        script.write_text(f"#!/bin/bash\n{text.replace('GATES', str(home / 'gates'))}\n")
        script.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))

    @contextmanager
    def set_up(*, sleeps: tuple[int, ...] = (300,), **settings: Any) -> Iterator[LsfPlayer]:
        def at_home(text: str) -> str:
            # Long lines are broken anywhere, in the name of the home too.
            return normalise(text.replace("\n" + " " * 21, "").replace(str(home), "/home/hpcuser"))

        with playing("lsf", [], home, at_home, place=".", sleeps=sleeps, **settings) as player:
            player.recorded_folder = "/home/hpcuser"
            player.gates_on_path = True
            path = f"{home}/gates:{player.fake.environment['PATH']}"
            player.environment = {"HOME": str(home), "PATH": path}
            yield LsfPlayer(player)

    return set_up


def test_submitting(cluster: Any) -> None:
    with cluster(first_number=202, sleeps=(2, 8)) as lsf:
        lsf.play("submit-plain-command", "submit-script-stdin", "submit-array-range")
        lsf.play("submit-array-max-concurrent", "submit-array-one-element-1")
        lsf.play("submit-array-one-element-1-1")
        lsf.fake.skip_numbers(1)
        lsf.play("submit-array-list", "submit-array-step")
        lsf.play(*(f"submit-array-{name}" for name in ARRAY_ERRORS[1:]))
        lsf.play("submit-array-limit-zero", "submit-array-no-name", "submit-array-1001")
        lsf.play("submit-name-300")
        lsf.open(2)


@pytest.mark.parametrize("name", REJECTED)
def test_requests_that_are_refused(cluster: Any, name: str) -> None:
    with cluster() as lsf:
        lsf.play(f"reject-{name}")


def test_odd_things_that_are_accepted_or_refused(cluster: Any) -> None:
    with cluster(first_number=275) as lsf:
        lsf.play("submit-name-space", "submit-name-slash", "submit-name-digits")
        lsf.fake.wait_until_idle()
        lsf.play("bjobs-w-name-with-space")
        lsf.fake.skip_numbers(10)
        lsf.play("submit-bad-resreq-accepted")
        lsf.fake.skip_numbers(1)
        lsf.play("submit-unknown-long-option-accepted")
        lsf.fake.wait_until_idle()
        lsf.play("bjobs-l-bad-resreq-accepted", "bjobs-l-unknown-long-option-accepted")
        lsf.fake.skip_numbers(4)
        lsf.play("submit-K-wait", "submit-quiet-env", "submit-too-many-slots")


def test_root_is_refused_by_default(cluster: Any) -> None:
    with cluster(refuse_root=True) as lsf:
        if getpass.getuser() == "root":
            lsf.play("submit-root-refused")


def test_an_array_that_waits(cluster: Any) -> None:
    with cluster(first_number=205, sleeps=(8,)) as lsf:
        lsf.fake.pause()
        lsf.play("submit-array-max-concurrent")
        for name in (
            "A-array-running",
            "a-array-running",
            "array-running",
            "by-name",
            "element-range",
            "noheader",
            "l-element-pending",
            "w-element-running",
            "element-out-of-range",
        ):
            lsf.play(f"bjobs-{name}")
        lsf.play("bjobs-json-unsupported", "bjobs-o-unsupported")


def test_how_jobs_end(cluster: Any) -> None:
    with cluster(first_number=216) as lsf:
        lsf.play("submit-exit0", "submit-exit3", "submit-kill9", "submit-shellkill9")
        lsf.play("submit-notfound", "submit-arrmix", "submit-runlimit")
        lsf.wait_asleep(300)
        lsf.fake.advance(61)
        lsf.fake.wait_until_idle()
        for name in ("exit0", "exit3", "kill9", "shellkill9", "notfound", "runlimit"):
            lsf.play(f"bjobs-l-{name}")
        lsf.play("bjobs-l-finished-array-mixed", "bjobs-A-finished-array-mixed")
        lsf.play("bjobs-a-finished-array-mixed", "bjobs-batch-good", "bjobs-batch-malformed")
        lsf.play("bjobs-batch-one-unknown", "bjobs-finished-without-a", "bjobs-malformed")
        lsf.play("bjobs-none", "bjobs-unknown", "bjobs-l-unknown", "bjobs-w-finished-without-a")
        for name in ("exit0", "exit3", "kill9", "runlimit", "array-element"):
            lsf.play(f"bhist-l-{name}")
        lsf.play("bhist-unknown", "bkill-finished", "bkill-finished-array")
        lsf.play("bkill-finished-element", "bkill-malformed", "bkill-unknown")
        report = lsf.run("cat lsf/logs/217.out")[1]
        assert without_usage(report) == without_usage(load_text("lsf", "job-output-exit3").stdout)
        assert "User defined signal 2" in lsf.run("cat lsf/logs/222.out")[1]


def without_usage(text: str) -> str:
    """A report without what the job used."""
    return normalise(re.sub(r"(?m)^    (CPU|Max).*$", "", text))


def test_signals_that_come_from_outside_and_from_within(cluster: Any) -> None:
    with cluster(first_number=297, sleeps=(5, 100)) as lsf:
        lsf.play("submit-swaplimit-exec", "submit-segv", "submit-killterm-self")
        lsf.play("submit-external-kill9")
        lsf.fake.wait_for("300", "running")
        lsf.fake.kill("300")
        lsf.open(5)
        lsf.fake.wait_until_idle()
        lsf.play("bjobs-l-swaplimit-exec", "bjobs-l-segv", "bjobs-l-killterm-self")
        lsf.play("bjobs-l-external-kill9")


def test_killing_in_every_state(cluster: Any) -> None:
    with cluster(first_number=225) as lsf:
        lsf.play("submit-long", "submit-long-trap", "submit-long2", "submit-long-array")
        lsf.play("submit-pending-resource")
        lsf.fake.skip_numbers(1)
        lsf.play("submit-begin-later", "submit-hold-H", "submit-pend-to-kill")
        for job in ("225", "226", "227", "228[1]"):
            lsf.fake.wait_for(job, "running")
        lsf.wait_asleep(300, jobs=5)
        lsf.play("bjobs-l-long", "bjobs-l-pending-resource", "bjobs-l-begin-later")
        lsf.play("bjobs-l-held-H", "bjobs-held-H")
        lsf.play("bkill-running", "bkill-running-trap", "bkill-s-KILL", "bkill-pending")
        lsf.fake.pause()
        lsf.play("bkill-element-running", "bkill-element-pending", "bkill-element-range")
        lsf.play("bkill-array", "bkill-psusp")
        lsf.fake.unpause()
        for job in ("225", "226", "227", "228[1]", "228[2]"):
            lsf.fake.wait_for(job)
        lsf.fake.wait_for("228[6]", "running")
        for name in ("long", "long-trap", "long2", "pend-to-kill", "begin-later", "array"):
            lsf.play(f"bjobs-l-after-bkill-{name}")
        lsf.play("bjobs-w-after-bkill", "bhist-l-after-bkill-pending")
        lsf.play("bhist-l-after-bkill-running")
        report = lsf.run("cat lsf/logs/225.out")[1]
        assert without_usage(report) == without_usage(load_text("lsf", "job-output-bkill").stdout)
        lsf.run("bkill 0")


def test_stopping_and_resuming(cluster: Any) -> None:
    with cluster(first_number=227) as lsf:
        lsf.play("submit-long2")
        lsf.fake.wait_for("227", "running")
        (lsf.player.folder / "gates" / "4").touch()
        lsf.play("bstop-running", "bresume-running")


def test_dependencies_of_every_kind(cluster: Any) -> None:
    with cluster(first_number=216, sleeps=(12, 15)) as lsf:
        lsf.play("submit-exit0", "submit-exit3")
        lsf.fake.wait_until_idle()
        lsf.fake.pause()
        lsf.fake.skip_numbers(16)
        lsf.play("dep-parent-ok", "dep-parent-fail", "dep-parent-array", "dep-parent-array-fail")
        step = load_text("lsf", "dep-parent-to-kill-pending")
        assert lsf.run(step.command)[1] == step.stdout
        for name in (
            "done-plain",
            "ended-plain-failing",
            "done-failing",
            "exit-failing",
            "exit-failing-code",
            "done-array",
            "done-array-element",
            "done-array-star",
            "done-array-failing",
            "ended-array-failing",
            "numdone-array-failing",
            "and",
            "or",
            "bare-id",
            "unknown",
            "finished-ok",
            "finished-failed",
            "finished-failed-ended",
            "syntax-error",
            "by-name",
            "ended-killed-pending",
            "done-killed-pending",
            "array-child",
            "array-child-elementwise",
        ):
            lsf.play(f"dep-{name}")
        lsf.play("dep-bjobs-l-waiting-done-plain")
        lsf.run("bresume 254")
        lsf.play("dep-bkill-pending-parent", "dep-bjobs-w-waiting", "dep-bjdep")
        lsf.fake.unpause()
        lsf.fake.wait_for("235", "running")
        lsf.open(12, 15)
        for number in (239, 240, 242, 243, 244, 245, 248, 250, 251, 252, 254, 256, 258, 259):
            lsf.fake.wait_for(str(number))
        lsf.fake.wait_for("261")
        lsf.fake.wait_for("262")
        lsf.play("dep-bjobs-w-after")
        for name in (
            "done-array-failing",
            "done-failing",
            "done-killed-pending",
            "ended-killed-pending",
            "finished-failed",
        ):
            lsf.play(f"dep-bjobs-l-after-{name}")


def test_forgotten_jobs(cluster: Any) -> None:
    with cluster(first_number=508, clean_period=20) as lsf:
        lsf.play("aged-submit")
        lsf.fake.wait_until_idle()
        lsf.fake.advance(30)
        lsf.play("aged-bjobs-all", "aged-bjobs", "aged-bhist", "aged-bkill")
        lsf.play("aged-dep", "aged-dep-ended", "bhist-l-aged-exit-code")


def test_no_command_fails_while_the_daemons_are_down(cluster: Any) -> None:
    with cluster(chatter_seconds=0.1) as lsf:
        lsf.fake.go_down()
        recorded = load_text("lsf", "mbatchd-down-bjobs").stderr
        for command in ("bjobs -a", "bsub -o /dev/null true"):
            told = "until [ -s told ]; do sleep 0.01; done; jobs -r | wc -l; kill %1; cat told"
            waiting = lsf.run(f"rm -f told; {command} 2> told & {told}")[1].splitlines()
            assert waiting[0].strip() == "1"
            assert set(waiting[1:]) == set(recorded.splitlines())
        lsf.fake.come_up()
        assert lsf.run("bsub -o /dev/null true")[0] == 0


def test_variables_in_a_job(cluster: Any) -> None:
    with cluster(first_number=263) as lsf:
        lsf.play("submit-env", "submit-env-array")
        lsf.fake.wait_until_idle()
        for name, output in (("plain", "plain"), ("array-element", "arr-3")):
            wanted = variables(load_text("lsf", f"job-env-{name}").stdout)
            found = variables(lsf.run(f"cat lsf/env-{output}.txt")[1])
            assert wanted - found <= {"PBS_CONF_FILE", "SHELL"}
        assert "LSB_JOBINDEX=0\n" in lsf.run("cat lsf/env-plain.txt")[1]


def variables(text: str) -> set[str]:
    """The names of the variables that a job printed."""
    return {line.split("=")[0] for line in text.splitlines() if re.match(r"[A-Z]\w*=", line)}


def test_names_of_output_files(cluster: Any) -> None:
    with cluster(first_number=265) as lsf:
        lsf.play("submit-naming")
        lsf.fake.wait_until_idle()
        recorded = load_text("lsf", "default-output-files").stdout
        names = set(re.findall(r"\d\d:\d\d (\S+)$", recorded, re.MULTILINE)) - {".", ".."}
        assert set(lsf.run("ls lsf/naming")[1].split()) == {
            name for name in names if name in recorded.split("total")[1].split("==")[0]
        }
        appended = lsf.run("grep -c LSBATCH lsf/naming/app.txt; tail -1 lsf/naming/err.txt")[1]
        assert appended.split() == ["2", "err"]


@pytest.mark.parametrize(
    "text",
    [
        "Job Id <216>, Job Name <exit0>, User <hpcuser>, Project <default>, Status <DONE>, "
        "Queue <normal>, Command <true>",
        "Sun Nov 22 06:26:27: Started on <vm>, Execution Home </home/hpcuser>, Execution CWD "
        "</home/hpcuser/lsf>;",
        "Sun Nov 22 06:26:27: Done successfully. The CPU time used is 0.0 seconds.",
    ],
)
def test_lines_are_broken_in_the_midst_of_words(text: str) -> None:
    assert wrap(text) in load_text("lsf", "bjobs-l-exit0").stdout


def test_a_line_that_is_just_full_is_followed_by_an_empty_one() -> None:
    text = "Sun Nov 22 06:26:27: Exited with exit code 3. The CPU time used is 0.0 seconds."
    assert wrap(text) in load_text("lsf", "bjobs-l-exit3").stdout


# -- as the sources of OpenLava have it, without a recording -----------------------------------
@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "#BSUB -n 4 -R 'span[hosts=1]  rusage[mem=9]'",
            ["-n", "4", "-R", "span[hosts=1] rusage[mem=9]"],
        ),
        (" # BSUB -J 'a \"b\"'", ["-J", 'a "b"']),
        ("#BSUB -J a\\ b", ["-J", "a\\", "b"]),
        ("#BSUB -J 'a'b -q c", ["-J", "a", "-q", "c"]),
        ("#BSUB -J a'b c'", ["-J", "a'b", "c'"]),
        ('#BSUB -J "it\'s mine" -q c', ["-J", "it's mine", "-q", "c"]),
        ('#BSUB -J it\'s "mine too" -q c', ["-J", "it's", "mine too", "-q", "c"]),
        ("#BSUB -J 'a b -q c", ["-J"]),
        ("#BSUB -q c # -n 4", ["-q", "c"]),
        ("#BSUB -J ''", ["-J", ""]),
        ("#BSUB none -q c", []),
        ("echo #BSUB -q c", []),
    ],
)
def test_bsub_takes_its_lines_apart_in_a_way_of_its_own(line: str, words: list[str]) -> None:
    assert scripts.directive_words(f"#!/bin/sh\n{line}\ntrue\n") == words


def test_a_line_of_bsubs_that_ends_in_a_backslash_goes_on() -> None:
    script = "# as BSUB does \\\necho never\n#BSUB -q\\\n night\ntrue \\\n#BSUB -n 4\n"

    joined = scripts.joined(script)

    assert joined.splitlines() == [
        "# as BSUB does echo never",
        "#BSUB -q night",
        "true \\",
        "#BSUB -n 4",
    ]


def test_a_script_is_shown_in_one_line() -> None:
    text = "#!/bin/sh\nwhile :; do\n  sleep 1 &\ndone;\n"

    assert scripts.shown(text, 255) == "#!/bin/sh;while :; do;  sleep 1 & done"
    assert len(scripts.shown("x" * 300, scripts.SCRIPT_SHOWN)) < 255


@pytest.mark.parametrize("command", ["bjobs", "bkill", "bhist"])
def test_a_word_that_is_longer_than_a_line_ends_the_command(cluster: Any, command: str) -> None:
    many = ",".join(str(index) for index in range(1, 1000, 2))
    with cluster() as lsf:
        code, _, errors = lsf.run(f"{command} '101[{many}]'")

    assert code == 134
    assert "buffer overflow" in errors


def test_a_project_of_the_environment_wins_over_the_one_of_a_script(cluster: Any) -> None:
    with cluster(first_number=300) as lsf:
        lsf.run("printf '#BSUB -P mine\\ntrue\\n' > p.lsf")
        lsf.run("bsub < p.lsf")
        lsf.run("LSB_DEFAULTPROJECT=all bsub < p.lsf")
        lsf.run("LSB_DEFAULTPROJECT=all bsub -P other < p.lsf")
        shown = [lsf.run(f"bjobs -UF {number}")[1] for number in (300, 301, 302)]

    assert [re.findall(r"Project <(\w+)>", text) for text in shown] == [
        ["mine"],
        ["all"],
        ["other"],
    ]


def test_a_reservation_that_no_host_can_hold_waits(cluster: Any) -> None:
    with cluster(first_number=300) as lsf:
        lsf.run("bsub -R 'rusage[mem=99999]' true")
        reason = "Job requirements for reserving resource (mem) not satisfied"
        lsf.fake.wait_for("300", "pending")
        assert reason in lsf.run("bjobs -l 300")[1]
        lsf.run("bkill 300")


def test_bhist_cannot_read_its_log_everywhere(cluster: Any) -> None:
    with cluster(readable_events=False) as lsf:
        code, _, errors = lsf.run("bhist -l 101")

    assert code == 255
    assert errors.endswith("/logdir/lsb.events: Permission denied\n")
