"""A student's model, opened and fitted only in a process of its own: `model("model")` and `recipes("pipelines.py")`.

The near side: it asks `predictor` in a worker, distrusts every answer, and puts into words what is wrong.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from course import shipping
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.python.modules import ask, explain
from course.flights import SCHEMA
from course.flights.columns import PLAN

MODEL_FILE = "model.joblib"
MAX_MODEL_BYTES = 200 * 2**20
_PREDICTOR = "course.sandboxed.predictor"
_LOST = re.compile(r"Can't get attribute '(?P<name>[^']{1,100})' on <module '(?P<module>[^']{1,100})'")
_OPENS = "the model can be opened in a fresh process"
_PREDICTS = "the model predicts planned flights"
_PROBABILITIES = "the model gives a probability for every flight"
_TOO_LATE = {c.name for c in SCHEMA.values() if c.table == "flights"} - {name for name, *_ in PLAN}


def model(name: str = "model", *, modules: str = "", timeout: float = 10.0) -> Model:
    """A shipped artifact folder that holds a model; it is opened at the first question.

    Args:
        name: the folder, below the folder of shipped files. The model itself is `model.joblib` in it.
        modules: the folder below that of shipped files from which the model's modules are imported; by default that.
        timeout: how long opening it, and each prediction, may take, in seconds.
    """
    return Model(name, modules=modules, timeout=timeout)


def recipes(name: str = "pipelines.py", function: str = "candidates", *, timeout: float = 20.0) -> Recipes:
    """A shipped module whose function makes unfitted models, by name: `candidates(seed=0) -> {"constant": …}`.

    Args:
        name: the module, below the folder of shipped files.
        function: the function, which takes the keyword `seed`.
        timeout: how long its import, and each fit, may take, in seconds.
    """
    return Recipes(name, function, timeout=timeout)


class _Process:
    """A worker that runs `predictor`, started at the first request."""

    def __init__(self, timeout: float, modules: str = "") -> None:
        self._timeout, self._modules = timeout, modules
        self._worker: Worker | None = None

    def request(self, title: str, what: str, call: str, place: str, **arguments: Any) -> Any:
        """Call a function of `predictor` about a shipped file; every way to fail becomes an Unmet with this title."""
        try:
            if self._worker is None or self._worker.process.poll() is not None:
                worker = Worker(timeout=self._timeout, folder=shipping.folder() / self._modules)
                started = ask(worker, what, "use", name=_PREDICTOR)
                if "error" in started:
                    raise RuntimeError(f"the course's predictor did not start: {started['error']}")
                self._worker = worker
            answer = ask(self._worker, what, "call", function=call, args=[], kwargs=arguments)
            if "error" in answer:
                raise _explain(answer["error"], what, place)
        except CheckFailed as error:
            raise _unmet(title, error) from None
        return answer["ok"]


class Model:
    """The near side of a shipped model."""

    def __init__(self, name: str, *, modules: str = "", timeout: float = 10.0) -> None:
        self.name = name
        self._process = _Process(timeout, modules)
        self._opened = False

    @property
    def files(self) -> dict[str, int]:
        """The files in its folder: path → size in bytes.

        Raises:
            Unmet: there is no such folder.
        """
        return reading.listing(self.name)

    def json(self, name: str) -> Any:
        """The content of a JSON file of its folder, as plain data.

        Args:
            name: its path below the model's folder, such as "metrics.json".

        Raises:
            Unmet: it is missing, too large, not JSON, or holds NaN or infinity.
        """
        place = f"{self.name}/{name}"
        return reading.json_document(reading.text(place), place)

    def predict_proba(self, flights: pd.DataFrame) -> np.ndarray:
        """The model's probabilities of late.

        Args:
            flights: planned flights, as `flights.planned()` returns them, shape (n, columns).

        Returns:
            The probability for each flight, shape (n,), each finite and within 0 and 1.

        Raises:
            Unmet: the model is missing or cannot be opened, predicting raises an error, or what it returns are not
                probabilities; the message says which.
        """
        self._open()
        answer = self._process.request(_PREDICTS, "predicting", "predict", f"{self.name}/{MODEL_FILE}", flights=flights)
        return _probabilities(answer, len(flights))

    def rows_seen(self) -> int:
        """The most rows that a part of the model (a scaler, a tree) says it was fitted on; 0 if none says."""
        self._open()
        answer = self._process.request(_OPENS, "looking into it", "rows_seen", f"{self.name}/{MODEL_FILE}")
        return answer if isinstance(answer, int) and not isinstance(answer, bool) else 0

    def _open(self) -> None:
        if self._opened:
            return
        place = f"{self.name}/{MODEL_FILE}"
        size = self.files.get(MODEL_FILE)
        if size is None:
            hint = "joblib.dump(model, folder / 'model.joblib') inside the with block"
            raise Unmet(f"{place} is shipped", f"there is no {MODEL_FILE} in the folder {self.name}", hint=hint)
        if size > MAX_MODEL_BYTES:
            limit = f"at most {MAX_MODEL_BYTES >> 20} MiB"
            raise Unmet(f"{place} is shipped", "the model is too large", expected=limit, actual=f"{size >> 20} MiB")
        path = str(shipping.folder() / self.name / MODEL_FILE)
        self._process.request(_OPENS, f"opening {place}", "open_model", place, path=path)
        self._opened = True


class Recipes:
    """The near side of a shipped module that makes unfitted models."""

    def __init__(self, name: str, function: str, *, timeout: float = 20.0) -> None:
        self.name, self.function = name, function
        self._process = _Process(timeout)
        self._made = {"module": name.removesuffix(".py").replace("/", "."), "function": function}

    def names(self, *, seed: int = 0) -> list[str]:
        """The names of the models that it makes.

        Raises:
            Unmet: the module is missing, or the function fails.
        """
        reading.read(self.name)
        title = f"{self.name} makes its models"
        answer = self._process.request(title, f"{self.function}()", "names", self.name, **self._made, seed=seed)
        return [str(name) for name in answer] if isinstance(answer, list) else []

    def fit_predict(
        self, name: str, flights: pd.DataFrame, late: pd.Series, others: pd.DataFrame, *, seed: int = 0
    ) -> Fitted:
        """Make the models anew, fit the one of this name, and predict other flights with it.

        Args:
            name: one of `names()`.
            flights, late: planned flights to train on, and whether they were late; n rows each.
            others: planned flights to predict, m rows.
            seed: passed to the function.

        Returns:
            The probabilities for `others`, shape (m,), and the most rows that a part of the model was fitted on.

        Raises:
            Unmet: there is no such model, it cannot be fitted, or it gives no probabilities.
        """
        if name not in self.names(seed=seed):
            title = f"{self.function}() has a model {name!r}"
            raise Unmet(title, f"there is no {name!r} in what {self.function}() returns", hint="spell it the same")
        more = {"seed": seed, "name": name, "flights": flights, "late": late, "others": others}
        title = f"{name} can be fitted, and predicts planned flights"
        answer = self._process.request(
            title, f"fitting {name}", "fit_and_predict", self.name, **self._made, **_as(more)
        )
        probability = _probabilities(answer, len(others), name)
        rows = answer.get("rows_seen")
        return Fitted(probability, rows if isinstance(rows, int) else 0, str(answer.get("kind"))[:100])


class Fitted:
    """What came of fitting a shipped recipe.

    Attributes:
        probability: for each of the other flights, shape (m,).
        rows_seen: the most rows that a part of it was fitted on; 0 if no part says.
        kind: the name of its class, such as Pipeline.
    """

    def __init__(self, probability: np.ndarray, rows_seen: int, kind: str) -> None:
        self.probability, self.rows_seen, self.kind = probability, rows_seen, kind


def _as(arguments: dict[str, Any]) -> dict[str, Any]:
    """Labels travel as plain booleans without their index."""
    return {**arguments, "late": pd.Series(np.asarray(arguments["late"], dtype=bool), name="late")}


def _unmet(title: str, error: CheckFailed) -> Unmet:
    if isinstance(error, Unmet):
        return error
    return Unmet(title, error.reason, expected=error.expected, actual=error.actual, hint=error.hint)


def _explain(error: Any, what: str, name: str) -> CheckFailed:
    """A student's exception in words; the mistakes that people make with models have words of their own."""
    kind, message = (str(error.get(key) or "") for key in ("type", "message")) if isinstance(error, dict) else ("", "")
    lost = _LOST.search(message) if kind == "AttributeError" else None
    if lost and lost["module"] in (
        "__main__",
        "course.sandboxed.worker",
    ):  # the program that opens it, not the notebook
        return CheckFailed(
            f"the model needs {lost['name']}, which was defined in the notebook",
            hint="a pickle holds only the names of functions, and no other process has your notebook: put the function "
            "into features.py with %%ship, import it from there, then make, train and ship the model again",
        )
    if lost:
        return CheckFailed(
            f"the model needs {lost['name']} of {lost['module']}, which has no such name",
            hint="a pickle holds only the names of functions: after a change of the module, train and ship again",
        )
    if kind == "ModuleNotFoundError":
        return CheckFailed(
            f"{what} failed: {message[:200]}",
            hint="a model needs the modules that its functions are in; ship them, and use only libraries of the course",
        )
    late_columns = sorted(column for column in _TOO_LATE if f"'{column}'" in message or f'"{column}"' in message)
    if late_columns:
        listed = ", ".join(late_columns)
        return CheckFailed(
            f"the model asks for {listed}, which planned flights do not have",
            hint="the prediction is made a day before departure; train on what flights.planned() gives, and on no more",
        )
    return explain(error, what, name)


