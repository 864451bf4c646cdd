"""A student's DAG, run day by day in a worker: `pipeline("late_flights").run("2013-11-05")`.

The near side of `dag_trials`. Airflow and the student's code run only there. What comes back is data: the states of a
run, and what is in the store afterwards.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from course import shipping
from course.base import atomic
from course.checks.core.expectations import CheckFailed, Unmet, fail, not_graded_here
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.python.modules import ask, explain

_TRIALS = "course.sandboxed.dag_trials"
_SECONDS = 90.0


@dataclass(frozen=True)
class Ran:
    """How the run of a day ended.

    Attributes:
        state: "success" or "failed", or "none" where no run is due.
        tasks: name → its state, and at which try.
    """

    state: str
    tasks: Mapping[str, Any]


def pipeline(dag_id: str, *, folder: str = "dags", now: str = "2013-12-01") -> Pipeline:
    """A shipped DAG.

    Args:
        dag_id: its name; it is in the file of that name.
        folder: of DAGs, below the folder of shipped files.
        now: the present, as its tasks are to see it.

    Raises:
        Unmet: it is not there, or cannot be imported.
        NotGradedHere: Airflow is not installed.
    """
    return Pipeline(dag_id, folder, now)


class Pipeline:
    """The near side of a DAG with a store of its own, which is empty at first."""

    def __init__(self, dag_id: str, folder: str, now: str) -> None:
        self.file = f"{folder}/{dag_id}.py"
        self.title = f"{self.file} holds the DAG {dag_id}"
        reading.read(self.file)
        database = _database()
        self._worker = Worker(timeout=_SECONDS, readable=[database])
        self._ask("use", name=_TRIALS)
        self._call("begin", str(shipping.folder() / folder), str(database), now)
        try:
            found = self._call("look", dag_id)
        except CheckFailed as error:
            hint = "a DAG's file is imported every few seconds: it describes tasks, and does no work"
            raise Unmet(self.title, f"Airflow cannot import it: {error.reason}", hint=hint) from None
        found = found if isinstance(found, dict) else {}
        about = found.get("about")
        if not isinstance(about, dict):
            errors = found.get("errors")
            if isinstance(errors, dict) and errors:
                name, text = next(iter(errors.items()))
                lines = [line for line in str(text).strip().splitlines() if line.strip()]
                raise Unmet(
                    self.title, f"Airflow cannot import {str(name)[:80]}: {_readable(lines[-1] if lines else '')}"
                )
            names = found.get("dags")
            raise Unmet(
                self.title,
                f"Airflow finds no DAG {dag_id!r} in {self.file}",
                actual=f"DAGs found: {names!r}"[:300],
                hint="the decorated function must be called at the end of the file, at its left margin",
            )
        self.about: Mapping[str, Any] = about
        self.store_calls, self.import_seconds = found.get("store_calls", 0), found.get("seconds", 0.0)

    def empty(self) -> None:
        """Remove all that is in its store, and its alerts."""
        self._call("empty")

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects into its store."""
        self._call("put", dict(objects))

    def run(self, day: str, *, unavailable: int = 0) -> Ran:
        """Run it for a day.

        Args:
            day: the day that it is about; the run is the one that is due in the morning after.
            unavailable: so many calls of the store fail at first.

        Raises:
            CheckFailed: it did not end.
        """
        answer = self._call("run", day, unavailable)
        if not isinstance(answer, dict) or not isinstance(answer.get("tasks"), dict):
            fail(f"the run of {day} answered in a form that the check cannot read")
        return Ran(str(answer.get("state"))[:30], answer["tasks"])

    def must_run(self, day: str, *, unavailable: int = 0) -> None:
        """Run it for a day; fail unless the run succeeds."""
        ran = self.run(day, unavailable=unavailable)
        if ran.state != "success":
            down = f"the store is down for {unavailable} calls, and " if unavailable else ""
            fail(f"{down}the run of {day} does not succeed", expected="success", actual=f"{ran.state}: {_states(ran)}")

    def killed(self, day: str, write: int) -> bool:
        """Run it for a day, and kill it just before its write-th write; return whether it has so many writes."""
        return self._call("killed", day, write) is True

    def contents(self) -> dict[str, bytes]:
        """Return what is in its store, but for what was delivered, and its alerts, as alerts/NAME."""
        found = self._call("contents")
        if not isinstance(found, dict) or not all(
            isinstance(key, str) and isinstance(content, bytes) for key, content in found.items()
        ):
            fail("the store was returned in a form that the check cannot read")
        return found

    def close(self) -> None:
        """End its process."""
        self._worker.close()

    def _call(self, function: str, *args: Any) -> Any:
        return self._ask("call", function=function, args=list(args), kwargs={})

    def _ask(self, do: str, **details: Any) -> Any:
        what = f"the DAG of {self.file}" if do == "call" else self.file
        answer = ask(self._worker, what, do, **details)
        if "error" in answer:
            raise explain(answer["error"], what, self.file)
        return answer["ok"]


def _states(ran: Ran) -> str:
    return ", ".join(f"{name} {str(about)[:60]}" for name, about in list(ran.tasks.items())[:8])[:400]


def _readable(line: str) -> str:
    return line[:400]


def _database() -> Path:
    """A migrated database of the installed Airflow, made once and kept in the course's cache."""
    try:
        version = importlib.metadata.version("apache-airflow-core")
    except importlib.metadata.PackageNotFoundError:
        not_graded_here("Airflow is not installed here; make extra LAB=08 installs it", whatever=True)
    cache = os.environ.get("COURSE_CACHE") or str(platformdirs.user_cache_path("course"))
    kept = Path(cache, f"airflow-{version}.db")
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as home, atomic.replacing(kept, concurrent=True) as fresh:
            env = {
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": home,
                "AIRFLOW_HOME": home,
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
                "SCARF_ANALYTICS": "false",
            }
            command = [sys.executable, "-P", "-m", "airflow", "db", "migrate"]
            subprocess.run(command, env=env, cwd=home, check=True, capture_output=True, timeout=300)
            Path(fresh).write_bytes(Path(home, "airflow.db").read_bytes())
    return kept
