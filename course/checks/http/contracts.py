"""Whether a service keeps what it promises: `ArtifactModel` answers as its model does, `Scorer` is a student's class.

The near side of `service_contract`, which works in a worker's process; it distrusts every answer, and puts into words
what is wrong. Whatever a student's description holds, requests are made from it only there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course import shipping
from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.http.messages import Response, post
from course.checks.http.services import Service
from course.checks.model import probability_metrics
from course.checks.model.artifacts import MAX_BYTES, MODELS
from course.checks.model.labelled import Labelled
from course.checks.python.modules import ask, explain

FIELDS = ("carrier", "origin", "dest", "distance", "planned_departure", "planned_arrival")
LEAST_AUC = 0.55  # a coin ranks with 0.5
_ORACLE = "course.sandboxed.service_contract"


def flight(row: pd.Series | dict[str, Any], zone: str | None = None) -> dict[str, Any]:
    """One planned flight as it is sent to the service.

    Args:
        row: of the table of `flights.planned()`.
        zone: the time zone in which its times are written; by default the table's own.
    """
    told: dict[str, Any] = {name: str(row[name]) for name in ("carrier", "origin", "dest")}
    told["distance"] = int(row["distance"])
    for name in ("planned_departure", "planned_arrival"):
        moment = row[name] if zone is None else row[name].tz_convert(zone)
        told[name] = moment.isoformat()
    return told


def as_sent(planned: pd.DataFrame, zone: str | None = None) -> list[dict[str, Any]]:
    """Planned flights as they are sent to the service; see :func:`flight`."""
    return [flight(row, zone) for row in planned[list(FIELDS)].to_dict("records")]


class _Asked:
    """A worker with `service_contract` in it, started at the first question."""

    def __init__(self, timeout: float, readable: Sequence[Path] = ()) -> None:
        self._timeout, self._readable, self._worker = timeout, readable, None

    def request(self, title: str, what: str, place: str, function: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a function of `service_contract`; every way to fail becomes an Unmet with this title."""
        try:
            if self._worker is None or self._worker.process.poll() is not None:
                worker = Worker(timeout=self._timeout, readable=self._readable)
                started = ask(worker, what, "use", name=_ORACLE)
                if "error" in started:
                    raise RuntimeError(f"the worker of service_contract did not start: {started['error']}")
                self._worker = worker
            answer = ask(self._worker, what, "call", function=function, args=[], kwargs=arguments)
            if "error" in answer:
                raise explain(answer["error"], what, place)
            found = answer["ok"]
            if not isinstance(found, dict):
                raise CheckFailed(f"{what} answered in a form that the check cannot read")
            if "problem" in found:
                raise CheckFailed(str(found["problem"])[:500])
        except CheckFailed as error:
            if isinstance(error, Unmet):
                raise
            details = {"expected": error.expected, "actual": error.actual, "hint": error.hint}
            raise Unmet(title, error.reason, **details) from None
        return found


class Model:
    """The near side of an artifact, which answers as its own model does; opened in a worker at the first question."""

    def __init__(self, name: str, *, timeout: float = 30.0) -> None:
        self.name, self._timeout = name, timeout
        self._asked: _Asked | None = None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """The content of one of its files."""
        raise NotImplementedError

    def digests(self) -> set[str]:
        """The SHA-256 of each model file that it has."""
        found = set()
        for name in MODELS:
            with contextlib.suppress(Unmet):
                found.add(hashlib.sha256(self.read(name)).hexdigest())
        return found

    def json(self, name: str) -> Any:
        """One of its JSON files, as plain data."""
        raise NotImplementedError

    def probabilities(self, sent: Sequence[dict[str, Any]]) -> np.ndarray:
        """What its model says of flights as they are sent, shape (n,).

        Raises:
            Unmet: the artifact is missing, or does not work.
        """
        title = f"the model in {self.name} opens and answers"
        place = self.folder
        if self._asked is None:
            self._asked = _Asked(self._timeout, readable=[place])
        found = self._asked.request(
            title, "asking the model", self.name, "probabilities", folder=str(place), flights=list(sent)
        )
        p = found.get("probability")
        if not isinstance(p, np.ndarray) or p.shape != (len(sent),) or p.dtype.kind != "f" or not np.isfinite(p).all():
            raise Unmet(title, "its model does not give one probability for each flight")
        return p


