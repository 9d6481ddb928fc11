"""What array tasks go through besides lists of tasks, in every way to run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from reflow.runs.create import Wanted
from reflow.workflow import preview

from tests.e2e.fixtures import Way, in_process, in_process_and_by_jobs
from tests.e2e.support import FlowFile, counts, failed, fake_scheduler, until

Flows = Callable[..., FlowFile]

ITEMS = """
    from collections.abc import Mapping, Sequence

    wf = Workflow("items")

    @wf.job()
    def numbers() -> tuple[int, ...]:
        return (3, 1)

    @wf.job()
    def words() -> Sequence[str]:
        return ("b", "a")

    @wf.job()
    def cities(folder: Path) -> dict[str, Path]:
        return {name: folder / name for name in ("paris", "oslo")}

    @wf.job(array=True)
    def double(number: Annotated[int, Result(step="numbers")]) -> tuple[int, ...]:
        return (number, number * 2)

    @wf.job(array=True)
    def upper(word: Annotated[str, Result(step="words")]) -> str:
        return word.upper()

    @wf.job(array=True)
    def read(city: Annotated[tuple[str, Path], Result(step="cities")]) -> dict[str, str]:
        did(city[0])
        return {city[0]: city[1].read_text()}

    @wf.job()
    def flat(numbers: Annotated[list[int], Result(step="double")]) -> list[int]:
        return numbers

    @wf.job(array=True)
    def item(pair: Annotated[tuple[str, str], Result(step="read")]) -> str:
        return "=".join(pair)

    @wf.job()
    def joined(both: Annotated[list[str], Result(steps=["words", "more"])]) -> list[str]:
        return both

    @wf.job()
    def more() -> tuple[str, ...]:
        return ("c",)
"""


def test_tuples_sequences_and_dicts_give_each_element_an_item(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    for name in ("paris", "oslo"):
        (tmp_path / name).write_text(f"in {name}")
    flow = flow_file(ITEMS)
    run = way(flow, folder=tmp_path)
    assert run.state == "SUCCESS", failed(run)
    assert run.result("double") == [(3, 6), (1, 2)]
    assert run.result("flat") == [3, 6, 1, 2]
    assert run.result("upper") == ["B", "A"]
    assert run.result("item") == ["paris=in paris", "oslo=in oslo"]
    assert run.result("joined") == ["b", "a", "c"]


@in_process
def test_a_file_in_a_dict_counts_for_the_element_of_its_key_alone(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    for name in ("paris", "oslo"):
        (tmp_path / name).write_text(f"in {name}")
    flow = flow_file(ITEMS)
    way(flow, folder=tmp_path)
    (tmp_path / "oslo").write_text("in the north")
    flow.forget()
    way(flow, folder=tmp_path, files="content")
    flow.forget()
    (tmp_path / "oslo").write_text("in the far north")
    run = way(flow, folder=tmp_path, files="content")
    assert run.result("item") == ["paris=in paris", "oslo=in the far north"]
    assert flow.calls == {"oslo": 1}


MAYBE = """
    wf = Workflow("maybe")

    @wf.job()
    def files(use: bool) -> list[str] | None:
        return ["a"] if use else None

    @wf.job(array=True)
    def each(name: Annotated[str, Result(step="files")]) -> str:
        did(name)
        return name

    @wf.job()
    def gathered(names: Annotated[list[str], Result(step="each")]) -> list[str]:
        return names
"""


@in_process_and_by_jobs
def test_none_in_place_of_a_list_makes_zero_elements(flow_file: Flows, way: Way) -> None:
    flow = flow_file(MAYBE)
    assert way(flow, use=False).result("gathered") == []
    assert flow.calls == {}
    plan = preview(flow.load(), Wanted(parameters={"use": False}), "local")
    (foreseen,) = [each for each in plan.tasks if each.array]
    assert (foreseen.size, foreseen.reason) == (0, "no elements: what it goes through is empty")
    assert way(flow, use=True).result("gathered") == ["a"]


GIVEN = """
    wf = Workflow("given")

    @wf.job(array=True)
    def measure(
        file: Annotated[Path, Param(each=True)], unit: str = "m", run_dir: RunDir = RunDir()
    ) -> str:
        did(file.name)
        return f"{file.read_text()} {unit}"

    @wf.job(array=True)
    def rate(factor: Annotated[int, Param(each=True, namespace="local")] = 2) -> int:
        return factor * 10

    @wf.job()
    def table(
        values: Annotated[list[str], Result(step="measure")],
        rates: Annotated[list[int], Result(step="rate")],
        file: list[Path],
    ) -> str:
        return f"{len(file)}: {', '.join(values)}; {rates}"
