"""How good probabilities are: ranking, log loss, Brier score, calibration and cost. NumPy only; used by grade cells.

Every function takes the outcomes first (shape (n,), True or 1 where a flight was late) and then the predicted
probabilities of late (shape (n,)). scikit-learn is not imported, so that a grade cell answers at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["brier", "calibration_error", "cost", "log_loss", "roc_auc"]


def roc_auc(late: Any, probability: Any) -> float:
    """The share of pairs (a late flight, a punctual one) that the probabilities rank rightly; ties count half.

    Returns:
        0.5 for a constant, 1 for a perfect ranking.

    Raises:
        ValueError: the lengths differ, a value is missing, or there is only one kind of flight.
    """
    outcome, p = _pair(late, probability)
    positive = int(outcome.sum())
    negative = len(outcome) - positive
    if not positive or not negative:
        raise ValueError("a ranking needs flights that were late and flights that were not")
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of equal values, from 1
    return float((rank[place][outcome].sum() - positive * (positive + 1) / 2) / (positive * negative))


def log_loss(late: Any, probability: Any) -> float:
    """The mean negative logarithm of the probability given to what happened; certainty that is wrong costs most."""
    outcome, p = _pair(late, probability)
    p = np.clip(p, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return float(-np.log(np.where(outcome, p, 1 - p)).mean())


def brier(late: Any, probability: Any) -> float:
    """The mean squared difference between probability and outcome: 0 is perfect."""
    outcome, p = _pair(late, probability)
    return float(((p - outcome) ** 2).mean())


def calibration_error(late: Any, probability: Any, *, bins: int = 10) -> float:
    """The mean distance between predicted and observed share of late flights, over groups of equal size.

    Args:
        late, probability: see the module.
        bins: how many groups; flights are put into them in the order of their probability, equal ones together.

    Returns:
        The distance, weighted by the sizes of the groups: 0.1 is ten percentage points.
    """
    outcome, p = _pair(late, probability)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.searchsorted(edges, p, side="left")
    sizes = np.bincount(group, minlength=len(edges) + 1)
    gap = np.abs(np.bincount(group, p - outcome, minlength=len(edges) + 1))
    return float(gap.sum() / sizes.sum())


def cost(late: Any, probability: Any, *, threshold: float, missed: float, false: float) -> float:
    """What errors cost per flight when every flight at or above the threshold is warned about.

    Args:
        late, probability: see the module.
        threshold: from which probability on passengers are warned.
        missed: the cost of a late flight without a warning.
        false: the cost of a warning about a flight that is not late.

    Returns:
        The mean cost, in the unit of the two costs.
    """
    outcome, p = _pair(late, probability)
    warned = p >= threshold
    return float((missed * (outcome & ~warned).sum() + false * (~outcome & warned).sum()) / len(p))


def _pair(late: Any, probability: Any) -> tuple[np.ndarray, np.ndarray]:
    outcome, p = np.asarray(late, dtype=float), np.asarray(probability, dtype=float)
    if outcome.ndim != 1 or outcome.shape != p.shape or not len(p):
        raise ValueError(f"expected as many outcomes as probabilities, got shapes {outcome.shape} and {p.shape}")
    if not (np.isfinite(p).all() and np.isin(outcome, (0.0, 1.0)).all()):
        raise ValueError("outcomes must be True or False, and no probability may be missing")
    return outcome.astype(bool), p
