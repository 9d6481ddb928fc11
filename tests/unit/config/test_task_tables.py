"""The tables `[tasks.NAME]`: what tasks ask for as the configuration says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from reflow import Config, Result, Workflow, load_config
from reflow.errors import ConfigError, DefinitionError, ReflowWarning
from reflow.model.tasks import TaskSpec
from reflow.report.drawing import draw_text
from reflow.report.installation import config_lines
from reflow.report.preview import preview_lines
from reflow.rundir.graph_data import graph_as_data, graph_of_data
from reflow.rundir.run_settings import read_settings
from reflow.runs.create import Wanted
from reflow.runs.open_dispatcher import recorded_graph
from reflow.workflow import preview

Settings = Callable[[str], str]


@pytest.fixture
def settings(home: Path) -> Settings:
    """Write the user's configuration file; return its path."""

    def write(text: str) -> str:
        path = home / ".config" / "reflow" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def flow(name: str = "genome", **work: Any) -> Workflow:
    wf = Workflow(name)

    @wf.job(mem="1G")
    def prepare() -> list[int]:
        return [1, 2]

    @wf.job(array=True, **{"mem": "2G", "time": "00:10:00", **work})
    def align(x: Annotated[int, Result(step="prepare")]) -> int:
        return x + 1

    return wf


def task(wf: Workflow, name: str = "align") -> TaskSpec:
    return wf.graph().tasks[name]


GIB = 2**30


def test_a_table_decides_in_place_of_the_decorator_and_says_so(settings: Settings) -> None:
    file = settings(
        "[tasks.align]\nmem = '6G'\ntime = 00:30:00\ncpus = 4\ngpus = 1\nqueue = 'long'\n"
        "account = 'ab'\nper_job = 'auto'\nat_once = 2\narray_parallelism = 5\nretries = 2\n"
        "retry_mem = 2\nretry_time = 1.5\n"
    )
    spec = task(flow())
    asked = spec.resources
    assert (asked.mem, asked.time, asked.cpus) == (6 * GIB, timedelta(minutes=30), 4)
    assert (asked.gpus, asked.queue, asked.account) == (1, "long", "ab")
    assert (spec.per_job, spec.at_once, spec.array_parallelism) == ("auto", 2, 5)
    assert (spec.retries, spec.retry_mem, spec.retry_time) == (2, 2.0, 1.5)
    assert spec.overridden["mem"] == f"[tasks.align] in {file}"
    assert len(spec.overridden) == 12
    assert task(flow(), "prepare").overridden == {}


def test_what_a_table_does_not_say_stays_as_the_decorator_has_it(settings: Settings) -> None:
    settings("[tasks.align]\ncpus = 4\n")
    asked = task(flow()).resources
    assert (asked.cpus, asked.mem, asked.time) == (4, 2 * GIB, timedelta(minutes=10))


@pytest.mark.parametrize("head", ['[tasks."genome.align"]', "[tasks.genome.align]"])
def test_the_table_for_one_workflow_comes_before_that_for_all(
    settings: Settings, head: str
) -> None:
    settings(f"{head}\nmem = '7G'\n[tasks.align]\nmem = '6G'\ncpus = 3\n")
    here, elsewhere = task(flow()), task(flow("other"))
    assert (here.resources.mem, here.resources.cpus) == (7 * GIB, 3)
    assert (elsewhere.resources.mem, elsewhere.resources.cpus) == (6 * GIB, 3)
    assert here.overridden["mem"].startswith('[tasks."genome.align"] in ')
    assert here.overridden["cpus"].startswith("[tasks.align] in ")


def test_options_of_executors_are_added_to_those_of_the_decorator(settings: Settings) -> None:
    settings("[tasks.align.options.pond]\nqos = 'high'\ndepth = 3\n")
    given: dict[str, dict[str, Any]] = {"pond": {"qos": "low", "reeds": True}, "lake": {"boat": 1}}
    merged = {"pond": {"qos": "high", "reeds": True, "depth": 3}, "lake": {"boat": 1}}
    wf = Workflow("genome", config=load_config())
    [spec] = wf.config.overridden("genome", [task_with(given)])
    assert spec.resources.options == merged


def task_with(options: dict[str, dict[str, Any]]) -> TaskSpec:
    wf = Workflow("genome")
    wf.job(name="align", options=options)(lambda: 1)
    return wf.specs()[0]


def test_partition_is_another_word_for_queue(settings: Settings) -> None:
    settings("[tasks.align]\npartition = 'long'\n")
    assert task(flow(queue="short")).resources.queue == "long"
    assert list(task(flow()).overridden) == ["queue"]


def test_a_table_for_no_task_here_is_left_alone(settings: Settings) -> None:
    settings("[tasks.elsewhere]\nmem = '6G'\n")
    assert all(not spec.overridden for spec in flow().graph().tasks.values())


def test_what_is_for_arrays_is_left_out_of_other_tasks_with_a_warning(settings: Settings) -> None:
    settings("[tasks.prepare]\nper_job = 5\nmem = '3G'\n")
    with pytest.warns(ReflowWarning, match=r"\[tasks.prepare\]: per_job is ignored: 'prepare' is"):
        spec = task(flow(), "prepare")
    assert (spec.per_job, spec.resources.mem) == (None, 3 * GIB)


