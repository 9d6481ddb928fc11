"""The process that calls the function: `python -m reflow.runs.replay.process FOLDER`.

It is told by `request.json` in the scratch folder what to call, and leaves the result record in
`result`. It writes nothing else than what the function itself writes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from reflow.errors import FlowImportError, ReflowError
from reflow.execution.debugger import call_debugged
from reflow.execution.execute import Execution, load_into_worker, plugin_codecs
from reflow.executors.seats import thread_variables
from reflow.model.tasks import TaskSpec
from reflow.rundir.files import write_whole
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.source_record import RunSource
from reflow.rundir.wave_files import WaveSpec

WAVE = 1
"""The number of the wave in the scratch folder, which has one element."""
UNUSABLE = 70
"""Exit status where the function could not be called (EX_SOFTWARE)."""
INTERRUPTED = 130


def main(folder: str) -> int:
    """Call the function of a request."""
    scratch = Path(folder)
    request = json.loads((scratch / "request.json").read_text())
    settings = read_settings(Path(request["run_dir"]), request["run_id"])
    layout = RunLayout(scratch / "run", settings.run_id).wave(WAVE)
    spec = WaveSpec.read(layout)
    os.environ.update(thread_variables(spec.resources.cpus, os.environ))
    try:
        os.chdir(settings.working_directory)
        tasks = dict(_tasks(settings, RunSource.read(settings.layout, spec.source)))
        tasks[spec.task] = _debugged(tasks[spec.task], request["debug"])
        here = replace(settings, run_dir=scratch / "run")
        execution = Execution(layout, here, spec, tasks, plugin_codecs(settings))
        result = execution.run(0, execution.record(0))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ReflowError, OSError, LookupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    execution.values.sync()
    sys.stdout.flush()
    sys.stderr.flush()
    write_whole(scratch / "result", result.line())
    return 0


def _tasks(settings: RunSettings, source: RunSource) -> Mapping[str, TaskSpec]:
    """Load the flow's tasks from the run's copy of the source, or from the disk without one."""
    if source.copy:
        return load_into_worker(settings, source)
    from reflow.execution.flow_loading import resolve_in_worker

    if settings.flow is None:
        raise FlowImportError(
            f"{settings.run_id} was started from a workflow that other processes cannot import"
        )
    return {spec.name: spec for spec in resolve_in_worker(settings.flow).specs()}


def _debugged(task: TaskSpec, debug: str) -> TaskSpec:
    """Return the task with a function that opens the debugger, as far as that is wanted."""
    if not debug:
        return task
    return replace(task, function=partial(call_debugged, task.function, debug == "start"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
