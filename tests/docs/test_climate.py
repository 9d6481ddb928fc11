"""The chain of data sets, with values of xarray's and with Zarr stores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.docs.pages import REPOSITORY

FOLDER = REPOSITORY / "docs" / "examples" / "climate"
BOTH = pytest.mark.parametrize("flow", ["climate", "climate_zarr"])
READ_BACK = """
import sys, xarray as xr
from {flow} import wf
run = wf.{way}(run_dir=sys.argv[1], days=4)
assert run.wait() == "SUCCESS", run.status()
found = run.result("publish")
days = found if isinstance(found, xr.Dataset) else xr.open_zarr(found, consolidated=False)
days.load().to_netcdf(sys.argv[2], engine="h5netcdf")
"""


def execute(*words: str) -> str:
    """What a Python process that finds the examples prints; it must succeed without a warning."""
    ended = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=100,
        env={
            **os.environ,
            "COLUMNS": "100",
            "PYTHONPATH": str(FOLDER),
            "REFLOW_EXECUTOR": "local",
        },
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Warning" not in ended.stdout + ended.stderr
    return ended.stdout


def run(flow: str) -> str:
    """What `run` prints for four days."""
    file = str(FOLDER / f"{flow}.py")
    return execute(file, "run", "--run-dir", "runs/climate", "--days", "4")


@BOTH
@pytest.mark.parametrize("way", ["run_local", "submit"])
def test_all_days_are_published_in_their_order(flow: str, way: str, tmp_path: Path) -> None:
    file = tmp_path / "published.nc"
    execute("-c", READ_BACK.format(flow=flow, way=way), str(tmp_path / "here"), str(file))
    published = xr.load_dataset(file, engine="h5netcdf")
    assert dict(published.sizes) == {"day": 4, "lat": 2, "lon": 3}
    assert published["temperature"].attrs["units"] == "degC"
    means = published["temperature"].mean(("lat", "lon"))
    np.testing.assert_allclose(means, [6.85, 7.85, 8.85, 9.85])


@BOTH
def test_the_second_run_comes_from_the_cache(flow: str) -> None:
    run(flow)
    assert "all 6 results came from the cache" in run(flow)


def remove(chunk: Path) -> None:
    chunk.unlink()


def add_a_byte(chunk: Path) -> None:
    chunk.write_bytes(chunk.read_bytes() + b"\0")


def touch(chunk: Path) -> None:
    os.utime(chunk, (1, 1))


@pytest.mark.parametrize("harm", [remove, add_a_byte, touch])
def test_a_store_of_which_a_chunk_changed_is_written_again_with_what_takes_it(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    run("climate_zarr")
    [chunk] = tmp_path.glob("runs/climate/day-2-celsius.zarr/temperature/c/*/*")
    before = chunk.read_bytes()
    harm(chunk)
    assert "4 of 6 results came from the cache" in run("climate_zarr")
    assert chunk.read_bytes() == before
