"""Whether objects fit the schemas of Kubernetes: those of the newest release that `kubernetes-validate` bundles.

What the newest release serves is right, even where older clusters do not know it yet; what no cluster serves any more
is wrong, and the message says since when.

The schemas are read without network. What they cannot say (names, ports, labels) is judged here too, as the API server
would. Used by `manifests` as the rule "valid".
"""

from __future__ import annotations

import copy
import difflib
import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import relevance
from referencing import Registry
from referencing import Resource as Document

from course.checks.core.findings import Finding
from course.checks.kubernetes.resource_files import TEMPLATES, Path, Resource, quantity, show

MAX_ERRORS = 5  # of one object
USUAL = (
    ("Deployment", "apps/v1"),
    ("Service", "v1"),
    ("ConfigMap", "v1"),
    ("Secret", "v1"),
    ("ServiceAccount", "v1"),
    ("HorizontalPodAutoscaler", "autoscaling/v1"),
    ("HorizontalPodAutoscaler", "autoscaling/v2"),
    ("PodDisruptionBudget", "policy/v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("Namespace", "v1"),
)
_KINDS = (*dict.fromkeys(kind for kind, _ in USUAL), *TEMPLATES, "Ingress")
_FOLDER = FilePath(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,60}")
_VERSION = re.compile(r"(?:([a-z0-9.-]{1,100})/)?(v[0-9][a-z0-9]{0,20})")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list, whose lines begin with `- `",
    "object": "names with values, indented below it",
}


@functools.cache
def releases() -> tuple[str, ...]:
    """The releases whose schemas are here, oldest first: "1.25", …"""
    names = (path.name for path in _FOLDER.glob("v*-local-strict"))
    numbers = sorted(tuple(map(int, name.removeprefix("v").split("-")[0].split(".")[:2])) for name in names)
    return tuple(f"{major}.{minor}" for major, minor in numbers)


def valid(resources: Iterable[Resource]) -> list[Finding]:
    """What does not fit the schema of the newest release, or what an API server would refuse besides."""
    found: list[Finding] = []
    seen: dict[tuple[str, str], Resource] = {}
    for one in resources:
        wrong = _known(one) or _misfits(one) or _beyond(one)
        found += wrong[:MAX_ERRORS]
        key = (one.kind, one.name)
        if one.name and key in seen:
            found.append(
                one.finding("metadata.name", f"there are two of {one.shown}", "of each kind a name is used once")
            )
        seen[key] = one
    return found


def _known(one: Resource) -> list[Finding]:
    """What is wrong with its kind and version; nothing when the newest release serves it."""
    for key, value in (("apiVersion", one.version), ("kind", one.kind)):
        if not value:
            return [one.finding((), f"{one.shown} has no {key}", "an object begins with apiVersion: and kind:")]
    match = _VERSION.fullmatch(one.version)
    if match is None or not _WORD.fullmatch(one.kind):
        return [one.finding("apiVersion", f"{one.version[:60]} {one.kind[:60]} is nothing that Kubernetes has")]
    lacking = [release for release in releases() if not _file(release, one.kind, one.version).is_file()]
    if releases()[-1] not in lacking:
        return []
    served = _served(one.kind)
    if len(lacking) == len(releases()):
        if served:
            hint = f"apiVersion: {served[-1]}"
            reason = f"no release since {releases()[0]} serves {one.kind} as {one.version}"
            return [one.finding("apiVersion", reason, hint)]
        near = difflib.get_close_matches(one.kind, _KINDS, 1)
        closest = f"is it {near[0]}?" if near else "kubectl api-resources lists the kinds"
        return [one.finding("kind", f"Kubernetes has no kind {one.kind}", closest)]
    span = _span(lacking)
    newest = f"apiVersion: {served[-1]}" if served and served[-1] != one.version else None
    return [one.finding("apiVersion", f"{one.kind} is not served as {one.version} {span}", newest)]


def _misfits(one: Resource) -> list[Finding]:
    """Where it does not fit a schema, in words."""
    validator = _validator(releases()[-1], one.kind, one.version)
    errors = sorted(validator.iter_errors(one.data), key=relevance, reverse=True)
    found = {(finding.line, finding.reason): finding for finding in (_say(one, error) for error in errors)}
    return sorted(found.values(), key=lambda finding: finding.line or 0)


