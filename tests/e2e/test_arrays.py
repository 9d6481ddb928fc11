"""Arrays between tasks: by reference, from process to process, and from the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reflow.model.states import RunState

from tests.e2e.support import WAYS, FlowFile, failed, fake_scheduler, run_by_jobs

Flows = Callable[..., FlowFile]

ARRAYS = """
import numpy as np

wf = Workflow("arrays")
SIZES = (10, 1_000, 1_000_000)


@wf.job()
def make(fill: float = 1.0) -> list[np.ndarray]:
    did("make")
    return [np.full(size, fill) for size in SIZES]


@wf.job(array=True)
def double(x: Annotated[np.ndarray, Result(step="make")]) -> np.ndarray:
    did("double")
    x *= 2
    return x


@wf.job()
def total(
    doubled: Annotated[list[np.ndarray], Result(step="double")],
    made: Annotated[list[np.ndarray], Result(step="make")],
) -> float:
    did("total")
    return np.sum([x.sum() for x in doubled]) - np.sum([x.sum() for x in made])
"""
TOTAL = 1_001_010.0


def files(run: Any, pattern: str) -> list[Path]:
    return sorted((Path(run.run_dir) / ".reflow" / run.run_id / "files").rglob(pattern))


@pytest.mark.parametrize("way", WAYS)
def test_arrays_reach_their_elements_and_are_gathered(flow_file: Flows, way: str) -> None:
    run = flow_file(ARRAYS).run(way)
    assert run.state is RunState.SUCCESS
    assert run.result("total") == TOTAL
    assert type(run.result("total")) is float
    assert [array.size for array in run.result("double")] == [10, 1_000, 1_000_000]
    assert len(files(run, "*.npy")) == 2
    # Those of 8 kB: one that `make` wrote, and one of an element of `double`.
    assert len(files(run, "*.values")) == 2


def test_an_unchanged_flow_takes_its_arrays_from_the_cache_in_another_run_directory(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(ARRAYS)
    flow.run(run_dir=tmp_path / "one")
    flow.forget()
    again = flow.run(run_dir=tmp_path / "other")
    assert again.result("total") == TOTAL
    assert not flow.calls


@pytest.mark.parametrize("pattern", ["*.npy", "*.values"])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "gone"])
def test_an_array_whose_file_is_gone_or_cut_short_is_computed_again(
    flow_file: Flows, pattern: str, cut: bool
) -> None:
    flow = flow_file(ARRAYS)
    for path in files(flow.run(), pattern):
        path.chmod(0o644)
        os.truncate(path, 100) if cut else path.unlink()
    flow.forget()
    assert flow.run().result("total") == TOTAL
    # The same arrays come of it, so that the total need not be computed again.
    assert flow.calls == {"make": 1, "double": 1}


def test_a_changed_byte_is_a_miss_where_files_are_verified(flow_file: Flows) -> None:
    flow = flow_file(ARRAYS)
    run = flow.run()
    (path,) = {Path(part) for part in files(run, "*.npy") if np.load(part)[0] == 2}
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    flow.forget()
    assert flow.run(verify=True).result("total") == TOTAL
    assert flow.calls == {"double": 1}


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")


def replace(path: Path) -> None:
    path.unlink()
    np.save(path, np.full(1_000_000, 3.0))


def copy(path: Path) -> None:
    """Put the same bytes there again, as from a backup that keeps no times."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "made_again"), [(spoil, {"double": 1}), (replace, {"double": 1}), (copy, {})]
)
def test_an_array_whose_file_was_written_to_is_a_miss_unless_it_holds_the_same(
    flow_file: Flows, change: Callable[[Path], None], made_again: dict[str, int]
) -> None:
    flow = flow_file(ARRAYS)
    (path,) = {part for part in files(flow.run(), "*.npy") if np.load(part)[0] == 2}
    path.chmod(0o644)
    change(path)
    flow.forget()
    assert flow.run().result("total") == TOTAL
    assert flow.calls == made_again


