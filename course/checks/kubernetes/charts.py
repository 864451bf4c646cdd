"""A shipped part of a Helm chart, put into the chart that the course gives, and rendered: `chart(...)`.

Helm itself renders it where it is installed; else the course's own renderer does (`templates`).
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.files import reading
from course.checks.kubernetes import resource_files, templates
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.resource_files import Resource

MAX_FILES = 20
TIMEOUT_S = 30.0
TITLE = "the chart can be rendered"


def chart(given: str | Path, shipped: str = "chart") -> Chart:
    """The chart of a folder of the course, with shipped files in it.

    Args:
        given: the folder of the chart, which is the course's own.
        shipped: the shipped folder whose files are added to it, or take the place of its own.
    """
    return Chart(Path(given), shipped)


class Chart:
    """A chart with a student's files in it; see :func:`chart`."""

    def __init__(self, given: Path, shipped: str) -> None:
        self.given, self.shipped = given, shipped

    def files(self) -> dict[str, str]:
        """All files of the chart: path → text.

        Raises:
            Unmet: nothing was shipped.
            CheckFailed: it is too much, or no text.
        """
        found = {
            path.relative_to(self.given).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(self.given.rglob("*"))
            if path.is_file()
        }
        names = [name for name in reading.listing(self.shipped, most=200) if "templates" in PurePosixPath(name).parts]
        if len(names) > MAX_FILES:
            fail(f"{self.shipped} holds more than {MAX_FILES} templates")
        for name in names:
            found[name] = reading.text(f"{self.shipped}/{name}", max_bytes=templates.MAX_SOURCE)
        return found

    def values(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """The chart's own values with others over them."""
        values = yaml.safe_load((self.given / "values.yaml").read_text(encoding="utf-8"))
        return _merged(values, more)

    def rendered(self, release: str, values: Mapping[str, Any], only: str | None = None) -> Manifests:
        """What comes out; perhaps no object at all.

        Args:
            release: the name of the release.
            values: what differs from the chart's own values.
            only: one template, such as "templates/autoscaler.yaml"; by default all.

        Raises:
            CheckFailed: it cannot be rendered, or what comes out is no YAML.
        """
        files = self.files()
        if only is not None and only not in files:
            raise Unmet(TITLE, f"{self.shipped}/{only} was not shipped")
        program = shutil.which("helm")
        if program is not None:
            source = _by_helm(program, files, release, self.values(values), only)
            return _Rendered(only or self.shipped, source)
        names = [only] if only is not None else [name for name in sorted(files) if _makes_objects(name)]
        return _Rendered(
            only or self.shipped,
            "\n---\n".join(_by_course(files, name, release, self.values(values)) for name in names),
        )


class _Rendered(Manifests):
    """Manifests that come out of a chart; there may be none."""

    def __init__(self, name: str, source: str) -> None:
        super().__init__(name, lambda: list(resource_files.read(source, f"{name}, filled in,")))
        self.source = source

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All objects, perhaps none."""
        return tuple(one for one in self._read() if isinstance(one, Resource))


def _makes_objects(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = path.name.startswith("_") or path.name == "NOTES.txt"
    return path.parts[0] == "templates" and path.suffix in (".yaml", ".yml", ".json") and not hidden


def _by_course(files: Mapping[str, str], name: str, release: str, values: Mapping[str, Any]) -> str:
    about = yaml.safe_load(files["Chart.yaml"])
    context = {
        "Values": values,
        "Release": {"Name": release, "Namespace": "default", "Service": "Helm", "Revision": 1, "IsInstall": True},
        "Chart": {key[0].upper() + key[1:]: value for key, value in about.items()},
        "Template": {"Name": f"{about['name']}/{name}", "BasePath": f"{about['name']}/templates"},
        "Capabilities": {"KubeVersion": {"Version": "v1.34.0", "Major": "1", "Minor": "34"}},
    }
    helpers = [text for path, text in files.items() if path.endswith(".tpl") or (_makes_objects(path) and path != name)]
    try:
        return templates.render(files[name], context, helpers)
    except templates.TemplateError as error:
        place = f"{{{{ {error.action} }}}}: " if error.action else ""
        raise CheckFailed(
            f"{name}: {place}{error.why}",
            hint="where Helm is not installed, this course renders the template, and knows what the exercise lists",
        ) from None


def _by_helm(program: str, files: Mapping[str, str], release: str, values: Mapping[str, Any], only: str | None) -> str:
    """What `helm template` prints; it runs behind the boundary of all students' programs."""
    with tempfile.TemporaryDirectory(prefix="course-") as scratch:
        top = Path(scratch)
        for name, text in files.items():
            place = top / "chart" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        (top / "more.json").write_text(json.dumps(values), encoding="utf-8")
        arguments = [release, "chart", "-f", "more.json", *(["--show-only", only] if only is not None else [])]
        script = 'program=$1; shift; exec "$program" template "$@" > rendered.yaml'
        command = ["/bin/sh", "-c", script, "sh", program, *arguments]
        done = processes.run(command, cwd=top, timeout=TIMEOUT_S, readable=[Path(program).resolve().parent])
        made = top / "rendered.yaml"
        if only is not None and "could not find template" in done.output:
            return ""  # Helm's words for a template of which nothing comes out
        if not done.ok or not made.is_file():
            message = " ".join(done.output.replace(str(top), "").split())[-400:]
            raise Unmet(TITLE, "Helm refuses it", actual=message or None, hint="helm template prints the same")
        if made.stat().st_size > reading.MAX_DOCUMENT_BYTES:
            raise Unmet(TITLE, f"it makes more than {reading.MAX_DOCUMENT_BYTES >> 10} KiB of objects")
        return made.read_text(encoding="utf-8")


def _merged(values: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others over them, key by key, as Helm merges them."""
    made: dict[str, Any] = copy.deepcopy(values)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(made.get(key), dict)
        made[key] = _merged(made[key], value) if both else copy.deepcopy(value)
    return made
