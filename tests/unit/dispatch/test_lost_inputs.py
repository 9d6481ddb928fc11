"""Makers of values whose files are gone, put back by one dispatcher and by the next."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.dispatch.lost_inputs import MOST, LostInputs
from reflow.model.outcomes import HeldFile
from reflow.model.records import Instance
from reflow.model.states import TaskState
from reflow.rundir.file_states import Recorded

TAKER = Instance(task="use", index=0, state=TaskState.RUNNING)


class Made:
    """A run whose task `make` has two elements, each with a value in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = [folder / "0.npy", folder / "1.npy"]
        self.renewed: list[int] = []
        self.run_id = "run"
        self.store = self
        self.instances = [Instance(task="make", index=index) for index in range(2)]
        self.tasks = {
            "make": SimpleNamespace(instances=self.instances, edges=()),
            "use": SimpleNamespace(edges=(SimpleNamespace(step="make"),)),
        }
        self.make()

    def make(self) -> None:
        for index, file in enumerate(self.files):
            file.write_bytes(b"value")
            self.instances[index] = Instance(task="make", index=index, state=TaskState.SUCCESS)

    def outputs(self, run_id: str, task: str) -> Any:
        for index, file in enumerate(self.files):
            if self.instances[index].state is TaskState.SUCCESS:
                yield index, "", Recorded(held=(HeldFile(str(file), 5),)).text()

    def renew(self, task: Any, instances: list[Instance]) -> None:
        for instance in instances:
            self.renewed.append(instance.index)
            self.instances[instance.index] = Instance(task="make", index=instance.index)

    def dispatcher(self) -> LostInputs:
        given: Any = self
        looks: Any = SimpleNamespace(lose=lambda path: None)
        return LostInputs(given, self.folder / "notes", looks, lambda: None)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_only_what_is_gone_is_made_again(made: Made) -> None:
    made.files[1].unlink()
    assert made.dispatcher().recover(TAKER, str(made.files[1]))
    assert made.renewed == [1]


def test_what_else_is_gone_is_made_again_with_it(made: Made) -> None:
    for file in made.files:
        file.unlink()
    lost = made.dispatcher()
    assert all(lost.recover(TAKER, str(file)) for file in made.files)
    assert made.renewed == [0, 1]


def test_it_is_put_back_once_for_all_takers(made: Made) -> None:
    made.files[0].unlink()
    lost = made.dispatcher()
    assert all(lost.recover(TAKER, str(made.files[0])) for _ in range(3))
    assert made.renewed == [0]


def test_the_next_dispatcher_lets_takers_wait_for_what_was_put_back(made: Made) -> None:
    made.files[0].unlink()
    made.dispatcher().recover(TAKER, str(made.files[0]))
    assert made.dispatcher().recover(TAKER, str(made.files[0]))
    made.files[0] = made.folder / "elsewhere"
    made.make()
    assert made.dispatcher().recover(TAKER, str(made.folder / "0.npy"))
    assert made.renewed == [0]


def test_it_is_made_again_so_often_and_no_more_until_a_user_retries(made: Made) -> None:
    for _ in range(MOST):
        made.files[0].unlink()
        assert made.dispatcher().recover(TAKER, str(made.files[0]))
        made.make()
    made.files[0].unlink()
    lost = made.dispatcher()
    assert not lost.recover(TAKER, str(made.files[0]))
    lost.forget()
    assert lost.recover(TAKER, str(made.files[0]))


def test_a_file_that_no_task_of_the_run_wrote_is_not_waited_for(made: Made) -> None:
    assert not made.dispatcher().recover(TAKER, "/no/such/file")
