"""What a lab starts from: the student's own work of the lab before if it passes, else a reference. Used by notebooks.

`receive()` copies it to `handed_over/` beside the notebook. A later lab needs one line in HANDOVERS. Uses `flights`,
`shipping` and `checks`: a student's model is opened only in a process of its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from course import flights
from course.base import atomic, untrusted
from course.base.errors import UserError
from course.checks.core.processes import Stopped, Worker, remove
from course.checks.http import contracts
from course.checks.model import probability_metrics

FOLDER = "handed_over"
REFERENCE = Path("given") / "reference"
MAX_FILES = 200
MAX_BYTES = 300 * 2**20
SOME = 50  # flights about which a service is asked
LEAST_AUC = 0.55  # a coin ranks with 0.5
STAMP = ".own"
PASSED_OVER = (".", "_", "test_", "conftest.")
_PREDICTOR = "course.sandboxed.predictor"


class HandoverError(UserError):
    """There is nothing to start from; the message says what to mend."""


class NotUsable(UserError):
    """What a student shipped cannot be built upon; the message says why, as half a sentence."""


@dataclass(frozen=True)
class Handover:
    """What one lab takes from another.

    Attributes:
        before: the folder of the lab that ships it.
        takes: what is taken of its shipped files: names of folders, and patterns of files at the top such as "*.py".
        reference: what of that the reference holds; no more than the model needs, for it shows a solution.
        model: the model's file among them, by which they are tried.
        imports: the folder among them that holds the modules which the model needs.
        needs: files without which the rest is of no use.
        service: the WSGI application among them, as module:name, that must say what the model says; "" for none.
    """

    before: str
    takes: tuple[str, ...]
    reference: tuple[str, ...]
    model: str
    imports: str = "."
    needs: tuple[str, ...] = ()
    service: str = ""


_SERVICE = (
    *("api.py", "asking.py", "contract.py", "gunicorn.conf.py", "openapi.py", "page.py", "production.py"),
    *("reliability.py", "scoring.py", "wsgi.py"),
)
HANDOVERS = {
    "02_serialisation": Handover("01_python_model", ("model", "*.py"), ("model", "features.py"), "model/model.joblib"),
    "03_flask_api": Handover("02_serialisation", ("artifact",), ("artifact",), "artifact/model.joblib", "artifact"),
    "04_docker": Handover(
        "03_flask_api",
        ("artifact", "*.py", "templates*", "choices*.json"),
        ("artifact", *_SERVICE, "templates", "choices.json"),
        "artifact/model.joblib",
        "artifact",
        needs=("production.py", "gunicorn.conf.py"),
        service="production:app",
    ),
    "05_k8s": Handover(
        "04_docker",
        ("image",),
        ("image",),
        "image/artifact/model.joblib",
        "image/artifact",
        needs=("image/Dockerfile", "image/requirements.txt"),
    ),
}


@dataclass(frozen=True)
class Start:
    """What a lab starts from.

    Attributes:
        folder: a copy of the files, in `handed_over/` beside the notebook.
        own: whether they are the student's own.
        why: the sentence that was printed.
    """

    folder: Path
    own: bool
    why: str


def receive(lab: Path | None = None) -> Start:
    """Copy what this lab starts from to `handed_over/`, and print one sentence that says whose it is and why.

    Args:
        lab: the lab's folder; by default the current one, in which its notebooks run.

    Raises:
        HandoverError: this lab starts from nothing, or its reference is missing too.
    """
    lab = (lab or Path.cwd()).resolve()
    handover = rule(lab.name)
    target = lab / FOLDER
    with atomic.replacing_folder(target, concurrent=True) as fresh:
        try:
            _take_own(lab, fresh, handover)
            own, why = True, f"This lab starts from your own work of lab {handover.before[:2]}: it opens and predicts."
        except NotUsable as problem:
            remove(fresh)
            fresh.mkdir()
            own, why = False, f"This lab starts from the reference, because yours {problem}."
            try:
                collect(lab / REFERENCE, fresh, handover.reference)
            except NotUsable as missing:
                raise HandoverError(
                    f"there is nothing to start from: {lab.name}/{REFERENCE.as_posix()} {missing}. It belongs to the "
                    "lab's files; get them again, or run course reference if you have the solutions."
                ) from None
    print(why)
    return Start(target, own, why)


def _take_own(lab: Path, fresh: Path, handover: Handover) -> None:
    """Collect a student's own work and try it, unless just this was tried before.

    It is in the folder of the lab before or, where that is not there, as when a lab is graded alone, still in the copy
    that was handed over earlier.
    """
    before, earlier = lab.parent / handover.before / "shipped", lab / FOLDER
    tried = _read_stamp(earlier)
    if os.path.isdir(before):
        collect(before, fresh, handover.takes)
    elif tried is not None:
        collect(earlier, fresh, handover.takes)
    else:
        raise NotUsable("is not there")
    stamp = _stamp(fresh)
    if stamp != tried:
        trial(fresh, handover)
    (fresh / STAMP).write_text(stamp + "\n")


def _stamp(folder: Path) -> str:
    """A hash of files and of the library that opens them."""
    found = hashlib.sha256(importlib.metadata.version("scikit-learn").encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != STAMP):
        found.update(f"\n{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _read_stamp(folder: Path) -> str | None:
    """The stamp of work that was tried and found to be good, and handed over before."""
    try:
        return (folder / STAMP).read_text()[:100].strip()
    except (OSError, ValueError):
        return None


def trial(folder: Path, handover: Handover) -> np.ndarray:
    """Open a model in a process of its own and let it predict November's flights.

    Args:
        folder: what :func:`collect` copied.
        handover: what of it is the model.

    Returns:
        The probabilities of late, shape (n,), for :func:`trial_flights`.

    Raises:
        NotUsable: something is missing, the model does not open, gives no probabilities or ranks no better than a
            coin, or the service does not say what the model says.
    """
    for needed in (handover.model, *handover.needs):
        if not (folder / needed).is_file():
            raise NotUsable(f"lacks {PurePosixPath(needed).name}")
    plan, late = trial_flights()
    worker = Worker(timeout=30.0, folder=folder / handover.imports)
    try:
        opening = {"function": "open_model", "args": [], "kwargs": {"path": str(folder / handover.model)}}
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
    if handover.service:
        _try_service(folder, handover.service, plan[:SOME], p[:SOME])
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


def collect(shipped: Path, target: Path, takes: tuple[str, ...]) -> None:
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


def rule(name: str) -> Handover:
    """What a lab takes from the one before.

    Raises:
        HandoverError: it takes nothing.
    """
    if name not in HANDOVERS:
        known = ", ".join(HANDOVERS)
        raise HandoverError(f"the lab {name!r} starts from no other lab; these do: {known}. Is this a lab's folder?")
    return HANDOVERS[name]


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


def _ask(worker: Worker, problem: str, do: str, **details) -> object:
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
