"""Opens a shipped model, or fits shipped pipelines, in the worker's process; `models` asks it from the other side.

It runs where a student's code runs, so it may import nothing of the course. Nothing that it answers is trusted. What
is wrong with a model is answered as {"problem": a word, "detail": text}; exceptions are the student's code's own.
"""

from __future__ import annotations

import importlib
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MOST_OBJECTS = 20_000

_opened: list[Any] = []


def open_model(path: str) -> dict[str, Any]:
    """Load a model with joblib and keep it.

    Returns:
        {"kind": the name of its class}.
    """
    import joblib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another version of scikit-learn says so; that is no fault here
        _opened[:] = [joblib.load(Path(path))]
    return {"kind": type(_opened[0]).__name__}


def predict(flights: pd.DataFrame) -> dict[str, Any]:
    """The opened model's probabilities of late.

    Args:
        flights: planned flights, one a row.

    Returns:
        {"probability": array of shape (n,)} or a problem.
    """
    return _probability(_opened[0], flights)


def post(application: str, path: str, body: Any) -> dict[str, Any]:
    """What a WSGI application among the files answers to a POST, asked without a network.

    Args:
        application: module and name, as gunicorn takes them.
        path: such as "/predict".
        body: what is sent as JSON.

    Returns:
        {"status": int, "body": the answer's JSON, or None}.
    """
    from werkzeug.test import Client

    module, _, name = application.partition(":")
    answer = Client(getattr(importlib.import_module(module), name)).post(path, json=body)
    return {"status": answer.status_code, "body": answer.get_json(silent=True)}


def rows_seen() -> int:
    """The most rows that a part of the opened model says it was fitted on; 0 if none says."""
    return _rows_seen(_opened[0])


def names(module: str, function: str, seed: int) -> list[str]:
    """The names of the pipelines that a shipped module makes."""
    return [str(name) for name in _make(module, function, seed)]


def fit_and_predict(
    module: str, function: str, seed: int, name: str, flights: pd.DataFrame, late: pd.Series, others: pd.DataFrame
) -> dict[str, Any]:
    """Fit one pipeline of a shipped module and predict other flights with it.

    Returns:
        {"probability": array of shape (n,), "rows_seen": int, "kind": the name of its class} or a problem.
    """
    pipeline = _make(module, function, seed)[name]
    if not hasattr(pipeline, "fit"):
        return {"problem": "no fit", "detail": type(pipeline).__name__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = pipeline.fit(flights, late)
    model = pipeline if fitted is None else fitted
    return {**_probability(model, others), "rows_seen": _rows_seen(model), "kind": type(pipeline).__name__}


def _make(module: str, function: str, seed: int) -> dict[str, Any]:
    maker = getattr(importlib.import_module(module), function)
    return dict(maker(seed=seed))


def _probability(model: Any, flights: pd.DataFrame) -> dict[str, Any]:
    """Ask for probabilities in whichever of the usual shapes the model gives them."""
    if not hasattr(model, "predict_proba"):
        return {"problem": "no predict_proba", "detail": type(model).__name__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = np.asarray(model.predict_proba(flights))
    if answer.ndim == 2 and answer.shape[1] == 2:
        answer = answer[:, _column_of_late(getattr(model, "classes_", None))]
    elif answer.ndim == 2 and answer.shape[1] == 1:
        answer = answer[:, 0]
    if answer.ndim != 1:
        return {"problem": "shape", "detail": str(answer.shape)}
    try:
        return {"probability": answer.astype(float)}
    except (TypeError, ValueError):
        return {"problem": "not numbers", "detail": repr(answer[:3].tolist())[:100]}


def _column_of_late(classes: Any) -> int:
    """Which of two columns is late: the class that reads as true; the second where that is not clear."""
    if classes is None or len(classes) != 2:
        return 1
    reads_true = [str(value).strip().lower() in ("true", "1", "1.0", "late", "yes") for value in classes]
    return 0 if reads_true == [True, False] else 1


def _rows_seen(model: Any) -> int:
    """Look through a fitted object for what its parts remember of the number of rows they were fitted on."""
    most, seen, waiting = 0, {}, [model]
    while waiting and len(seen) < MOST_OBJECTS:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing  # kept, or its id would be given to another
        if isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, list | tuple | set):
            waiting += thing
        elif isinstance(thing, np.ndarray):
            if thing.dtype == object:
                waiting += thing.ravel().tolist()
        elif isinstance(thing, types.MethodType):
            waiting.append(thing.__self__)
        elif isinstance(thing, types.FunctionType | types.BuiltinFunctionType | types.ModuleType | type):
            continue
        else:
            most = max(most, _remembered(thing))
            waiting += vars(thing).values() if hasattr(thing, "__dict__") else []
            if hasattr(thing, "func"):  # functools.partial keeps its function outside its __dict__
                waiting.append(thing.func)
    return most


def _remembered(part: Any) -> int:
    """What one part of a fitted model remembers of its rows, by the names that scikit-learn uses."""
    found = [0]
    for name in ("n_samples_seen_", "n_samples_fit_"):
        value = getattr(part, name, 0)
        if isinstance(value, int | float | np.number | np.ndarray) and np.all(np.isfinite(value)):
            found.append(int(np.max(value)))
    nodes = getattr(part, "nodes", None)  # a tree of histogram gradient boosting; the root comes first
    if isinstance(nodes, np.ndarray) and nodes.dtype.names and "count" in nodes.dtype.names and len(nodes):
        found.append(int(nodes["count"][0]))
    counts = getattr(part, "n_node_samples", None)  # any other tree
    if isinstance(counts, np.ndarray) and len(counts):
        found.append(int(counts[0]))
    return max(found)
