"""What Kustomize makes of a shipped folder: read first, copied aside, then built by kubectl behind the usual boundary.

Kustomize fetches what is named by an address, and runs programs that it is told to; so every kustomization.yaml is
read before, and only paths within the shipped files are let through. The Kustomize in kubectl before 1.21 is of 2019:
for it, newer words are said in older ones where that is possible. Used by `manifests`.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.files import reading
from course.checks.kubernetes.resource_files import KUSTOMIZATIONS

TITLE = "the kustomization can be built"
MAX_FOLDERS = 20
MAX_FILES = 200
MAX_BYTES = 1 << 20
TIMEOUT_S = 30.0
_PATHS = ("resources", "bases", "components")  # lists of files or folders
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
_OLD = frozenset(
    (
        "apiVersion",
        "kind",
        "metadata",
        "resources",
        "bases",
        "namePrefix",
        "nameSuffix",
        "namespace",
        "commonLabels",
        "commonAnnotations",
        "patchesStrategicMerge",
        "patchesJson6902",
        "configMapGenerator",
        "secretGenerator",
        "generatorOptions",
        "images",
        "vars",
        "crds",
        "configurations",
    )
)
_GROUPS = {
    "Deployment": ("apps", "v1"),
    "HorizontalPodAutoscaler": ("autoscaling", "v1"),
    "PodDisruptionBudget": ("policy", "v1"),
    **dict.fromkeys(("Service", "ConfigMap", "Secret", "ServiceAccount"), ("", "v1")),
}
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://|^[\w.-]+@[\w.-]+:|^(?:github|gitlab|bitbucket)\.|\?ref=|\.git(?:/|$)")


def build(name: str) -> str:
    """The objects that Kustomize makes of a shipped folder, as YAML.

    Args:
        name: the folder, below that of shipped files.

    Raises:
        NotGradedHere: there is no kubectl, or it is too old for what is written.
        Unmet: something is missing, or it cannot be built.
        CheckFailed: it names what is not among the shipped files.
    """
    found = dict(_read(name.strip("/")))
    program = shutil.which("kubectl")
    if program is None:
        not_graded_here("there is no kubectl, which builds kustomizations")
    with tempfile.TemporaryDirectory(prefix="course-") as scratch:
        top = Path(scratch)
        _copy(found, top)
        if _is_old(program):
            for folder, data in found.items():
                _say_in_old_words(data, top / folder, folder)
        command = ["/bin/sh", "-c", 'exec "$1" kustomize "$2" > built.yaml', "sh", program, f"./{name.strip('/')}"]
        place = [Path(program).resolve().parent]
        done = processes.run(command, cwd=top, timeout=TIMEOUT_S, readable=place)
        built = top / "built.yaml"
        if not done.ok or not built.is_file():
            said = " ".join(done.output.replace(str(top), "").split())[-400:]
            reason = f"Kustomize was not done after {TIMEOUT_S:g} seconds" if done.timed_out else "Kustomize refuses it"
            raise Unmet(TITLE, reason, actual=said or None, hint=f"kubectl kustomize {name} says the same")
        if built.stat().st_size > reading.MAX_DOCUMENT_BYTES:
            raise Unmet(TITLE, f"it makes more than {reading.MAX_DOCUMENT_BYTES >> 10} KiB of objects")
        return built.read_text(encoding="utf-8")


def _read(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every kustomization that is used, by its folder."""
    waiting, seen = [name], set()
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        if len(seen) > MAX_FOLDERS:
            raise CheckFailed(f"more than {MAX_FOLDERS} folders are put together")
        data, source = _kustomization(folder)
        for key in _REFUSED:
            if data.get(key):
                raise CheckFailed(f"{source} uses {key}, which runs programs or fetches; grading does neither")
        yield folder, data
        for key in _PATHS:
            for entry in _texts(data.get(key), f"{key} in {source}"):
                path = _within(folder, entry, f"{key} in {source}")
                if key == "bases" or PurePosixPath(path).suffix not in (".yaml", ".yml", ".json"):
                    waiting.append(path)
        for key in _FILES:
            for entry in _texts(data.get(key), f"{key} in {source}"):
                if "\n" not in entry:
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
        raise Unmet(TITLE, f"{where} is no list of paths", hint="lines that begin with `- `")
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


def _copy(folders: Mapping[str, Any], top: Path) -> None:
    """Copy the files of some shipped folders, each read with care."""
    total, seen = 0, set()
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


# kubectl before 1.21


