"""How warm will tomorrow be? A sweep over models, each tried on every part of the data.

    python sweep.py run --look-back 1 --look-back 2 --look-back 4 --ridge 0.1 --ridge 1000

look_back × ridge ──product──▶ trials[] ──fan-out──▶ score[] ──gather per model──▶ judge[]
                                                        ▲                            │
days ──────────────────────────broadcast────────────────┴──▶ fit ◀── choose ◀──gather─┘
                                                              └──▶ publish
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from reflow import Param, Result, RunDir, Workflow

HERE = Path(__file__).resolve().parent
DAILY = HERE.parent / "weather" / "data" / "seattle-weather.csv"
COLUMNS = ("precipitation", "temp_max", "temp_min", "wind")
WARMEST = COLUMNS.index("temp_max")

wf = Workflow("sweep")


@dataclass(frozen=True)
class Model:
    """A linear model of tomorrow's highest temperature."""

    days: int
    """How many days it looks back."""
    ridge: float
    """How strongly large coefficients are punished."""


@dataclass(frozen=True)
class Trial:
    """A model, and the part of the data that it is not fitted to but tried on."""

    model: Model
    start: float
    """Where the part begins, as a share of the data."""
    end: float


@dataclass(frozen=True)
class Score:
    """How a model does on days that it has not seen, in °C."""

    model: Model
    error: float
    spread: float


@dataclass(frozen=True)
class Fitted:
    """A model with its coefficients: one for each day and column, and the constant last."""

    model: Model
    coefficients: np.ndarray

    def predict(self, days: np.ndarray) -> float:
        """Return tomorrow's highest temperature from the last days, the latest one last."""
        return float(self.coefficients[:-1] @ days.ravel() + self.coefficients[-1])


def examples(days: np.ndarray, back: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the table into what was known each evening, and what came the next day."""
    known = np.lib.stride_tricks.sliding_window_view(days[:-1], (back, days.shape[1]))
    return known.reshape(len(days) - back, -1), days[back:, WARMEST]


def solve(inputs: np.ndarray, outputs: np.ndarray, ridge: float) -> np.ndarray:
    """Return the coefficients of a ridge regression, the constant last and unpunished."""
    mean, level = inputs.mean(axis=0), outputs.mean()
    centred = inputs - mean
    square = centred.T @ centred + ridge * np.eye(inputs.shape[1])
    slope = np.linalg.solve(square, centred.T @ (outputs - level))
    return np.append(slope, level - mean @ slope)


@wf.job(time="00:05:00", mem="512M")
def days() -> np.ndarray:
    """Read four years of daily weather: a row for each day, a column for each quantity."""
    with DAILY.open(newline="") as file:
        return np.array([[float(row[name]) for name in COLUMNS] for row in csv.DictReader(file)])


@wf.job(array="product", time="00:05:00", mem="512M", per_job="auto")
def trials(
    look_back: Annotated[int, Param(each=True, help="Days that models look back")] = 2,
    ridge: Annotated[float, Param(each=True, help="How large coefficients are punished")] = 10.0,
    parts: Annotated[int, Param(help="Parts of the data")] = 5,
) -> list[Trial]:
    """List the trials of one model: on each part of the data after fitting it to the others."""
    model = Model(days=look_back, ridge=ridge)
    return [Trial(model, number / parts, (number + 1) / parts) for number in range(parts)]


@wf.job(array=True, time="00:05:00", mem="512M", per_job="auto")
def score(
    trial: Annotated[Trial, Result(step=trials)],
    table: Annotated[np.ndarray, Result(step=days, broadcast=True)],
) -> float:
    """Fit a model to all days but those of the trial; return its mean error on these."""
    inputs, outputs = examples(table, trial.model.days)
    unseen = np.zeros(len(inputs), dtype=bool)
    unseen[int(trial.start * len(inputs)) : int(trial.end * len(inputs))] = True
    fitted = solve(inputs[~unseen], outputs[~unseen], trial.model.ridge)
    predicted = inputs[unseen] @ fitted[:-1] + fitted[-1]
    return float(np.abs(predicted - outputs[unseen]).mean())


@wf.job(array=True, time="00:05:00", mem="512M", per_job="auto")
def judge(
    tried: Annotated[list[Trial], Result(step=trials)],
    errors: Annotated[list[float], Result(step=score, per=trials)],
) -> Score:
    """Sum up how one model did in its trials."""
    return Score(tried[0].model, float(np.mean(errors)), float(np.std(errors)))


@wf.job(time="00:05:00", mem="512M")
def choose(scores: Annotated[list[Score], Result(step=judge)]) -> Model:
    """Choose the model with the smallest error."""
    return min(scores, key=lambda score: score.error).model


@wf.job(time="00:05:00", mem="512M")
def fit(
    model: Annotated[Model, Result(step=choose)],
    table: Annotated[np.ndarray, Result(step=days)],
) -> Fitted:
    """Fit the chosen model to all of the data."""
    return Fitted(model=model, coefficients=solve(*examples(table, model.days), model.ridge))


@wf.job(time="00:05:00", mem="512M")
def publish(
    scores: Annotated[list[Score], Result(step=judge)],
    best: Annotated[Fitted, Result(step=fit)],
    table: Annotated[np.ndarray, Result(step=days)],
    run_dir: RunDir = RunDir(),
) -> Path:
    """Write what all models came to, and what the best one says of the day after the last."""
    tomorrow = best.predict(table[-best.model.days :])
    lines = [f"{'days':>4} {'ridge':>7} {'error':>6}  (°C)"]
    for each in sorted(scores, key=lambda score: score.error):
        chosen = "  <- chosen" if each.model == best.model else ""
        lines.append(f"{each.model.days:4} {each.model.ridge:7} {each.error:6.2f}{chosen}")
    lines.append(f"the day after the last: {tomorrow:.1f} °C")
    report = run_dir / "models.txt"
    report.write_text("\n".join(lines) + "\n")
    return report


if __name__ == "__main__":
    wf.cli()
