"""Why elements ran, or came from the cache, told from what runs have left."""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from reflow import NotFoundError
from reflow.model.cleaning import Extent
from reflow.report.elements.explain import explanation_lines
from reflow.report.preview import preview_lines
from reflow.runs.cleaning.clean import clean_run
from reflow.runs.create import Wanted
from reflow.workflow import preview

from tests.e2e.fixtures import Way
from tests.e2e.support import FlowFile

Flows = Callable[..., FlowFile]

PIPELINE = """
    wf = Workflow("pipeline")
    FACTOR = 1
    LIMIT = int(os.environ.get("LIMIT", "3"))

    def shape(text: str) -> str:
        return text.upper()

    @wf.job()
    def items(names: str = "a b c") -> list[str]:
        return names.split()

    @wf.array_job()
    def each(item: Annotated[str, Result(step="items")], times: int = 1) -> str:
        if os.environ.get("FAILS") == item:
            raise ValueError("asked to")
        return shape(item) * FACTOR * times

    @wf.array_job()
    def longer(text: Annotated[str, Result(step="each")]) -> str:
        return text[:LIMIT] + "!"

    @wf.job()
    def joined(parts: Annotated[list[str], Result(step="longer", allow_failed=True)]) -> str:
        return "".join(parts)
"""


@pytest.fixture
def pipeline(flow_file: Flows) -> FlowFile:
    """A flow that has run once."""
    flow = flow_file(PIPELINE)
    flow.run()
    return flow


def only(found: Mapping[str, Any]) -> dict[str, Any]:
    """The only difference of an explanation."""
    (difference,) = found["differences"]
    assert isinstance(difference, dict)
    return difference


def text_of(found: dict[str, Any]) -> str:
    return "\n".join(line.plain for line in explanation_lines(found, width=80, command="reflow"))


def test_the_first_of_its_kind_was_never_run_before(flow_file: Flows) -> None:
    found = flow_file(PIPELINE).run().explain("each", 1)
    assert (found["reason"], found["earlier"]) == ("first", None)
    assert (found["version"], found["task"], found["index"]) == (1, "each", 1)
    assert "no earlier run" in text_of(found)


def test_a_result_from_the_cache_names_the_element_that_computed_it(pipeline: FlowFile) -> None:
    first = pipeline.run()
    run = pipeline.run()
    found = run.explain("each", 1)
    assert found["reason"] == "cached"
    assert found["earlier"]["run_id"] != first.run_id  # it came from the cache there, too
    assert (found["earlier"]["task"], found["earlier"]["index"]) == ("each", 1)
    assert found["earlier"]["seconds"] >= 0
    assert found["earlier"]["host"] == os.uname().nodename
    assert "came from the cache: it is the result of each[1]" in text_of(found)


def test_a_parameter_is_told_with_both_values(pipeline: FlowFile) -> None:
    found = pipeline.run(times=2).explain("each", 0)
    assert found["reason"] == "differs"
    difference = only(found)
    assert (difference["field"], difference["name"]) == ("parameter", "times")
    assert (difference["old"], difference["new"]) == ("1", "2")


def test_a_constant_is_told_with_both_values_and_its_file(pipeline: FlowFile) -> None:
    pipeline.replace("FACTOR = 1", "FACTOR = 2")
    difference = only(pipeline.run().explain("each", 0))
    assert (difference["field"], difference["name"]) == ("value", "FACTOR")
    assert (difference["old"], difference["new"]) == ("1", "2")
    assert Path(difference["file"]) == pipeline.path


