"""A picture of what callers saw."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

COLOURS = ("#35618f", "#d98b2b", "#5a7d3a")


def plot(records: list[dict], title: str = "") -> plt.Figure:
    """Requests over time: a row for each version that answered, and one for those that were lost.

    Args:
        records: as :class:`update.load.Callers` makes them.
        title: what stands above.
    """
    table = pd.DataFrame(records)
    known = table["version"].fillna("another").astype(str)
    table["row"] = known.where(table["status"] == 200, "lost")
    rows = [*sorted(set(table["row"]) - {"lost"}), "lost"]
    figure, axis = plt.subplots(figsize=(8, 0.5 + 0.45 * len(rows)))
    for place, name in enumerate(rows):
        those = table[table["row"] == name]
        lost = name == "lost"
        axis.plot(
            those["at"],
            [place] * len(those),
            linestyle="none",
            markersize=9,
            marker="x" if lost else "|",
            color="#b3261e" if lost else COLOURS[place % len(COLOURS)],
        )
    axis.set_yticks(range(len(rows)), [f"{name} ({(table['row'] == name).sum()})" for name in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("seconds since the first request")
    axis.set_title(title, loc="left", fontsize=10)
    return figure