def _say(one: Resource, error: ValidationError) -> Finding:
    while error.context and error.validator in ("oneOf", "anyOf"):
        deeper = [inner for inner in error.context if len(inner.absolute_path) > len(error.absolute_path)]
        if not deeper:
            break
        error = deeper[0]
    path, place = tuple(error.absolute_path), show(tuple(error.absolute_path)) or "the object"
    # the types of the library allow that nothing is set, which an error that was reported never has
    instance: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        properties = list(schema.get("properties") or {})
        extra = [key for key in instance if key not in properties]
        key = str(extra[0])[:60] if extra else "?"
        near = difflib.get_close_matches(key, properties, 1, 0.7)
        hint = f"is it `{near[0]}`?" if near else "is it indented as it should be, or does it belong elsewhere?"
        return one.finding((*path, key), f"{place} has no field `{key}`", hint)
    if error.validator == "required":
        missing = [name for name in rule if name not in instance]
        return one.finding(path, f"{place} lacks `{', '.join(missing)}`")
    if error.validator in ("type", "oneOf", "anyOf"):
        wanted = _wanted(error)
        got = _TYPES.get(_type(instance), "something else").partition(",")[0]
        quotes = "put it between quotes" if wanted == "text" and not isinstance(instance, dict | list) else None
        return one.finding(path, f"{place} is {got}, and must be {wanted}", quotes)
    if error.validator == "enum":
        shown = ", ".join(map(str, rule))
        return one.finding(path, f"{place} is {str(instance)[:60]!r}, and must be one of {shown[:200]}")
    return one.finding(path, f"{place}: {error.message[:200]}")


def _wanted(error: ValidationError) -> str:
    kinds: Any = error.validator_value
    if error.validator != "type":
        kinds = [kind for part in kinds for kind in _list(part.get("type"))]
    return " or ".join(dict.fromkeys(_TYPES.get(kind, kind) for kind in _list(kinds) if kind != "null"))


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "")


def _span(lacking: list[str]) -> str:
    """Which releases, in words."""
    known = releases()
    if lacking == list(known[-len(lacking) :]):
        return f"since Kubernetes {lacking[0]}"
    if lacking == list(known[: len(lacking)]):
        return f"up to Kubernetes {lacking[-1]}"
    return f"in Kubernetes {', '.join(lacking)}"


# schemas


def _folder(release: str) -> FilePath:
    return _FOLDER / f"v{release}.0-local-strict"


def _file(release: str, kind: str, version: str) -> FilePath:
    """The schema of a kind; both were looked at before, so that they lead nowhere else."""
    group, _, number = version.rpartition("/")
    middle = f"{group.split('.')[0]}-" if group else ""
    return _folder(release) / f"{kind.lower()}-{middle}{number}.json"


@functools.cache
def _served(kind: str) -> tuple[str, ...]:
    """The versions as which the newest release serves a kind, the best one last."""
    found = []
    for path in _folder(releases()[-1]).glob(f"{kind.lower()}-*.json"):
        schema = json.loads(path.read_text())
        found += schema.get("properties", {}).get("apiVersion", {}).get("enum", [])
    return tuple(sorted(set(found), key=lambda version: ("alpha" not in version, "beta" not in version, version)))


def _validator(release: str, kind: str, version: str) -> Draft202012Validator:
    """A validator of one kind."""
    found = _validators(release, frozenset())
    return found.get((kind, version)) or _validators(release, frozenset({(kind, version)}))[kind, version]


@functools.lru_cache(maxsize=128)
def _validators(release: str, more: frozenset[tuple[str, str]]) -> dict[tuple[str, str], Draft202012Validator]:
    """Validators of the usual kinds, or of others; of the release's definitions they hold only what they need."""
    schemas = {
        (kind, version): json.loads(_file(release, kind, version).read_text())
        for kind, version in more or USUAL
        if _file(release, kind, version).is_file()
    }
    definitions = _definitions(release)
    needed: dict[str, Any] = {}
    waiting = [_references(list(schemas.values()))]
    while waiting:
        for name in waiting.pop():
            if name not in needed and name in definitions["$defs"]:
                needed[name] = definitions["$defs"][name]
                waiting.append(_references(needed[name]))
    document = Document.from_contents({key: definitions[key] for key in ("$schema", "$id")} | {"$defs": needed})
    return {
        key: Draft202012Validator(schema, registry=Document.from_contents(schema) @ (document @ Registry()))
        for key, schema in schemas.items()
    }


@functools.lru_cache(maxsize=1)  # some 10 MB each, once read
def _definitions(release: str) -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads((_folder(release) / "_definitions.json").read_text())
    return definitions


