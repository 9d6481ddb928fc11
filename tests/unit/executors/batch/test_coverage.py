from __future__ import annotations

from reflow.executors.batch.coverage import Coverage
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import JobState

ARRAY = JobHandle(native_id="7", size=5)
PLAIN = JobHandle(native_id="8")


def said(native_id: str, state: JobState, positions: range | None = None) -> JobStatus:
    return JobStatus(native_id=native_id, state=state, positions=positions)


def states(coverage: Coverage) -> dict[tuple[str, int | None], JobState]:
    found: dict[tuple[str, int | None], JobState] = {}
    for status in coverage.statuses():
        for position in [None] if status.positions is None else status.positions:
            assert (status.native_id, position) not in found
            found[status.native_id, position] = status.state
    return found


def test_what_nobody_speaks_of_is_unknown() -> None:
    coverage = Coverage([ARRAY, PLAIN])

    coverage.add([said("7", JobState.RUNNING, range(1, 3))])

    assert states(coverage) == {
        ("7", 0): JobState.UNKNOWN,
        ("7", 1): JobState.RUNNING,
        ("7", 2): JobState.RUNNING,
        ("7", 3): JobState.UNKNOWN,
        ("7", 4): JobState.UNKNOWN,
        ("8", None): JobState.UNKNOWN,
    }
    assert coverage.missing() == [ARRAY, PLAIN]


def test_the_first_answer_counts() -> None:
    coverage = Coverage([ARRAY, PLAIN])

    coverage.add([said("8", JobState.RUNNING), said("7", JobState.QUEUED, range(5))])
    coverage.add([said("8", JobState.FAILED), said("7", JobState.FAILED, range(5))])

    assert set(states(coverage).values()) == {JobState.RUNNING, JobState.QUEUED}
    assert coverage.missing() == []


def test_a_status_of_a_whole_array_leaves_its_elements_their_own() -> None:
    coverage = Coverage([ARRAY])

    coverage.add([said("7", JobState.CANCELLED), said("7", JobState.COMPLETED, range(1))])

    assert states(coverage)["7", 0] is JobState.COMPLETED
    assert {states(coverage)["7", position] for position in range(1, 5)} == {JobState.CANCELLED}


def test_unknown_leaves_the_word_to_the_next_command() -> None:
    coverage = Coverage([PLAIN])

    coverage.add([said("8", JobState.UNKNOWN)])
    assert coverage.missing() == [PLAIN]
    coverage.add([said("8", JobState.COMPLETED)])

    assert states(coverage) == {("8", None): JobState.COMPLETED}


def test_jobs_and_positions_that_nobody_asked_about_are_left_out() -> None:
    coverage = Coverage([ARRAY])

    coverage.add([said("9", JobState.RUNNING), said("7", JobState.RUNNING, range(3, 9))])

    assert ("9", None) not in states(coverage)
    assert max(position for _, position in states(coverage) if position is not None) == 4
