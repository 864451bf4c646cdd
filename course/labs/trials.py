"""Whether what a lab shipped can be built upon: copies it carefully, and tries its model and its service.

Used by `handover`, when a student begins the next lab, and by `references`, when an author makes what labs start from.
A model is opened only in a process of its own.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from course import flights
from course.base import untrusted
from course.base.errors import UserError
from course.checks.core.processes import Stopped, Worker
from course.checks.http import contracts
from course.checks.model import probability_metrics
from course.labs.description import Origin

MAX_FILES = 200
MAX_BYTES = 300 * 2**20
SOME = 50  # flights about which a service is asked
LEAST_AUC = 0.55  # a coin ranks with 0.5
PASSED_OVER = (".", "_", "test_", "conftest.")
_PREDICTOR = "course.sandboxed.predictor"


class NotUsable(UserError):
    """What a student shipped cannot be built upon; the message says why, as half a sentence."""


def trial(folder: Path, origin: Origin) -> np.ndarray:
    """Open a model in a process of its own and let it predict November's flights.

    Args:
        folder: what :func:`collect` copied.
        origin: what of it is the model.

    Returns:
        The probabilities of late, shape (n,), for :func:`trial_flights`.

    Raises:
        NotUsable: something is missing, the model does not open, gives no probabilities or ranks no better than a
            coin, or the service does not say what the model says.
    """
    for needed in (origin.model, *origin.needs):
        if not (folder / needed).is_file():
            raise NotUsable(f"lacks {PurePosixPath(needed).name}")
    plan, late = trial_flights()
    worker = Worker(timeout=30.0, folder=folder / origin.imports)
    try:
        opening = {"function": "open_model", "args": [], "kwargs": {"path": str(folder / origin.model)}}
        _ask(worker, "does not open", "use", name=_PREDICTOR)
        _ask(worker, "does not open", "call", **opening)
        predicting = {"function": "predict", "args": [], "kwargs": {"flights": plan}}
        answer = _ask(worker, "does not predict planned flights", "call", **predicting)
    finally:
        worker.close()
    p = answer.get("probability") if isinstance(answer, dict) else None
    if not isinstance(p, np.ndarray) or p.shape != (len(plan),) or p.dtype.kind != "f":
        raise NotUsable("does not give one probability for each flight")
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        raise NotUsable("gives probabilities that do not lie between 0 and 1")
    if (auc := probability_metrics.roc_auc(late, p)) <= LEAST_AUC:
        raise NotUsable(f"ranks flights of November hardly better than a coin (AUC {auc:.2f})")
    if origin.service:
        _try_service(folder, origin.service, plan[:SOME], p[:SOME])
    return p


def _try_service(folder: Path, service: str, plan: pd.DataFrame, p: np.ndarray) -> None:
    """Ask a service about planned flights, without a network, in a process of its own.

    Raises:
        NotUsable: it cannot be imported, or says something else than the model.
    """
    worker = Worker(timeout=30.0, folder=folder)
    try:
        _ask(worker, "does not open", "use", name=_PREDICTOR)
        details = {"application": service, "path": "/predict", "body": {"flights": contracts.as_sent(plan)}}
        answer = _ask(worker, "does not start", "call", function="post", args=[], kwargs=details)
    finally:
        worker.close()
    try:
        said = [float(one["probability"]) for one in answer["body"]["predictions"]]
    except (LookupError, TypeError, ValueError):
        status = answer.get("status") if isinstance(answer, dict) else None
        raise NotUsable(f"does not answer planned flights with predictions (status {status})") from None
    if len(said) != len(p) or not np.allclose(said, p, atol=1e-3):
        raise NotUsable("answers with other probabilities than its model's")


def trial_flights() -> tuple[pd.DataFrame, pd.Series]:
    """Some planned flights of November, on which a model is tried, and whether each was late."""
    plan = flights.planned("2013-11-01", "2013-12-01")
    late = flights.labels(plan)
    some = plan[late.notna()].sample(2_000, random_state=11).sort_index()
    return some.reset_index(drop=True), late[some.index].astype(bool).reset_index(drop=True)


def collect(shipped: Path, target: Path, takes: Iterable[str]) -> None:
    """Copy files and folders out of a folder of shipped files; links and special files are not followed.

    Args:
        shipped: the folder that it is taken from.
        target: an empty folder.
        takes: names of folders and patterns of files. Tests are left where they are.

    Raises:
        NotUsable: something is missing, is no ordinary file, or is too much.
    """
    if not os.path.isdir(shipped):
        raise NotUsable("is not there")
    budget = _Budget()
    for pattern in takes:
        found = sorted(path for path in shipped.glob(pattern) if not path.name.startswith(PASSED_OVER))
        if not found and "*" not in pattern:
            raise NotUsable(f"is not there (no {pattern} among the shipped files)")
        for path in found:
            try:
                _copy(path, target / path.name, budget)
            except OSError as error:
                raise NotUsable(f"cannot be read ({path.name}: {error.strerror})") from None


class _Budget:
    """How much more may be copied."""

    def __init__(self) -> None:
        self.files, self.bytes = MAX_FILES, MAX_BYTES

    def spend(self, size: int) -> None:
        self.files -= 1
        self.bytes -= size
        if self.files < 0 or self.bytes < 0:
            raise NotUsable(f"is too large (at most {MAX_FILES} files and {MAX_BYTES >> 20} MiB are taken over)")


def _copy(source: Path, target: Path, budget: _Budget) -> None:
    if stat.S_ISDIR(source.lstat().st_mode):
        target.mkdir()
        for inner in sorted(source.iterdir()):
            if inner.name not in ("__pycache__", ".ipynb_checkpoints"):
                _copy(inner, target / inner.name, budget)
        return
    try:
        data = untrusted.read_file(source, MAX_BYTES)
    except untrusted.FileRefused as refused:
        if refused.reason is untrusted.Reason.NOT_ORDINARY:
            raise NotUsable(f"holds something else than ordinary files ({source.name})") from None
        if refused.reason is untrusted.Reason.TOO_LARGE:
            budget.spend(refused.size)
        raise NotUsable(f"cannot be read ({source.name}: {refused})") from None
    budget.spend(len(data))
    target.write_bytes(data)


def _ask(worker: Worker, problem: str, do: str, **details: Any) -> Any:
    try:
        answer = worker.request(do, **details)
    except (Stopped, ValueError) as error:
        raise NotUsable(f"{problem}: {_line(error)}") from None
    if "error" in answer:
        error = answer["error"] if isinstance(answer["error"], dict) else {}
        raise NotUsable(f"{problem}: {_line('{type}: {message}'.format_map({'type': '', 'message': '', **error}))}")
    return answer["ok"]


def _line(text: object) -> str:
    """The first line of a message, without places of this machine and without its full stop."""
    lines = str(text).strip().splitlines() or ["no reason is known"]
    return re.sub(r" from '[^']*'", "", lines[0])[:200].rstrip(".: ")