def _references(schema: Any) -> list[str]:
    found, waiting = [], [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(name := value.get("$ref"), str):
                found.append(name.rpartition("/")[2])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


def mended(one: Resource) -> dict[str, Any]:
    """A copy of an object without what its schema does not know, and with simple values of the right type.

    So one mistyped field, which the rule "valid" reports, hides nothing of the rest. What cannot be mended stays.
    """
    data: dict[str, Any] = copy.deepcopy(one.data)
    served = dict(USUAL).get(one.kind)
    if served and one.version not in [version for kind, version in USUAL if kind == one.kind]:
        data["apiVersion"] = served
    if (one.kind, str(data.get("apiVersion"))) not in USUAL:
        return data
    validator = _validator(releases()[-1], one.kind, str(data["apiVersion"]))
    for _ in range(50):  # one at a time: each changes where the others stand
        if not any(_mend(data, error) for error in validator.iter_errors(data)):
            break
    return data


def _mend(data: dict[str, Any], error: ValidationError) -> bool:
    """Mend one misfit; whether that was possible."""
    value: Any = error.instance
    if error.validator == "additionalProperties":
        known = error.schema.get("properties") or {} if isinstance(error.schema, dict) else {}
        extra = [key for key in value if key not in known]
        for key in extra:
            del value[key]
        return bool(extra)
    path = list(error.absolute_path)
    if error.validator != "type" or not path:
        return False
    holder: Any = data
    for key in path[:-1]:
        holder = holder[key]
    wanted = _list(error.validator_value)
    if "string" in wanted and isinstance(value, bool | int | float):
        holder[path[-1]] = str(value).lower() if isinstance(value, bool) else str(value)
    elif "integer" in wanted and isinstance(value, str) and value.isdecimal():
        holder[path[-1]] = int(value[:9])
    elif isinstance(holder, dict):
        del holder[path[-1]]
    else:
        return False
    return True


# what the schemas cannot say


def _beyond(one: Resource) -> list[Finding]:
    """What an API server refuses though it fits the schema."""
    found = []
    name = one.get("metadata.name")
    if not name:
        found.append(one.finding("metadata", f"{one.kind} has no name", "metadata: {name: …}"))
    elif not (_LABEL if one.kind == "Service" else _SUBDOMAIN).fullmatch(str(name)):
        reason = f"{str(name)[:60]!r} is not a valid name: small letters, digits and -, 63 at most"
        found.append(one.finding("metadata.name", reason))
    pods = one.in_template("metadata", "labels") if one.template else None
    for path in filter(None, [("metadata", "labels"), ("spec", "selector", "matchLabels"), pods]):
        for key, value in one.mapping(path).items():
            if not _LABEL_VALUE.fullmatch(str(value)):
                reason = f"the label {key[:60]} is {str(value)[:60]!r}: letters, digits, -, _ and . only, 63 at most"
                found.append(one.finding((*path, key), reason))
    if one.kind in ("ConfigMap", "Secret"):
        for key in one.mapping("data"):
            if not _CONFIG_KEY.fullmatch(key):
                found.append(
                    one.finding(("data", key), f"{key[:60]!r} is not a valid key: letters, digits, -, _ and . only")
                )
    found += [finding for path, ports in _ports(one) for finding in _port(one, path, ports)]
    for container in one.all_containers:
        found += _amounts(one, container.path, container.data)
    surge, unavailable = (
        one.get("spec.strategy.rollingUpdate.maxSurge"),
        one.get("spec.strategy.rollingUpdate.maxUnavailable"),
    )
    if str(surge) in ("0", "0%") and str(unavailable) in ("0", "0%"):
        reason = "with neither a pod more nor a pod less no update can go on"
        found.append(one.finding("spec.strategy.rollingUpdate", reason, "maxSurge: 1 lets a new pod come first"))
    return found


def _ports(one: Resource) -> list[tuple[Path, dict[str, Any]]]:
    found = list(one.items("spec.ports")) if one.kind == "Service" else []
    for container in one.all_containers:
        found += one.items((*container.path, "ports"))
    return found


def _port(one: Resource, path: Path, port: Mapping[str, Any]) -> list[Finding]:
    found = []
    for key in ("port", "targetPort", "containerPort", "nodePort"):
        value = port.get(key)
        if isinstance(value, int) and not 1 <= value <= 65535:
            found.append(one.finding((*path, key), f"{key} is {value}, and ports are 1 to 65535"))
        if key == "targetPort" and isinstance(value, str) and not _PORT_NAME.fullmatch(value):
            hint = "a number stands without quotes" if value.isdigit() else None
            found.append(one.finding((*path, key), f"{value[:60]!r} is not a valid name of a port", hint))
    name = port.get("name")
    # a container's names are bound to 15 characters, a Service's to the 63 of a label
    fits = _LABEL if one.kind == "Service" else _PORT_NAME
    if isinstance(name, str) and not fits.fullmatch(name):
        most = 15 if fits is _PORT_NAME else 63
        reason = f"{name[:60]!r} is not a valid name of a port: small letters, digits and -, {most} at most"
        found.append(one.finding((*path, "name"), reason))
    return found


def _amounts(one: Resource, path: Path, container: Mapping[str, Any]) -> list[Finding]:
    found = []
    for group in ("requests", "limits"):
        where = (*path, "resources", group)
        for key, value in one.mapping(where).items():
            amount = quantity(value)
            if amount is None:
                hint = "250m is a quarter of a processor, 256Mi are 256 mebibytes"
                found.append(one.finding((*where, key), f"{str(value)[:40]!r} is not a valid amount", hint))
            elif amount < 0:
                found.append(one.finding((*where, key), f"{value} is less than nothing"))
    return found
