"""The ground every test stands on: its own home, its own folder, nobody's settings."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.services.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]

# `--reflow-live`: the executors' scenarios on the real schedulers that are here, too.
pytest_plugins = ["reflow.testing.pytest_plugin"]

settings.register_profile("quick", database=None, deadline=None, max_examples=10)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=100)
settings.load_profile("quick")

OTHERS_SETTINGS = ("REFLOW_", "XDG_", "PG")
"""Variables that begin so are settings of the person who runs the tests."""

TERMINAL = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TERM")


def pytest_configure() -> None:
    """Have Ctrl-C end what tests start, also where the tests themselves run in the background.

    Shells start such commands with SIGINT ignored, which whatever they start inherits.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """How many tests run at once: more than there are cores, as they often wait for processes."""
    return (os.cpu_count() or 1) * 2


@pytest.fixture(autouse=True)
def home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home of the test's own; the working directory is the test's `tmp_path`."""
    for name in list(os.environ):
        if name.startswith(OTHERS_SETTINGS) or name in TERMINAL:
            monkeypatch.delenv(name)
    own = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(own))
    for name, folder in (
        ("CONFIG", ".config"),
        ("CACHE", ".cache"),
        ("DATA", ".local/share"),
        ("STATE", ".local/state"),
    ):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(own / folder))
    monkeypatch.chdir(tmp_path)
    return own
