"""The fake OpenPBS prints what the real one printed."""

from __future__ import annotations

import difflib
import getpass
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.scenes import Player, load_text, playing
from tests.fakes.pbs.writers import dsv

VARYING = (
    (re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"), "MOMENT"),
    (re.compile(r"\w{3} \w{3} [ \d]\d at \d\d:\d\d"), "MOMENT"),
    (re.compile(r"timestamp\":\s*\d+"), 'timestamp": 0'),
    (re.compile(rf"\b({getpass.getuser()}|hpcuser)\b"), "USER"),
    # How much a job has used, and when that is first known, is a matter of polling.
    (re.compile(r"USER +(0|00:00:00) "), "USER USED "),
    (re.compile(r" {2,}"), " "),
    (re.compile(r"(?m)^(real|user|sys)\s.*\n"), ""),
    (re.compile(r"localhost:"), "node01:"),
)
SCRIPTS = {
    "ok.sh": "true",
    "exit3.sh": "exit 3",
    "kill9.sh": "kill -9 $$",
    "killterm.sh": "kill -TERM $$",
    "childkill9.sh": "bash -c 'kill -9 $$'",
    "long.sh": "GATES/sleep 300",
    "trapterm.sh": "trap 'exit 42' TERM\nGATES/sleep 300 & wait",
    "eatmem.sh": "exec python3 -c 'x = bytearray(400 * 2**20); import time; time.sleep(60)'",
    "arr.sh": "GATES/sleep ${SLEEP:-0.01}",
    "arrslow.sh": "GATES/sleep 5$PBS_ARRAY_INDEX\n"
    "case $PBS_ARRAY_INDEX in 1) exit 3;; 2) kill -9 $$;; esac",
    "arrmix.sh": "case $PBS_ARRAY_INDEX in 3) exit 3;; 4) kill -9 $$;; 5) GATES/sleep 1;; esac",
    "fail_last.sh": "GATES/sleep 0.$PBS_ARRAY_INDEX; exit $(( PBS_ARRAY_INDEX == 2 ? 3 : 0 ))",
    "first_fails.sh": "GATES/sleep $PBS_ARRAY_INDEX; exit $(( PBS_ARRAY_INDEX == 0 ? 3 : 0 ))",
    "last_fails.sh": "GATES/sleep $PBS_ARRAY_INDEX; exit $(( PBS_ARRAY_INDEX == 2 ? 3 : 0 ))",
    "all_fail.sh": "exit 3",
    "parity.sh": "true",
    "envdump.sh": "env | sort",
}


def normalise(text: str) -> str:
    """Replace what differs from one time to the next."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return text.strip()


class PbsPlayer:
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
            self.player.steps = [load_text("pbs", name)]
            self.player.at = 0
            self.player.play()

    def play_json(self, name: str) -> None:
        """Compare the jobs of a JSON answer: every attribute, in the same order."""
        __tracebackhide__ = True
        step = load_text("pbs", name)
        code, stdout, _ = self.run(step.command)
        assert code == step.exit_code
        wanted, found = (
            json.dumps(json.loads(normalise_json(text)), indent=1).splitlines()
            for text in (step.stdout, stdout)
        )
        if found != wanted:
            difference = difflib.unified_diff(wanted, found, "recorded", "fake", lineterm="", n=2)
            raise AssertionError(f"$ {step.command}\n" + "\n".join(difference))


def normalise_json(text: str) -> str:
    """Replace the values that differ from one time to the next."""
    text = normalise(text)
    text = re.sub(r'"(session_id|history_timestamp)":\s*\d+', r'"\1": 0', text)
    text = re.sub(r'"(mem|vmem)":\s*"\d+kb"', r'"\1": "0kb"', text)
    text = re.sub(r'"walltime":\s*"00:00:\d\d"', '"walltime": "SPAN"', text)
    text = re.sub(r'"(PBS_O_\w+)":\s*"[^"]*"', r'"\1": "WORD"', text)
    text = re.sub(r"node01/\d+", "node01/N", text)
    # A job too short to be polled has no session.
    return re.sub(r'\s*"session_id":\s*0,', "", text)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set up a server with the scripts of the recordings in its user's home."""
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    for name, text in SCRIPTS.items():
        body = text.replace("GATES", str(home / "gates"))
        (home / name).write_text(f"#!/bin/bash\n{body}\n")
    (home / "badinterp.sh").write_text("#!/no/such/interpreter\n")
    monkeypatch.setenv("HOME", str(home))

    @contextmanager
    def set_up(*, sleeps: tuple[int, ...] = (300,), **settings: Any) -> Iterator[PbsPlayer]:
        with playing("pbs", [], home, normalise, place=".", sleeps=sleeps, **settings) as player:
            player.recorded_folder = "/home/hpcuser"
            yield PbsPlayer(player)

    return set_up


def test_arrays_that_are_refused_and_accepted(server: Any) -> None:
    with server(first_number=3, sleeps=(4, 300)) as pbs:
        pbs.play("submit-plain")
        pbs.play("submit-stdin-command-line")
        pbs.play("submit-array-range")
        pbs.play("submit-array-max-concurrent")
        pbs.play("submit-array-one-element-0-1-step2")
        pbs.play("submit-array-step")
        pbs.fake.skip_numbers(1)
        pbs.play("submit-array-limit-zero")
        for name in (
            "comma-list",
            "negative",
            "one-element-0-0",
            "one-element-1-1",
            "one-element-limit",
            "reversed",
            "single-number",
            "too-large",
        ):
            pbs.play(f"submit-array-{name}")


def test_an_array_while_it_runs(server: Any) -> None:
    with server(first_number=6, sleeps=(4,)) as pbs:
        pbs.fake.pause()
        pbs.play("submit-array-max-concurrent", "qstat-text-array-parent-running")
        pbs.play("qstat-text-array-t-running")
        pbs.fake.unpause()
        pbs.fake.wait_for("6[1]", "running")
        pbs.play_json("qstat-json-array-parent-running")


def test_requests_that_are_refused(server: Any) -> None:
    with server() as pbs:
        for name in (
            "bad-mem-value",
            "bad-option",
            "bad-walltime",
            "disabled-queue",
            "mixed-select-and-mem",
            "queue-mem",
            "queue-ncpus",
            "queue-walltime",
            "too-many-array",
            "unknown-queue",
            "unknown-resource-joblevel",
            "unknown-resource",
        ):
            pbs.play(f"reject-{name}")
        for name in ("name-colon", "name-long", "name-space", "missing-script", "v-single-quote"):
            pbs.play(f"submit-{name}")


def test_the_limit_of_queued_jobs(server: Any) -> None:
    with server(first_number=56) as pbs:
        pbs.play("reject-too-many-jobs", "reject-too-many-array")


def test_how_jobs_end(server: Any) -> None:
    with server(first_number=11, sleeps=(1, 300)) as pbs:
        names = ["exit0", "exit3", "kill9", "killterm", "childkill9", "badinterp", "arrmix"]
        pbs.play(*(f"submit-{name}" for name in [*names, "walltime", "walltime-trap", "mem-limit"]))
        pbs.fake.wait_for("17[4]")
        pbs.open(1)
        for number in range(11, 18):
            pbs.fake.wait_for(str(number))
        pbs.fake.advance(6)
        pbs.fake.wait_until_idle()
        for name in (*names, "walltime", "walltime-trap", "mem-limit"):
            pbs.play_json(f"qstat-json-finished-{name}")
        pbs.play_json("qstat-json-finished-array-arrmix-t")
        pbs.play_json("qstat-json-finished-subjob")
        pbs.play("qstat-text-finished-array-t")


def test_jobs_that_wait(server: Any) -> None:
    with server(first_number=21) as pbs:
        pbs.play("submit-held", "submit-queued-stopped-queue", "submit-waiting", "submit-never-run")
        pbs.play("submit-held-array")
        for name in ("held", "queued-stopped-queue", "waiting", "never-run", "held-array"):
            pbs.play_json(f"qstat-json-state-{name}")
        pbs.play("qdel-held", "qdel-queued", "qdel-waiting", "qdel-held-array")
        pbs.play_json("qstat-json-after-qdel-held")
        pbs.play_json("qstat-json-after-qdel-queued-stopped-queue")


def test_deleting_running_jobs(server: Any) -> None:
    with server(first_number=26, kill_wait=0.5) as pbs:
        pbs.play("submit-long", "submit-long2", "submit-long-trap", "submit-long-array")
        for job in ("26", "27", "28", "29[0]", "29[1]"):
            pbs.fake.wait_for(job, "running")
        pbs.wait_asleep(300, jobs=5)
        pbs.play_json("qstat-json-state-long-array")
        pbs.play("qdel-running", "qdel-running-force", "qdel-running-trap")
        for job in ("26", "27", "28"):
            pbs.fake.wait_for(job)
        pbs.play("qdel-again-immediately")
        for name in ("long", "long2", "long-trap"):
            pbs.play_json(f"qstat-json-after-qdel-{name}")
        pbs.play("qdel-subjob-queued", "qdel-subjob-range", "qdel-subjob-running")
        pbs.fake.wait_for("29[0]")
        pbs.fake.wait_for("29[5]", "running")
        pbs.play("qstat-text-array-after-subjob-qdel", "qdel-array")
        pbs.fake.wait_for("29[]")
        pbs.play_json("qstat-json-after-qdel-array-t")
        pbs.play("qdel-finished-array", "qdel-finished-subjob")


def test_an_array_ends_element_by_element(server: Any) -> None:
    with server(first_number=30, sleeps=(50, 51, 52, 53, 54, 55)) as pbs:
        pbs.play("submit-array-slow")
        pbs.fake.wait_for("30[2]", "running")
        pbs.open(50)
        pbs.fake.wait_for("30[0]")
        pbs.open(52)
        pbs.fake.wait_for("30[2]")
        pbs.open(51)
        pbs.fake.wait_for("30[1]")
        pbs.fake.wait_for("30[5]", "running")
        pbs.play_json("qstat-json-array-partly-done-t")
        pbs.play_json("qstat-json-array-partly-done-xt")
        pbs.play_json("qstat-json-array-partly-done-subjob1-X")
        pbs.play("qstat-text-array-partly-done-t", "qdel-subjob-finished-array-running")
        pbs.open(53, 54, 55)
        pbs.fake.wait_for("30[]")
        pbs.play_json("qstat-json-array-slow-finished-xt")


def test_the_array_has_the_exit_status_of_its_last_element(server: Any) -> None:
    with server(first_number=31) as pbs:
        pbs.play("submit-array-fail-last")
        pbs.fake.wait_for("31[]")
        pbs.play_json("qstat-json-array-fail-last-done-xt")


def test_asking_for_several_jobs(server: Any) -> None:
    with server(first_number=11, sleeps=(1,)) as pbs:
        pbs.play("submit-exit0")
        pbs.run("qsub -h ok.sh")
        pbs.play("submit-kill9", "submit-killterm")
        pbs.fake.skip_numbers(2)
        pbs.play("submit-arrmix")
        pbs.open(1)
        for job in ("11", "13", "14", "17[]"):
            pbs.fake.wait_for(job)
        for name in (
            "all-good",
            "array-and-plain-xt",
            "duplicate-id",
            "finished-without-x",
            "malformed-one",
            "one-unknown",
            "two-unknown",
            "unknown-first",
            "unknown-last",
        ):
            pbs.play_json(f"qstat-batch-{name}")
        pbs.play("qstat-batch-one-unknown-text", "qstat-json-multi-id-loses-jobs")
        for name in ("array-x-json", "json", "subjob-x-json", "text", "x-json"):
            pbs.play(f"qstat-unknown-{name}")
        pbs.play("qstat-malformed", "qstat-noX-finished-array", "qstat-noX-finished-plain")
        pbs.play("qdel-finished", "qdel-unknown", "qdel-malformed")
        pbs.run("qdel 12")
        pbs.play("qdel-x-finished", "qstat-purged-history")


def test_the_release_prints_every_job_and_invalid_json(server: Any) -> None:
    with server(first_number=11, json_writer="release") as pbs:
        pbs.run("qsub -N exit0 ok.sh; qsub -h ok.sh; qsub -N kill9 kill9.sh")
        pbs.fake.wait_for("11")
        pbs.fake.wait_for("13")
        recorded = load_text("pbs", "release-23.06.06-qstat-json-batch").stdout
        found = pbs.run("qstat -x -f -F json 11.node01 13.node01")[1]
        assert list(json.loads(found)["Jobs"]) == list(json.loads(recorded)["Jobs"])
        assert (
            found.splitlines()[:4]
            == re.sub(r"\d{10}", str(json.loads(found)["timestamp"]), recorded).splitlines()[:4]
            or found.splitlines()[2:4] == recorded.splitlines()[2:4]
        )
        pbs.run("K_NAN=nan J_DOT=1. qsub -N 123 -h -v K_NAN,J_DOT ok.sh")
        odd = pbs.run("qstat -f -F json 14")[1]
        recorded = load_text("pbs", "release-23.06.06-qstat-json-odd-env").stdout
        for line in ('"Job_Name":123', '"K_NAN":nan', '"J_DOT":1.'):
            assert line in odd
            assert line in recorded


def test_a_server_without_history_forgets_at_once(server: Any) -> None:
    with server(first_number=0, job_history=False) as pbs:
        pbs.run("qsub ok.sh")
        pbs.fake.wait_until_idle()
        pbs.play("default-qstat-finished-history-disabled")


def test_the_server_is_down(server: Any) -> None:
    with server(first_number=11) as pbs:
        pbs.play("submit-exit0")
        pbs.fake.wait_for("11")
        pbs.fake.go_down()
        pbs.play("server-down-qdel", "server-down-qstat", "server-down-qsub")
        pbs.fake.come_up()
        pbs.play("server-back-qstat")


def test_root_is_refused_by_default(server: Any) -> None:
    with server(refuse_root=True) as pbs:
        if getpass.getuser() == "root":
            pbs.play("default-submit-root-refused")


def test_names_of_output_files(server: Any) -> None:
    with server(first_number=35) as pbs:
        pbs.play("submit-default-naming")
        pbs.play("submit-o-array-index", "submit-o-plain-file-array")
        pbs.fake.wait_until_idle()
        pbs.play("submit-o-nonexistent-dir", "submit-o-jobid-dollar", "submit-k-oed")
        pbs.fake.wait_until_idle()
        listed = pbs.run("ls naming naming2 naming3 naming4 naming5")[1]
        recorded = load_text("pbs", "default-output-file-names").stdout
        assert listed.strip() == recorded.rpartition("idx=1")[0].strip()
        pbs.play("submit-name-digit", "submit-name-230")
        pbs.fake.wait_until_idle()


def test_waiting_for_a_job(server: Any) -> None:
    with server(first_number=118) as pbs:
        pbs.play("block-wait")


def test_variables_in_a_job(server: Any) -> None:
    with server(first_number=32) as pbs:
        pbs.play("submit-env", "submit-env-V", "submit-env-array")
        pbs.fake.wait_until_idle()
        for name, output in (("plain", "plain"), ("array-element", "arr-3")):
            wanted = variables(load_text("pbs", f"job-env-{name}").stdout)
            found = variables(pbs.run(f"cat env-{output}.txt")[1])
            assert wanted <= found
            assert found - wanted <= {"LANG", "PBS_CONF_FILE", "PWD", "SHLVL", "_", "OLDPWD"}
        assert "FOO=frompath" in pbs.run("cat env-V.txt")[1]
        assert oct((Path.home() / "env-V.txt").stat().st_mode)[-3:] == "600"


def variables(text: str) -> set[str]:
    """The names of the variables that a job printed."""
    return {line.split("=")[0] for line in text.splitlines() if re.match(r"[A-Z]\w*=", line)}


def test_dependencies_of_every_kind(server: Any) -> None:
    with server(first_number=11, sleeps=(1, 2, 12, 300)) as pbs:
        pbs.play("submit-exit0", "submit-exit3", "submit-kill9")
        pbs.fake.skip_numbers(3)
        pbs.play("submit-arrmix")
        pbs.fake.skip_numbers(13)
        pbs.play("submit-array-fail-last")
        pbs.open(1)
        for job in ("11", "13", "17[]", "31[]"):
            pbs.fake.wait_for(job)
        pbs.fake.skip_numbers(30)
        pbs.play("dep-parent-ok", "dep-parent-array", "dep-parent-fail", "dep-parent-fail-array")
        pbs.fake.wait_for("65[]")
        for name in (
            "afterok-plain",
            "afterany-plain",
            "afterok-on-failing",
            "afternotok-on-failing",
            "afternotok-on-ok",
            "afterok-array",
            "afterok-two",
            "array-child-afterok",
            "afterok-failing-array",
            "afterany-failing-array",
            "afterok-ANDed-types",
            "chain-on-doomed",
            "unknown-job",
            "finished-ok-job",
            "finished-failed-job",
            "finished-failed-job-afterany",
            "finished-failed-array-afterok",
            "finished-mixed-array-afterok",
            "afterok-subjob",
            "bad-syntax",
        ):
            pbs.play(f"dep-{name}")
        for name in ("afterok-plain", "afterok-array", "array-child-afterok"):
            pbs.play_json(f"dep-qstat-json-waiting-{name}")
        pbs.open(12)
        pbs.fake.wait_until_idle()
        for name in (
            "afterany-failing-array",
            "afterany-plain",
            "afternotok-on-failing",
            "afternotok-on-ok",
            "afterok-array",
            "afterok-on-failing",
            "afterok-plain",
            "afterok-two",
            "array-child-afterok",
            "chain-on-doomed",
            "finished-failed-array-afterok",
            "finished-failed-job",
            "finished-mixed-array-afterok",
            "finished-ok-job",
            "unknown-job",
        ):
            pbs.play_json(f"dep-qstat-json-after-{name}")


def test_an_array_counts_as_good_when_its_last_element_was(server: Any) -> None:
    with server(first_number=84, sleeps=(0, 1, 2, 300)) as pbs:
        pbs.play("dep2-array-first-fails", "dep2-array-last-fails", "dep2-array-all-fail")
        pbs.play("dep2-array-to-qdel")
        pbs.run("qsub -h long.sh")
        for kind in ("first-fails", "last-fails", "all-fail", "to-qdel"):
            for condition in ("afterok", "afterany"):
                pbs.play(f"dep2-{condition}-array-{kind}")
        for number in (0, 1, 2):
            pbs.open(number)
            for array in ("84", "85"):
                pbs.fake.wait_for(f"{array}[{number}]")
        pbs.fake.wait_for("86[]")
        pbs.fake.wait_for("87[0]", "running")
        pbs.run("qdel '87[]'")
        pbs.play("dep2-afterok-plain-to-qdel", "dep2-afterany-plain-to-qdel")
        pbs.run("qdel 88")
        for number in range(89, 97):
            pbs.fake.wait_for(str(number))
        for kind in ("array-first-fails", "array-last-fails", "array-all-fail", "array-to-qdel"):
            for condition in ("afterok", "afterany"):
                pbs.play_json(f"dep2-qstat-json-{condition}-{kind}")
        for condition in ("afterok", "afterany"):
            pbs.play_json(f"dep2-qstat-json-{condition}-plain-to-qdel")


def test_who_waits_for_a_job_deleted_before_it_ran_waits_for_ever(server: Any) -> None:
    with server(first_number=99) as pbs:
        pbs.play("depq-parent-held", "depq-parent-queued", "depq-parent-running")
        for state in ("held", "queued", "running"):
            for condition in ("afterok", "afterany"):
                pbs.play(f"depq-{condition}-{state}")
        pbs.fake.wait_for("101", "running")
        pbs.play("depq-qdel-parents")
        pbs.fake.wait_for("107")
        for state in ("held", "queued", "running"):
            for condition in ("afterok", "afterany"):
                pbs.play_json(f"depq-qstat-json-{condition}-{state}")


def test_a_follow_up_submitted_first_is_released_by_a_held_array_that_is_deleted(
    server: Any,
) -> None:
    with server() as pbs:
        pbs.run("qsub -W depend=on:1 ok.sh")
        assert pbs.fake.job("1.node01").phase == "pending"
        pbs.run("qsub -h -J 0-1:2 -W depend=beforeany:1.node01 ok.sh")
        pbs.run("qdel '2[]'")
        pbs.fake.wait_for("1")
        assert pbs.fake.job("1.node01").code == 0


def test_holding_releasing_and_running_again(server: Any) -> None:
    with server(first_number=115) as pbs:
        pbs.play("hold-array-submit", "hold-running-submit")
        pbs.wait_asleep(300)
        pbs.play("qhold-running")
        assert pbs.run("qselect -s H")[1] == "115[].node01\n"
        if getpass.getuser() == "root":
            assert pbs.run("qrerun 116")[0] == 0
            pbs.fake.wait_for("116", "pending")
            assert "job_state = H" in pbs.run("qstat -f 116")[1]
            pbs.run("qrls 116")
            pbs.wait_asleep(300, jobs=2)
            pbs.run("qsig -s USR1 116")
            pbs.fake.wait_for("116")
            assert "Exit_status = 266" in pbs.run("qstat -x -f 116")[1]
        pbs.run("qrls '115[]'")
        pbs.fake.wait_for("115[]")


def test_choosing_by_state_and_name(server: Any) -> None:
    with server(first_number=10) as pbs:
        pbs.play("submit-array-limit-zero")
        pbs.fake.skip_numbers(10)
        pbs.play("submit-held", "submit-queued-stopped-queue", "submit-waiting", "submit-never-run")
        pbs.play("submit-held-array", "submit-long", "submit-long2", "submit-long-trap")
        pbs.play("submit-long-array")
        pbs.fake.wait_for("29[1]", "running")
        pbs.play("qselect-states", "qstat-text-all-states")


def test_values_with_commas_and_quotes(server: Any) -> None:
    with server(first_number=130) as pbs:
        step = load_text("pbs", "submit-v-inline-comma")
        found = pbs.run(step.command.partition("; for j in")[0])[1]
        assert found == step.stdout.partition("    Variable_List")[0]


SIZED = {"workq": {"max_queued": 3, "max_array_size": 3, "max_queued_res": {"ncpus": 4}}}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("-J 0-3", 3, "Array job exceeds server or queue size limit"),
        ("-J 0-2", 38, "would exceed queue generic's per-user limit"),
        ("-l ncpus=4", 38, "would exceed per-user limit on resource ncpus in queue workq"),
    ],
)
def test_limits_hold_for_what_runs_as_for_what_waits(
    server: Any, options: str, code: int, said: str
) -> None:
    with server(queues=SIZED) as pbs:
        assert pbs.run("qsub long.sh")[0] == 0
        pbs.fake.wait_for("1.node01", "running")
        answer = pbs.run(f"qsub {options} ok.sh")
        assert (answer[0], answer[2]) == (code, f"qsub: {said}\n")
        text = pbs.run("qstat -Q -f workq")[1]
        assert "    max_queued = [u:PBS_GENERIC=3]\n" in text
        assert "    max_queued_res.ncpus = [u:PBS_GENERIC=4]\n" in text


