"""Simulated experiments on passengers who act on warnings, or do not. Used by lab 07, and by its questions.

The story: a passenger who is warned may prepare: take an earlier train, book a later connection, tell somebody. If the
flight is late, being prepared saves money; if it is not, preparing was a nuisance. Which of two models warns better is
therefore a question about people, and accuracy cannot answer it.

A `Plan` describes an experiment, a `World` the passengers and the two versions, and `run` returns the log of one
experiment. Every number here is an assumption. Change it, and look at what follows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ["passenger", "day", "version", "cost", "complained"]


@dataclass(frozen=True)
class World:
    """What is assumed of passengers, flights and the two versions, control first.

    Attributes:
        late: share of flights that are late.
        days_apart: standard deviation, between days, of the log-odds of being late: bad weather hits a whole day.
        warned_late: share of late flights that each version warns of.
        warned_on_time: share of punctual flights that each version warns of.
        heed: share of the warned passengers who prepare.
        unprepared: what a late flight costs a passenger who did not prepare, in euros.
        prepared: what it costs one who did.
        bother: what preparing costs when the flight is punctual.
        complaints: share of the passengers who complain, for each version.
        known_after: days until the outcome of a passenger without cost is known, for each version.
        slow_after: days until a cost is known, for each version; None for `known_after`.
        lost: share of the passengers of each version whose record never arrives.
        twice: share of the passengers who appear in both versions.
    """

    late: float = 0.24
    days_apart: float = 0.8
    warned_late: tuple[float, float] = (0.45, 0.55)
    warned_on_time: tuple[float, float] = (0.20, 0.19)
    heed: float = 0.5
    unprepared: float = 40.0
    prepared: float = 12.0
    bother: float = 3.0
    complaints: tuple[float, float] = (0.04, 0.04)
    known_after: tuple[int, int] = (1, 1)
    slow_after: tuple[int, int] | None = None
    lost: tuple[float, float] = (0.0, 0.0)
    twice: float = 0.0

    def without_difference(self) -> World:
        """Return the same world in which both versions are the first one: an A/A test."""
        return dataclasses.replace(
            self,
            warned_late=(self.warned_late[0],) * 2,
            warned_on_time=(self.warned_on_time[0],) * 2,
            complaints=(self.complaints[0],) * 2,
        )


@dataclass(frozen=True)
class Plan:
    """What is fixed before an experiment begins.

    Attributes:
        versions: control first, then the version on trial.
        unit: what is assigned at random: "passenger" or "day".
        days: for how many days passengers enter.
        passengers: how many enter per day.
        outcome_after_days: after so many days every outcome is known.
        smallest_effect: the smallest saving per passenger, in euros, that the experiment must be able to see.
        alpha: share of experiments without a difference in which the version on trial may be shipped.
        power: share of experiments with the smallest effect in which it is.
        complaint_margin: by so much may the share of complaints grow, and no more.
    """

    versions: tuple[str, str] = ("v1", "v2")
    unit: str = "passenger"
    days: int = 28
    passengers: int = 75
    outcome_after_days: int = 7
    smallest_effect: float = 2.5
    alpha: float = 0.05
    power: float = 0.8
    complaint_margin: float = 0.02

    def as_experiment(self) -> dict[str, Any]:
        """Return the plan in the form of an `experiment.yaml`, as `decide()` receives it."""
        return {
            "name": "warnings-v2",
            "unit": self.unit,
            "versions": dict.fromkeys(self.versions, 0.5),
            "metric": "cost",
            "smallest_effect": self.smallest_effect,
            "alpha": self.alpha,
            "power": self.power,
            "days": self.days,
            "outcome_after_days": self.outcome_after_days,
            "guardrails": {"complained": self.complaint_margin},
        }


# The company: so many passengers enter per day, the weather that v2 needs costs so many euros per day, and outcomes are
# known within a week.
COMPANY = Plan(days=35, passengers=4_000, smallest_effect=0.25, complaint_margin=0.005)
WEATHER_COSTS = 1_000.0


def last_month() -> pd.DataFrame:
    """Return the log of five weeks in which every passenger of the company had v1."""
    log = run(World().without_difference(), COMPANY, seed=201311)
    return log.assign(version=COMPANY.versions[0])


def company_experiment(days: int) -> pd.DataFrame:
    """Return the log of the company's experiment, once it is over and all outcomes are known.

    Args:
        days: for how many days passengers enter, 1 to 84.

    Raises:
        ValueError: `days` is not a whole number from 1 to 84.
    """
    if not isinstance(days, int) or not 1 <= days <= 84:
        raise ValueError(f"days: expected a whole number from 1 to 84, got {days!r}")
    return run(World(), dataclasses.replace(COMPANY, days=days), seed=2014)


def run(world: World, plan: Plan, seed: int) -> pd.DataFrame:
    """Simulate one experiment.

    Args:
        world: the passengers and the versions.
        plan: the experiment.
        seed: the same seed returns the same log.

    Returns:
        One row per passenger, in the order of entry: `passenger`, `day` (from 0), `version`, `cost` in euros,
        `complained` (bool), and `known_on`, the day on which cost and complaint are known.
    """
    random = np.random.default_rng(seed)
    count = plan.days * plan.passengers
    day = np.repeat(np.arange(plan.days), plan.passengers)
    if plan.unit == "day":
        trial = random.permutation(np.arange(plan.days) % 2 == 1)[day]
    else:
        trial = random.random(count) < 0.5
    version = trial.astype(int)

    odds = np.log(world.late / (1 - world.late)) + random.normal(0, world.days_apart, plan.days)[day]
    late = random.random(count) < 1 / (1 + np.exp(-odds))
    warned = np.where(late, np.take(world.warned_late, version), np.take(world.warned_on_time, version))
    prepares = (random.random(count) < warned) & (random.random(count) < world.heed)
    cost = np.where(late, np.where(prepares, world.prepared, world.unprepared), np.where(prepares, world.bother, 0.0))

    delay = np.take(world.known_after, version)
    if world.slow_after is not None:
        delay = np.where(cost > 0, np.take(world.slow_after, version), delay)
    log = pd.DataFrame(
        {
            "passenger": random.permutation(count) + 100_000,
            "day": day,
            "version": np.take(plan.versions, version),
            "cost": cost,
            "complained": random.random(count) < np.take(world.complaints, version),
            "known_on": day + delay,
        }
    )
    again = log[random.random(count) < world.twice].assign(version=plan.versions[0])
    log = log[random.random(count) >= np.take(world.lost, version)]
    return pd.concat([log, again]).sort_values("day", kind="stable", ignore_index=True)


def as_of(log: pd.DataFrame, today: int) -> pd.DataFrame:
    """Return what is known of a log at the end of a day.

    Args:
        log: of :func:`run`.
        today: the day, from 0.

    Returns:
        COLUMNS, for the passengers who have entered; `cost` and `complained` (pandas' nullable boolean) are missing
        where they are not known yet.
    """
    entered = log[log["day"] <= today]
    known = entered["known_on"] <= today
    return entered.assign(
        cost=entered["cost"].where(known), complained=entered["complained"].astype("boolean").where(known)
    )[COLUMNS].reset_index(drop=True)