@pytest.mark.parametrize(
    ("option", "meant"),
    [("memm = '3G'", "'mem'"), ("walltime = 3", "'time'"), ("cache = false", "there are cpus")],
)
def test_an_unknown_option_is_a_warning_that_names_the_nearest(
    settings: Settings, option: str, meant: str
) -> None:
    file = settings(f"[tasks.align]\n{option}\n")
    with pytest.warns(ReflowWarning, match=rf"tasks\.align\..* is ignored.*{meant}") as caught:
        assert load_config().tasks == {}
    assert str(caught[0].message).startswith(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tasks.align]\nmem = 'much'", "tasks.align.mem: mem 'much' is not a size"),
        ("[tasks.align]\ncpus = 0", "tasks.align.cpus: cpus=0: write a whole number"),
        ("[tasks.align]\nper_job = 'all'", "tasks.align.per_job: per_job='all': write 'auto'"),
        ("[tasks]\nmem = '3G'", "tasks.mem must be a table: write [tasks.NAME]"),
        ("tasks = 3", "tasks must be a table"),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error_with_file_and_key(
    settings: Settings, text: str, said: str
) -> None:
    file = settings(text + "\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(file)
    assert said in str(caught.value)


def test_a_table_that_does_not_go_with_the_decorator_is_named(settings: Settings) -> None:
    settings("[tasks.align]\nat_once = 8\n")
    with pytest.raises(DefinitionError, match=r"'align' with what \[tasks.align\].*at_once=8"):
        flow(per_job=4).graph()


def test_a_run_keeps_what_the_tables_said(settings: Settings) -> None:
    settings("[tasks.align]\nmem = '6G'\nper_job = 3\n[tasks.genome.align]\ncpus = 2\n")
    config = load_config()
    again = Config.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again.tasks == config.tasks
    graph = flow().graph()
    recorded = graph_of_data(json.loads(json.dumps(graph_as_data(graph))))
    assert recorded.tasks["align"].resources == graph.tasks["align"].resources
    assert recorded.tasks["align"].per_job == 3
    assert recorded.tasks["align"].overridden == graph.tasks["align"].overridden


def test_other_requests_leave_cached_results_as_they_are(settings: Settings) -> None:
    assert flow().run_local("first").state == "SUCCESS"
    settings("[tasks.align]\nmem = '6G'\ncpus = 2\nper_job = 3\nretries = 1\n")
    second = flow().run_local("second").status(as_dict=True)
    assert {name: each["cached"] for name, each in second["tasks"].items()} == {
        "prepare": 1,
        "align": 2,
    }


def test_a_retry_asks_for_what_the_tables_say_by_then(settings: Settings) -> None:
    broken = [True]

    def fragile() -> Workflow:
        wf = Workflow("fragile")

        @wf.job(mem="1G", version=1)
        def work() -> int:
            if broken:
                raise MemoryError
            return 1

        return wf

    run = fragile().run_local("there", on_error="continue")
    assert run.state == "FAILED"
    settings("[tasks.work]\nmem = '6G'\n")
    broken.clear()
    again = fragile().open_run(run.run_id)
    again.retry()
    assert again.state == "SUCCESS"
    recorded = recorded_graph(read_settings(run.run_dir, run.run_id))
    assert recorded.tasks["work"].resources.mem == 6 * GIB


def test_a_workflow_with_a_configuration_of_its_own_reads_no_tables_of_the_file(
    settings: Settings,
) -> None:
    settings("[tasks.align]\nmem = '6G'\n")
    wf = Workflow("own", config=Config(tasks={"work": {"mem": "8G"}}))
    wf.job(name="work")(lambda: 1)
    assert task(wf, "work").resources.mem == 8 * GIB


def test_what_comes_from_a_table_is_shown_with_its_origin(settings: Settings) -> None:
    file = settings("[tasks.align]\nmem = '6G'\ntime = 90\n")
    wf = flow()
    described = {each.name: each for each in wf.describe_typed().tasks}
    told = f"[tasks.align] in {file}"
    assert described["align"].as_dict()["overridden"] == {"mem": told, "time": told}
    assert "configured: mem=6G, time=01:30:00" in draw_text(wf.graph())
    shown = preview_lines(preview(wf, Wanted(), "local"), width=400, every_instance=True)
    assert f"  mem=6G, time=01:30:00, from {told}" in [line.plain for line in shown]
    lines = [line.plain for line in config_lines(load_config(), width=400)]
    [row] = [line for line in lines if line.startswith("tasks.align.mem")]
    assert row.split() == ["tasks.align.mem", '"6G"', file]


def test_a_table_for_a_task_that_the_workflow_does_not_have_is_told(settings: Settings) -> None:
    settings('[tasks."genome.aling"]\nmem = "3G"\n[tasks."other.aling"]\nmem = "3G"\n')
    with pytest.warns(ReflowWarning, match="has no task 'aling'.*'align'") as told:
        flow().graph()
    assert len(told) == 1