def test_the_limits_of_the_whole_complex_have_words_of_their_own(server: Any) -> None:
    with server(max_queued=1, max_queued_res={"mem": 2**20}) as pbs:
        said = pbs.run("qsub -l mem=2mb ok.sh")[2]
        assert said == "qsub: would exceed per-user limit on resource mem in complex\n"
        pbs.run("qsub -h ok.sh")
        assert pbs.run("qsub ok.sh")[2] == "qsub: would exceed complex's per-user limit\n"
        assert "max_queued = [u:PBS_GENERIC=1]" in pbs.run("qstat -B -f")[1]


def test_what_is_to_let_go_a_job_that_is_over_or_waits_for_nothing_is_given_up(
    server: Any,
) -> None:
    with server() as pbs:
        pbs.run("qsub ok.sh")
        pbs.fake.wait_for("1.node01")
        pbs.run("qsub -h ok.sh")
        pbs.run("qsub -W depend=on:1 ok.sh")
        for number in (1, 2):
            job = pbs.run(f"qsub -h -W depend=beforeany:{number} ok.sh")[1].strip()
            assert "job_state = F" in pbs.run(f"qstat -x -f {job}")[1]
        for state in ("H", "F"):
            job = pbs.run("qsub -h -W depend=beforeany:3 ok.sh")[1].strip()
            assert f"job_state = {state}" in pbs.run(f"qstat -x -f {job}")[1]


