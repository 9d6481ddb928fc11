from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from reflow.errors import NotFoundError
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, RunRecord, TaskRecord
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.rundir.claims import Claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import Pack
from reflow.rundir.wave_files import WaveSpec
from reflow.runs.watching import look
from reflow.runs.watching.glance import ElementName, Wanted
from reflow.runs.watching.look import AllLooks, LogLooks, RunLooks, end_of
from reflow.stores.sql import SqlStore

RUN = "tide-20261122-a1b2"
EVERYTHING = Wanted(run_id=RUN, failures=10, running=10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A store with a run of a task of ten elements: two failed, three run, the others wait."""
    opened = SqlStore(f"sqlite:///{tmp_path}/store.db")
    add_run(opened, tmp_path)
    yield opened
    opened.close()


def add_run(store: SqlStore, folder: Path, run_id: str = RUN) -> None:
    record = RunRecord(
        run_id=run_id,
        workflow="tide",
        state=RunState.RUNNING,
        run_dir=folder,
        created_at=datetime.now(UTC),
        executor="batch",
        parameters={},
    )
    store.create_run(record, [TaskRecord(name="a", ordinal=0, array=True, size=10)])
    lease = store.acquire(run_id, {"pid": 1})
    assert lease is not None
    states = [TaskState.FAILED] * 2 + [TaskState.RUNNING] * 3 + [TaskState.SUBMITTED] * 5
    with store.fenced(lease) as write:
        write.add_instances(
            [
                Instance(task="a", index=index, state=state, attempt=1, wave=1, position=index)
                for index, state in enumerate(states)
            ]
        )


def end(store: SqlStore, run_id: str, state: RunState) -> None:
    lease = store.acquire(run_id, {"pid": 1}, store.lease(run_id))
    assert lease is not None
    with store.fenced(lease) as write:
        write.set_run_state(state)


def claimed(folder: Path, number: int, host: str, pack: Pack | None = None) -> None:
    wave = RunLayout(folder, RUN).wave(1)
    wave.directory.mkdir(parents=True, exist_ok=True)
    spec = WaveSpec(
        run_id=RUN,
        task="a",
        number=1,
        token="t",
        size=10,
        code="c",
        common={},
        each=(),
        resources=Resources(),
        pack=pack,
    )
    spec.write(wave)
    wave.claim_block(number).mkdir(parents=True, exist_ok=True)
    claim = Claim(native_id="7", incarnation="0", host=host, pid=1)
    (wave.claim_block(number) / f"{number}.0").write_text(json.dumps(asdict(claim)))


def test_a_look_finds_counts_failures_and_what_runs(store: SqlStore) -> None:
    found = RunLooks(store, RUN).look(EVERYTHING)
    assert found.status["tasks"]["a"]["counts"] == {"FAILED": 2, "RUNNING": 3, "SUBMITTED": 5}
    assert [each.index for each in found.failures] == [1, 0]
    assert [str(each.element) for each in found.running] == ["a[2]", "a[3]", "a[4]"]
    assert found.hosts == {}


def test_a_look_reads_no_more_than_is_wanted(store: SqlStore) -> None:
    found = RunLooks(store, RUN).look(Wanted(run_id=RUN, failures=1, running=2))
    assert len(found.failures) == 1
    assert len(found.running) == 2
    nothing = RunLooks(store, RUN).look(Wanted(run_id=RUN))
    assert not nothing.failures
    assert not nothing.running


def test_hosts_are_those_that_claimed_the_elements(store: SqlStore, tmp_path: Path) -> None:
    looks = RunLooks(store, RUN)
    claimed(tmp_path, 2, "n1")
    claimed(tmp_path, 3, "n1")
    assert looks.look(EVERYTHING).hosts == {"n1": 2}
    claimed(tmp_path, 4, "n2")
    assert looks.look(EVERYTHING).hosts == {"n1": 2, "n2": 1}


def test_elements_that_share_a_job_are_on_its_host(store: SqlStore, tmp_path: Path) -> None:
    claimed(tmp_path, 0, "n1", Pack(hosts=2, at_once=1, block=4))
    assert RunLooks(store, RUN).look(EVERYTHING).hosts == {"n1": 2}


@pytest.mark.parametrize("content", ["", "{", '{"host": 1}', "[]"])
def test_a_damaged_claim_names_no_host(store: SqlStore, tmp_path: Path, content: str) -> None:
    claimed(tmp_path, 2, "n1")
    (RunLayout(tmp_path, RUN).wave(1).claim_block(2) / "2.0").write_text(content)
    assert RunLooks(store, RUN).look(EVERYTHING).hosts == {}


def test_the_dispatcher_is_looked_after_at_times_and_not_by_the_first_look(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def recover(store: object, record: RunRecord) -> list[str]:
        asked.append(record.run_id)
        return ["no dispatch job is queued"]

    monkeypatch.setattr(look, "recover", recover)
    looks = RunLooks(store, RUN)
    assert looks.look(EVERYTHING).status["notes"] == []
    assert asked == []
    for _ in range(5):
        found = looks.look(EVERYTHING)
    assert asked == [RUN]
    assert found.status["notes"] == ["no dispatch job is queued"]


class Logged:
    """Stands for the handle of a run."""

    def __init__(self, store: SqlStore, folder: Path) -> None:
        self.store, self.run_id, self.run_dir = store, RUN, folder
        self.asked = 0

    def log_path(self, task: str, index: int = 0) -> Path:
        self.asked += 1
        raise NotFoundError("there is none")


def test_a_log_is_that_of_the_present_attempt(store: SqlStore, tmp_path: Path) -> None:
    logs = tmp_path / "logs" / RUN / "a"
    logs.mkdir(parents=True)
    (logs / "2.1.log").write_text("first\n")
    looks = LogLooks(Logged(store, tmp_path), ElementName("a", 2))
    assert list(looks.look().lines) == ["first"]
    instance = store.instance(RUN, "a", 2)
    assert instance is not None
    lease = store.acquire(RUN, {"pid": 1}, store.lease(RUN))
    assert lease is not None
    with store.fenced(lease) as write:
        write.update_instances([replace(instance, attempt=2)])
    found = looks.look()
    assert (found.attempt, list(found.lines)) == (2, [])
    (logs / "2.2.log").write_text("second\n\nlast")
    assert list(looks.look().lines) == ["second", "", "last"]


def test_the_folder_of_logs_is_not_listed_by_every_look(store: SqlStore, tmp_path: Path) -> None:
    run = Logged(store, tmp_path)
    failed, running = LogLooks(run, ElementName("a", 0)), LogLooks(run, ElementName("a", 2))
    for looks in (running, failed, failed, failed):
        assert looks.look().path == ""
    assert run.asked == 1


def test_of_a_long_log_whole_lines_of_its_end_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{number:09}\n" for number in range(100_000)))
    text, is_whole = end_of(path)
    assert not is_whole
    assert text.endswith("000099999\n")
    assert len(text) <= look.MOST_BYTES
    assert {len(line) for line in text.splitlines()} == {9}


def test_runs_that_have_ended_are_counted_once(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "tide-20261122-0002"
    add_run(store, tmp_path, other)
    end(store, other, RunState.FAILED)
    counted: list[str] = []
    counts = store.counts

    def noted(run_id: str) -> dict[str, dict[TaskState, int]]:
        counted.append(run_id)
        return counts(run_id)

    monkeypatch.setattr(store, "counts", noted)
    looks = AllLooks(store, lambda: (store.list_runs(), True))
    for _ in range(3):
        found = looks.look()
    assert counted.count(other) == 1
    assert counted.count(RUN) == 3
    assert {row.record.run_id: (row.done, row.failed, row.size) for row in found.rows} == {
        RUN: (0, 2, 10),
        other: (0, 2, 10),
    }
    assert found.more


def test_the_rate_is_known_from_the_first_look_on(store: SqlStore) -> None:
    now = datetime.now(UTC).timestamp()
    lease = store.acquire(RUN, {"pid": 1}, store.lease(RUN))
    assert lease is not None
    ended = [
        Outcome(
            task="a",
            index=index,
            attempt=1,
            state=TaskState.FAILED,
            cause=FailureCause.ERROR,
            started_at=now - 60,
            ended_at=now - 1,
        )
        for index in range(2, 5)
    ]
    with store.fenced(lease) as write:
        write.record_outcomes(ended)
    pace = RunLooks(store, RUN).look(EVERYTHING).paces["a"]
    assert pace.per_minute == pytest.approx(3, rel=0.2)