def _probabilities(answer: Any, rows: int, name: str = "") -> np.ndarray:
    """What a model returned, if it is one probability a flight; else an Unmet that says what it is."""
    title = _PROBABILITIES if not name else f"{name} gives a probability for every flight"
    problem = answer.get("problem") if isinstance(answer, dict) else "form"
    detail = str(answer.get("detail", ""))[:200] if isinstance(answer, dict) else ""
    if problem == "no predict_proba":
        hint = "not every model of scikit-learn has predict_proba; choose a classifier that gives probabilities"
        raise Unmet(title, f"{detail} has no predict_proba", hint=hint)
    if problem == "no fit":
        hint = "the dictionary holds unfitted pipelines, by name"
        raise Unmet(title, "it cannot be fitted", expected="a Pipeline", actual=detail, hint=hint)
    if problem == "not numbers":
        raise Unmet(title, "it returns something else than numbers", actual=detail)
    p = answer.get("probability") if isinstance(answer, dict) else None
    if problem or not isinstance(p, np.ndarray) or p.dtype.kind not in "fiu" or p.shape != (rows,):
        got = detail or (str(p.shape) if isinstance(p, np.ndarray) else type(p).__name__)
        hint = "keep all rows on the way: no dropna(), no inner join"
        raise Unmet(title, "it returns another number of rows", expected=f"({rows},)", actual=got, hint=hint)
    p = p.astype(float)
    if np.isnan(p).any():
        raise Unmet(title, f"{int(np.isnan(p).sum())} of {rows} probabilities are missing (NaN)")
    if ((p < -1e-9) | (p > 1 + 1e-9)).any():
        bad = float(p[np.argmax((p < -1e-9) | (p > 1 + 1e-9))])
        raise Unmet(title, "a probability must lie between 0 and 1", actual=f"{bad:g}")
    if rows > 1 and np.isin(p, (0.0, 1.0)).all():
        raise Unmet(
            title,
            "it returns labels: every value is 0 or 1",
            expected="probabilities, such as 0.18",
            hint="a label hides how sure the model is; a threshold is laid on the probability later",
        )
    return p
