"""Figures and numbers of the reading on clusters: a controller, a rolling update, an autoscaler. All are computed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from served import BLUE, GREY, ORANGE, RED

from course import flights

START = 8  # seconds until a new pod is ready
WEEK = ("2013-11-24", "2013-12-01")  # the week of Thanksgiving
EACH = 20  # flights an hour that one pod shall bear, at the target of the autoscaler


def facts() -> dict[str, str]:
    """The numbers that the text gives."""
    demand, replicas = _autoscaled()
    fixed = int(replicas.max())
    careful, brisk = _rollout(4, 1, 0), _rollout(4, 1, 1)
    return {
        "peak": f"{int(demand.max())}",
        "replicas_peak": f"{fixed}",
        "replicas_mean": f"{replicas.mean():.1f}",
        "saved": f"{1 - replicas.mean() / fixed:.0%}",
        "careful_seconds": f"{len(careful) - 1}",
        "brisk_seconds": f"{len(brisk) - 1}",
        "brisk_least": f"{int(brisk.sum(axis=1).min())}",
    }


def figures() -> Iterator[tuple[str, Figure]]:
    """The figures, by name."""
    yield "05-controller", _plot_controller()
    yield "05-rollout", _plot_rollout()
    yield "05-autoscaler", _plot_autoscaler()


def _controlled(seconds: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Wanted and ready pods in each second, under a loop that compares the two and starts or ends pods.

    Three are wanted, five from second 30 on; at second 60 a node takes two pods with it.
    """
    wanted = np.where(np.arange(seconds) < 30, 3, 5)
    ages: list[int] = []
    ready = np.zeros(seconds, dtype=int)
    for second in range(seconds):
        ages = [age + 1 for age in ages]
        if second == 60:
            ages = ages[2:]
        ages += [0] * (wanted[second] - len(ages))  # what a controller does: look at the difference, act on it
        ages = ages[: wanted[second]]
        ready[second] = sum(age >= START for age in ages)
    return wanted, ready


def _rollout(replicas: int, surge: int, unavailable: int) -> np.ndarray:
    """Ready pods of the old and of the new version in each second of a rolling update, shape (seconds, 2)."""
    old, ages, story = replicas, [], []
    while True:
        ages = [age + 1 for age in ages]
        new = sum(age >= START for age in ages)
        old -= max(0, min(old, old + new - (replicas - unavailable)))
        room = min(replicas + surge - old - len(ages), replicas - len(ages))
        ages += [0] * max(0, room)
        story.append((old, new))
        if old == 0 and new == replicas:
            return np.array(story)


def _autoscaled(least: int = 2, patience: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Flights planned to leave in each hour of WEEK, and the pods that the autoscaler's formula then asks for.

    Args:
        least: the fewest pods.
        patience: hours back over which the highest proposal counts, so that pods do not go too soon.
    """
    departure = flights.planned(*WEEK)["planned_departure"]
    hours = ((departure - departure.min().normalize()).dt.total_seconds() // 3600).astype(int)
    demand = np.bincount(hours, minlength=7 * 24).astype(float)
    replicas, now = [], least
    for load in demand:
        now = max(least, math.ceil(now * (load / now) / EACH))
        replicas.append(now)
    held = [max(replicas[max(0, at - patience) : at + 1]) for at in range(len(replicas))]
    return demand, np.array(held)


def _plot_controller() -> Figure:
    wanted, ready = _controlled()
    figure, axis = plt.subplots(figsize=(7, 2.6))
    axis.step(range(len(wanted)), wanted, where="post", color=RED, linestyle="--", label="wanted")
    axis.step(range(len(ready)), ready, where="post", color=BLUE, label="ready")
    axis.set_ylim(0, 6)
    axis.set_xlabel("seconds")
    axis.set_ylabel("pods")
    axis.legend(fontsize="small", loc="lower right")
    return figure


def _plot_rollout() -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.9), sharey=True)
    for axis, (surge, unavailable) in zip(axes, ((1, 0), (1, 1)), strict=True):
        story = np.pad(_rollout(4, surge, unavailable), ((0, 8), (0, 0)), mode="edge")
        seconds = range(len(story))
        axis.stackplot(seconds, story.T, step="post", colors=[GREY, BLUE], labels=["old version", "new version"])
        axis.axhline(4, color="black", linestyle="--", linewidth=0.8)
        axis.set_title(f"maxSurge {surge}, maxUnavailable {unavailable}", fontsize="medium")
        axis.set_xlabel("seconds")
    axes[0].set_ylabel("ready pods")
    axes[0].legend(fontsize="small", loc="lower right")
    return figure


def _plot_autoscaler() -> Figure:
    demand, replicas = _autoscaled()
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 3.6), sharex=True)
    hours = np.arange(len(demand))
    above.fill_between(hours, demand, step="post", color=ORANGE)
    above.set_ylabel("flights an hour")
    below.step(hours, replicas, where="post", color=BLUE)
    below.set_ylabel("pods")
    below.set_ylim(0)
    below.set_xticks(range(0, 169, 24), ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    return figure
