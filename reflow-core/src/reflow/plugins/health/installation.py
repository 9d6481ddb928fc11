"""What is installed and configured, and whether it can be used."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path

from reflow.config.schema import Config, config_path, load_config
from reflow.errors import ReflowError, ReflowWarning
from reflow.plugins.distributions import EXECUTOR_DISTRIBUTIONS
from reflow.plugins.hookspecs import Finding
from reflow.plugins.registry import registry
from reflow.rundir.claims import BY_CREATION
from reflow.rundir.probe import UnfitFileSystemError, probe
from reflow.stores.filesystem import STORE_ELSEWHERE, Mount, mount_of
from reflow.stores.url import SqliteUrl, parse_url
from reflow.suggest import did_you_mean

NOT_A_FILE = Finding(ok=True, text="not needed: the manifest is not a file")

_OTHER = "go to another folder, give `--run-dir`, or set `run_root`"


def check_python() -> Finding:
    """Report the interpreter that jobs will run with."""
    if not sys.executable:
        return Finding(
            ok=False,
            text="this Python does not know its own path, so jobs cannot start it; install reflow "
            "into a virtual environment, and run it from there",
        )
    return Finding(ok=True, text=f"Python {platform.python_version()}, {sys.executable}")


def check_configuration() -> Finding:
    """Check that the configuration can be read, and that its settings are known and fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ReflowWarning)
        try:
            config = load_config()
        except ReflowError as error:
            return Finding(ok=False, text=str(error))
    problems = [str(each.message) for each in caught] + _unknown_executors(config)
    if problems:
        return Finding(ok=False, text="; ".join(problems))
    path = config_path()
    if path.exists():
        return Finding(ok=True, text=str(path))
    return Finding(ok=True, text=f"there is no {path}, so every setting has its default")


def check_plugins() -> Finding:
    """Check that every installed plugin works."""
    reports = registry().report()
    problems = [
        f"{report.distribution} ({report.name}): {problem}"
        for report in reports
        for problem in report.problems
    ]
    if problems:
        return Finding(ok=False, text="; ".join(problems))
    versions = dict.fromkeys(f"{each.distribution} {each.version}" for each in reports)
    return Finding(ok=True, text=", ".join(versions))


def check_executor(name: str | None = None) -> Finding:
    """Check that there is an executor to submit to, the named or configured one; it must answer."""
    try:
        executor = quiet_config().make_executor(name)
        try:
            executor.limits()
        finally:
            executor.close()
    except ReflowError as error:
        return Finding(ok=False, text=str(error))
    return Finding(ok=True, text=executor.name)


def check_store() -> Finding:
    """Check that the manifest can be opened and read."""
    try:
        store = registry().store_for(quiet_config().store.url)
        try:
            store.list_runs(limit=1)
        finally:
            store.close()
    except ReflowError as error:
        return Finding(ok=False, text=str(error))
    return Finding(ok=True, text=shown(store.url))


def check_store_file_system() -> Finding:
    """Check that SQLite's locks work on the file system of the manifest."""
    path = store_file()
    return NOT_A_FILE if path is None else judge_mount(path, mount_of(path))


def judge_mount(path: Path, mount: Mount | None) -> Finding:
    """Judge whether several hosts may write an SQLite file on that mount."""
    if mount is None:
        return Finding(ok=True, text="this system does not tell the kind of the file system")
    if mount.blind_locks:
        return Finding(ok=False, text=f"{path}: {mount.blind_locks}. {STORE_ELSEWHERE}")
    return Finding(ok=True, text=f"{mount.kind} at {mount.point}")


def check_run_root() -> Finding:
    """Check that a run directory could be created and written."""
    wanted = run_root()
    existing = existing_part(wanted)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        claims = probe(existing)
    except UnfitFileSystemError as error:
        return Finding(ok=False, text=f"{existing} cannot hold runs: {error.strerror}; {_OTHER}")
    except OSError as error:
        return Finding(
            ok=False,
            text=f"{existing} cannot be written ({error.strerror}); {_OTHER}",
        )
    if claims == BY_CREATION:
        return Finding(
            ok=True, text=f"{wanted}; hard links cannot be used there, and are not needed"
        )
    return Finding(ok=True, text=f"{wanted}")


def quiet_config() -> Config:
    """Return the configuration, or the defaults where it cannot be read.

    Problems of the configuration itself are the finding of another check.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReflowWarning)
        try:
            return load_config()
        except ReflowError:
            return Config()


def run_root() -> Path:
    """Return the folder for runs that are started without a run directory."""
    return Path(quiet_config().run_root).expanduser().absolute()


def existing_part(folder: Path) -> Path:
    """Return the innermost folder on the way to another that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def store_file() -> Path | None:
    """Return the file of the manifest; None where it is a database server."""
    try:
        url = parse_url(quiet_config().store.url)
    except ReflowError:
        return None
    return url.path if isinstance(url, SqliteUrl) else None


def _unknown_executors(config: Config) -> list[str]:
    known = {*registry().executors(), *(entry.executor for entry in EXECUTOR_DISTRIBUTIONS)}
    return [
        f"there is no executor {name!r} for the table [executor.{name}]{did_you_mean(name, known)}"
        for name in config.executor.settings
        if name not in known
    ]


def shown(url: str) -> str:
    """Return the URL of a store without its password."""
    try:
        return parse_url(url).shown
    except ReflowError:
        # The URL of another plugin's store: what follows the scheme may hold a password.
        return f"{url.partition('://')[0]}://..."
