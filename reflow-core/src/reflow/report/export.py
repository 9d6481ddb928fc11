"""Results written to files, in the format that the name of the file asks for."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reflow.errors import UsageError
from reflow.report.plain import plain_json

Writer = Callable[[Any, Path], Any]


def export(value: Any, file: Path) -> None:
    """Write a result to a file: in the format of its suffix, text and bytes as they are.

    A path is written as a copy of the file or folder that it names. Raises `UsageError` for a
    suffix that the value has no format for, and where the file cannot be written.
    """
    try:
        _writer(value, file)(value, file)
    except UsageError:
        raise
    except Exception as error:  # the libraries raise anything
        raise UsageError(f"the result was not written to {file}: {error}") from error


def _writer(value: Any, file: Path) -> Writer:
    if isinstance(value, Path):
        return _copy
    if isinstance(value, bytes | bytearray):
        return lambda content, path: path.write_bytes(content)
    if isinstance(value, str) and file.suffix not in _GENERAL:
        return lambda content, path: path.write_text(content, encoding="utf-8", newline="")
    own = _of_a_library(value)
    found = {**own, **_GENERAL}.get(file.suffix.lower())
    if found is None:
        known = ", ".join([*own, *_GENERAL])
        kind = f"a {type(value).__name__}"
        raise UsageError(f"{kind} has no format {file.suffix or 'without a suffix'!r}: use {known}")
    return found


def _copy(value: Path, file: Path) -> None:
    if value.is_dir():
        shutil.copytree(value, file, symlinks=True)
    else:
        shutil.copy2(value, file)


def _json(value: Any, file: Path) -> None:
    file.write_text(json.dumps(plain_json(value), indent=2, ensure_ascii=False) + "\n", "utf-8")


def _pickle(value: Any, file: Path) -> None:
    with file.open("wb") as opened:
        pickle.dump(value, opened)


_GENERAL: Mapping[str, Writer] = {".json": _json, ".pkl": _pickle}


def _of_a_library(value: Any) -> Mapping[str, Writer]:
    """Return the writers of a value's own library, by suffix; it is imported where it has any."""
    match type(value).__module__.partition(".")[0], type(value).__name__:
        case "numpy", "ndarray" | "memmap":
            import numpy

            return {
                ".npy": lambda array, file: numpy.save(file, array),
                ".csv": lambda array, file: numpy.savetxt(file, array, delimiter=","),
            }
        case "pandas", "DataFrame":
            return {
                ".csv": lambda frame, file: frame.to_csv(file),
                ".parquet": lambda frame, file: frame.to_parquet(file),
                ".feather": lambda frame, file: frame.to_feather(file),
            }
        case "pandas", "Series":
            return {".csv": lambda series, file: series.to_csv(file)}
        case "xarray", "Dataset" | "DataArray":
            return {
                ".nc": lambda data, file: data.to_netcdf(file),
                ".zarr": lambda data, file: data.to_zarr(file),
            }
    return {}