class ArtifactModel(Model):
    """A shipped artifact."""

    def __init__(self, name: str = "artifact", *, timeout: float = 30.0) -> None:
        super().__init__(name, timeout=timeout)

    @property
    def folder(self) -> Path:
        """Where its files are.

        Raises:
            Unmet: there is no such folder among the shipped ones, or it is empty.
        """
        if not reading.listing(self.name):
            raise Unmet(f"{self.name} is shipped", f"{self.name} is empty")
        return shipping.folder() / self.name

    def json(self, name: str) -> Any:
        """One of its JSON files, as plain data."""
        return reading.document(f"{self.name}/{name}")

    def read(self, name: str) -> bytes:
        """The content of one of its files.

        Raises:
            Unmet: it is missing, or too large.
        """
        return reading.read(f"{self.name}/{name}", max_bytes=MAX_BYTES)

    def must_rank(self, some: Labelled) -> None:
        """Fail unless its model ranks flights that it has not seen better than a coin does.

        A service that returns a constant agrees with a constant model, so no service is judged by such a model.

        Args:
            some: flights whose outcome is known.

        Raises:
            Unmet: it is missing, does not work, or ranks them hardly better than a coin.
        """
        auc = probability_metrics.roc_auc(some.late, self.probabilities(as_sent(some.planned)))
        if auc <= LEAST_AUC:
            raise Unmet(
                f"the model in {self.name} ranks flights that it has not seen",
                "it ranks them hardly better than a coin, so a service of it tells nobody anything",
                expected=f"a ROC AUC above {LEAST_AUC}",
                actual=f"{auc:.2f}",
                hint="run the cells at the top of notebook 1 of lab 03 again: they ship your artifact of lab 02, or "
                "the reference",
            )


class Scorer:
    """The near side of a shipped class that opens an artifact once, and answers from memory.

    Args:
        module, name: where the class is.
        artifact: what it opens; the shipped one by default.
        timeout: how long each call may take, in seconds.
    """

    def __init__(
        self, module: str = "scoring", name: str = "Scorer", *, artifact: Model | None = None, timeout: float = 30.0
    ) -> None:
        self.module, self.name, self._timeout = module, name, timeout
        self.artifact = artifact or ArtifactModel()
        self._asked: _Asked | None = None
        self._opened = 0

    def opened(self) -> int:
        """How many files of the artifact it opened to be ready.

        Raises:
            Unmet: it is missing, or cannot be made.
        """
        self._request()
        return self._opened

    def _request(self) -> _Asked:
        """The worker that holds it."""
        if self._asked is None:
            reading.read(f"{self.module}.py")
            whose = "the artifact" if isinstance(self.artifact, ArtifactModel) else self.artifact.name
            title = f"{self.name}(artifact) opens {whose}"
            folder = self.artifact.folder
            asked = _Asked(self._timeout, readable=[folder])
            arguments = {"module": self.module, "name": self.name, "folder": str(folder)}
            what = f"{self.name}(artifact)"
            found = asked.request(title, what, f"{self.module}.py", "make_scorer", **arguments)
            self._opened = int(found["opened"]) if isinstance(found.get("opened"), int) else 0
            self._asked = asked
        return self._asked

    def ask(self, *batches: Sequence[dict[str, Any]]) -> tuple[list[list[float]], int]:
        """Ask it about flights, a batch at a time.

        Returns:
            Its probabilities, batch by batch, and how many files of the artifact it opened meanwhile.

        Raises:
            Unmet: it is missing, or fails.
        """
        asked = self._request()
        title = f"{self.name}(artifact).probabilities(flights) answers"
        batches = [list(batch) for batch in batches]
        what = f"{self.name}.probabilities()"
        found = asked.request(title, what, f"{self.module}.py", "score", batches=batches)
        said, opened = found.get("probabilities"), found.get("opened")
        if not isinstance(said, list) or len(said) != len(batches) or not isinstance(opened, int):
            raise Unmet(title, "it answered in a form that the check cannot read")
        for batch, numbers in zip(batches, said, strict=True):
            if not isinstance(numbers, list) or len(numbers) != len(batch):
                got = len(numbers) if isinstance(numbers, list) else "no list"
                raise Unmet(
                    title, "it must give one probability for each flight", expected=str(len(batch)), actual=str(got)
                )
            if not all(isinstance(value, float) and 0 <= value <= 1 for value in numbers):
                raise Unmet(title, "a probability must lie between 0 and 1", actual=str(numbers[:3])[:100])
        return said, opened


