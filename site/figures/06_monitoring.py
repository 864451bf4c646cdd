"""Figures and numbers of the reading on monitoring: burn rates, alarms on inputs, false alarms, late labels."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from scipy.stats import chi2_contingency
from served import BLUE, GREY, ORANGE, RED
from sklearn.metrics import brier_score_loss, roc_auc_score

from course import flights, production

OBJECTIVE = 0.995  # of requests are answered well
BROKEN = ("14:00", "14:40")  # in this time of DAY a quarter of the requests fails
FAILS, LIMIT = 0.25, 14.4
DAY = "2013-11-27"  # the day before Thanksgiving
COLUMNS = ("carrier", "origin", "dest", "hour")
MARKS = ("o", "s", "D", "^")
SIGMAS = np.arange(1, 11, 0.5)
AUTUMN = "2013-10-01"  # labels are followed through the days from here


def facts() -> dict[str, str]:
    """The numbers that the text gives."""
    alarms, sound, september = _alarms(), _sound(), _of("2013-09-01", 30)
    psi, p = (alarms.xs(measure, axis="columns", level=1) for measure in ("psi", "p"))
    flights_of, days_of = _standard_errors(september)
    day, hour = _labelled(), _labelled().loc[18]
    slow, both = _firing()
    return {
        "psi_max": f"{psi.to_numpy().max():.2f}",
        "p_fired": f"{(p < 0.05).to_numpy().mean():.0%}",
        "p_least": f"{p.to_numpy().min():.0e}".replace("e-0", "e-"),
        "temp_least": f"{_temperature().min():.1f}",
        "temp_most": f"{_temperature().max():.1f}",
        "expected": f"{september['probability'].mean():.1%}",
        "late": f"{september['late'].mean():.1%}",
        "auc_spring": f"{_auc(_known().query('month <= 8')):.3f}",
        "auc": f"{_auc(september):.3f}",
        "brier": f"{brier_score_loss(september['late'], september['probability']):.3f}",
        "brier_constant": f"{september['late'].mean() * (1 - september['late'].mean()):.3f}",
        "effect": f"{(days_of / flights_of) ** 2:.0f}",
        "windows": f"{len(sound)}",
        "by_flights": f"{(sound['flights'] > 3).sum()}",
        "by_days": f"{(sound['days'] > 3).sum()}",
        "six": f"{hour['known']:.0%}",
        "six_late": f"{hour['late_of_known']:.1%}",
        "six_truth": f"{hour['late_of_due']:.1%}",
        "midnight": f"{day.loc[24, 'known']:.1%}",
        "fires_after": f"{both.argmax() - _minute(BROKEN[0])}",
        "slow_stops": f"{_last(slow) - _minute(BROKEN[1])}",
        "both_stop": f"{_last(both) - _minute(BROKEN[1])}",
    }


def figures() -> Iterator[tuple[str, Figure]]:
    """The figures, by name."""
    yield "06-burn", _plot_burn()
    yield "06-drift", _plot_drift()
    yield "06-days", _plot_days()
    yield "06-labels", _plot_labels()


# -- burn rates


def _minute(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


@functools.cache
def _burn(window: int) -> np.ndarray:
    """The burn rate of the error budget over the last minutes, for each minute of DAY.

    Requests follow the schedule: each flight is asked about during the hour before it leaves. A quarter of the requests
    fails while BROKEN.
    """
    departure = flights.planned(DAY)["planned_departure"].dt
    leaving = np.bincount(departure.hour * 60 + departure.minute, minlength=24 * 60)
    asked = np.convolve(leaving, np.ones(60) / 60)[59 : 59 + 24 * 60]
    failed = np.zeros_like(asked)
    broken = slice(_minute(BROKEN[0]), _minute(BROKEN[1]))
    failed[broken] = asked[broken] * FAILS
    sums = [np.convolve(each, np.ones(window))[: len(asked)] for each in (failed, asked)]
    share = np.divide(*sums, out=np.zeros_like(asked), where=sums[1] > 0)
    return share / (1 - OBJECTIVE)


def _firing() -> tuple[np.ndarray, np.ndarray]:
    """In which minutes an alarm fires: with the window of an hour alone, and with that of five minutes, too."""
    hour = _burn(60) > LIMIT
    return hour, hour & (_burn(5) > LIMIT)


def _last(firing: np.ndarray) -> int:
    """The minute after the last one in which an alarm fires."""
    return int(np.flatnonzero(firing).max()) + 1


def _plot_burn() -> Figure:
    figure, axis = plt.subplots(figsize=(8, 3))
    hours = np.arange(24 * 60) / 60
    slow, both = _firing()
    axis.plot(hours, _burn(5), color=ORANGE, linestyle="--", label="over the last 5 minutes")
    axis.plot(hours, _burn(60), color=BLUE, label="over the last hour")
    axis.axhline(LIMIT, color=RED, linestyle=":", label=f"limit: {LIMIT}")
    axis.fill_between(hours, 0, -2, where=slow, color=BLUE, step="post", label="one window fires")
    axis.fill_between(hours, -2, -4, where=both, color=ORANGE, step="post", label="both windows fire")
    axis.set_xlim(13, 17)
    axis.set_xlabel("hour of 27 November 2013")
    axis.set_ylabel("burn rate")
    axis.legend(fontsize="small")
    return figure


# -- drift


@functools.cache
def _log() -> pd.DataFrame:
    log = production.answered("2013-01-01", "2013-12-01")
    departure = log["planned_departure"].dt
    return log.assign(hour=departure.hour, month=departure.month, day=departure.tz_localize(None).dt.normalize())


@functools.cache
def _known() -> pd.DataFrame:
    return _log()[_log()["late"].notna()].astype({"late": float})


def _counts(now: pd.Series, then: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"now": now.value_counts(), "then": then.value_counts()}).fillna(0.5)


def _psi(now: pd.Series, then: pd.Series) -> float:
    share = _counts(now, then) / _counts(now, then).sum()
    return float(((share["now"] - share["then"]) * np.log(share["now"] / share["then"])).sum())


@functools.cache
def _alarms() -> pd.DataFrame:
    """PSI and p-value of each column and month, against the months of the training."""
    log = _log()
    made = {}
    for name in COLUMNS:
        then = log.loc[log["month"] <= 8, name]
        by_month = {month: rows[name] for month, rows in log.groupby("month")}
        made[name, "psi"] = {month: _psi(now, then) for month, now in by_month.items()}
        made[name, "p"] = {
            month: chi2_contingency(_counts(now, then).T.to_numpy()).pvalue for month, now in by_month.items()
        }
    return pd.DataFrame(made)


@functools.cache
def _temperature() -> pd.Series:
    """The PSI of the temperature in each month, in tenths of its distribution in the training."""
    log = _log()
    edges = log.loc[log["month"] <= 8, "weather_temp"].quantile(np.arange(0.1, 1, 0.1))
    tenth = pd.cut(log["weather_temp"], [-np.inf, *edges, np.inf], labels=False)
    return pd.Series({month: _psi(tenth[log["month"] == month], tenth[log["month"] <= 8]) for month in range(1, 12)})


def _plot_drift() -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    for name, mark in zip(COLUMNS, MARKS, strict=True):
        psi, p = _alarms()[name, "psi"], _alarms()[name, "p"]
        axes[0].plot(psi.index, psi.clip(lower=1e-5), marker=mark, label=name)
        axes[1].plot(p.index, p.clip(lower=1e-60), marker=mark, label=name)
    axes[0].plot(_temperature().index, _temperature(), marker="x", color=GREY, label="temperature")
    for axis, limit, what in zip(axes, (0.25, 0.05), ("PSI", "p-value"), strict=True):
        axis.axhline(limit, color=RED, linestyle="--")
        axis.set_yscale("log")
        axis.set_ylabel(what)
        axis.set_xlabel("month of 2013")
    figure.legend(*axes[0].get_legend_handles_labels(), ncols=5, loc="upper center", fontsize="small")
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    return figure


# -- ranking, calibration, false alarms


def _auc(rows: pd.DataFrame) -> float:
    return float(roc_auc_score(rows["late"], rows["probability"]))


def _of(start: str, days: int) -> pd.DataFrame:
    first = pd.Timestamp(start)
    day = _known()["day"]
    return _known()[(day >= first) & (day < first + pd.Timedelta(days=days))]


def _standard_errors(rows: pd.DataFrame) -> tuple[float, float]:
    """The standard error of the mean of probability minus late: with flights as the unit, and with days."""
    error = rows["probability"] - rows["late"]
    by_day = error.groupby(rows["day"]).mean()
    return float(error.std() / len(error) ** 0.5), float(by_day.std() / len(by_day) ** 0.5)


@functools.cache
def _sound() -> pd.DataFrame:
    """How many standard errors the mean is off, in 28 days from each Tuesday of spring and summer."""
    rows = []
    for start in pd.date_range("2013-02-26", "2013-07-30", freq="7D"):
        window = _of(str(start.date()), 28)
        error = window["probability"] - window["late"]
        by_day = error.groupby(window["day"]).mean()
        flights_of, days_of = _standard_errors(window)
        rows.append({"flights": abs(error.mean()) / flights_of, "days": abs(by_day.mean()) / days_of})
    return pd.DataFrame(rows)


def _plot_days() -> Figure:
    figure, axis = plt.subplots(figsize=(7, 3))
    for unit, style, colour, mark in (("flights", "-", BLUE, "o"), ("days", "--", ORANGE, "s")):
        alarms = [(_sound()[unit] > limit).sum() for limit in SIGMAS]
        axis.plot(SIGMAS, alarms, style, marker=mark, color=colour, label=f"{unit} as the unit")
    axis.axhline(1, color=RED, linestyle=":", label="budget: one")
    axis.set_xlabel("limit, in standard errors")
    axis.set_ylabel(f"false alarms\nin {len(_sound())} sound windows")
    axis.legend(fontsize="small")
    return figure


# -- labels


@functools.cache
def _labelled() -> pd.DataFrame:
    """For each hour of the days of autumn: which share of the flights due by then has landed, and how many are late."""
    told = flights.history(flights.TODAY, since=AUTUMN).dropna(subset=["late", "arr_delay"])
    midnight = told["planned_departure"].dt.normalize()
    due = (told["planned_arrival"] - midnight) / pd.Timedelta(hours=1)
    landed = due + told["arr_delay"] / 60
    late = told["late"].astype(float)
    rows = {}
    for hour in range(8, 25):
        is_due, is_known = due <= hour, (due <= hour) & (landed <= hour)
        rows[hour] = {
            "known": is_known.sum() / is_due.sum(),
            "late_of_known": late[is_known].mean(),
            "late_of_due": late[is_due].mean(),
        }
    return pd.DataFrame(rows).T


def _plot_labels() -> Figure:
    figure, axis = plt.subplots(figsize=(7, 3))
    day = _labelled()
    axis.plot(day.index, day["late_of_due"], color=BLUE, marker="o", label="of all flights due by then")
    axis.plot(
        day.index, day["late_of_known"], color=ORANGE, marker="s", linestyle="--", label="of those that have landed"
    )
    axis.yaxis.set_major_locator(MultipleLocator(0.05))
    axis.yaxis.set_major_formatter("{x:.0%}")
    axis.set_xticks(range(8, 25, 2))
    axis.set_xlabel("hour of the day at which one looks, October and November")
    axis.set_ylabel("share of late flights")
    axis.legend(fontsize="small")
    return figure