"""


def files_in(folder: Path, **texts: str) -> list[Path]:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def test_a_list_parameter_gives_each_element_an_item(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    files = files_in(tmp_path, a="1", b="2")
    run = way(flow_file(GIVEN), file=files, rate_factor=[5, 7, 9])
    assert run.state == "SUCCESS", failed(run)
    assert run.result("table") == "2: 1 m, 2 m; [50, 70, 90]"


@in_process_and_by_jobs
def test_elements_of_a_list_parameter_are_cached_one_by_one(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(GIVEN)
    a, b, c = files_in(tmp_path, a="1", b="2", c="3")
    assert way(flow, file=[a, b]).result("rate") == [20]
    flow.forget()
    c.write_text("4")
    assert way(flow, file=[c, a, b]).result("measure") == ["4 m", "1 m", "2 m"]
    assert flow.calls == {"c": 1}
    flow.forget()
    run = way(flow, file=[])
    assert (run.result("measure"), flow.calls) == ([], {})
    assert counts(run, "measure") == {}


@pytest.mark.parametrize("words", [["--file", "{0}", "--file", "{1}"], ["--file", "{1}"]])
def test_the_flag_of_a_list_parameter_is_repeated(
    flow_file: Flows, tmp_path: Path, words: list[str]
) -> None:
    files = files_in(tmp_path, a="1", b="2")
    wf: Any = flow_file(GIVEN).load()
    wf.cli(["run", "--run-dir", str(tmp_path / "run"), *(word.format(*files) for word in words)])
    (record,) = wf.store.list_runs(graph_name="given")
    expected = ["1 m", "2 m"] if len(words) == 4 else ["2 m"]
    assert wf.open_run(record.run_id).result("measure") == expected


def test_drawing_and_description_name_the_parameter(flow_file: Flows) -> None:
    from reflow.report.drawing import draw_text

    wf = flow_file(GIVEN).load()
    assert "file ← fan-out of --file" in draw_text(wf.graph(), width=120)
    described = {task["name"]: task["inputs"] for task in wf.describe()["tasks"]}
    assert described["measure"][0]["each"] is True
    assert "each" not in described["measure"][1]


PRODUCT = """
    wf = Workflow("search")

    @wf.job()
    def rates() -> list[float]:
        return [0.5, 2.0]

    @wf.job(array=True)
    def scaled(rate: Annotated[float, Result(step="rates")]) -> float:
        return rate * 10

    @wf.job(array="product")
    def fit(
        fold: Annotated[int, Param(each=True)],
        rate: Annotated[float, Result(step="scaled")],
        unit: str = "m",
    ) -> str:
        did(f"{fold}/{rate}")
        return f"{fold}:{rate}{unit}"

    @wf.job(array=True)
    def after(text: Annotated[str, Result(step="fit")]) -> str:
        return f"<{text}>"

    @wf.job()
    def table(texts: Annotated[list[str], Result(step="after")]) -> list[str]:
        return texts
