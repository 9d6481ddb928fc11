"""The worker of one element: `python -m reflow.execution.job_worker RUN_DIR RUN_ID WAVE POSITION`.

It never touches the database. It claims its position, runs the function, and publishes one result
file. Exit status: 0 when the element has succeeded or is another job's, 1 when it failed, 74 when
its result could not be written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from reflow.errors import NotFoundError, ReflowError, TaskInterrupted
from reflow.execution.capture import end_of, flush_streams, log_descriptor, print_to, write_all
from reflow.execution.completion import notify_if_last
from reflow.execution.execute import (
    failure_of_all,
    ignore_signals,
    interrupt_on_signals,
    load_execution,
    plugin_codecs,
)
from reflow.executors.processes import leave
from reflow.executors.seats import thread_variables
from reflow.model.states import TaskState
from reflow.rundir.claims import Claim, claim, own_claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import RESULT_NOT_WRITTEN, ResultRecord, publish
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.wave_files import InputReader, WaveSpec


def main(arguments: list[str]) -> int:
    """Run one position of one wave."""
    run_dir, run_id, number, position = arguments
    try:
        settings = read_settings(Path(run_dir), run_id)
        return _work(settings, settings.layout.wave(int(number)), int(position))
    except TaskInterrupted as interruption:
        write_all(2, f"reflow: interrupted before the task began: {interruption}\n")
        return 1
    except (OSError, NotFoundError) as error:
        write_all(2, f"reflow: the run directory cannot be used: {error}\n")
        return RESULT_NOT_WRITTEN


def _work(settings: RunSettings, layout: WaveLayout, position: int) -> int:
    """Claim a position, run it, and publish its result. Raises `OSError`."""
    if settings.layout.cancelled.exists() or _succeeded(layout, position):
        return 0
    mine = own_claim()
    if not claim(layout, position, mine, settings.claims):
        print(f"position {position} is being run by another job", file=sys.stderr)
        return 0
    # After the claim: a dispatcher that calls the wave off looks at the claims after that.
    if layout.called_off.exists():
        return 0
    environment, mask = dict(os.environ), os.umask(0o022)
    os.umask(mask)
    result = _run(settings, layout, position, mine)
    publish(layout, result, mine.file_name)
    spec = WaveSpec.read(layout)
    if spec.notify:
        # The dispatcher, and the jobs that it submits, inherit nothing of the element's.
        os.umask(mask)
        os.environ.clear()
        os.environ.update(environment)
        notify_if_last(settings, layout, position, spec.size)
    return 0 if result.outcome.state is TaskState.SUCCESS else 1


def _run(settings: RunSettings, layout: WaveLayout, position: int, mine: Claim) -> ResultRecord:
    spec = WaveSpec.read(layout)
    reader = InputReader(layout.inputs)
    record = reader.read(position)
    reader.close()
    log = settings.layout.log(spec.task, record.index, record.attempt)
    printed = log_descriptor(log)
    print_to(printed)
    shown = str(log.relative_to(settings.run_dir))
    interrupt_on_signals()
    os.environ.update(thread_variables(spec.resources.cpus, os.environ))
    try:
        os.chdir(settings.working_directory)
        execution = load_execution(layout, settings, spec, plugin_codecs(settings))
    except (ReflowError, OSError) as error:
        write_all(printed, f"reflow: {error}\n")
        return failure_of_all(spec.task, record, position, error, mine.native_id, shown).bounded()
    result = execution.run(position, record, shown, mine.native_id, lambda: end_of(log))
    ignore_signals()
    execution.values.sync()
    flush_streams()
    write_all(printed, result.outcome.traceback)
    return result.bounded()


def _succeeded(layout: WaveLayout, position: int) -> bool:
    block = layout.result_block(position)
    return any(
        f'"{TaskState.SUCCESS}"' in path.read_text()[:100]
        for path in block.glob(f"{position}.*.json")
    )


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
