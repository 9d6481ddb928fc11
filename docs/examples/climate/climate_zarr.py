"""The same chain where a day is too large for memory: each task writes Zarr stores."""

from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr
from reflow import Result, RunDir, Workflow

wf = Workflow("climate-zarr")


@wf.job()
def prepare(days: int = 3, run_dir: RunDir = RunDir()) -> list[Path]:
    grid = {"lat": [48.0, 50.0], "lon": [8.0, 10.0, 12.0]}
    stores = [run_dir / f"day-{day}.zarr" for day in range(days)]
    for day, store in enumerate(stores):
        kelvin = xr.DataArray(np.full((2, 3), 280.0 + day), grid, ("lat", "lon"))
        write(kelvin.assign_attrs(units="K"), store)
    return stores


@wf.job(array=True)
def convert(day: Annotated[Path, Result(step="prepare")], run_dir: RunDir = RunDir()) -> Path:
    store = run_dir / f"{day.stem}-celsius.zarr"
    write((read(day) - 273.15).assign_attrs(units="degC"), store)
    return store


@wf.job()
def publish(
    days: Annotated[list[Path], Result(step="convert")], run_dir: RunDir = RunDir()
) -> Path:
    store = run_dir / "climate.zarr"
    write(xr.concat([read(day) for day in days], "day"), store)
    return store


def write(days: xr.DataArray, store: Path) -> None:
    days.to_dataset(name="temperature").to_zarr(store, mode="w", consolidated=False)


def read(store: Path) -> xr.DataArray:
    dataset: xr.Dataset = xr.open_zarr(store, consolidated=False)
    return dataset["temperature"]


if __name__ == "__main__":
    wf.cli()
