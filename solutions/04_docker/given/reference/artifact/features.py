"""What a model sees of a planned flight: the schedule, and nothing else."""

import pandas as pd


def schedule_features(planned: pd.DataFrame) -> pd.DataFrame:
    """Describe planned flights to a model.

    Args:
        planned: flights as `flights.planned()` returns them.

    Returns:
        One row a flight, in the same order and with the same index.
    """
    departure, arrival = planned["planned_departure"], planned["planned_arrival"]
    return planned[["carrier", "origin", "dest", "distance"]].assign(
        day_of_week=departure.dt.day_of_week,
        minute_of_day=departure.dt.hour * 60 + departure.dt.minute,
        duration=(arrival - departure).dt.total_seconds() / 60,
    )