def test_a_value_made_at_import_is_told_with_both_values(
    pipeline: FlowFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMIT", "2")
    with pytest.warns(match="cannot use its results"):
        run = pipeline.run()
    difference = only(run.explain("longer", 0))
    assert (difference["name"], difference["old"], difference["new"]) == ("LIMIT", "3", "2")


@pytest.mark.parametrize("way", ["pool", "jobs"], indirect=True)
def test_a_definition_is_told_with_a_diff_of_the_two_sources(flow_file: Flows, way: Way) -> None:
    flow = flow_file(PIPELINE)
    way(flow)
    flow.replace("return text.upper()", "return text.lower()")
    difference = only(way(flow).explain("each", 0))
    assert (difference["field"], difference["name"]) == ("definition", "function shape")
    assert difference["diff"][1:] == [
        " def shape(text: str) -> str:",
        "-    return text.upper()",
        "+    return text.lower()",
    ]


def test_an_input_is_told_with_the_element_that_gave_it(pipeline: FlowFile) -> None:
    run = pipeline.run(names="a b x")
    assert run.explain("each", 0)["reason"] == "cached"
    difference = only(run.explain("longer", 2))
    assert (difference["field"], difference["name"]) == ("upstream", "each")
    assert (difference["elements"], difference["old"], difference["new"]) == ([2], "'C'", "'X'")
    gathered = only(run.explain("joined"))
    assert (gathered["name"], gathered["elements"], gathered["count"]) == ("longer", [2], 1)
    item = only(run.explain("each", 2))
    assert (item["name"], item["detail"], item["new"]) == ("items", "item 2", "'x'")


def test_a_new_element_is_compared_with_any_other(pipeline: FlowFile) -> None:
    found = pipeline.run(names="a b c d", times=2).explain("each", 3)
    parameter, new = found["differences"]
    assert parameter["name"] == "times"
    assert new["detail"] == "a new element: there were 3"


def test_all_elements_of_a_task_are_told_together(pipeline: FlowFile) -> None:
    run = pipeline.run(names="a x c y")
    found = run.explain("longer")
    assert found["size"] == 4
    by_detail = [group["elements"] for group in found["groups"] if group["reason"] == "differs"]
    assert sorted(by_detail) == [[1], [3]]
    assert f"2 came from {found['groups'][0]['earlier']['run_id']}" in text_of(found)


def test_many_that_differ_alike_are_one_group(pipeline: FlowFile) -> None:
    pipeline.replace("FACTOR = 1", "FACTOR = 2")
    (group,) = pipeline.run().explain("each")["groups"]
    assert (group["count"], group["elements"]) == (3, [0, 1, 2])
    assert only(group)["name"] == "FACTOR"


def test_what_failed_before_ran_for_want_of_a_result(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(PIPELINE)
    monkeypatch.setenv("FAILS", "b")
    flow.run()
    monkeypatch.delenv("FAILS")
    run = flow.run()
    found = run.explain("each", 1)
    assert found["reason"] == "no result"
    assert "asked to" in found["text"]
    differences = {each["field"]: each for each in run.explain("joined")["differences"]}
    assert differences["missing"]["elements"] == [1]
    assert (differences["missing"]["old"], differences["missing"]["new"]) == ("1", "0")


def planned(flow: FlowFile, task: str) -> list[Mapping[str, Any]]:
    """What `--dry-run --why` says of a task."""
    found = preview(flow.load(), Wanted(), "local", True).tasks
    return next(list(each.groups) for each in found if each.name == task)


def test_the_same_is_recognised_behind_a_run_with_other_parameters(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    first = flow.run()
    flow.run(times=2)
    assert first.invalidate("each", [0, 1]) == 2
    (group,) = [each for each in planned(flow, "each") if each["reason"] != "cached"]
    assert (group["reason"], group["earlier"]["run_id"]) == ("not reusable", first.run_id)
    run = flow.run()
    found = run.explain("each", 1)
    assert (found["reason"], found["earlier"]["run_id"]) == ("not reusable", first.run_id)
    assert found["text"].endswith("was invalidated since")
    (group,) = [each for each in run.explain("each")["groups"] if each["reason"] != "cached"]
    assert (group["reason"], group["elements"]) == ("not reusable", [0, 1])


def test_a_failure_of_the_same_is_recognised_behind_another_run(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(PIPELINE)
    monkeypatch.setenv("FAILS", "b")
    first = flow.run()
    monkeypatch.delenv("FAILS")
    flow.run(times=2)
    found = flow.run().explain("each", 1)
    assert (found["reason"], found["earlier"]["run_id"]) == ("no result", first.run_id)


def test_what_was_skipped_before_is_no_first_of_its_kind(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(PIPELINE)
    monkeypatch.setenv("FAILS", "b")
    skipped = flow.run()
    monkeypatch.delenv("FAILS")
    run = flow.run()
    said = f"no earlier run has an element to compare it with ({skipped.run_id}: it ended SKIPPED"
    found = run.explain("longer", 1)
    assert found["reason"] == "first"
    assert said in " ".join(text_of(found).split())
    groups = run.explain("longer")["groups"]
    assert [each["elements"] for each in groups if each["reason"] == "first"] == [[1]]
    assert f"{skipped.run_id}: it ended SKIPPED there" in " ".join(
        text_of(run.explain("longer")).split()
    )


def test_behind_a_run_that_skipped_it_an_element_is_compared_with_an_older_one(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(PIPELINE)
    first = flow.run()
    monkeypatch.setenv("FAILS", "b")
    skipped = flow.run(times=2)
    monkeypatch.delenv("FAILS")
    run = flow.run(times=3)
    found = run.explain("longer", 1)
    assert (found["reason"], found["earlier"]["run_id"]) == ("differs", first.run_id)
    assert only(found)["name"] == "each"
    note = f"not compared with {skipped.run_id}, which is later: it ended SKIPPED there"
    assert found["notes"][0].startswith(note)
    groups = {tuple(each["elements"]): each for each in run.explain("longer")["groups"]}
    assert groups[(1,)]["notes"][0].startswith(note)
    assert groups[(0, 2)]["earlier"]["run_id"] == skipped.run_id


def test_force_and_cache_false_are_named(pipeline: FlowFile) -> None:
    assert pipeline.run(force=True).explain("each", 0)["reason"] == "forced"
    run = pipeline.run(force_tasks=["each"])
    assert run.explain("each")["groups"][0]["reason"] == "forced"
    assert run.explain("items")["reason"] == "cached"
    pipeline.replace("@wf.job()\ndef joined", "@wf.job(cache=False)\ndef joined")
    assert pipeline.run().explain("joined")["reason"] == "not cached"


def test_what_has_not_begun_says_why(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("breaks")

        @wf.job()
        def first() -> list[int]:
            raise ValueError("broken")

        @wf.array_job()
        def second(x: Annotated[int, Result(step="first")]) -> int:
            return x
        """
    )
    run = flow.run()
    found = run.explain("second")
    assert [group["reason"] for group in found["groups"]] == ["waits"]
    assert "did not run: something before it has no result" in text_of(found)
    assert run.explain("first")["reason"] == "first"
    with pytest.raises(NotFoundError):
        run.explain("second", -1)


def test_a_dry_run_says_by_what_elements_would_differ(
    pipeline: FlowFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.replace("return text.upper()", "return text.upper() + '.'")
    workflow = pipeline.load()
    wanted = Wanted(parameters={"names": "a b c d"})
    waiting = {task.name: task for task in preview(workflow, wanted, "local", True).tasks}
    assert only(waiting["items"].groups[0])["name"] == "names"
    assert waiting["each"].groups == []
    tasks = {task.name: task for task in preview(workflow, Wanted(), "local", True).tasks}
    assert [group["reason"] for group in tasks["items"].groups] == ["cached"]
    (group,) = tasks["each"].groups
    assert (group["count"], group["elements"]) == (3, [0, 1, 2])
    assert only(group)["name"] == "function shape"
    lines = preview_lines(preview(workflow, Wanted(), "local", True), width=80, every_instance=True)
    said = "\n".join(line.plain for line in lines)
    assert "3 would run because function shape in flow.py differs" in said
    assert all(not task.groups for task in preview(workflow, Wanted(), "local").tasks)


def test_a_dry_run_tells_of_results_that_would_not_be_used(
    flow_file: Flows, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("one")
    flow = flow_file(FILES)
    flow.run()
    (tmp_path / "out.txt").unlink()
    tasks = {task.name: task for task in preview(flow.load(), Wanted(), "local", True).tasks}
    (group,) = tasks["write"].groups
    assert (group["reason"], only(group)["detail"]) == ("files", "gone")


# -- files ------------------------------------------------------------------------------------
FILES = """
    wf = Workflow("files")

    @wf.job()
    def write(source: Path = Path("{here}/in.txt")) -> Path:
        out = Path("{here}/out.txt")
        out.write_text(source.read_text().upper())
        return out

    @wf.job()
    def read(path: Annotated[Path, Result(step="write")]) -> str:
        return path.read_text()

    @wf.job(after=["write"])
    def last() -> int:
        return 1
"""


def later(path: Path, content: str) -> None:
    """Write a file so that its time is surely another."""
    path.write_text(content)
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 5 * 10**9))


def test_a_file_of_a_parameter_is_told_with_what_changed(flow_file: Flows, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one")
    flow = flow_file(FILES)
    flow.run()
    later(tmp_path / "in.txt", "three")
    difference = only(flow.run().explain("write"))
    assert (difference["field"], difference["argument"]) == ("file", "source")
    assert difference["name"] == str(tmp_path / "in.txt")
    assert difference["detail"].startswith("2 bytes more, modified")


def test_a_result_whose_file_is_not_as_recorded_is_told_with_the_file(
    flow_file: Flows, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("one")
    flow = flow_file(FILES)
    flow.run()
    later(tmp_path / "out.txt", "changed")
    run = flow.run()
    found = run.explain("write")
    assert found["reason"] == "files"
    assert only(found)["name"] == str(tmp_path / "out.txt")
    after = only(run.explain("last"))
    assert (after["field"], after["name"], after["count"]) == ("after", "write", 1)
    assert only(run.explain("read"))["detail"].endswith("returned by write")


# -- what is left of runs -----------------------------------------------------------------------
def test_without_the_run_directory_the_rows_tell_what_they_can(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(PIPELINE)
    shutil.rmtree(flow.run(run_dir=tmp_path / "old").run_dir)
    found = flow.run(times=2).explain("each", 0)
    assert found["reason"] == "differs"
    assert only(found)["name"] == "times"
    assert "only rows of the store" in found["notes"][0]
    assert "run directory of" in found["notes"][0]


def test_of_a_run_that_was_cleaned_up_the_tasks_own_parameters_are_compared(
    flow_file: Flows,
) -> None:
    flow = flow_file(PIPELINE)
    old = flow.run()
    clean_run(old.store, old.store.run(old.run_id), Extent.FILES)
    run = flow.run(names="a b c d", times=2)
    found = run.explain("each", 0)
    assert only(found)["name"] == "times"
    assert found["notes"][0].startswith(
        f"only rows of the store could be compared: {old.run_id} was cleaned up on 20"
    )
    new = {each["field"]: each for each in run.explain("each", 3)["differences"]}
    assert new["upstream"]["detail"] == "a new element: there were 3"
    assert only(run.explain("longer", 3))["detail"] == "a new element: there were 3"
    assert run.explain("longer", 0)["reason"] == "unknown"
    assert "had the same" not in text_of(run.explain("longer"))


def test_what_a_cleaned_run_had_is_not_called_the_first_of_its_kind(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    old = flow.run()
    clean_run(old.store, old.store.run(old.run_id), Extent.RESULTS)
    run = flow.run(names="a b c d")
    assert run.explain("each", 0)["text"].startswith(f"{old.run_id}: that run was cleaned up on")
    assert run.explain("each", 3)["text"] == ""
    groups = run.explain("each")["groups"]
    assert [each["elements"] for each in groups] == [[0, 1, 2], [3]]


def test_a_retry_with_another_source_is_compared_by_the_source_it_was_planned_with(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(PIPELINE)
    flow.run()
    flow.replace("FACTOR = 1", "FACTOR = 2")
    monkeypatch.setenv("FAILS", "b")
    run = flow.run()
    monkeypatch.delenv("FAILS")
    flow.replace("FACTOR = 2", "FACTOR = 3")
    run = flow.load().open_run(run.run_id)
    run.retry(changed=False)
    by_element = {index: only(run.explain("each", index))["new"] for index in (0, 1)}
    assert by_element == {0: "2", 1: "3"}
    assert len(run.explain("each")["groups"]) == 2
    assert "attempt 2" in text_of(run.explain("each", 1))


def test_what_a_retry_computed_anew_is_told_with_what_differs_from_the_attempt_before(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(PIPELINE)
    monkeypatch.setenv("FAILS", "c")
    run = flow.run()
    monkeypatch.delenv("FAILS")
    flow.replace("FACTOR = 1", "FACTOR = 2")
    run = flow.load().open_run(run.run_id)
    run.retry(changed=True)
    found = run.explain("each", 0)
    assert (found["reason"], found["attempt"]) == ("retried", 2)
    assert (only(found)["name"], only(found)["old"], only(found)["new"]) == ("FACTOR", "1", "2")
    said = " ".join(text_of(found).split())
    assert "It ran again: attempt 1 had succeeded, and its result was given up in a retry" in said
    assert run.explain("each", 2)["reason"] == "first"
    groups = {each["reason"]: each for each in run.explain("each")["groups"]}
    assert (groups["retried"]["elements"], groups["first"]["elements"]) == ([0, 1], [2])
    assert "since this differs: FACTOR in flow.py differs (1 → 2)" in " ".join(
        text_of(run.explain("each")).split()
    )
    behind = run.explain("longer", 0)
    assert (behind["reason"], behind["differences"]) == ("retried", [])
    assert behind["text"].endswith("since something before it ran again")


def test_an_explanation_is_plain_data(pipeline: FlowFile) -> None:
    run = pipeline.run(times=2)
    for found in (run.explain("each"), run.explain("each", 1), run.explain("items")):
        assert json.loads(json.dumps(found)) == found


SECRETS = """
    wf = Workflow("pipeline")
    API_TOKEN = "one-hidden"
    PASSWORD = os.environ.get("PASSWORD", "two-hidden")
    URL = os.environ.get("URL", "postgres://me:three-hidden@host/db")

    @wf.job()
    def fetched(api_token: str = "four-hidden", count: int = 1) -> int:
        return count + len(API_TOKEN + PASSWORD + URL)
"""


def test_no_command_shows_a_value_that_is_secret_by_its_name(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(SECRETS)
    flow.run()
    flow.replace("one-hidden", "five-hidden")
    monkeypatch.setenv("PASSWORD", "six-hidden")
    by_token = flow.run(api_token="seven-hidden")
    monkeypatch.setenv("PASSWORD", "eight-hidden")
    monkeypatch.setenv("URL", "postgres://me:nine-hidden@host/db")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run = flow.run(api_token="ten-hidden", count=2)
    wanted = Wanted(parameters={"api_token": "eleven-hidden", "count": 3})
    planned = preview(flow.load(), wanted, "local", True)
    listed = preview_lines(
        preview(flow.load(), wanted, "local"), width=80, every_instance=True
    ) + preview_lines(planned, width=80, every_instance=True)
    status = run.status()
    found = run.explain("fetched")
    shown = [
        *(str(each.message) for each in warned),
        json.dumps([status, run.explain("fetched", 0), found, by_token.explain("fetched")]),
        run._repr_html_(),
        *(line.plain for line in listed),
        text_of(found),
    ]
    assert [text for text in shown if "-hidden" in text] == []
    assert "PASSWORD in flow.py is another *** than it was in" in shown[0]
    assert status["run"]["parameters"] == {"api_token": "***", "count": 2}
    assert "parameter api_token differs (*** → ***)" in text_of(found)
    assert "api_token = ***" in [line.plain.strip() for line in listed]


def test_what_rows_alone_tell_hides_secrets_too(flow_file: Flows) -> None:
    flow = flow_file(SECRETS)
    shutil.rmtree(flow.run().run_dir)
    found = flow.run(api_token="twelve-hidden").explain("fetched", 0)
    assert only(found)["name"] == "api_token"
    assert "-hidden" not in json.dumps(found)
