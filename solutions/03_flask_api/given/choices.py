"""What the page offers to choose from, made from planned flights: names by code, and the miles of each route."""

from typing import Any

import pandas as pd

ORIGINS = {"EWR": "Newark", "JFK": "New York JFK", "LGA": "New York LaGuardia"}


def make_choices(planned: pd.DataFrame) -> dict[str, Any]:
    """The choices, as JSON holds them.

    Args:
        planned: flights as `flights.planned()` returns them.

    Returns:
        "carriers", "origins" and "dests" with their names by code, and "miles" by route, such as "EWR-ORD".
    """
    airports = planned.drop_duplicates("dest").set_index("dest")["dest_name"].fillna("").sort_index()
    miles = planned.groupby(["origin", "dest"])["distance"].first()
    return {
        "carriers": planned.groupby("carrier")["airline"].first().sort_values().to_dict(),
        "origins": ORIGINS,
        "dests": {code: name or code for code, name in airports.items()},
        "miles": {f"{origin}-{dest}": int(length) for (origin, dest), length in miles.items()},
    }