"""


def test_a_product_has_an_element_for_every_combination(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(PRODUCT), fold=[1, 2, 3])
    assert run.state == "SUCCESS", failed(run)
    pairs = [(fold, rate) for fold in (1, 2, 3) for rate in (5.0, 20.0)]
    assert run.result("table") == [f"<{fold}:{rate}m>" for fold, rate in pairs]
    assert run.result("fit", index=3) == "2:20.0m"


@in_process_and_by_jobs
def test_combinations_are_cached_one_by_one(flow_file: Flows, way: Way) -> None:
    flow = flow_file(PRODUCT)
    way(flow, fold=[1, 3])
    flow.forget()
    flow.replace("return [0.5, 2.0]", "return [0.5, 1.0, 2.0]")
    run = way(flow, fold=[1, 2, 3])
    assert flow.calls == {"1/10.0": 1, "2/5.0": 1, "2/10.0": 1, "2/20.0": 1, "3/10.0": 1}
    assert run.result("fit")[6:] == ["3:5.0m", "3:10.0m", "3:20.0m"]


@in_process
def test_a_product_with_an_empty_list_has_no_elements(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(PRODUCT), fold=[])
    assert (run.state, run.result("table")) == ("SUCCESS", [])


PART = """
    wf = Workflow("part")

    @wf.job()
    def numbers() -> list[int]:
        return [0, 1, 2, 3]

    @wf.job(array=True)
    def measure(number: Annotated[int, Result(step="numbers")], bad: list[int]) -> int:
        did(f"measure{number}")
        if number in bad and not Path("{here}/mended").exists():
            raise ValueError(f"no {number}")
        return number * 10

    @wf.job(array=True)
    def refine(value: Annotated[int, Result(step="measure")]) -> list[int]:
        return [value, value + 1]

    @wf.job()
    def table(
        values: Annotated[
            list[int | None], Result(step="measure", allow_failed=True, min_success=2)
        ],
    ) -> list[int | None]:
        did("table")
        return values

    @wf.job()
    def refined(
        values: Annotated[list[int], Result(step="refine", allow_failed=True, min_success=0.5)],
    ) -> list[int]:
        did("refined")
        return values

    @wf.job()
    def both(
        a: Annotated[list[int | None], Result(step="table")],
        b: Annotated[list[int], Result(step="refined")],
    ) -> int:
        return len(a) * 100 + len(b)
"""


def test_a_gather_may_do_with_what_succeeded(flow_file: Flows, way: Way) -> None:
    flow = flow_file(PART)
    run = way(flow, bad=[1])
    assert run.state == "SUCCESS", run.status(as_dict=True)
    assert run.result("table") == [0, None, 20, 30]
    assert run.result("refined") == [0, 1, 20, 21, 30, 31]
    status = run.status(as_dict=True)
    assert status["run"]["message"] == "1 of 4 in 'measure' failed, which is allowed"
    assert [(item["task"], item["index"]) for item in status["failed_instances"]] == [
        ("measure", 1)
    ]
    assert counts(run, "refine") == {"SUCCESS": 3, "SKIPPED": 1}
    assert "1 of 4 in &#x27;measure&#x27; failed, which is allowed" in run._repr_html_()
    # What is missing is part of what a gather counts by.
    flow.forget()
    run = way(flow, bad=[])
    assert run.result("both") == 408
    assert flow.calls["table"] == flow.calls["refined"] == 1


def test_a_run_fails_in_which_a_gather_needs_more_elements_than_there_are(
    flow_file: Flows,
) -> None:
    run = flow_file(PART.replace("min_success=2", "min_success=5")).run(bad=[])
    assert run.state == "FAILED"
    message = run.status(as_dict=True)["run"]["message"]
    assert message == "'table' needs 5 of 4 in 'measure', and 4 succeeded"


def test_a_gather_that_has_less_than_it_needs_is_skipped(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(PART), bad=[0, 1, 2])
    status = run.status(as_dict=True)
    assert run.state == "FAILED"
    assert "'table' needs 2 of 4 in 'measure', and 1 succeeded" in status["run"]["message"]
    assert status["tasks"]["table"]["state"] == "SKIPPED"
    assert status["tasks"]["both"]["state"] == "SKIPPED"


@in_process_and_by_jobs
def test_a_retry_of_what_was_allowed_to_fail_gathers_again(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(PART)
    run = way(flow, bad=[1, 2])
    assert (run.state, run.result("both")) == ("SUCCESS", 404)
    (tmp_path / "mended").touch()
    flow.forget()
    assert run.retry() > 0
    run.wait(timeout=60)
    assert run.state == "SUCCESS"
    assert run.result("table") == [0, 10, 20, 30]
    assert run.result("both") == 408
    assert flow.calls == {"measure1": 1, "measure2": 1, "table": 1, "refined": 1}


BUSY = """
    wf = Workflow("busy")

    @wf.job(array=True)
    def measure(number: Annotated[int, Param(each=True)]) -> int:
        if number == 1 and not Path("{here}/mended").exists():
            raise ValueError("no 1")
        return number

    @wf.job()
    def table(values: Annotated[list[int], Result(step="measure", allow_failed=True)]) -> int:
        did(f"table{len(values)}")
        if len(values) == 1:
            wait_for("{here}/never")
        return len(values)

    @wf.job()
    def after(count: Annotated[int, Result(step="table")]) -> int:
        return count * 10
