"""Every way in which values travel between tasks, with real values, run in every way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import WAYS, FlowFile, counts, failed

Flows = Callable[..., FlowFile]

EVERY_MODE = """
    wf = Workflow("modes")

    @wf.job()
    def number() -> int:
        return 7

    @wf.job()
    def direct(x: Annotated[int, Result(step="number")]) -> int:
        return x * 10

    @wf.job()
    def words() -> list[str]:
        return ["a", "b", "c"]

    @wf.job(array=True)
    def upper(word: Annotated[str, Result(step="words")]) -> str:
        return word.upper()

    @wf.job(array=True)
    def chained(word: Annotated[str, Result(step="upper")]) -> str:
        return word * 2

    @wf.job()
    def gathered(words: Annotated[list[str], Result(step="chained")]) -> str:
        return "-".join(words)

    @wf.job(array=True)
    def repeat(word: Annotated[str, Result(step="words")]) -> list[str]:
        return [word] * (ord(word) - ord("a"))

    @wf.job()
    def flattened(words: Annotated[list[str], Result(step="repeat")]) -> list[str]:
        return words

    @wf.job(array=True)
    def each_of_flattened(word: Annotated[str, Result(step="repeat")]) -> str:
        return word + "!"

    @wf.job(array=True)
    def with_broadcast(
        word: Annotated[str, Result(step="words")],
        factor: Annotated[int, Result(step="number", broadcast=True)],
        all_words: Annotated[list[str], Result(step="words")],
    ) -> str:
        return word * factor + str(len(all_words))

    @wf.job(array=True)
    def with_gather_broadcast(
        word: Annotated[str, Result(step="words")],
        uppers: Annotated[list[str], Result(step="upper")],
        flat: Annotated[list[str], Result(step="repeat", broadcast=True)],
    ) -> str:
        return word + "".join(uppers) + "".join(flat)

    @wf.job()
    def both(words: Annotated[list[str], Result(steps=["chained", "words"])]) -> list[str]:
        return words

    @wf.job(array=True)
    def each_of_both(word: Annotated[str, Result(steps=["words", "flattened"])]) -> str:
        return word + "?"

    @wf.job(array=True)
    def zipped(
        left: Annotated[str, Result(step="upper")],
        right: Annotated[str, Result(step="words")],
    ) -> str:
        return left + right

    @wf.job(after=["gathered"])
    def last(run_dir: RunDir = RunDir()) -> str:
        did("last")
        return run_dir.name

    @wf.job(array=True)
    def lone(word: Annotated[str, Result(step="one")]) -> str:
        return word

    @wf.job()
    def one() -> list[str]:
        return ["single"]
"""

EXPECTED: dict[str, Any] = {
    "direct": 70,
    "upper": ["A", "B", "C"],
    "chained": ["AA", "BB", "CC"],
    "gathered": "AA-BB-CC",
    "repeat": [[], ["b"], ["c", "c"]],
    "flattened": ["b", "c", "c"],
    "each_of_flattened": ["b!", "c!", "c!"],
    "with_broadcast": ["aaaaaaa3", "bbbbbbb3", "ccccccc3"],
    "with_gather_broadcast": ["aABCbcc", "bABCbcc", "cABCbcc"],
    "both": ["AA", "BB", "CC", "a", "b", "c"],
    "each_of_both": ["a?", "b?", "c?", "b?", "c?", "c?"],
    "zipped": ["Aa", "Bb", "Cc"],
    "last": "work",
    "lone": ["single"],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_wire_mode_delivers_the_values(flow_file: Flows, tmp_path: Path, way: str) -> None:
    run = flow_file(EVERY_MODE).run(way, run_dir=tmp_path / "work")
    assert run.state == "SUCCESS"
    assert {task: run.result(task) for task in EXPECTED} == EXPECTED


VALUES = """
    wf = Workflow("values")

    @dataclass(frozen=True)
    class Point:
        x: int
        name: str

    class Pair(NamedTuple):
        point: Point
        path: Path

    @wf.job()
    def points(count: int, note: str = "n") -> list[Point]:
        return [Point(x, note) for x in range(count)]

    @wf.job(array=True)
    def pair(
        point: Annotated[Point, Result(step="points")],
        suffix: Annotated[str, Param(namespace="local")] = ".txt",
    ) -> Pair:
        return Pair(point, Path(point.name).with_suffix(suffix))

    @wf.job()
    def kinds(pairs: Annotated[list[Pair], Result(step="pair")]) -> dict[str, list[Pair]]:
        assert all(type(item) is Pair and type(item.point) is Point for item in pairs)
        return {"pairs": pairs}

    @wf.job(array=True)
    def empty_value(point: Annotated[Point, Result(step="points")]) -> object:
        return [None, 0, "", [], False][point.x]

    @wf.job()
    def nothing() -> None:
        pass

    @wf.job()
    def see(values: Annotated[list[object], Result(step="empty_value")]) -> str:
        return repr(values)
