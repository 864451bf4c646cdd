"""Kubernetes objects as they are written: what a file of manifests holds, with the line of each part. Runs nothing.

Used by the rules about manifests and by `manifests`.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import Any

import yaml

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.core.findings import Finding, quote
from course.checks.files import reading
from course.checks.files.reading import NotYaml

TITLE = "the manifests can be read"
MAX_FILES = 60
MAX_RESOURCES = 40
MAX_FAULTS = 3  # lines of a document that are not YAML; with more it is not read
SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# where a kind keeps its pods' template
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"), ("spec", "template")
    ),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|n|u)|[eE]([+-]?\d{1,3}))?")
_ENTRY = re.compile(r"(\s{0,200}(?:- )?)([\w./-]{1,200}):( ?)\s{0,200}(\S.*)")
_QUOTES = " \"'"
_FACTORS: Mapping[str, Decimal] = {
    "": Decimal(1),
    **{sign: Decimal(10) ** power for sign, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)},
    **{f"{sign}i": Decimal(1024) ** power for power, sign in enumerate("KMGTPE", 1)},
}

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class ContainerSpec:
    """One container of a pod's template: its data, its path in the object, and whether it only prepares."""

    data: Mapping[str, Any]
    path: Path
    prepares: bool = False

    @property
    def name(self) -> str:
        """Its name, or what can be said of it."""
        return str(self.data.get("name") or "a container without a name")

    def get(self, path: str, default: Any = None) -> Any:
        """What stands at a path such as "securityContext.runAsUser"."""
        return _walk(self.data, _keys(path), default)


@dataclass(frozen=True)
class Resource:
    """One object of Kubernetes as it is written.

    Attributes:
        data: the object as plain data.
        file: the file it is from, below the folder of manifests.
        lines: path in the object → line of the file, counted from 1.
        source: the lines of that file.
    """

    data: dict[str, Any] = field(repr=False)
    file: str
    lines: Mapping[Path, int] = field(repr=False, default_factory=dict)
    source: tuple[str, ...] = field(repr=False, default=())

    @property
    def kind(self) -> str:
        """Such as "Deployment"; empty when there is none."""
        return _text(self.data.get("kind"))

    @property
    def version(self) -> str:
        """Its apiVersion, such as "apps/v1"."""
        return _text(self.data.get("apiVersion"))

    @property
    def name(self) -> str:
        """The name in its metadata; empty when there is none."""
        return _text(self.get("metadata.name"))

    @property
    def shown(self) -> str:
        """Its kind and name, for messages."""
        return " ".join(filter(None, (self.kind or "an object without a kind", self.name)))[:100]

    @property
    def line(self) -> int | None:
        """The line in which it begins."""
        return self.lines.get(())

    def get(self, path: str | Path, default: Any = None) -> Any:
        """What stands at a path such as "spec.replicas" or "spec.ports.0.name"."""
        return _walk(self.data, _keys(path), default)

    def mapping(self, path: str | Path) -> dict[str, Any]:
        """The mapping at a path; an empty one where there is none, or something else."""
        found = self.get(path)
        return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}

    def items(self, path: str | Path) -> list[tuple[Path, dict[str, Any]]]:
        """The mappings in the list at a path, each with its own path."""
        keys, found = _keys(path), self.get(path)
        entries = enumerate(found) if isinstance(found, list) else ()
        return [((*keys, place), entry) for place, entry in entries if isinstance(entry, dict)]

    def at(self, path: str | Path = ()) -> int | None:
        """The line of a path, or of the nearest place above it that is written."""
        keys = _keys(path)
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys)

    def finding(self, path: str | Path, reason: str, hint: str | None = None) -> Finding:
        """A finding about a place in it."""
        line = self.at(path)
        text = quote(self.source[line - 1]) if line and line <= len(self.source) else ""
        return Finding(line, reason, hint, text=text, file=self.file)

    # pods

    @property
    def template(self) -> Path | None:
        """Where its pods' template stands; None when it has no pods."""
        return TEMPLATES.get(self.kind)

    def in_template(self, *keys: str | int) -> Path:
        """The path of something in its pods' template.

        Raises:
            ValueError: it has no pods.
        """
        if self.template is None:
            raise ValueError(f"{self.shown} has no pods")
        return (*self.template, *keys)

    @property
    def pod(self) -> dict[str, Any]:
        """The spec of its pods; empty when it has none."""
        return {} if self.template is None else self.mapping(self.in_template("spec"))

    @property
    def pod_labels(self) -> dict[str, str]:
        """The labels of its pods."""
        return {} if self.template is None else self.mapping(self.in_template("metadata", "labels"))

    @functools.cached_property
    def all_containers(self) -> tuple[ContainerSpec, ...]:
        """The containers of its pods, those that prepare (initContainers) too."""
        if self.template is None:
            return ()
        spec = self.in_template("spec")
        found = [ContainerSpec(data, path) for path, data in self.items((*spec, "containers"))]
        return (*found, *(ContainerSpec(data, path, True) for path, data in self.items((*spec, "initContainers"))))

    @property
    def containers(self) -> tuple[ContainerSpec, ...]:
        """The containers that serve."""
        return tuple(one for one in self.all_containers if not one.prepares)

    @property
    def replicas(self) -> int:
        """How many pods a Deployment asks for; one when it does not say."""
        found = self.get("spec.replicas")
        return found if isinstance(found, int) and not isinstance(found, bool) else 1


