"""Which user a run belongs to: the owner of its folder and its settings file.

Nothing of a run is executed or imported by another user. A row of the database says nothing about
ownership: several users may write to one database, but only one can own a file that others cannot
write.
"""

from __future__ import annotations

import os
import pwd
import stat
from datetime import datetime

from reflow.errors import DamagedRunError, ForeignRunError, NotFoundError
from reflow.model.records import RunRecord
from reflow.rundir.files import read_descriptor
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import MOST_BYTES, RunSettings, parse_settings, unreadable

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def own_settings(record: RunRecord) -> RunSettings:
    """Read the settings of a run, as its owner.

    Raises `ForeignRunError` where another user owns the run's folder or could have written what
    is in it, `NotFoundError` where there are no settings, and `DamagedRunError` where they cannot
    be used.
    """
    require_files(record)
    layout = RunLayout(record.run_dir, record.run_id)
    try:
        folder = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _not_opened(record, layout, error) from error
    try:
        _require_own(record, os.fstat(folder))
        # Refuse links, and pipes that are never written to.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(layout.settings.name, flags, dir_fd=folder)
    except OSError as error:
        raise _not_opened(record, layout, error) from error
    finally:
        os.close(folder)
    try:
        status = os.fstat(file)
        _require_own(record, status)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise DamagedRunError(f"{layout.settings} is no file of settings")
        settings = parse_settings(layout.settings, read_descriptor(file))
    finally:
        os.close(file)
    if settings.run_id != record.run_id:
        raise DamagedRunError(f"{layout.settings} holds the settings of {settings.run_id}")
    return settings


def require_files(record: RunRecord) -> None:
    """Raise `NotFoundError` for a run whose files were cleaned up."""
    if record.cleaned_at is not None:
        raise NotFoundError(f"{record.run_id} was {cleaned_up(record.cleaned_at)}")


def cleaned_up(when: datetime) -> str:
    """Say that a run was cleaned up, and what that means."""
    return (
        f"cleaned up on {when.astimezone():%Y-%m-%d}: its logs, values and instances are removed. "
        "Results that the cache has kept serve a new run"
    )


def may_end(record: RunRecord) -> bool:
    """Tell whether the caller may record the end of a run whose folder is gone.

    Nothing is left there that could be executed, and nothing else says whose run it was.
    """
    return record.uid in (None, os.geteuid())


def user_name(uid: int | None) -> str:
    """Return a user's name on this machine."""
    if uid is None:
        return "another user"
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"user {uid}"


def _require_own(record: RunRecord, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise ForeignRunError(
            f"{record.run_id} belongs to {user_name(status.st_uid)}: you can look at it, and "
            "nothing of it is run for you"
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        folder = RunLayout(record.run_dir, record.run_id).root
        raise ForeignRunError(
            f"others may write into {folder}, so nothing of {record.run_id} is run for you. If "
            f"you trust what is there, type: chmod -R go-w {folder}"
        )


def _not_opened(record: RunRecord, layout: RunLayout, error: OSError) -> Exception:
    if isinstance(error, PermissionError) and not may_end(record):
        return ForeignRunError(
            f"{record.run_id} belongs to {user_name(record.uid)}, whose files you may not read"
        )
    if isinstance(error, FileNotFoundError | PermissionError):
        return unreadable(record.run_id, layout.settings, error)
    if error.errno is not None and not isinstance(error, NotADirectoryError):
        return unreadable(record.run_id, layout.settings, error)
    return DamagedRunError(f"{layout.root} is no folder of a run")