"""


@pytest.mark.parametrize("way", ["background", "jobs"])
def test_a_retry_takes_back_a_gather_that_is_at_work_with_less(
    flow_file: Flows, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(BUSY)
    fake = fake_scheduler("slurm", tmp_path, monkeypatch) if way == "jobs" else nullcontext()
    with fake:
        run = flow.load().submit(number=[1, 2], executor="slurm" if way == "jobs" else "local")
        until(lambda: flow.calls["table1"])
        (tmp_path / "mended").touch()
        assert run.retry() > 0
        run.wait(timeout=60)
        assert run.state == "SUCCESS", run.status(as_dict=True)
        assert (run.result("table"), run.result("after")) == (2, 20)


@in_process
def test_failures_that_are_allowed_do_not_stop_a_run(flow_file: Flows, way: Way) -> None:
    flow = flow_file(PART)
    run = flow.load().run_local(bad=[0])
    assert run.state == "SUCCESS"
    assert run.result("both") == 406


def test_a_run_that_succeeded_names_what_failed(
    flow_file: Flows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wf: Any = flow_file(PART).load()
    wf.cli(["run", "--run-dir", str(tmp_path / "run"), "--bad", "2"])
    said = capsys.readouterr().out
    assert "SUCCESS" in said
    assert "1 of 4 in 'measure' failed, which is allowed" in said
    assert "measure[2]  ERROR" in said
    assert "ValueError: no 2" in said
    assert "run again what did not succeed" in said


ONLY_SOME = """
    wf = Workflow("some")

    @wf.job(array=True)
    def measure(number: Annotated[int, Param(each=True)]) -> int:
        return 10 // number

    @wf.job()
    def table(values: Annotated[list[int], Result(step="measure", allow_failed=True)]) -> int:
        return sum(values)

    @wf.job()
    def strict(values: Annotated[list[int], Result(step="measure")]) -> int:
        return sum(values)
"""


@in_process
def test_another_task_that_needs_all_fails_the_run(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(ONLY_SOME), number=[0, 5])
    assert run.state == "FAILED"
    assert run.result("table") == 2
    assert run.status(as_dict=True)["tasks"]["strict"]["state"] == "SKIPPED"


@in_process
def test_without_a_minimum_one_must_succeed(flow_file: Flows, way: Way) -> None:
    flow = flow_file(ONLY_SOME.replace("@wf.job()\n    def strict", "def strict"))
    assert way(flow, number=[0, 5, 0]).state == "SUCCESS"
    assert way(flow, number=[0, 0]).state == "FAILED"
    assert way(flow, number=[]).result("table") == 0


GROUPS = """
    inner = Flow("inner")

    @inner.job(array=True)
    def split(file: Annotated[str, Param(each=True)]) -> list[str]:
        return [f"{file}{number}" for number in range(ord(file) - ord("a"))]

    @inner.job(array=True)
    def pieces(chunk: Annotated[str, Result(step="split")]) -> dict[str, int]:
        return {chunk: 1, chunk.upper(): 2} if chunk != "c1" else {}

    @inner.job(array=True)
    def work(piece: Annotated[tuple[str, int], Result(step="pieces")]) -> str:
        did("work")
        if piece[0] == "B0" and Path("{here}/bad").exists():
            raise ValueError("bad")
        return f"{piece[0]}={piece[1]}"

    @inner.job(array=True)
    def more(text: Annotated[str, Result(step="work")]) -> list[str]:
        return [text, "."]

    @inner.job(array=True)
    def joined(texts: Annotated[list[str], Result(step="work", per="split")]) -> str:
        did("joined")
        return " ".join(texts)

    @inner.job(array=True)
    def flat(texts: Annotated[list[str], Result(step="more", per="split")]) -> str:
        return "".join(texts)

    @inner.job(array=True)
    def by_chunk(texts: Annotated[list[str], Result(step="more", per="pieces")]) -> int:
        return len(texts)

    @inner.job(array=True)
    def again(counts: Annotated[list[int], Result(step="by_chunk", per="split")]) -> list[int]:
        return counts

    wf = Workflow("groups")
    wf.include(inner, prefix="in")
