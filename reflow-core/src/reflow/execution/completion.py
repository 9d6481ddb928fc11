"""Finding out, without listing a folder, that the last result of a wave has just been written.

Each block of positions has a folder with a counter file. A worker links the counter to its
position's name after its result is there: the counter's link count is then one more than the number
of results.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from reflow.permissions import FILE_MODE, make_folder, open_file, touch
from reflow.rundir.layout import BLOCK, WaveLayout
from reflow.rundir.run_settings import RunSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

_COUNTER, _LAST = "counter", "last"


def prepare_counters(layout: WaveLayout, size: int) -> None:
    """Create the counters of a wave's blocks, and of the wave."""
    for block in range(_blocks(size)):
        folder = layout.counters / str(block)
        make_folder(folder, within=layout.directory)
        touch(folder / _COUNTER)
    touch(layout.counters / _COUNTER)


def count_result(layout: WaveLayout, position: int, size: int) -> bool:
    """Count a position's result; return True to exactly one caller, once all are counted.

    Where the file system has no links, or the run directory is gone, no caller is the last: the
    follow-up dispatches then.
    """
    try:
        block = position // BLOCK
        in_block = min(BLOCK, size - block * BLOCK)
        if _count(layout.counters / str(block), f"{position}") < in_block:
            return False
        if _count(layout.counters, f"{block}-whole") < _blocks(size):
            return False
        # Two that counted at the same moment both see the full count.
        os.close(os.open(layout.counters / _LAST, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    except OSError:
        return False
    return True


def is_counted(layout: WaveLayout) -> bool:
    """Tell whether all results of a wave are on the disk, seen from here or not."""
    return (layout.counters / _LAST).exists()


def notify_if_last(settings: RunSettings, layout: WaveLayout, position: int, size: int) -> None:
    """Count a result, and take a dispatch step if it was the last."""
    if count_result(layout, position, size):
        dispatch_now(settings)


def dispatch_now(settings: RunSettings) -> None:
    """Take a dispatch step in another process, and wait for its end."""
    start_dispatch(settings).wait()


def start_dispatch(settings: RunSettings, *, stays: bool = False) -> subprocess.Popen[bytes]:
    """Start another process that takes a dispatch step.

    One that `stays` takes a step for every line that it is sent, and answers each with a line.
    """
    # Imported here, as one worker of a thousand needs it.
    import subprocess

    with open_file(settings.layout.dispatch_log, "ab") as out:
        return subprocess.Popen(
            settings.command("reflow.runs.dispatch_job", *(["stay"] if stays else [])),
            cwd=settings.working_directory,
            stdin=subprocess.PIPE if stays else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stays else out,
            stderr=out,
        )


def _count(folder: Path, name: str) -> int:
    counter = folder / _COUNTER
    with contextlib.suppress(FileExistsError):
        os.link(counter, folder / name)
    return counter.stat().st_nlink - 1


def _blocks(size: int) -> int:
    return -(-size // BLOCK)
