"""What an element changes of its process the next one does not see."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.support import WAYS, FlowFile

Flows = Callable[..., FlowFile]

LEAKS = """
    import locale
    import logging
    import random
    import warnings

    os.environ["OF_THE_FLOW"] = "kept"
    wf = Workflow("leaks")

    def state() -> list[str]:
        mask = os.umask(0)
        os.umask(mask)
        return [
            str(each)
            for each in (
                mask,
                os.getcwd(),
                [os.environ.get(name) for name in ("OF_THE_FLOW", "HOME", "SETTING")],
                sys.path,
                logging.root.level,
                len(logging.root.handlers),
                logging.root.manager.disable,
                warnings.filters,
                signal.getsignal(signal.SIGUSR1),
                signal.getitimer(signal.ITIMER_REAL),
                locale.setlocale(locale.LC_ALL),
            )
        ]

    @wf.job()
    def items() -> list[int]:
        return list(range(6))

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> list[str]:
        found = [*state(), str(random.random())]
        os.umask(0o077)
        os.chdir("/")
        os.environ.pop("OF_THE_FLOW")
        os.environ["HOME"] = os.environ["SETTING"] = str(x)
        sys.path.insert(0, "/a/place")
        logging.root.setLevel(50)
        logging.root.addHandler(logging.NullHandler())
        logging.disable(50)
        warnings.simplefilter("error")
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.alarm(1000)
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
        random.seed(1)
        if x == 3:
            raise ValueError("failures leave no more behind")
        return found
"""


@pytest.mark.parametrize("way", WAYS)
def test_each_element_finds_its_process_as_the_first_did(flow_file: Flows, way: str) -> None:
    run = flow_file(LEAKS).run(way)
    values = [json.loads(text) for _, text, *_ in run.store.outputs(run.run_id, "each")]
    assert len(values) == 5
    for value in values:
        assert value[:-1] == values[0][:-1]
    assert "kept" in values[0][2]
    if way != "inline":
        # In the caller's own process random numbers are the caller's.
        assert len({value[-1] for value in values}) == 5


def test_a_flow_that_is_seeded_when_it_is_loaded_is_so_for_each_element(flow_file: Flows) -> None:
    run = flow_file(
        """
        import random

        random.seed(7)
        wf = Workflow("seeded")

        @wf.job()
        def items() -> list[int]:
            return [1, 2, 3, 4]

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> float:
            return random.random()
        """
    ).run("pool")
    assert run.result("each") == [random.Random(7).random()] * 4


def test_the_caller_finds_its_process_as_it_was(flow_file: Flows, tmp_path: Path) -> None:
    def state() -> list[object]:
        mask = os.umask(0o022)
        os.umask(mask)
        return [
            mask,
            Path.cwd(),
            "SETTING" in os.environ,
            list(sys.path),
            logging.root.level,
            list(logging.root.handlers),
            list(warnings.filters),
            signal.getsignal(signal.SIGUSR1),
        ]

    flow = flow_file(LEAKS)
    workflow, before = flow.load(), state()
    workflow.run_local(on_error="continue")
    assert state() == before


@pytest.mark.parametrize("way", WAYS)
def test_the_peak_memory_of_an_element_is_its_own(flow_file: Flows, way: str) -> None:
    flow_file(
        """
        wf = Workflow("peaks")

        @wf.job()
        def items() -> list[int]:
            return [300, 1]

        @wf.job(array=True)
        def each(megabytes: Annotated[int, Result(step="items")]) -> int:
            return len(b"x" * (megabytes << 20))

        @wf.job(after=["each"])
        def small() -> int:
            return 1
        """
    ).run(way)
    with sqlite3.connect(Path(os.environ["XDG_STATE_HOME"], "reflow", "manifest.db")) as database:
        found = database.execute(
            "SELECT t.name, i.idx, i.peak_memory FROM reflow_instance i JOIN reflow_task t"
            " ON i.task = t.id"
        )
        peaks = {(name, index): memory for name, index, memory in found}
    assert peaks["each", 0] > 300 << 20
    assert peaks["small", 0] < peaks["each", 0] - (200 << 20)


LATE = """
import sys
from pathlib import Path

import reflow.execution.pool.worker
from reflow.execution.surroundings import Surroundings

assert "logging" not in sys.modules, "loaded before any element asked for it"
surroundings = Surroundings(Path.cwd())
import logging

logging.basicConfig(level=10)
logging.disable(50)
surroundings.restore()
assert logging.root.level == logging.WARNING
assert not logging.root.handlers
assert logging.root.manager.disable == 0
"""


def test_logging_that_an_element_was_the_first_to_load_is_as_new_for_the_next() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