"""


def test_results_are_gathered_per_element_that_they_came_from(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(GROUPS), file=["b", "a", "c"])
    assert run.state == "SUCCESS", failed(run)
    assert run.result("in_joined") == ["b0=1 B0=2", "", "c0=1 C0=2"]
    assert run.result("in_flat") == ["b0=1.B0=2.", "", "c0=1.C0=2."]
    assert run.result("in_by_chunk") == [4, 4, 0]
    assert run.result("in_again") == [[4], [], [4, 0]]


@in_process_and_by_jobs
def test_groups_are_cached_one_by_one(flow_file: Flows, way: Way) -> None:
    flow = flow_file(GROUPS)
    way(flow, file=["b", "c"])
    flow.forget()
    assert way(flow, file=["c", "d", "b"]).result("in_joined")[0] == "c0=1 C0=2"
    assert flow.calls == {"work": 6, "joined": 1}


@in_process
def test_groups_may_do_with_what_succeeded(flow_file: Flows, way: Way, tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    flow = flow_file(GROUPS)
    flow.replace(
        'Annotated[list[str], Result(step="work", per="split")]',
        'Annotated[list[str | None], Result(step="work", per="split", allow_failed=True)]',
    )
    flow.replace('" ".join(texts)', '" ".join(map(str, texts))')
    run = way(flow, file=["b", "c"])
    assert run.result("in_joined") == ["b0=1 None", "c0=1 C0=2"]


@in_process
def test_which_elements_a_group_does_without_counts_in_the_cache(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(
        """
        wf = Workflow("groups")

        @wf.job(array=True)
        def split(file: Annotated[str, Param(each=True)]) -> list[str]:
            return [f"{file}{number}" for number in range(2)]

        @wf.job(array=True)
        def work(chunk: Annotated[str, Result(step="split")]) -> str:
            if chunk in Path("{here}/bad").read_text():
                raise ValueError("bad")
            return "same"

        @wf.job(array=True)
        def joined(
            texts: Annotated[list[str], Result(step="work", per="split", allow_failed=True)],
            file: Annotated[str, Param(each=True)],
        ) -> int:
            did(f"joined-{file}")
            return len(texts)
        """
    )
    for bad in ("a0", "a1", "a0"):
        (tmp_path / "bad").write_text(bad)
        run = way(flow, file=["a", "b"], force_tasks=["work"])
        assert run.result("joined") == [1, 2]
    assert flow.calls == {"joined-a": 2, "joined-b": 1}


FOLDS = """
    wf = Workflow("folds")

    @wf.job(array=True)
    def rates(rate: Annotated[float, Param(each=True)]) -> float:
        return rate

    @wf.job(array="product")
    def fit(
        fold: Annotated[int, Param(each=True)], rate: Annotated[float, Result(step="rates")]
    ) -> str:
        return f"{fold}:{rate}"

    @wf.job(array=True)
    def score(fits: Annotated[list[str], Result(step="fit", per="rates")]) -> list[str]:
        return fits
"""


@in_process
def test_a_product_is_gathered_per_item_of_one_of_its_lists(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(FOLDS), rate=[0.5, 1.5], fold=[1, 2, 3])
    assert run.result("score") == [["1:0.5", "2:0.5", "3:0.5"], ["1:1.5", "2:1.5", "3:1.5"]]


@in_process
def test_elements_that_come_from_several_make_no_groups(flow_file: Flows, way: Way) -> None:
    flow = flow_file(FOLDS)
    flow.replace(
        "fold: Annotated[int, Param(each=True)],", 'fold: Annotated[float, Result(step="rates")],'
    )
    run = way(flow, rate=[0.5, 1.5])
    assert run.state == "FAILED"
    assert (
        "come from several elements of 'rates' each" in run.status(as_dict=True)["run"]["message"]
    )
