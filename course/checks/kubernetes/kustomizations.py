"""What Kustomize makes of a shipped folder: its files are read, copied to a scratch folder, and built by kubectl.

Kustomize downloads what an address names, and runs plugins. So every kustomization.yaml is read before it is built, and
only paths within the shipped files are accepted. Which fields are valid is for Kustomize to say. A kubectl that is
older than `OLDEST_KUBECTL` does not know the fields that the course teaches, so nothing is graded with it.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.files import reading
from course.checks.kubernetes.resource_files import KUSTOMIZATIONS

TITLE = "the kustomization can be built"
MAX_FOLDERS = 20
MAX_FILES = 200
MAX_BYTES = 1 << 20
TIMEOUT_S = 30.0
OLDEST_KUBECTL = (1, 22)  # its Kustomize is 4.2; `labels` came with 4.1
_PATHS = ("resources", "bases", "components")  # lists of files or folders
# what kubectl puts before an error: a time, the process, and a place in its source
_LOG_PREFIX = re.compile(r"^[EF]\d{4} [0-9:.]+ +\d+ \S+\] ")
_FILES = ("patchesStrategicMerge", "crds", "configurations")  # lists of files
# what runs programs, or fetches
_REFUSED = (
    "helmCharts",
    "helmChartInflationGenerator",
    "helmGlobals",
    "generators",
    "transformers",
    "validators",
    "openapi",
)
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://|^[\w.-]+@[\w.-]+:|^(?:github|gitlab|bitbucket)\.|\?ref=|\.git(?:/|$)")


def build(name: str) -> str:
    """The objects that Kustomize makes of a shipped folder, as YAML.

    Args:
        name: the folder, below that of shipped files.

    Raises:
        NotGradedHere: there is no kubectl, or it is too old.
        Unmet: something is missing, or it cannot be built.
        CheckFailed: it names what is not among the shipped files.
    """
    used = folders(name)
    program = shutil.which("kubectl")
    if program is None:
        not_graded_here("there is no kubectl, which builds kustomizations")
    if (version := _version(program)) is not None and version < OLDEST_KUBECTL:
        shown, oldest = (".".join(map(str, numbers)) for numbers in (version, OLDEST_KUBECTL))
        not_graded_here(f"kubectl {shown} is too old to build kustomizations: install kubectl {oldest} or newer")
    with tempfile.TemporaryDirectory(prefix="course-") as scratch:
        top = Path(scratch)
        _copy(used, top)
        command = ["/bin/sh", "-c", 'exec "$1" kustomize "$2" > built.yaml', "sh", program, f"./{name.strip('/')}"]
        done = processes.run(command, cwd=top, timeout=TIMEOUT_S, readable=[Path(program).resolve().parent])
        built = top / "built.yaml"
        if not done.ok or not built.is_file():
            message = " ".join(done.output.replace(str(top), "").split())[-400:]
            message = _LOG_PREFIX.sub("", message)
            reason = f"Kustomize was not done after {TIMEOUT_S:g} seconds" if done.timed_out else "Kustomize refuses it"
            raise Unmet(TITLE, reason, actual=message or None, hint=f"kubectl kustomize {name} prints the same")
        if built.stat().st_size > reading.MAX_DOCUMENT_BYTES:
            raise Unmet(TITLE, f"it makes more than {reading.MAX_DOCUMENT_BYTES >> 10} KiB of objects")
        return built.read_text(encoding="utf-8")


def folders(name: str) -> list[str]:
    """The folders whose kustomizations are used, that of the given name first; each was read and accepted.

    Raises:
        Unmet: something is missing, or cannot be read.
        CheckFailed: it names what is not among the shipped files.
    """
    waiting: list[str] = [name.strip("/")]
    seen: list[str] = []
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.append(folder)
        if len(seen) > MAX_FOLDERS:
            raise CheckFailed(f"more than {MAX_FOLDERS} folders are put together")
        data, source = _kustomization(folder)
        for key in _REFUSED:
            if data.get(key):
                raise CheckFailed(f"{source} uses {key}, which runs programs or fetches; grading does neither")
        _check_files(data, source, folder)
        for key in _PATHS:
            for entry in _texts(data.get(key), f"{key} in {source}"):
                path = _within(folder, entry, f"{key} in {source}")
                if key == "bases" or PurePosixPath(path).suffix not in (".yaml", ".yml", ".json"):
                    waiting.append(path)
    return seen


def _check_files(data: Mapping[str, Any], source: str, folder: str) -> None:
    """Fail the check when a kustomization names a patch or another single file outside the shipped files."""
    for key in _FILES:
        for entry in _texts(data.get(key), f"{key} in {source}"):
            if "\n" not in entry:  # else it is the patch itself
                _within(folder, entry, f"{key} in {source}")
    for key in ("patches", "patchesJson6902"):
        for entry in data.get(key) or []:
            if isinstance(entry, dict) and entry.get("path"):
                _within(folder, str(entry["path"]), f"{key} in {source}")


def _kustomization(folder: str) -> tuple[dict[str, Any], str]:
    there = reading.listing(folder, most=MAX_FILES)
    names = [name for name in KUSTOMIZATIONS if name in there]
    if not names:
        raise Unmet(TITLE, f"there is no kustomization.yaml in {folder}", hint="it lists the resources and the changes")
    source = f"{folder}/{names[0]}"
    data = reading.document(source)
    if not isinstance(data, dict):
        raise Unmet(TITLE, f"{source} holds no names with values", hint="it begins with `resources:` and a list")
    return data, source


def _texts(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Unmet(TITLE, f"{where} must be a list of paths", hint="lines that begin with `- `")
    return value


def _within(folder: str, entry: str, where: str) -> str:
    """A path that a kustomization names, below the shipped files."""
    if _ADDRESS.search(entry):
        raise CheckFailed(f"{where} names an address: {entry[:100]}", hint="grading fetches nothing; ship what is used")
    parts: list[str] = []
    for part in (*PurePosixPath(folder).parts, *PurePosixPath(entry).parts):
        if part == "..":
            if not parts:
                raise CheckFailed(f"{where} leads out of the shipped files: {entry[:100]}")
            parts.pop()
        elif part.startswith("/"):
            raise CheckFailed(
                f"{where} is a path from the root: {entry[:100]}", hint="paths begin at the kustomization"
            )
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _copy(folders: Iterable[str], top: Path) -> None:
    """Copy the files of some shipped folders, each read with care."""
    total = 0
    seen: set[str] = set()
    for folder in folders:
        for path in reading.listing(folder, most=MAX_FILES):
            name = f"{folder}/{path}"
            if name in seen:
                continue
            seen.add(name)
            data = reading.read(name, max_bytes=MAX_BYTES)
            total += len(data)
            if total > MAX_BYTES or len(seen) > 5 * MAX_FILES:
                raise CheckFailed(f"the folders of the kustomization hold more than {MAX_BYTES >> 20} MiB")
            place = top / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


@functools.cache
def _version(program: str) -> tuple[int, int] | None:
    """The version of a kubectl, such as (1, 32); None when it does not report one."""
    try:
        command = [program, "version", "--client", "-o", "json"]
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=False
        )
        version = json.loads(done.stdout)["clientVersion"]
        return int(version["major"]), int(re.sub(r"\D.*", "", version["minor"]))
    except (OSError, ValueError, LookupError, TypeError, subprocess.TimeoutExpired):
        return None
