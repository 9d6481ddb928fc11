"""Tiers 2 and 3: the site that scenarios run on, and what its author supplies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reflow.model.resources import Resources
from reflow.model.states import FailureCause
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.fake_site import FakeSite
from reflow.testing.executors.kit import ExecutorKit
from reflow.testing.executors.live_site import LiveSite
from reflow.testing.executors.site import Site

_COMMANDS = {
    "submit_command": 'the command that submits, such as "pondsub" or "pond submit"',
    "query_commands": 'those that `poll` asks the queue with, such as ("pondstat",)',
}


class OnSite(ExecutorKit):
    """What an author supplies for tiers 2 and 3, and what scenarios are given."""

    fake: ClassVar[str | None] = None
    """Tier 2: `module:Class` of your scheduler's emulator; None for no second tier."""
    fake_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of the fake's site."""
    submit_command: ClassVar[str] = ""
    """The command that submits, `pondsub`; with a word that its arguments must hold where one
    program does several things, `pond submit`."""
    query_commands: ClassVar[tuple[str, ...]] = ()
    """The commands by which `poll` queries the queue, written in the same way."""
    telling_commands: ClassVar[tuple[str, ...]] = ()
    """Commands that identify the scheduler where others have commands of the same names."""
    hurry: ClassVar[Mapping[str, Any]] = {"timeout": 2.0}
    """Settings by which a command that does not answer soon times out."""
    refused: ClassVar[Resources] = Resources(queue="nosuchqueue")
    """Resources that the scheduler refuses at once."""
    impossible: ClassVar[Resources] = Resources(cpus=5000)
    """Resources that can never be provided, whether or not the job is accepted at first."""
    many_elements: ClassVar[int] = 1000
    """The number of elements of the largest array that is run to its end."""
    more_commands: ClassVar[int] = 0
    """How many more commands it takes to submit, poll and cancel 1000 elements than 10."""
    jobs_survive_outages: ClassVar[bool] = True
    """Whether jobs go on while the scheduler's daemon is down."""
    warns_before_kill: ClassVar[bool] = True
    """Whether a job that is cancelled gets SIGTERM, and some time, before it is killed."""
    follow_up_survives_oblivion: ClassVar[bool] = True
    """Whether an accepted follow-up starts where the work was over and forgotten before."""
    follow_up_survives_deletion: ClassVar[bool] = True
    """Whether a follow-up starts when the work is deleted while it waits. Where it does not, runs
    go on by their watchdog."""
    memory_may_look_like: ClassVar[tuple[FailureCause, ...]] = ()
    """Other causes that may be reported for a job killed for its memory."""
    enforces_time: ClassVar[bool] = True
    """Whether the scheduler ends jobs that exceed their time limit."""
    live: ClassVar[bool] = True
    """Tier 3: whether scenarios can run on a real scheduler."""

    @classmethod
    def fake_site(cls, request: pytest.FixtureRequest, folder: Path) -> Site:
        """Make the site of tier 2; `folder` is for its log."""
        assert cls.fake is not None
        cls.check_commands()
        return FakeSite(
            cls.fake, folder, cls.submit_command, cls.query_commands, **cls.fake_settings
        )

    @classmethod
    def live_site(cls, request: pytest.FixtureRequest, folder: Path) -> Site:
        """Make the site of tier 3. The default is the scheduler whose commands are on PATH."""
        cls.check_commands()
        used = (cls.submit_command, *cls.query_commands, *cls.telling_commands)
        commands = {text.split()[0] for text in used}
        missing = sorted(command for command in commands if shutil.which(command) is None)
        if missing:
            pytest.skip(f"there is no {' and no '.join(missing)} on PATH")
        return LiveSite(folder, cls.submit_command, cls.query_commands)

    @classmethod
    def check_commands(cls) -> None:
        """Fail where the class does not name the commands that scenarios disturb."""
        for name, what in _COMMANDS.items():
            if not getattr(cls, name):
                pytest.fail(f"{cls.__name__} must say {name}: {what}", pytrace=False)

    @classmethod
    def wants_live(cls, config: pytest.Config) -> bool:
        """Tell whether tier 3 is to run."""
        return bool(config.getoption("reflow_live", False))

    # -- what scenarios need ---------------------------------------------------------------
    def needs_scheduler(self, bench: Bench) -> None:
        """Skip a scenario that needs a scheduler where the executor has none."""
        if bench.executor.capabilities.volatile:
            pytest.skip(
                f"{bench.executor.name} has no scheduler apart from itself (capabilities.volatile)"
            )

    def needs_dispatch_jobs(self, bench: Bench) -> None:
        """Skip a scenario of follow-ups where the executor has no dispatch jobs."""
        if not bench.executor.capabilities.dispatch_jobs:
            pytest.skip(f"{bench.executor.name} runs no dispatch jobs (capabilities.dispatch_jobs)")

    def needs_walltime(self, bench: Bench) -> None:
        """Skip a scenario of time limits where they are not enforced."""
        if not self.enforces_time:
            pytest.skip(f"{bench.executor.name} does not limit time (enforces_time)")

    # -- what scenarios are given ----------------------------------------------------------
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrise the scenarios with every site that is available."""
        if "site" not in metafunc.fixturenames:
            return
        tiers = ["fake"] if self.fake is not None else []
        if self.live and self.wants_live(metafunc.config):
            tiers.append("live")
        nowhere = pytest.param("nowhere", marks=pytest.mark.skip(reason=self._why_nowhere()))
        metafunc.parametrize("site", tiers or [nowhere], indirect=True, scope="class")

    @classmethod
    def _why_nowhere(cls) -> str:
        live = "runs on a real scheduler with --reflow-live" if cls.live else "has live = False"
        return f"there is no site: {cls.__name__} names no emulator in `fake`, and {live}"

    @pytest.fixture(scope="class")
    @classmethod
    def site(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Site]:
        """Start the scheduler once for all scenarios of a class."""
        folder = tmp_path_factory.mktemp("site")
        make = cls.fake_site if request.param == "fake" else cls.live_site
        site = make(request, folder)
        site.start()
        try:
            yield site
        finally:
            site.close()

    @pytest.fixture
    def place(self, site: Site, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
        """Make a folder that the nodes see too."""
        shared = request.config.getoption("reflow_live_folder", None)
        if shared is None or not site.remote:
            yield tmp_path
            return
        folder = Path(shared).resolve() / tmp_path.parent.name / tmp_path.name
        folder.mkdir(parents=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    @pytest.fixture
    def bench(self, site: Site, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
        """Put an executor to work on the site."""
        site.renew()
        for name, value in site.variables.items():
            monkeypatch.setenv(name, value)
        folder = place / "bench"
        folder.mkdir()
        bench = Bench(self.make_executor(), site, folder, f"kit-{place.name[:20]}")
        try:
            yield bench
        finally:
            site.mend()
            bench.clean_up()
