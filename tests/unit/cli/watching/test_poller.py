from __future__ import annotations

import threading
from collections.abc import Sequence

from reflow.cli.watching.commands import summary, words_of
from reflow.cli.watching.poller import Poller
from reflow.errors import StoreError
from reflow.report.watch.state import Look, Request, Verb
from reflow.runs.watching.glance import Glance, Wanted

from tests.unit.report.watch.glances import glance

RUN, OTHER = Wanted(run_id="a"), Wanted(run_id="b")


class Looks:
    """Looks that take as long as the test wants."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.woken = threading.Semaphore(0)
        self.at_once = self.most_at_once = 0
        self.fails: Exception | None = None

    def __call__(self, wanted: Wanted) -> Sequence[Look]:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.begun.release()
        assert self.may_end.acquire(timeout=60)
        self.at_once -= 1
        if self.fails is not None:
            raise self.fails
        return [glance({}, run_id=wanted.run_id)]


def seen(poller: Poller) -> str:
    found = poller.take()
    assert found is not None
    (look,), why = found
    assert isinstance(look, Glance)
    assert not why
    return str(look.status["run"]["run_id"])


def test_a_slow_look_holds_nobody_up_and_there_is_one_at_a_time() -> None:
    looks = Looks()
    poller = Poller(looks, RUN, looks.woken.release)
    poller.start()
    assert looks.begun.acquire(timeout=60)
    for _ in range(5):
        poller.look_again()
        assert poller.take() is None
    looks.may_end.release()
    assert looks.woken.acquire(timeout=60)
    assert seen(poller) == "a"
    assert poller.take() is None
    poller.look_again()
    assert looks.begun.acquire(timeout=60)
    assert looks.most_at_once == 1
    looks.may_end.release()
    poller.stop(60)


def test_what_is_not_wanted_any_more_is_not_shown() -> None:
    looks = Looks()
    poller = Poller(looks, RUN, looks.woken.release)
    poller.start()
    assert looks.begun.acquire(timeout=60)
    poller.want(OTHER)
    looks.may_end.release(2)
    assert looks.woken.acquire(timeout=60)
    assert looks.begun.acquire(timeout=60)
    assert looks.woken.acquire(timeout=60)
    assert seen(poller) == "b"
    looks.may_end.release(9)
    poller.stop(60)


def test_a_look_that_fails_is_told_and_tried_again() -> None:
    looks = Looks()
    looks.fails = StoreError("the manifest is locked")
    poller = Poller(looks, RUN, looks.woken.release)
    looks.may_end.release()
    poller.start()
    assert looks.woken.acquire(timeout=60)
    assert poller.take() == ((), "the manifest is locked")
    looks.fails = None
    poller.look_again()
    looks.may_end.release()
    assert looks.woken.acquire(timeout=60)
    assert seen(poller) == "a"
    looks.may_end.release(9)
    poller.stop(60)


def test_commands_are_those_that_one_types() -> None:
    assert words_of(Request(Verb.CANCEL, "a", "t")) == ["cancel", "a", "--task", "t", "--yes"]
    assert words_of(Request(Verb.RETRY, "a")) == ["retry", "a"]


def test_what_a_command_did_is_its_first_line_or_its_error() -> None:
    assert summary("warning: x\na: 3 instances to be run again\nreflow ...\n") == (
        "a: 3 instances to be run again"
    )
    assert summary("something\nerror: no\n") == "error: no"
    assert summary("\n") == ""
