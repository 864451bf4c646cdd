"""A shipped service that is judged in spite of a part that keeps it from starting: `entry(artifact)`, for lab 03.

If scoring.py, contract.py or openapi.py keeps the service from starting, or from getting ready, the course's own takes
its place, one that is good enough. So a fault in one part costs what the check of that part is worth, and what api.py
does itself is judged all the same. If api.py is the one, nothing can be judged.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course import shipping
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.http.contracts import Model
from course.checks.http.course_artifact import service_with
from course.checks.http.services import Service
from course.sandboxed import programs, service_contract

MODULE = "course_help"
WHOLE = ("scoring", "contract", "openapi")
TRIED = (("scoring",), ("openapi",), ("contract",), WHOLE)
_ONE = "[{'carrier': 'UA', 'origin': 'EWR', 'dest': 'ORD', 'distance': 719, "
_ONE += "'planned_departure': '2013-11-27T18:30:00-05:00', 'planned_arrival': '2013-11-27T21:10:00-05:00'}]"
_PARTS = {
    "scoring": f"""
        from course_contract_reader import probabilities


        class Scorer:
            def __init__(self, artifact):
                self.folder = str(artifact)
                probabilities(self.folder, {_ONE})

            def probabilities(self, flights):
                return [float(p) for p in probabilities(self.folder, flights)["probability"]]
    """,
    "contract": """
        from course_stand_in import MOST, faults


        def problems(document, schema):
            many = isinstance(document, dict) and "flights" in document
            asked = document["flights"] if many else [document]
            if (many and set(document) != {"flights"}) or not isinstance(asked, list) or not 1 <= len(asked) <= MOST:
                return [{"pointer": "/flights", "detail": f"send 1 to {MOST} flights, and nothing beside them"}]
            return [
                {"pointer": f"/flights/{place}{pointer}" if many else pointer, "detail": detail}
                for place, flight in enumerate(asked)
                for pointer, detail in faults(flight, schema)
            ]
    """,
    "openapi": """
        from course_stand_in import describe
    """,
}
_ENTRY = """
import importlib, os, sys
from pathlib import Path

for name in {replaced!r}:
    sys.modules[name] = importlib.import_module("course_" + name)

from api import create_app

app = create_app(Path(os.environ.get("LATE_FLIGHTS_ARTIFACT", Path.cwd() / "artifact")))
"""


@dataclass(frozen=True)
class Entry:
    """Where a shipped service begins.

    Attributes:
        module: that has its `app`: wsgi, or one of the course's.
        files: what that needs besides the shipped files.
        options: for each server, the further arguments of :func:`service` that it needs in order to start.
    """

    module: str = "wsgi"
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def service(self, artifact: Model, *, server: str = "flask", **more: Any) -> Service:
        """The service behind a server, with an artifact; see :func:`service_with`."""
        options = {**self.options.get(server, {}), **more}
        return service_with(artifact, f"{self.module}:app", server=server, files=self.files, **options)


def entry(artifact: Model, *, servers: tuple[str, ...] = ("flask",), **more: Any) -> Entry:
    """Where the shipped service begins; with the least help that it needs in order to start and to get ready.

    A check of its own must start the service without help, and mind if that fails.

    Args:
        artifact: with which it is judged.
        servers: those that it is asked behind.
        more: of :func:`service_with`.

    Returns:
        The service as it was shipped if that works, or if help does not help.
    """
    found = _entry(artifact, **more)
    if "gunicorn" in servers and (shipping.folder() / "gunicorn.conf.py").is_file():
        plain = Entry(found.module, found.files, {"gunicorn": {"arguments": ["--config=/dev/null", "--workers=2"]}})
        if not _starts(found.service(artifact, server="gunicorn", **more)) and _starts(
            plain.service(artifact, server="gunicorn", **more)
        ):
            return plain
    return found


def _entry(artifact: Model, **more: Any) -> Entry:
    shipped = Entry()
    try:
        if shipped.service(artifact, **more).get("/ready").status == 200:
            return shipped
        starts = True
    except Unmet as problem:
        own = str(problem.actual).startswith("api.py") and "ImportError" not in str(problem.actual)
        own = own and "ModuleNotFoundError" not in str(problem.actual)
        if own or not (shipping.folder() / "api.py").is_file():
            return shipped
        starts = False
    except CheckFailed:
        starts = True
    for replaced in TRIED:
        helped = Entry(MODULE, _files(replaced))
        service = helped.service(artifact, **more)
        try:
            if service.get("/ready").status == 200 or (not starts and replaced == WHOLE):
                return helped
        except CheckFailed:
            continue
        finally:
            service.close()
    return shipped


def _starts(service: Service) -> bool:
    try:
        service.get("/health")
    except Unmet:
        return False
    except CheckFailed:
        return True
    return True


def _files(replaced: tuple[str, ...]) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {f"course_{name}.py": textwrap.dedent(_PARTS[name]) for name in replaced}
    files["course_stand_in.py"] = Path(programs.__file__).with_name("stand_in.py").read_text(encoding="utf-8")
    files["course_contract_reader.py"] = Path(service_contract.__file__).read_text(encoding="utf-8")
    files[f"{MODULE}.py"] = _ENTRY.format(replaced=replaced)
    return files