def find(name: str) -> dict[str, str]:
    """The files with manifests in a shipped folder, or a shipped file: path below the shipped files → short name.

    Raises:
        Unmet: there is none.
        CheckFailed: the folder holds links or special files, or too many.
    """
    if PurePosixPath(name).suffix in SUFFIXES:
        return {name: PurePosixPath(name).name}
    found = [path for path in reading.listing(name, most=1000) if path.endswith(SUFFIXES)]
    found = [path for path in found if PurePosixPath(path).name not in KUSTOMIZATIONS]
    if not found:
        raise Unmet(TITLE, f"{name} holds no manifests", hint="ship files that end in .yaml")
    if len(found) > MAX_FILES:
        raise CheckFailed(f"{name} holds more than {MAX_FILES} files with manifests")
    return {f"{name}/{path}": path for path in found}


def read(source: str, name: str) -> Iterator[Resource]:
    """The objects in YAML or JSON text; empty documents are left out, and those of a `kind: List` come one by one.

    Raises:
        Unmet: it cannot be read, or a document is no object.
    """
    lines = tuple(source.splitlines())
    for node, data in reading.parse_all(source, name):
        if data is None:
            continue
        where = f"{name} line {node.start_mark.line + 1}"
        if not isinstance(data, dict):
            hint = "an object begins with apiVersion:, kind: and metadata:; the line --- ends one"
            raise Unmet(TITLE, f"{where}: this is not an object of Kubernetes", hint=hint)
        for part, content in _unfolded(node, data):
            if content is None:
                continue
            if not isinstance(content, dict):
                where = f"{name} line {part.start_mark.line + 1}"
                raise Unmet(TITLE, f"{where}: this is not an object of Kubernetes", hint="items: lists whole objects")
            places: dict[Path, int] = {}
            _note(part, (), places)
            yield Resource(_plain(content), name, places, lines)


def read_around_faults(source: str, name: str) -> Iterator[Resource | Finding]:
    """The objects in YAML or JSON text, as far as it can be read, and a finding where it cannot.

    A line that is not YAML is read as it was probably meant, and left out where that does not help. A document with
    more than a few such lines is left out as a whole.
    """
    try:
        yield from list(read(source, name))
        return
    except Unmet:
        documents = list(_documents(source))
        if len(documents) > MAX_RESOURCES:
            raise
    for document in documents:
        yield from _read_around_faults(document, name)


def _documents(source: str) -> Iterator[list[str]]:
    """The lines of each document in YAML text, each in its place: the lines of other documents are empty."""
    lines = source.splitlines()
    borders = [place for place, line in enumerate(lines) if line[:3] == "---" and line[3:4].strip() == ""]
    for begin, end in itertools.pairwise([0, *borders, len(lines)]):
        if any(line.strip() for line in lines[begin:end]):
            yield [""] * begin + lines[begin:end]