def test_what_is_not_as_promised_is_refused_with_both_names(flow_file: Flows) -> None:
    flow = flow_file(
        """
        import numpy as np

        wf = Workflow("promises")

        @wf.job()
        def listed() -> np.ndarray:
            return [1, 2]

        @wf.job()
        def lossy() -> int:
            return np.float64(2.5)

        @wf.job()
        def parts() -> list[int]:
            return [1, np.float64(2.5)]
        """
    )
    run = flow.run(on_error="continue")
    assert {task: error for (task, _), (_, error) in failed(run).items()} == {
        "listed": "cannot store a value of type list; the annotation promises numpy.ndarray",
        "lossy": "cannot store a value of type numpy.float64; the annotation promises int",
        "parts": "cannot store a value of type numpy.float64 in [1]; "
        "the annotation promises list[int]",
    }


def test_without_an_annotation_a_scalar_of_numpy_stays_one(flow_file: Flows) -> None:
    flow = flow_file(
        """
        import numpy as np

        wf = Workflow("scalars")

        @wf.job()
        def mean():
            return np.mean([1.0, 2.0])
        """
    )
    assert type(flow.run().result("mean")) is np.float64


# -- inputs that are gone ------------------------------------------------------------------------
LOST = """
import numpy as np

wf = Workflow("lost")


@wf.job()
def make() -> list[np.ndarray]:
    did("make")
    return [np.full(1_000_000, n + 1.0) for n in range(2)]


@wf.job()
def clean(made: Annotated[list[np.ndarray], Result(step="make")], remove: bool = True) -> int:
    for path in Path("{here}").rglob("files/**/*.npy") if remove else ():
        path.unlink()
    return int(remove)


@wf.job(array=True)
def use(
    x: Annotated[np.ndarray, Result(step="make")],
    cleaned: Annotated[int, Result(step="clean", broadcast=True)],
) -> float:
    did("use")
    return x[0]


@wf.job()
def total(xs: Annotated[list[float], Result(step="use")]) -> float:
    return sum(xs)
"""


