"""Figures and numbers of the reading on serialisation: a pickle taken apart, bytes of tables and of models."""

from __future__ import annotations

import functools
import io
import pickle
import pickletools
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from served import ARTIFACT, BLUE, ORANGE, RED, inputs, session

from course import flights


class Greeting:
    """A harmless stand-in for an attack: opening its pickle would print a line."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this has run",)


def facts() -> dict[str, str]:
    """The numbers that the text gives."""
    tables, models = _tables(), _models()
    widest = float(np.abs(_differences()).max())
    listing = io.StringIO()
    pickletools.dis(pickle.dumps(Greeting(), protocol=2), listing)
    return {
        "listing": "\n".join(listing.getvalue().splitlines()[:-1]),
        "rows": f"{len(_month()):,}",
        "csv_times": f"{tables['CSV'] / tables['Parquet']:.0f}",
        "json_times": f"{tables['JSON'] / tables['Parquet']:.0f}",
        "onnx_bytes": f"{models['ONNX']:,}",
        "joblib_bytes": f"{models['joblib']:,}",
        "skops_bytes": f"{models['skops']:,}",
        "single_step": f"{float(np.spacing(np.float32(0.25))):.0e}",
        "widest": f"{widest:.0e}",
        "compared": f"{len(_differences()):,}",
    }


def figures() -> Iterator[tuple[str, Figure]]:
    """The figures, by name."""
    yield "02-tables", _plot_bytes(_tables(), 1e6, "megabytes, the same table of one month's flights")
    yield "02-models", _plot_bytes(_models(), 1e3, "kilobytes, the same model")
    yield "02-differences", _plot_differences(_differences())


@functools.cache
def _month():
    return flights.planned("2013-11-01", flights.TODAY)


@functools.cache
def _tables() -> dict[str, int]:
    month = _month()
    parquet = io.BytesIO()
    month.to_parquet(parquet)
    return {
        "JSON": len(month.to_json(orient="records", date_format="iso").encode()),
        "CSV": len(month.to_csv(index=False).encode()),
        "pickle": len(pickle.dumps(month, protocol=5)),
        "Parquet": len(parquet.getvalue()),
    }


def _models() -> dict[str, int]:
    return {kind: (ARTIFACT / f"model.{kind.lower()}").stat().st_size for kind in ("skops", "joblib", "ONNX")}


@functools.cache
def _differences() -> np.ndarray:
    """How far ONNX is from the same model computed in double precision, for some flights."""
    import sys

    import joblib

    some = _month().sample(5_000, random_state=0).sort_index()
    sys.path.insert(0, str(ARTIFACT))  # the artifact names its features by module
    try:
        exact = joblib.load(ARTIFACT / "model.joblib").predict_proba(some)[:, 1]
    finally:
        sys.path.remove(str(ARTIFACT))
        sys.modules.pop("features", None)
    return session().run(["probabilities"], inputs(some))[0][:, 1].astype(float) - exact


def _plot_bytes(sizes: dict[str, int], unit: float, label: str) -> Figure:
    figure, axis = plt.subplots(figsize=(7, 0.6 + 0.42 * len(sizes)))
    bars = axis.barh(list(sizes), [size / unit for size in sizes.values()], color=BLUE)
    axis.bar_label(bars, [f"{size / unit:.1f}" for size in sizes.values()], padding=4)
    axis.margins(x=0.12)
    axis.set_xlabel(label)
    return figure


def _plot_differences(differences: np.ndarray) -> Figure:
    figure, axis = plt.subplots(figsize=(7, 2.8))
    sizes = np.abs(differences)
    axis.hist(np.clip(sizes, 1e-10, None), bins=np.logspace(-10, -4, 49), color=BLUE)
    axis.axvline(1e-5, color=RED, linestyle="--", label="what lab 02 allows")
    axis.axvline(
        np.spacing(np.float32(0.25)), color=ORANGE, linestyle=":", label="one step of a 32-bit number near 0.25"
    )
    axis.set_xscale("log")
    axis.set_xlabel("difference of the two probabilities")
    axis.set_ylabel("flights")
    axis.legend(fontsize="small", loc="upper left")
    return figure
