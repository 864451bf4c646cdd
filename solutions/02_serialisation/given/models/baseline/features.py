"""What the baseline sees of a planned flight: nothing."""

import pandas as pd


def schedule_features(planned: pd.DataFrame) -> pd.DataFrame:
    """One column of ones, so that every flight looks the same.

    Args:
        planned: flights as `flights.planned()` returns them.

    Returns:
        One row a flight, in the same order and with the same index.
    """
    return pd.DataFrame({"one": 1.0}, index=planned.index)
