"""Temperatures of some days, as data sets: one element for each day, and one data set of all."""

from typing import Annotated

import numpy as np
import xarray as xr
from reflow import Result, Workflow

wf = Workflow("climate")


@wf.job()
def prepare(days: int = 3) -> list[xr.DataArray]:
    grid = {"lat": [48.0, 50.0], "lon": [8.0, 10.0, 12.0]}
    return [
        xr.DataArray(np.full((2, 3), 280.0 + day), grid, ("lat", "lon"), attrs={"units": "K"})
        for day in range(days)
    ]


@wf.job(array=True)
def convert(day: Annotated[xr.DataArray, Result(step="prepare")]) -> xr.DataArray:
    return (day - 273.15).assign_attrs(units="degC")


@wf.job()
def publish(days: Annotated[list[xr.DataArray], Result(step="convert")]) -> xr.Dataset:
    return xr.concat(days, "day").to_dataset(name="temperature")


if __name__ == "__main__":
    wf.cli()