"""


@pytest.mark.parametrize("way", WAYS)
def test_classes_of_the_flow_and_empty_values_arrive_as_they_were(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file(VALUES)
    run = flow.run(way, count=5, pair_suffix=".nc")
    assert run.state == "SUCCESS", failed(run)
    pairs = run.result("kinds")["pairs"]
    assert [(pair.point.x, pair.point.name, str(pair.path)) for pair in pairs] == [
        (x, "n", "n.nc") for x in range(5)
    ]
    assert type(pairs[0]).__name__ == "Pair"
    assert run.result("see") == "[None, 0, '', [], False]"
    assert run.result("nothing") is None


EMPTY = """
    wf = Workflow("empty")

    @wf.job()
    def none() -> list[int]:
        return []

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="none")]) -> int:
        did("each")
        return x

    @wf.job(array=True)
    def chained(x: Annotated[int, Result(step="each")]) -> int:
        did("chained")
        return x

    @wf.job()
    def gathered(xs: Annotated[list[int], Result(step="chained")]) -> list[int]:
        did("gathered")
        return xs

    @wf.job(after=["each"])
    def after() -> str:
        return "after"
"""


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_list_makes_zero_elements_and_is_gathered_as_one(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file(EMPTY)
    run = flow.run(way)
    assert run.state == "SUCCESS"
    assert (run.result("each"), run.result("chained"), run.result("gathered")) == ([], [], [])
    assert run.result("after") == "after"
    assert flow.calls == {"gathered": 1}
    assert run.status(as_dict=True)["tasks"]["each"]["state"] == "SUCCESS"


UNEQUAL = """
    wf = Workflow("unequal")

    @wf.job()
    def two() -> list[int]:
        return [1, 2]

    @wf.job()
    def three() -> list[str]:
        return ["a", "b", "c"]

    @wf.job(array=True)
    def zipped(
        number: Annotated[int, Result(step="two")], letter: Annotated[str, Result(step="three")]
    ) -> str:
        return letter * number

    @wf.job()
    def gathered(xs: Annotated[list[str], Result(step="zipped")]) -> int:
        return len(xs)

    @wf.job()
    def apart(xs: Annotated[list[int], Result(step="two")]) -> int:
        return len(xs)
