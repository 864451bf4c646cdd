"""A student's code that works on people's data, called in a process of its own: `trials("protect.py").protect(…)`.

The near side of `privacy_trials`. Everything that comes back is of any origin: it is checked for its form here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.python.modules import ask, explain

_PROGRAM = "course.sandboxed.privacy_trials"


@dataclass(frozen=True)
class Protected:
    """What protect() made.

    Attributes:
        table: what it returned, rows numbered from 0.
        traces: all that it printed, logged, or wrote into files of its own.
    """

    table: pd.DataFrame
    traces: str


@dataclass(frozen=True)
class Erased:
    """What erase() left: `files` (path below the folder → content); `traces`, its report and what it printed."""

    files: Mapping[str, bytes]
    traces: str


@dataclass(frozen=True)
class Ran:
    """A pipeline that ran.

    Attributes:
        events: as the client sent them.
        opened: for each step that ran, its name and the files that it `reads` and `writes`.
        raised: what run() raised, or None.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    opened: list[dict[str, Any]] = field(default_factory=list)
    raised: str | None = None


def trials(name: str = "", *, timeout: float = 20.0) -> Trials:
    """A shipped Python file that works on people's data.

    Args:
        name: the module, below the folder of shipped files; none for views, which are text.
        timeout: how long its import, and each call, may take, in seconds.
    """
    return Trials(name, timeout)


class Trials:
    """The near side of such a module."""

    def __init__(self, name: str, timeout: float) -> None:
        self.name, self._timeout = name, timeout
        self._module = name.removesuffix(".py")
        self._worker: Worker | None = None

    def protect(self, bookings: pd.DataFrame, purpose: str, key: str, today: pd.Timestamp) -> Protected:
        """Call protect(); fail unless it returns a table."""
        reply = self._ask(
            "protect()", "protect", module=self._module, bookings=bookings, purpose=purpose, key=key, today=today
        )
        table, files = reply.get("table"), reply.get("files")
        if not isinstance(table, pd.DataFrame):
            fail("protect() returns no table", expected="a DataFrame", actual=table)
        if not isinstance(files, dict):
            raise CheckFailed("protect() answered in a form that the check cannot read")
        written = [content.decode("latin-1") for content in files.values() if isinstance(content, bytes)]
        return Protected(
            table.reset_index(drop=True), "\n".join([str(reply.get("printed", "")), *map(str, files), *written])
        )

    def refuses(self, bookings: pd.DataFrame, purpose: str, key: str, today: pd.Timestamp) -> str | None:
        """Call protect() where a ValueError is right; what else came of it, or None."""
        details = {"module": self._module, "bookings": bookings, "purpose": purpose, "key": key, "today": today}
        reply = self._reply("protect()", "protect", details)
        error = reply.get("error")
        if not isinstance(error, dict):
            return "it returned a table"
        return None if "ValueError" in map(str, error.get("family", [])) else f"it raised {str(error.get('type'))[:80]}"

    def pseudonyms(self, addresses: Sequence[str], purpose: str, key: str) -> dict[str, str]:
        """The pseudonym of each address; fail unless each is a text."""
        reply = self._ask(
            "pseudonym()", "pseudonyms", module=self._module, addresses=list(addresses), purpose=purpose, key=key
        )
        made = reply.get("pseudonyms")
        if not isinstance(made, list) or len(made) != len(addresses):
            raise CheckFailed("pseudonym() answered in a form that the check cannot read")
        wrong = next((one for one in made if not isinstance(one, str) or not 0 < len(one) <= 500), None)
        if wrong is not None or any(one is None for one in made):
            fail("pseudonym() must return a text of 1 to 500 characters", got=wrong)
        return dict(zip(addresses, made, strict=True))

    def company(self, trial: str, tables: Mapping[str, pd.DataFrame], documents: Mapping[str, str]) -> None:
        """Write the folder of a company for a trial, anew."""
        self._ask("the folder", "company", trial=trial, tables=dict(tables), documents=dict(documents))

    def erase(self, trial: str, email: str, keys: Sequence[str]) -> Erased:
        """Call erase() on the folder of a trial."""
        reply = self._ask("erase()", "erase", module=self._module, trial=trial, email=email, keys=list(keys))
        files = reply.get("files")
        if not isinstance(files, dict) or not all(isinstance(content, bytes) for content in files.values()):
            raise CheckFailed("erase() left files that the check cannot read")
        found = {str(place): content for place, content in files.items()}
        return Erased(found, f"{reply.get('report')}\n{reply.get('printed')}")

    def views(
        self,
        sql: str,
        names: Sequence[str],
        tables: Mapping[str, pd.DataFrame],
        later: Mapping[str, pd.DataFrame],
    ) -> dict[str, pd.DataFrame]:
        """Create the views of some statements on `tables`, and return what they show of `later`."""
        reply = self._ask("the SQL", "views", sql=sql, names=list(names), tables=dict(tables), later=dict(later))
        if "problem" in reply:
            place = (
                "it cannot be run"
                if reply.get("at") == "create"
                else f"the view {str(reply.get('at'))[:80]} cannot be read"
            )
            hint = "the statements run in an empty DuckDB with the given tables, without access to files or the network"
            fail(f"{place}: {str(reply['problem'])[:300]}", hint=hint)
        found = reply.get("views")
        if not isinstance(found, dict) or not all(isinstance(found.get(name), pd.DataFrame) for name in names):
            raise CheckFailed("the views came back in a form that the check cannot read")
        return found

    def pipeline(self, trial: str, steps: Sequence[Mapping[str, Any]]) -> Ran:
        """Run steps by the student's run() in the folder of a trial."""
        reply = self._ask("run()", "pipeline", module=self._module, trial=trial, steps=[dict(step) for step in steps])
        events, opened, raised = reply.get("events"), reply.get("opened"), reply.get("raised")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise CheckFailed("run() sent events that the check cannot read")
        if not isinstance(opened, list):
            raise CheckFailed("run() answered in a form that the check cannot read")
        return Ran(events, opened, None if raised is None else str(raised)[:300])

    def _ask(self, what: str, function: str, **details: Any) -> dict[str, Any]:
        reply = self._reply(what, function, details)
        if "error" in reply:
            raise explain(reply["error"], what, self.name)
        answer = reply["ok"]
        if isinstance(answer, dict) and isinstance(answer.get("absent"), str):
            name = answer["absent"][:50]
            hint = "the name must be exactly this one, at the left margin of the file"
            raise Unmet(f"{self.name} defines {name}()", f"there is no {name} in {self.name}", hint=hint)
        return answer if isinstance(answer, dict) else {}

    def _reply(self, what: str, function: str, details: dict[str, Any]) -> dict[str, Any]:
        if self.name:
            reading.read(self.name)
        if self._worker is None or self._worker.process.poll() is not None:
            self._worker = Worker(timeout=self._timeout)
            started = ask(self._worker, self.name or "the program", "use", name=_PROGRAM)
            if "error" in started:
                raise RuntimeError(f"the course's program did not start: {started['error']}")
        return ask(self._worker, what, "call", function=function, args=[], kwargs=details)
