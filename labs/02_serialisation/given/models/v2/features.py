"""What v2 sees of a planned flight: the schedule, and the weather as last observed before the prediction.

The function keeps the name by which every artifact is called, so a service need not know which model it serves.
"""

import pandas as pd

WEATHER = ["humid", "wind_speed", "pressure", "temp", "precip", "visib"]


def schedule_features(planned: pd.DataFrame) -> pd.DataFrame:
    """Describe planned flights to a model.

    Args:
        planned: flights as `flights.planned(…, horizon="3h")` returns them. Columns of the weather may be missing.

    Returns:
        One row a flight, in the same order and with the same index. What is not known is NaN.
    """
    departure, arrival = planned["planned_departure"], planned["planned_arrival"]
    weather = {name: planned[name] if name in planned else float("nan") for name in (f"weather_{w}" for w in WEATHER)}
    return (
        planned[["carrier", "origin", "dest", "distance"]]
        .assign(
            day_of_week=departure.dt.day_of_week,
            minute_of_day=departure.dt.hour * 60 + departure.dt.minute,
            duration=(arrival - departure).dt.total_seconds() / 60,
            **weather,
        )
        .astype(dict.fromkeys(weather, "float64"))
    )
