"""Planned flights whose outcome is known, to judge a model by: `labelled("2013-11-01", "2013-12-01")`."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from course import flights


class Labelled(NamedTuple):
    """Planned flights and whether they were late.

    Attributes:
        planned: one row per flight, as `flights.planned()` returns them.
        late: whether each was late, with the index of `planned`; none is missing.
    """

    planned: pd.DataFrame
    late: pd.Series

    def sample(self, count: int, *, seed: int) -> Labelled:
        """Some of them, chosen by a seed."""
        some = self.planned.sample(count, random_state=seed)
        return Labelled(some, self.late[some.index])


def labelled(start: str | pd.Timestamp, end: str | pd.Timestamp) -> Labelled:
    """The flights planned to depart in a time that arrived.

    Args:
        start, end: the first moment of planned departure, and the moment before which flights depart.
    """
    plan = flights.planned(start, end)
    late = flights.labels(plan)
    plan = plan[late.notna()]
    return Labelled(plan, late[plan.index].astype(bool))


def late_rate() -> float:
    """The share of late flights in the months of training, January to September, of those that arrived."""
    return float(flights.labels(flights.planned("2013-01-01", flights.TRAIN_UNTIL)).mean())
