from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from reflow import ParameterError, Pilots
from reflow.model.fields import as_json, from_json
from reflow.model.resources import Resources

GIB = 2**30


def test_words_are_held_as_numbers_and_durations() -> None:
    pilots = Pilots(jobs=4, cpus=32, mem="120G", time="08:00:00", idle="5m", nodes="whole")
    assert (pilots.jobs, pilots.cpus, pilots.mem) == (4, 32, 120 * GIB)
    assert (pilots.time, pilots.idle) == (timedelta(hours=8), timedelta(minutes=5))
    assert pilots.whole_nodes


def test_what_is_not_said_is_one_cpu_and_left_to_the_site() -> None:
    assert Pilots(jobs=2).resources() == Resources()
    assert Pilots(jobs=2).idle == timedelta(minutes=10)


def test_each_job_asks_for_what_is_said_of_it() -> None:
    pilots = Pilots(
        jobs=4, cpus=2, mem="1G", gpus=1, time=90, nodes="whole", queue="long", account="ab1"
    )
    assert pilots.resources() == Resources(
        cpus=2,
        mem=GIB,
        gpus=1,
        time=timedelta(minutes=90),
        queue="long",
        account="ab1",
        whole_nodes=True,
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        (" 1 h ", 3600),
        ("15", 900),
        (15, 900),
        ("00:02:00", 120),
        (timedelta(seconds=7), 7),
    ],
)
def test_idle_is_written_in_seconds_minutes_or_hours(written: Any, seconds: int) -> None:
    assert Pilots(jobs=1, idle=written).idle == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jobs": 0}, "jobs=0: write a whole number of at least 1"),
        ({"jobs": True}, "jobs=True: write a whole number"),
        ({"jobs": 1, "cpus": "many"}, "cpus='many': write a whole number"),
        ({"jobs": 1, "gpus": -1}, "gpus=-1: write a whole number of at least 0"),
        ({"jobs": 1, "mem": "much"}, "mem 'much' is not a size: write '4G'"),
        ({"jobs": 1, "mem": "300M"}, "mem '300M' is too little: a pilot keeps 300M for reflow"),
        ({"jobs": 1, "time": "08:00"}, "time '08:00' is ambiguous: write HH:MM:SS"),
        ({"jobs": 1, "idle": "soon"}, "idle 'soon' is not a duration: write 90s, 10m, 1h"),
        ({"jobs": 1, "idle": "0m"}, "idle '0m' is not a duration"),
        ({"jobs": 1, "idle": "99999999999h"}, "is not a duration"),
        ({"jobs": 1, "nodes": 2}, "nodes=2: write 'whole'"),
        ({"jobs": 1, "queue": ""}, "queue='': write a name"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_to_write(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        Pilots(**given)
    assert message in str(caught.value)


def test_pilots_are_read_back_as_they_were() -> None:
    pilots = Pilots(jobs=4, cpus=32, mem="120G", time="08:00:00", idle="90s", nodes="whole")
    assert from_json(Pilots, json.loads(json.dumps(as_json(pilots)))) == pilots
    assert pickle.loads(pickle.dumps(pilots)) == pilots
    assert replace(pilots, jobs=4) == pilots
