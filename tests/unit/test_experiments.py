"""Simulated experiments: what a plan and a world promise is what a log holds."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from course import experiments
from course.experiments import Plan, World


def test_a_log_has_one_row_per_passenger_and_the_same_seed_gives_the_same():
    plan = Plan(days=10, passengers=50)
    log = experiments.run(World(), plan, seed=1)
    assert log["passenger"].is_unique
    assert log["day"].value_counts().eq(50).all()
    assert set(log["cost"]) <= {0.0, 3.0, 12.0, 40.0}
    pd.testing.assert_frame_equal(log, experiments.run(World(), plan, seed=1))


def test_what_is_lost_late_or_double_shows_in_the_log():
    plan = Plan(days=20, passengers=200)
    lost = experiments.run(World(lost=(0.0, 0.5)), plan, seed=1)["version"].value_counts()
    assert 0.4 < lost["v2"] / lost["v1"] < 0.6
    twice = experiments.run(World(twice=0.1), plan, seed=1)
    assert 300 < twice["passenger"].duplicated().sum() < 500
    slow = experiments.run(World(slow_after=(1, 6)), plan, seed=1)
    late = slow[(slow["version"] == "v2") & (slow["cost"] > 0)]
    assert (late["known_on"] - late["day"]).eq(6).all()


def test_days_are_assigned_whole():
    log = experiments.run(World(), Plan(unit="day"), seed=1)
    assert log.groupby("day")["version"].nunique().eq(1).all()
    assert log.groupby("version")["day"].nunique().tolist() == [14, 14]


def test_what_is_not_known_yet_is_missing():
    plan = Plan(days=10, passengers=20)
    log = experiments.run(World(known_after=(2, 2)), plan, seed=1)
    known = experiments.as_of(log, 5)
    assert list(known) == experiments.COLUMNS
    assert known["day"].max() == 5
    assert known["cost"].isna().eq(known["day"] > 3).all()
    assert known["complained"].isna().eq(known["day"] > 3).all()


def test_a_world_without_difference_differs_in_nothing():
    same = World().without_difference()
    assert all(pair[0] == pair[1] for pair in dataclasses.asdict(same).values() if isinstance(pair, tuple))


@pytest.mark.parametrize("days", [0, 85, 28.0, "28"])
def test_the_companys_experiment_takes_whole_days(days):
    with pytest.raises(ValueError, match="expected a whole number from 1 to 84"):
        experiments.company_experiment(days)
