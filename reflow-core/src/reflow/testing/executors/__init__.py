"""What every executor must do, as classes of tests that its author subclasses.

There are three tiers: the scripts and commands that a backend makes of its arguments; the same
backend on a strict fake scheduler that really runs jobs; and on the real scheduler, where it is
present and pytest is given `--reflow-live`. An author writes, in a test module::

    from reflow.testing.executors import ExecutorConformance

    class TestPondExecutor(ExecutorConformance):
        executor_class = PondExecutor
        # tier 1
        documented_states = {"waiting": JobState.QUEUED, "swimming": JobState.RUNNING, ...}
        submission_answers = {"Duck 24 is in the pond.": "24"}
        complaints = {(1, "pondsub: no such pond"): SubmissionRefusedError, ...}

        def asked_time(self, submission): ...
        def asked_memory(self, submission): ...

        # tiers 2 and 3
        fake = "tests.pond_emulator:PondEmulator"
        submit_command = "pondsub"
        query_commands = ("pondstat",)

and runs pytest. Each class can be subclassed by itself as well:

| class | tier | for |
|---|---|---|
| `PureConformance` | 1 | executors made of `BatchExecutor` |
| `RunningConformance` | 2 and 3, job by job | any executor |
| `WorkflowConformance` | 2 and 3, whole runs | any executor that a plugin offers by name |
| `ExecutorConformance` | all of them | executors made of `BatchExecutor` |

What an author supplies is documented at the class variables and the methods that raise
`NotImplementedError`: `ExecutorKit` for all, `PureConformance`, `OnSite` for tiers 2 and 3. What a
scenario may do to a scheduler is a `Site`: `FakeSite` and `LiveSite` are made by default, and
`fake_site` and `live_site` can be overridden to return others.

With `pytest_plugins = ["reflow.testing.pytest_plugin"]` in the topmost `conftest.py`, pytest knows
the options of tier 3.
"""

from __future__ import annotations

import pytest

_MODULES = (
    "bench conformance ends fake_site flows follow_ups kit life live_site on_site outages pure "
    "running shared_jobs site workflows"
)
# Before the modules are imported, so that a failed test shows what it compared.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _MODULES.split()))

from reflow.testing.executors.bench import Bench  # noqa: E402
from reflow.testing.executors.conformance import ExecutorConformance  # noqa: E402
from reflow.testing.executors.fake_site import FakeSite  # noqa: E402
from reflow.testing.executors.kit import ExecutorKit  # noqa: E402
from reflow.testing.executors.live_site import LiveSite  # noqa: E402
from reflow.testing.executors.on_site import OnSite  # noqa: E402
from reflow.testing.executors.pure import PureConformance  # noqa: E402
from reflow.testing.executors.running import RunningConformance  # noqa: E402
from reflow.testing.executors.site import NoSite, Site  # noqa: E402
from reflow.testing.executors.workflows import WorkflowConformance  # noqa: E402

__all__ = [
    "Bench",
    "ExecutorConformance",
    "ExecutorKit",
    "FakeSite",
    "LiveSite",
    "NoSite",
    "OnSite",
    "PureConformance",
    "RunningConformance",
    "Site",
    "WorkflowConformance",
]