@pytest.mark.parametrize("way", WAYS)
def test_an_input_that_is_gone_is_made_again_and_its_taker_has_not_failed(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file(LOST)
    run = flow.run(way)
    assert run.state is RunState.SUCCESS, failed(run)
    assert run.result("total") == 3.0
    assert flow.calls == {"make": 2, "use": 2}


IN_ANOTHER_ORDER = """
import numpy as np

wf = Workflow("order")


@wf.job()
def make() -> list[np.ndarray]:
    did("make")
    first = not Path("{here}/made").exists()
    Path("{here}/made").touch()
    return [np.full(1_000_000, n) for n in ([1.0, 2.0, 3.0] if first else {again})]


@wf.job(array=True)
def early(x: Annotated[np.ndarray, Result(step="make")]) -> float:
    return float(x[0])


@wf.job()
def clean(xs: Annotated[list[float], Result(step="early")]) -> int:
    if not Path("{here}/cleaned").exists():
        Path("{here}/cleaned").touch()
        for path in Path("{here}").rglob("files/**/*.npy"):
            path.unlink()
    return 0


@wf.job(array=True)
def late(
    x: Annotated[np.ndarray, Result(step="make")],
    cleaned: Annotated[int, Result(step="clean", broadcast=True)],
) -> float:
    return float(x[0])


@wf.job()
def both(
    a: Annotated[list[float], Result(step="early")],
    b: Annotated[list[float], Result(step="late")],
) -> list[list[float]]:
    return [a, b]
"""


@pytest.mark.parametrize("way", WAYS)
def test_what_took_a_value_that_was_made_again_and_is_another_is_computed_anew(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file(IN_ANOTHER_ORDER.replace("{again}", "[2.0, 1.0, 3.0]"))
    run = flow.run(way)
    assert run.state is RunState.SUCCESS, failed(run)
    assert flow.calls["make"] == 2
    assert [float(each[0]) for each in run.result("make")] == [2.0, 1.0, 3.0]
    assert run.result("both") == [[2.0, 1.0, 3.0]] * 2


def test_a_list_that_is_shorter_when_it_is_made_again_fails_its_takers(flow_file: Flows) -> None:
    run = flow_file(IN_ANOTHER_ORDER.replace("{again}", "[1.0, 3.0]")).run(on_error="continue")
    assert run.state is RunState.FAILED
    assert "has 2 elements now, and had 3" in str(run.status())


@pytest.mark.parametrize("way", ["inline", "pool"])
def test_a_run_that_stops_at_the_first_failure_does_not_stop_at_a_lost_input(
    flow_file: Flows, way: str
) -> None:
    run = flow_file(LOST).run(way, on_error="stop")
    assert run.result("total") == 3.0


def test_what_came_from_the_cache_is_made_again_too(flow_file: Flows) -> None:
    flow = flow_file(LOST)
    flow.run(remove=False)
    flow.forget()
    # `clean` runs in this run, after `make` was taken from the cache.
    run = flow.run()
    assert run.result("total") == 3.0
    assert flow.calls == {"make": 1, "use": 2}


def test_an_input_that_is_gone_again_and_again_fails_its_taker_with_a_reason(
    flow_file: Flows,
) -> None:
    flow = flow_file(
        LOST.replace("    return [np.full", "    Path('{here}/made').touch()\n    return [np.full")
        + """

if sys.argv[0].endswith("worker.py"):
    from reflow.codecs.value_files import FileReference

    find = FileReference._found

    def lose(self):
        if Path("{here}/made").exists():
            Path(self.path).unlink(missing_ok=True)
        return find(self)

    FileReference._found = lose
"""
    )
    run = flow.run("pool")
    assert run.state is RunState.FAILED
    assert flow.calls["make"] == 3
    (reason,) = {error for _, error in failed(run).values()}
    assert "which holds a stored value, is gone or was cut short" in reason


@pytest.mark.parametrize("options", ["array=True", "array=True, per_job=2"])
def test_jobs_of_a_scheduler_hand_arrays_on_and_make_them_again(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        flow = flow_file(LOST.replace("array=True", options))
        run = run_by_jobs(flow)
    assert run.state is RunState.SUCCESS, failed(run)
    assert run.result("total") == 3.0
    assert flow.calls == {"make": 2, "use": 2}


LIBRARIES = """
import numpy as np
import pandas as pd
import pydantic
import xarray as xr

wf = Workflow("libraries")


class Summary(pydantic.BaseModel):
    name: str
    table: str = ""
    parts: list[float] = []


@wf.job()
def tables() -> dict[str, pd.DataFrame]:
    did("tables")
    when = pd.date_range("2026-03-28", periods=400_000, freq="min", tz="Europe/Berlin")
    return {
        "short": pd.DataFrame({"kind": pd.Categorical(["a", "b", "a"])}, index=["x", "y", "z"]),
        "long": pd.DataFrame({"n": np.arange(400_000)}, index=when),
    }


@wf.job()
def fields(tables: Annotated[dict[str, pd.DataFrame], Result(step="tables")]) -> list[xr.Dataset]:
    did("fields")
    assert str(tables["long"].index.tz) == "Europe/Berlin"
    assert tables["long"].index.freq == "min"
    assert list(tables["short"]["kind"].cat.categories) == ["a", "b"]
    count = len(tables["long"])
    return [
        xr.Dataset({"t": ("x", np.full(count, float(n)), {"units": "s"})}, attrs={"n": n})
        for n in range(2)
    ]


@wf.job(array=True)
def summed(field: Annotated[xr.Dataset, Result(step="fields")]) -> Summary:
    did("summed")
    return Summary(name=f"{field.attrs['n']}", parts=[float(field["t"].sum())])


@wf.job()
def last(summaries: Annotated[list[Summary], Result(step="summed")]) -> float:
    did("last")
    return sum(part for summary in summaries for part in summary.parts)
"""


@pytest.mark.parametrize("way", WAYS)
def test_tables_data_sets_and_models_are_handed_on(flow_file: Flows, way: str) -> None:
    flow = flow_file(LIBRARIES)
    run = flow.run(way)
    assert run.result("last") == 400_000.0, failed(run)
    assert [summary.name for summary in run.result("summed")] == ["0", "1"]
    assert {path.suffix for path in files(run, "??/*")} == {".arrow", ".nc"}
    flow.forget()
    assert flow.run(way).result("last") == 400_000.0
    assert not flow.calls