@pytest.mark.parametrize(
    ("directive", "code", "said"),
    [
        ("-N 'a'\"b\"c", 0, ""),
        ("-N a\\b", 0, ""),
        ("-N abc # a remark", 1, "qsub: directive error: -N abc # a remark \n"),
        ("-N 'abc", 1, "qsub: unmatched \n"),
        ("-N a,b", 2, "qsub: illegal -N value\n"),
    ],
)
def test_directives_are_not_read_as_a_shell_would(
    server: Any, tmp_path: Path, directive: str, code: int, said: str
) -> None:
    with server() as pbs:
        (tmp_path / "home" / "words.sh").write_text(f"#!/bin/sh\n  #PBS {directive}\ntrue\n")
        answer = pbs.run("qsub words.sh")
        assert (answer[0], answer[2].partition("usage")[0]) == (code, said)


def test_qselect_is_as_strict_as_its_usage(server: Any) -> None:
    with server(job_history=False) as pbs:
        code, out, said = pbs.run("qselect -x -N abc")
        assert (code, out) == (0, "")
        assert said == "qselect: PBS is not configured to maintain job history\n"
        assert pbs.run("qselect -s QC")[2].startswith("qselect: illegal -s value\nusage: qselect")
        assert pbs.run("qselect abc")[0] == 2


def test_values_are_escaped_between_delimiters() -> None:
    text = dsv({"1.x": {"a": "x|y", "b": "\\", "c": r"it\'s,\,", "d": "two\nlines"}})
    assert text == "Job Id: 1.x|a=x\\|y|b=\\\\|c=it\\'s,\\,|d=two\\nlines\n"


def test_output_goes_to_the_submitting_machine_where_no_other_is_named(server: Any) -> None:
    with server(copies=False, undelivered_seconds=600.0) as pbs:
        pbs.run("qsub -j oe -o localhost:/dev/null ok.sh; qsub -j oe -o /dev/null ok.sh")
        pbs.fake.wait_for("1.node01")
        pbs.fake.wait_for("2.node01", "ending")
        assert "job_state = E" in pbs.run("qstat -f 2")[1]
