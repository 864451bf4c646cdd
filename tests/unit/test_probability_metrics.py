"""Scores agree with scikit-learn's where it has them, and with arithmetic where it has not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from course.checks.model import probability_metrics

FLIGHTS = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.9, 1.0])), min_size=2, max_size=40)


def _both_kinds(flights: list[tuple[bool, float]]) -> bool:
    return len({late for late, _ in flights}) == 2


@given(FLIGHTS.filter(_both_kinds))
def test_ranking_log_loss_and_brier_agree_with_scikit_learn(flights):
    late, p = (np.array(column) for column in zip(*flights, strict=True))
    assert probability_metrics.roc_auc(late, p) == pytest.approx(metrics.roc_auc_score(late, p))
    assert probability_metrics.log_loss(late, p) == pytest.approx(metrics.log_loss(late, p))
    assert probability_metrics.brier(late, p) == pytest.approx(metrics.brier_score_loss(late, p))


def test_a_constant_ranks_like_a_coin():
    assert probability_metrics.roc_auc([True, False, False], [0.2, 0.2, 0.2]) == 0.5


def test_a_ranking_of_one_kind_of_flight_is_refused():
    with pytest.raises(ValueError, match="late and flights that were not"):
        probability_metrics.roc_auc([True, True], [0.2, 0.4])


@pytest.mark.parametrize(("late", "p"), [([True], [0.1, 0.2]), ([], []), ([[True]], [[0.1]])])
def test_other_shapes_are_refused(late, p):
    with pytest.raises(ValueError, match="as many outcomes as probabilities"):
        probability_metrics.brier(late, p)


@pytest.mark.parametrize(("late", "p"), [([True, False], [0.1, np.nan]), ([0.5, 1], [0.1, 0.2]), ([2, 0], [0.1, 0.2])])
def test_missing_probabilities_and_other_outcomes_are_refused(late, p):
    with pytest.raises(ValueError, match="True or False"):
        probability_metrics.log_loss(late, p)


def test_the_calibration_error_of_a_constant_is_its_distance_from_the_rate():
    assert probability_metrics.calibration_error([True, False, False, False], [0.4] * 4) == pytest.approx(0.15)


def test_the_calibration_error_does_not_let_groups_make_up_for_each_other():
    late, p = [False] * 5 + [True] * 5, [0.2] * 5 + [0.8] * 5
    assert probability_metrics.calibration_error(late, p) == pytest.approx(0.2)


def test_each_error_costs_its_own_amount_and_the_threshold_warns():
    late, p = [True, True, False, False], [0.9, 0.1, 0.8, 0.2]
    assert probability_metrics.cost(late, p, threshold=0.5, missed=30, false=15) == 11.25
    assert probability_metrics.cost(late, p, threshold=0.8, missed=30, false=15) == 11.25
    assert probability_metrics.cost(late, p, threshold=0.81, missed=30, false=15) == 7.5
