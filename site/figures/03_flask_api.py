"""Figures and numbers of the reading on services: demand, waiting, latency, and calls that depend on many."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from served import BLUE, GREY, ORANGE, RED, inputs, session

from course import flights

DAY = "2013-11-27"  # the day before Thanksgiving
PERCENTILES = (50, 95, 99)


def facts() -> dict[str, str]:
    """The numbers that the text gives."""
    p50, p95, p99 = np.percentile(_latencies(), PERCENTILES)
    per_hour = _demand().reshape(-1, 4).sum(axis=1)
    return {
        "busiest": f"{per_hour.max():,}",
        "mean_hour": f"{per_hour.mean():.0f}",
        "peak_times": f"{per_hour.max() / per_hour.mean():.1f}",
        "p50": f"{p50:.3f}",
        "p95": f"{p95:.3f}",
        "p99": f"{p99:.3f}",
        "asked": f"{len(_latencies()):,}",
        "wait_half": f"{_waiting(0.5, 'random'):.1f}",
        "wait_ninety": f"{_waiting(0.9, 'random'):.1f}",
        "wait_ninety_even": f"{_waiting(0.9, 'equal'):.1f}",
    }


def figures() -> Iterator[tuple[str, Figure]]:
    """The figures, by name."""
    yield "03-demand", _plot_demand()
    yield "03-queue", _plot_queue()
    yield "03-latency", _plot_latency(_latencies())
    yield "03-fanout", _plot_fanout()


@functools.cache
def _demand() -> np.ndarray:
    """Planned departures in each quarter of an hour of DAY."""
    departure = flights.planned(DAY)["planned_departure"].dt
    quarter = departure.hour * 4 + departure.minute // 15
    return np.bincount(quarter, minlength=96)


@functools.cache
def _latencies() -> np.ndarray:
    """Milliseconds that the model takes for one flight, measured one flight after another on this machine."""
    fed = inputs(flights.planned(DAY).sample(1_000, random_state=0))
    single = [{name: column[row : row + 1] for name, column in fed.items()} for row in range(1_000)]
    for one in single[:50]:
        session().run(["probabilities"], one)
    taken = []
    for one in single * 3:
        start = time.perf_counter()
        session().run(["probabilities"], one)
        taken.append(time.perf_counter() - start)
    return np.array(taken) * 1e3


@functools.cache
def _waiting(utilisation: float, service: str, customers: int = 400_000) -> float:
    """Mean wait before one server, in mean service times, simulated with Lindley's recursion.

    Args:
        utilisation: share of the time in which the server is busy, below 1.
        service: "random" for exponential service times, "equal" for constant ones.
        customers: how many arrive, at random moments.
    """
    rng = np.random.default_rng(7)
    gaps = rng.exponential(1 / utilisation, customers)
    work = rng.exponential(1.0, customers) if service == "random" else np.ones(customers)
    steps = np.concatenate([[0.0], np.cumsum(work[:-1] - gaps[1:])])
    return float((steps - np.minimum.accumulate(steps)).mean())


def _plot_demand() -> Figure:
    figure, axis = plt.subplots(figsize=(8, 2.8))
    demand = _demand()
    axis.bar(np.arange(96) / 4, demand, width=0.22, align="edge", color=BLUE)
    axis.axhline(demand.mean(), color=RED, linestyle="--", label="mean of the day")
    axis.set_xticks(range(0, 25, 3))
    axis.set_xlabel("hour of planned departure, 27 November 2013")
    axis.set_ylabel("flights in 15 minutes")
    axis.legend(fontsize="small", loc="upper left")
    return figure


def _plot_queue() -> Figure:
    figure, axis = plt.subplots(figsize=(7, 3.2))
    load = np.linspace(0.02, 0.95, 200)
    axis.plot(load, load / (1 - load), color=BLUE, label="service times vary, formula")
    axis.plot(load, load / (1 - load) / 2, color=ORANGE, linestyle="--", label="all service times equal, formula")
    points = [0.2, 0.5, 0.7, 0.8, 0.9]
    axis.plot(points, [_waiting(one, "random") for one in points], "o", color=BLUE, label="simulated")
    axis.plot(points, [_waiting(one, "equal") for one in points], "s", color=ORANGE, label="simulated")
    axis.xaxis.set_major_formatter("{x:.0%}")
    axis.set_xlabel("utilisation: share of the time in which the server is busy")
    axis.set_ylabel("mean wait,\nin service times")
    axis.legend(fontsize="small")
    return figure


def _plot_latency(latencies: np.ndarray) -> Figure:
    figure, axis = plt.subplots(figsize=(7, 2.8))
    axis.hist(latencies, bins=np.geomspace(latencies.min(), latencies.max(), 80), color=BLUE)
    axis.set_xscale("log")
    for share, style in zip(PERCENTILES, ("-", "--", ":"), strict=True):
        axis.axvline(np.percentile(latencies, share), color=RED, linestyle=style, label=f"p{share}")
    axis.set_xlabel("milliseconds for one flight, the model alone (each step of the scale is ten times)")
    axis.set_ylabel("requests")
    axis.legend(fontsize="small")
    return figure


def _plot_fanout() -> Figure:
    figure, axis = plt.subplots(figsize=(7, 2.8))
    calls = np.arange(1, 101)
    for share, style, colour in ((0.99, "-", BLUE), (0.999, "--", ORANGE), (0.9999, ":", GREY)):
        axis.plot(calls, 1 - share**calls, style, color=colour, label=f"each is fast {share:.2%} of the time")
    axis.yaxis.set_major_formatter("{x:.0%}")
    axis.set_xlabel("services that one answer waits for")
    axis.set_ylabel("answers that are slow")
    axis.legend(fontsize="small")
    return figure