"""


@pytest.mark.parametrize("way", WAYS)
def test_lists_of_unequal_length_fail_the_task_and_name_both(flow_file: Flows, way: str) -> None:
    flow = flow_file(UNEQUAL)
    run = flow.run(way)
    status = run.status(as_dict=True)
    assert status["run"]["status"] == "FAILED"
    assert "'number' has 2" in status["run"]["message"]
    assert "'letter' has 3" in status["run"]["message"]
    assert "'zipped'" in status["run"]["message"]
    assert status["tasks"]["zipped"]["state"] == "FAILED"
    assert status["tasks"]["gathered"]["state"] == "SKIPPED"
    assert run.result("apart") == 2
    # Mended, the run completes.
    flow.replace("return [1, 2]", "return [1, 2, 3]")
    assert flow.run(way).result("zipped") == ["a", "bb", "ccc"]


FLOWS = """
    inner = Flow("inner")

    @inner.job()
    def make(size: int) -> list[int]:
        return list(range(size))

    @inner.job(array=True)
    def square(x: Annotated[int, Result(step="make")]) -> int:
        return x * x

    wf = Workflow("outer")
    wf.include(inner, prefix="pre")
    wf.include(inner)

    @wf.job()
    def total(
        xs: Annotated[list[int], Result(step="pre_square")],
        ys: Annotated[list[int], Result(step="square")],
    ) -> int:
        return sum(xs) + sum(ys)
"""


@pytest.mark.parametrize("way", WAYS)
def test_included_flows_run_under_their_prefix(flow_file: Flows, way: str) -> None:
    run = flow_file(FLOWS).run(way, size=4)
    assert run.result("pre_square") == [0, 1, 4, 9]
    assert run.result("total") == 28
    assert counts(run, "pre_square") == {"SUCCESS": 4}


def test_each_task_is_given_the_run_directory(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(
        """
        wf = Workflow("folder")

        @wf.job()
        def write(run_dir: RunDir = RunDir()) -> Path:
            path = run_dir / "data.txt"
            path.write_text("here")
            return path

        @wf.job()
        def read(path: Annotated[Path, Result(step="write")]) -> str:
            return path.read_text()
        """
    )
    run = flow.run("pool", run_dir=tmp_path / "where")
    assert run.result("read") == "here"
    assert run.result("write") == tmp_path / "where" / "data.txt"


def test_a_task_that_must_run_after_another_waits_for_all_of_its_elements(
    flow_file: Flows,
) -> None:
    flow = flow_file(
        """
        wf = Workflow("order")

        @wf.job()
        def items() -> list[int]:
            return list(range(6))

        @wf.job(array=True)
        def slow(x: Annotated[int, Result(step="items")]) -> None:
            time.sleep(0.02)
            did("slow")

        @wf.job(after=["slow"])
        def last() -> int:
            return Path("{here}/journal").read_text().split().count("slow")
        """
    )
    assert flow.run("pool").result("last") == 6


def test_observers_are_told_of_runs_and_elements_once_each(flow_file: Flows) -> None:
    from reflow.plugins.hookspecs import InstanceEvent, RunEvent
    from reflow.testing.plugins import observer, using_plugins

    seen: list[tuple[str, ...]] = []

    def instances(event: InstanceEvent) -> None:
        seen.append((event.task, event.state, str(sorted(event.indices))))

    def started(event: RunEvent) -> None:
        seen.append(("started", event.workflow))

    def finished(event: RunEvent) -> None:
        seen.append(("finished", event.state))

    def angry(event: object) -> None:
        raise RuntimeError("an observer's own trouble")

    flow = flow_file(
        """
        wf = Workflow("seen")

        @wf.job()
        def items() -> list[int]:
            return [0, 1, 2]

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            return 6 // (x - 1)
        """
    )
    with using_plugins(
        observer("watch", run_started=started, run_finished=finished, instances_changed=instances),
        observer("angry", run_started=angry, run_finished=angry, instances_changed=angry),
    ):
        run = flow.run("inline")
        assert run.state == "FAILED"
    assert seen[0] == ("started", "seen")
    assert seen[-1] == ("finished", "FAILED")
    assert seen.count(("items", "SUCCESS", "[0]")) == 1
    assert ("each", "SUBMITTED", "[0, 1, 2]") in seen
    done = [(state, index) for task, state, index in seen[1:-1] if task == "each"]
    assert sorted(done[1:]) == [("FAILED", "[1]"), ("SUCCESS", "[0, 2]")]
