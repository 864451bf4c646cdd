"""What a container is given as environment, and from where: `environment(app, container)`."""

from __future__ import annotations

import base64
from typing import Any

from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.resource_files import ContainerSpec, Resource

ITSELF = "the Deployment itself"


def environment(app: Manifests, container: ContainerSpec) -> dict[str, tuple[str, Any]]:
    """The variables of a container: name → (kind of the source, value).

    The source is "ConfigMap", "Secret", or "the Deployment itself". As in Kubernetes, `env` wins over `envFrom`, and
    what stands later over what stands before it. What refers to something that is not there is left out.
    """
    held: dict[tuple[str, Any], dict[str, Any]] = {
        (one.kind, one.name): _data(one.kind, one) for one in app.resources if one.kind in ("ConfigMap", "Secret")
    }
    variables: dict[str, tuple[str, Any]] = {}
    for source in _mappings(container.get("envFrom")):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            for name, value in held.get((kind, _mapping(source.get(key)).get("name")), {}).items():
                variables[f"{source.get('prefix') or ''}{name}"] = kind, value
    for entry in _mappings(container.get("env")):
        name, origin = str(entry.get("name")), entry.get("valueFrom")
        if not isinstance(origin, dict):
            variables[name] = ITSELF, entry.get("value")
            continue
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            wanted = _mapping(origin.get(key))
            values = held.get((kind, wanted.get("name")), {})
            if wanted.get("key") in values:
                variables[name] = kind, values[wanted["key"]]
    return variables


def _data(kind: str, one: Resource) -> dict[str, Any]:
    data: dict[str, Any] = one.mapping("data")
    if kind == "Secret":
        return {key: decoded(value) for key, value in data.items()} | one.mapping("stringData")
    return data


def decoded(text: Any) -> str | None:
    """What is written in Base64; None when it is not, or is no text."""
    try:
        return base64.b64decode("".join(str(text).split()), validate=True).decode()
    except ValueError:
        return None


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