@functools.cache
def _is_old(program: str) -> bool:
    """Whether this kubectl has the Kustomize of 2019."""
    try:
        asked = [program, "version", "--client", "-o", "json"]
        done = subprocess.run(asked, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
        found = json.loads(done.stdout)["clientVersion"]
        return (int(found["major"]), int(re.sub(r"\D.*", "", found["minor"]))) < (1, 21)
    except (OSError, ValueError, LookupError, subprocess.TimeoutExpired):
        return False


def _say_in_old_words(data: dict[str, Any], place: Path, folder: str) -> None:
    """Write a kustomization again in the words of 2019."""
    old = {key: value for key, value in data.items() if key in _OLD and value not in (None, [], {})}
    new = {key: value for key, value in data.items() if key not in _OLD and value not in (None, [], {})}
    entries = _texts(old.pop("resources", None), "resources")
    old["resources"] = [entry for entry in entries if not (place / entry).is_dir()]
    old["bases"] = [*_texts(old.get("bases"), "bases"), *(entry for entry in entries if (place / entry).is_dir())]
    merges = list(_texts(old.get("patchesStrategicMerge"), "patchesStrategicMerge"))
    patches = list(old.get("patchesJson6902") or [])
    made = 0

    def write(value: Any) -> str:
        nonlocal made
        made += 1
        name = f"course-patch-{made}.yaml"
        (place / name).write_text(yaml.safe_dump(value), encoding="utf-8")
        return name

    for label in new.pop("labels", None) or []:
        if not isinstance(label, dict) or not label.get("includeSelectors"):
            _too_old("labels without includeSelectors")
        old["commonLabels"] = {**(old.get("commonLabels") or {}), **(label.get("pairs") or {})}
    for entry in new.pop("replicas", None) or []:
        change = [{"op": "add", "path": "/spec/replicas", "value": entry.get("count")}]
        patches.append({"target": _target({"kind": "Deployment", "name": entry.get("name")}), "path": write(change)})
    for entry in new.pop("patches", None) or []:
        merge, change = _patch(entry, place, f"{folder}/kustomization.yaml")
        if merge is not None:
            merges.append(write(merge))
        else:
            patches.append({"target": _target(entry["target"]), "path": write(change)})
    for generator in [*(old.get("configMapGenerator") or []), *(old.get("secretGenerator") or [])]:
        if isinstance(generator, dict) and "envs" in generator:
            envs = generator.pop("envs")
            if not isinstance(envs, list) or len(envs) != 1:
                _too_old("several envs of a generator")
            generator["env"] = envs[0]
        if isinstance(generator, dict) and "options" in generator:
            _too_old("options of a generator")
    if new:
        _too_old(", ".join(sorted(map(str, new))))
    old |= {"patchesStrategicMerge": merges, "patchesJson6902": patches}
    for name in KUSTOMIZATIONS:
        (place / name).unlink(missing_ok=True)
    text = yaml.safe_dump({key: value for key, value in old.items() if value not in (None, [], {})})
    (place / KUSTOMIZATIONS[0]).write_text(text, encoding="utf-8")


def _too_old(what: str) -> None:
    not_graded_here(f"the Kustomize in this kubectl is of 2019 and does not know {what}; kubectl 1.21 does")


def _patch(entry: Any, place: Path, source: str) -> tuple[Any, Any]:
    """What an entry of `patches` says: something to merge, or a list of changes."""
    if not isinstance(entry, dict):
        raise Unmet(TITLE, f"patches in {source} holds something else than `path:` or `patch:`")
    if entry.get("path"):
        there = place / str(entry["path"])
        if not there.is_file():
            raise Unmet(TITLE, f"{source} names the patch {str(entry['path'])[:100]}, which is not there")
        text, name = there.read_text(encoding="utf-8", errors="replace"), str(entry["path"])
    else:
        text, name = str(entry.get("patch") or ""), "a patch"
    data = reading.parse(text, name)
    target = entry.get("target")
    if isinstance(data, list):
        if not isinstance(target, dict):
            raise Unmet(
                TITLE, f"a patch in {source} that is a list of changes needs a target", hint="target: {kind, name}"
            )
        return None, data
    if not isinstance(data, dict):
        raise Unmet(TITLE, f"{name} in {source} is no patch")
    if isinstance(target, dict):
        chosen = _target(target)
        data["kind"] = chosen["kind"]
        data.setdefault("apiVersion", "/".join(filter(None, (chosen.get("group"), chosen["version"]))))
        data["metadata"] = {**(data.get("metadata") or {}), "name": chosen["name"]}
    return data, None


def _target(target: Mapping[str, Any]) -> dict[str, Any]:
    """A target with its group and version."""
    kind, name = target.get("kind"), target.get("name")
    if kind not in _GROUPS or not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][-a-z0-9.]*", name):
        _too_old("targets without a kind and a name")
    if target.get("labelSelector") or target.get("annotationSelector"):
        _too_old("targets by labels")
    group, version = _GROUPS[str(kind)]
    found = {"version": str(target.get("version") or version), "kind": kind, "name": name}
    return {"group": str(target.get("group") or group), **found} if target.get("group") or group else found