def _read_around_faults(lines: list[str], name: str) -> Iterator[Resource | Finding]:
    first: Finding | None = None
    tried: set[int] = set()
    for _ in range(2 * MAX_FAULTS + 1):
        try:
            yield from list(read("\n".join(lines), name))
            break
        except NotYaml as fault:
            text = quote(lines[fault.line - 1]) if fault.line and fault.line <= len(lines) else ""
            first = first or Finding(fault.line, fault.why, fault.hint, text=text, file=name)
            if not text or fault.line is None:
                break
            lines[fault.line - 1] = "" if fault.line in tried else _as_meant(lines[fault.line - 1])
            tried.add(fault.line)
            if len(tried) > MAX_FAULTS:
                break
        except Unmet as problem:
            first = first or Finding(None, problem.reason, problem.hint)
            break
    if first is not None:
        yield first


def _as_meant(line: str) -> str:
    """A line without the mistakes that people make most often: tabs, no space behind a colon, a value in no quotes."""
    match = _ENTRY.fullmatch(line)
    if match is None:
        return ""
    indentation, name, space, value = match.groups()
    if "\t" in indentation:
        return "" if " " in indentation else f"{'  ' * len(indentation)}{name}: {value}"
    return f"{indentation}{name}: {json.dumps(value.strip(_QUOTES)) if space else value}"


def _unfolded(node: yaml.Node, data: dict[Any, Any]) -> list[tuple[yaml.Node, Any]]:
    """A document, or each item of one that is a List, as `kubectl get -o yaml` prints it."""
    items = data.get("items")
    if not (str(data.get("kind")).endswith("List") and isinstance(items, list) and isinstance(node, yaml.MappingNode)):
        return [(node, data)]
    inner = next((value for key, value in node.value if getattr(key, "value", None) == "items"), None)
    if not isinstance(inner, yaml.SequenceNode) or len(inner.value) != len(items):
        return [(node, data)]
    return list(zip(inner.value, items, strict=True))


def quantity(value: Any) -> float | None:
    """An amount as Kubernetes writes it ("250m", "256Mi", 1) as a number; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.fullmatch(str(value).strip()[:40])
    if match is None:
        return None
    try:
        factor = Decimal(10) ** int(match[3]) if match[3] else _FACTORS[match[2] or ""]
        amount = float(Decimal(match[1]) * factor)
        return amount if math.isfinite(amount) else None
    except (InvalidOperation, OverflowError):
        return None


def selects(selector: Any, labels: Mapping[str, Any]) -> bool:
    """Whether a selector of labels (`matchLabels`, `matchExpressions`) holds for labels; an empty one holds for all."""
    return isinstance(selector, dict) and unmatched(selector, labels) is None


def unmatched(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> str | None:
    """The first of a selector's conditions that labels do not fulfil, in words; None when they fulfil all."""
    wanted = selector.get("matchLabels")
    for key, value in (wanted if isinstance(wanted, dict) else {}).items():
        if labels.get(key) != value:
            return f"{key}: {value}"
    conditions = selector.get("matchExpressions")
    for condition in conditions if isinstance(conditions, list) else []:
        if not isinstance(condition, dict):
            return str(condition)[:60]
        key, operator, values = condition.get("key"), condition.get("operator"), condition.get("values")
        values = values if isinstance(values, list) else []
        there = key in labels
        holds = {
            "In": there and labels.get(str(key)) in values,
            "NotIn": not there or labels.get(str(key)) not in values,
            "Exists": there,
            "DoesNotExist": not there,
        }.get(str(operator), False)
        if not holds:
            return " ".join(filter(None, (str(key)[:60], str(operator)[:20], str(values)[:60] if values else "")))
    return None


def show(path: Path) -> str:
    """A path as people write it: spec.ports[0].name."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _note(node: yaml.Node, path: Path, places: dict[Path, int]) -> None:
    places.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(getattr(key, "value", "")))
            places[inner] = key.start_mark.line + 1
            _note(value, inner, places)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            _note(value, (*path, place), places)


def _plain(value: Any) -> Any:
    """The same with text as keys, as in JSON."""
    if isinstance(value, dict):
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes | set | tuple):
        return str(value)
    return value


def _key(key: Any) -> str:
    return {True: "true", False: "false", None: "null"}.get(key, str(key)) if not isinstance(key, int) else str(key)


def _keys(path: str | Path) -> Path:
    if not isinstance(path, str):
        return tuple(path)
    return tuple(int(key) if key.isdigit() else key for key in path.split(".") if key)


def _walk(value: Any, path: Path, default: Any) -> Any:
    for key in path:
        if isinstance(value, dict) and str(key) in value:
            value = value[str(key)]
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return default
    return default if value is None else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
