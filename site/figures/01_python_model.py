"""Figures and numbers of the reading on framing: the season, a leak, calibration, cost."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from served import BLUE, GREY, ORANGE, RED, judged
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from course import flights

MISSED, FALSE = 30, 15  # euros, as in notebook 4 of lab 01
CUTS = np.linspace(0.05, 0.7, 66)


def facts() -> dict[str, str]:
    """The numbers that the text gives."""
    table = judged()
    month = table.groupby(table["planned_departure"].dt.month)["late"].mean()
    valid, cost = _valid(), _cost(_valid()["late"], _valid()["p"])
    high = valid[valid["p"] >= valid["p"].quantile(0.9)]
    return {
        "flights_known": f"{len(table):,}",
        "rate_all": f"{table['late'].mean():.1%}",
        "rate_july": f"{month[7]:.0%}",
        "rate_september": f"{month[9]:.0%}",
        "auc_model": f"{roc_auc_score(valid['late'], valid['p']):.2f}",
        "auc_leak": f"{_leak()['delay at departure']:.2f}",
        "predicted": f"{valid['p'].mean():.0%}",
        "observed": f"{valid['late'].mean():.0%}",
        "top_predicted": f"{high['p'].mean():.0%}",
        "top_observed": f"{high['late'].mean():.0%}",
        "cost_never": f"{MISSED * valid['late'].mean():.2f}",
        "cost_third": f"{_cost(valid['late'], valid['p'], [FALSE / (MISSED + FALSE)])[0]:.2f}",
        "cost_best": f"{cost.min():.2f}",
        "cut_best": f"{CUTS[cost.argmin()]:.2f}",
    }


def figures() -> Iterator[tuple[str, Figure]]:
    """The figures, by name."""
    yield "01-weeks", _plot_weeks(judged())
    yield "01-leak", _plot_leak(_leak())
    yield "01-reliability", _plot_reliability(_valid())
    yield "01-cost", _plot_cost(_valid())


def _valid() -> pd.DataFrame:
    return flights.split(judged())[1]


def _cost(late: pd.Series, p: pd.Series, cuts: np.ndarray | list[float] = CUTS) -> np.ndarray:
    """Euros a flight at each threshold."""
    late, p = late.to_numpy(), p.to_numpy()
    return np.array([MISSED * (late & (p < cut)).mean() + FALSE * (~late & (p >= cut)).mean() for cut in cuts])


def _leak() -> dict[str, float]:
    """The ROC AUC, in October and November, of three scores for the same flights."""
    train, valid = flights.split(judged())
    hourly = train.groupby(train["planned_departure"].dt.hour)["late"].mean()
    keys = ["planned_departure", "carrier", "flight", "origin", "dest"]
    valid = valid.merge(flights.history(flights.TODAY)[[*keys, "dep_delay"]], on=keys, how="inner", validate="1:1")
    scores = {
        "late rate of the hour": valid["planned_departure"].dt.hour.map(hourly),
        "model, schedule only": valid["p"],
        "delay at departure": valid["dep_delay"],
    }
    return {name: float(roc_auc_score(valid["late"], score)) for name, score in scores.items()}


def _plot_weeks(table: pd.DataFrame) -> Figure:
    week = table.set_index("planned_departure")[["late", "p"]].astype(float).resample("7D").mean()
    figure, axis = plt.subplots(figsize=(8, 3.2))
    axis.plot(week.index, week["late"], color=BLUE, marker=".", label="were late")
    axis.plot(week.index, week["p"], color=RED, linestyle="--", label="the model expected")
    axis.axvspan(flights.TRAIN_UNTIL, flights.TODAY, color="#eeeeee", label="not seen in training")
    axis.set_ylim(0, 0.65)
    axis.yaxis.set_major_formatter("{x:.0%}")
    axis.set_ylabel("share of a week's flights")
    axis.legend(fontsize="small", ncols=3, loc="upper left")
    return figure


def _plot_leak(scores: dict[str, float]) -> Figure:
    figure, axis = plt.subplots(figsize=(7, 1.9))
    bars = axis.barh(
        list(scores), [value - 0.5 for value in scores.values()], left=0.5, color=[GREY, BLUE, ORANGE],
        hatch=["", "", "//"], edgecolor="white",
    )  # fmt: skip
    axis.bar_label(bars, [f"{value:.2f}" for value in scores.values()], padding=4)
    axis.set_xlim(0.5, 1)
    axis.set_xlabel("ROC AUC in October and November (0.5 is a coin)")
    return figure


def _plot_reliability(valid: pd.DataFrame) -> Figure:
    observed, predicted = calibration_curve(valid["late"], valid["p"], n_bins=10, strategy="quantile")
    figure, axis = plt.subplots(figsize=(4.6, 4.2))
    axis.plot([0, 0.5], [0, 0.5], color="black", linewidth=0.8, label="as promised")
    axis.plot(predicted, observed, color=BLUE, marker="o", label="the model, ten groups")
    axis.set_xlabel("predicted probability of late")
    axis.set_ylabel("share that was late")
    axis.legend(fontsize="small")
    return figure


def _plot_cost(valid: pd.DataFrame) -> Figure:
    cost = _cost(valid["late"], valid["p"])
    figure, axis = plt.subplots(figsize=(7, 3))
    axis.plot(CUTS, cost, color=BLUE, label="the model")
    axis.axhline(MISSED * valid["late"].mean(), color="black", linestyle=":", label="never warn")
    axis.axvline(FALSE / (MISSED + FALSE), color=ORANGE, linestyle="--", label="break-even, if calibrated")
    axis.set_xlabel("warn from this probability on")
    axis.set_ylabel("euros a flight")
    axis.legend(fontsize="small")
    return figure
