from __future__ import annotations

from typing import Any

import pytest
from reflow.model.pilots import Pilots
from reflow.report.pilots import described
from reflow.report.preview import MOST_INSTANCES, WIDEST_ARGUMENT, preview_lines
from reflow.runs.preview import Preview, PreviewInstance, PreviewTask


def instance(index: int, action: str = "run", **arguments: str) -> PreviewInstance:
    return PreviewInstance(index=index, action=action, arguments=arguments, why="because")


def shown(preview: Preview, *, every_instance: bool = False, width: int = 80) -> str:
    lines = preview_lines(preview, width=width, every_instance=every_instance)
    return "\n".join(line.plain for line in lines)


def test_the_summary_counts_what_would_be_run_and_what_is_cached() -> None:
    tasks = [
        PreviewTask(name="prepare", array=False, size=1, to_run=0, cached=1, unknown=False),
        PreviewTask(name="convert", array=True, size=48000, to_run=47998, cached=2, unknown=False),
        PreviewTask(name="publish", array=False, size=None, reason="waits for 'convert'"),
    ]
    text = shown(Preview(tasks=tasks))
    rows = [line.split() for line in text.splitlines()]
    assert ["prepare", "1", "0", "1"] in rows
    assert ["convert", "48,000", "47,998", "2"] in rows
    assert ["publish", "?", "?", "?"] in rows
    assert "publish\n  waits for 'convert'" in text


def test_each_instance_comes_with_its_reason_and_what_it_would_be_given() -> None:
    task = PreviewTask(
        name="convert",
        array=True,
        size=2,
        to_run=1,
        cached=1,
        instances=[instance(0, "cached", item="'a'"), instance(1, "run", item="'b'")],
    )
    text = shown(Preview(tasks=[task]))
    assert "  [0]  cached  because\n      item = 'a'" in text
    assert "  [1]  run  because\n      item = 'b'" in text


def test_a_plain_task_has_no_index() -> None:
    task = PreviewTask(name="prepare", array=False, size=1, instances=[instance(0)])
    assert "  run  because" in shown(Preview(tasks=[task]))


def test_a_terminal_is_not_flooded_but_a_file_gets_everything() -> None:
    many = [instance(index) for index in range(MOST_INSTANCES + 5)]
    preview = Preview(tasks=[PreviewTask(name="a", array=True, instances=many)])
    assert "and 5 more elements" in shown(preview)
    assert f"[{MOST_INSTANCES + 4}]" in shown(preview, every_instance=True)


def test_what_it_would_save_if_elements_shared_jobs_is_said_in_one_line() -> None:
    advice = 'convert: 48,000 jobs of about 0.05 s each; per_job="auto" would make it 480 jobs'
    task = PreviewTask(name="convert", array=True, advice=advice, instances=[instance(0)])
    assert f"convert\n  {advice}\n  [0]" in shown(Preview(tasks=[task]), width=90)


def pilots_in(*tasks: PreviewTask) -> str:
    pilots = Pilots(jobs=4, cpus=32, mem="120G", gpus=2, time="08:00:00")
    return shown(Preview(tasks=list(tasks), pilots=pilots))


def large(name: str, **more: Any) -> PreviewTask:
    return PreviewTask(name=name, array=False, fits=False, **more)


SMALL = PreviewTask(name="small", array=False)
DONE = large("done", unknown=False, to_run=0, cached=1)


def test_pilots_are_told_with_what_does_not_fit_them() -> None:
    size = "\n4 pilots, each with 32 CPUs, 120 GiB and 2 GPUs, for 8 h 0 min\n"
    assert f"{size}\nsmall" in pilots_in(SMALL, DONE)
    assert f"{size}'big' does not fit a pilot, and would have jobs of its own\n" in pilots_in(
        SMALL, large("big")
    )
    assert "'big', 'wide' do not fit a pilot, and would have jobs of their own\n" in pilots_in(
        large("big"), SMALL, large("wide")
    )
    assert "no task fits a pilot: all would have jobs of their own\n" in pilots_in(
        large("big"), DONE
    )


@pytest.mark.parametrize(
    ("pilots", "words"),
    [
        (Pilots(jobs=1), "1 pilot, each with 1 CPU"),
        (Pilots(jobs=2, nodes="whole"), "2 pilots, each with a node for itself"),
        (
            Pilots(jobs=2, nodes="whole", cpus=16, mem="512M"),
            "2 pilots, each with a node for itself, 16 CPUs and 512 MiB",
        ),
    ],
)
def test_the_size_of_pilots_is_what_was_asked_for(pilots: Pilots, words: str) -> None:
    assert described(pilots) == words


def test_a_long_argument_is_cut() -> None:
    task = PreviewTask(name="a", array=False, instances=[instance(0, text="x" * 1000)])
    assert max(map(len, shown(Preview(tasks=[task])).splitlines())) < WIDEST_ARGUMENT + 20


def test_scripts_are_shown_as_they_are() -> None:
    preview = Preview(tasks=[], scripts=[("script of convert", "#!/bin/sh\n\n  echo [bold]\n")])
    assert "script of convert\n#!/bin/sh\n\n  echo [bold]" in shown(preview)