@functools.cache
def _about_descriptions(timeout: float) -> _Asked:
    """One worker for all descriptions: what it imports takes long, and it runs no code of a student's."""
    return _Asked(timeout)


def description_problems(text: str, *, timeout: float = 30.0) -> list[str]:
    """What the validator says against an OpenAPI 3.1 description; nothing where it is valid.

    Args:
        text: the description, as JSON.
        timeout: how long it may take, in seconds.
    """
    title = "the OpenAPI description can be read"
    found = _about_descriptions(timeout).request(
        title, "reading the description", "openapi.py", "description_problems", text=text
    )
    problems = found.get("problems")
    return [str(line)[:300] for line in problems] if isinstance(problems, list) else ["it could not be read"]


def bodies(text: str, *, count: int = 60, seed: int = 0, timeout: float = 30.0) -> list[tuple[bytes, bool]]:
    """Bodies for POST /predict, made from the service's own description: some as it allows, some bent.

    Args:
        text: the OpenAPI description, as JSON.
        count: how many, about.
        seed: the same one makes the same bodies of the same description.
        timeout: how long it may take, in seconds.

    Returns:
        Each body, and whether the description allows it.
    """
    title = "requests can be made from the OpenAPI description"
    arguments = {"text": text, "count": count, "seed": seed}
    found = _about_descriptions(timeout).request(title, "making requests", "openapi.py", "bodies", **arguments)
    texts, allowed = found.get("bodies"), found.get("allowed")
    if not isinstance(texts, list) or not isinstance(allowed, list) or len(texts) != len(allowed) or len(texts) > count:
        raise Unmet(title, "it answered in a form that the check cannot read")
    return [(str(body).encode(), fair is True) for body, fair in zip(texts, allowed, strict=True)]


def route(api: Service, path: str, body: Any) -> str:
    """Where a service answers POST: at a path or, where that redirects to the same path with a slash, there.

    One check minds such a redirect; all others judge what is at its end.
    """
    answer = api.post(path, json=body)
    place = answer.headers.get("location", "") if answer.status in (301, 302, 307, 308) else ""
    return f"{path}/" if place.endswith(f"{path}/") else path


def fuzz(
    api: Service, text: str, *, count: int = 60, seed: int = 0, path: str = "/predict"
) -> list[tuple[bytes, bool, Response]]:
    """Send what :func:`bodies` makes to a service, ten at once.

    Returns:
        Each body, whether the description allows it, and the answer: a prediction, or problem details below 500.

    Raises:
        CheckFailed: an answer is neither; the message shows the body.
    """
    made = bodies(text, count=count, seed=seed)
    headers = {"Content-Type": "application/json"}
    answers = api.many([post(path, body=body, headers=headers) for body, _ in made], clients=10)
    for (body, _), answer in zip(made, answers, strict=True):
        if answer.status >= 500 or answer.status not in (200, 400, 413, 422):
            fail(
                "a request made from your own description gets a status that does not fit",
                expected="200, 400 or 422",
                actual=f"{answer.status} for {body.decode()[:300]}",
                hint="what cannot be read or understood is the client's error; nothing that a client sends is yours",
            )
        if answer.status != 200:
            answer.problem()
        elif not isinstance(said := answer.json(), dict) or not {"probability", "predictions"} & set(said):
            fail("an answer with the status 200 holds no prediction", actual=f"{said} for {body.decode()[:200]}")
    return [(body, allowed, answer) for (body, allowed), answer in zip(made, answers, strict=True)]
