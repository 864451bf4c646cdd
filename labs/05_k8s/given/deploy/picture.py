"""Draws manifests as what they are: parts that find each other by names and labels, and links that lead nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

WIDTH, HEIGHT, COLUMN, LINE = 2.7, 0.9, 4.4, 0.21  # of boxes and between them, in units of the drawing
GOOD, BAD = "#1d4f7c", "#a30000"


@dataclass(frozen=True)
class Link:
    """One part names another: from the index of a document to that of another, or to None when nobody has that name."""

    start: int
    end: int | None
    words: str


def links(documents: Sequence[dict]) -> list[Link]:
    """What names what: a Service its pods, its port theirs, a container its ConfigMaps and Secrets."""
    deployments = {number: one for number, one in enumerate(documents) if one["kind"] == "Deployment"}
    named = {(one["kind"], one["metadata"]["name"]): number for number, one in enumerate(documents)}
    found = []
    for number, one in enumerate(documents):
        if one["kind"] == "Service":
            found += _of_service(number, one["spec"], deployments)
        if one["kind"] == "Deployment":
            for kind, name in _configuration(one["spec"]["template"]["spec"]):
                found.append(Link(number, named.get((kind, name)), f"environment:\n{name}"))
    return found


def _of_service(number: int, spec: dict, deployments: dict[int, dict]) -> list[Link]:
    wanted = spec.get("selector") or {}
    label = ", ".join(f"{key}={value}" for key, value in wanted.items()) or "no selector"
    selected = [
        other
        for other, one in deployments.items()
        if wanted and wanted.items() <= one["spec"]["template"]["metadata"].get("labels", {}).items()
    ]
    if not selected:
        return [Link(number, None, f"{label}\nno pod has this")]
    found = []
    for other in selected:
        ports = [
            port
            for one in deployments[other]["spec"]["template"]["spec"]["containers"]
            for port in one.get("ports", [])
        ]
        known = {port.get("name") for port in ports} | {port["containerPort"] for port in ports}
        for port in spec["ports"]:
            target = port.get("targetPort", port["port"])
            if target in known:
                found.append(Link(number, other, f"{label}\nport {port['port']} → {target}"))
            else:
                found.append(Link(number, None, f"port {port['port']} → {target}\nno container has this"))
    return found


def _configuration(pod: dict) -> list[tuple[str, str]]:
    """The ConfigMaps and Secrets that the containers of a pod take their environment from."""
    found = []
    for container in pod["containers"]:
        sources = list(container.get("envFrom", [])) + [one.get("valueFrom", {}) for one in container.get("env", [])]
        for source in sources:
            for key, kind in (
                ("configMapRef", "ConfigMap"),
                ("configMapKeyRef", "ConfigMap"),
                ("secretRef", "Secret"),
                ("secretKeyRef", "Secret"),
            ):
                if key in source and (kind, source[key]["name"]) not in found:
                    found.append((kind, source[key]["name"]))
    return found


def draw(documents: Sequence[dict]) -> Figure:
    """A picture of manifests: Services at the left, Deployments in the middle, what configures them at the right.

    Args:
        documents: the manifests as plain data, as `yaml.safe_load_all` gives them.

    Returns:
        The figure. A link that leads nowhere is dashed and ends in a cross.
    """
    columns = {"Service": 0, "Deployment": 1}
    places: dict[int, tuple[float, float]] = {}
    rows = [0.0, 0.0, 0.0]
    for number, one in enumerate(documents):
        column = columns.get(one["kind"], 2)
        height = _height(one)
        places[number] = (column * COLUMN, rows[column] - height)
        rows[column] -= height + 0.5
    figure, axes = plt.subplots(figsize=(10, max(2.2, -min(rows) * 0.95)))
    for number, one in enumerate(documents):
        _box(axes, places[number], one)
    drawn: dict[int, int] = {}
    for link in links(documents):
        shift = drawn.get(link.start, 0)
        drawn[link.start] = shift + 1
        _arrow(axes, places, documents, link, shift)
    axes.set(xlim=(-0.15, 2 * COLUMN + WIDTH + 0.15), ylim=(min(rows) + 0.35, 0.15), aspect="equal")
    axes.axis("off")
    return figure


def _lines(document: dict) -> list[str]:
    """What a box says."""
    spec = document.get("spec", {})
    if document["kind"] == "Service":
        return [f"port {port['port']}" for port in spec["ports"]]
    if document["kind"] != "Deployment":
        return sorted({**document.get("data", {}), **document.get("stringData", {})})
    pods = spec["template"]
    said = [f"{spec.get('replicas', 1)} pods", *(f"{k}={v}" for k, v in pods["metadata"].get("labels", {}).items())]
    for container in pods["spec"]["containers"]:
        said += [f"port {one['containerPort']} {one.get('name', '')}".rstrip() for one in container.get("ports", [])]
        for probe in ("startup", "readiness", "liveness"):
            get = container.get(f"{probe}Probe", {}).get("httpGet")
            said += [f"{probe}: {get['path']}"] if get else []
    return said


def _height(document: dict) -> float:
    return max(HEIGHT, 0.55 + LINE * len(_lines(document)))


def _box(axes: Axes, place: tuple[float, float], document: dict) -> None:
    (x, y), height = place, _height(document)
    axes.add_patch(FancyBboxPatch((x, y), WIDTH, height, boxstyle="round,pad=0.03", fc="#f4f7fa", ec="#333333", lw=1.3))
    axes.text(x + 0.1, y + height - 0.14, document["kind"], weight="bold", va="center", fontsize=9)
    axes.text(x + WIDTH - 0.1, y + height - 0.14, document["metadata"]["name"], va="center", ha="right", fontsize=8.5)
    for number, line in enumerate(_lines(document)):
        axes.text(x + 0.1, y + height - 0.42 - LINE * number, line, va="center", fontsize=8, family="monospace")


def _arrow(axes: Axes, places: dict, documents: Sequence[dict], link: Link, shift: int) -> None:
    x, y = places[link.start]
    start = (x + WIDTH + 0.05, y + _height(documents[link.start]) - 0.3 - 0.55 * shift)
    good = link.end is not None
    if good:
        there = places[link.end]
        end = (there[0] - 0.05, min(max(start[1], there[1] + 0.2), there[1] + _height(documents[link.end]) - 0.2))
    else:
        end = (start[0] + 1.3, start[1])
    style = {"arrowstyle": "->" if good else "-", "color": GOOD if good else BAD, "lw": 1.6}
    axes.annotate("", end, start, arrowprops={**style, "linestyle": "-" if good else "--"})
    if not good:
        axes.plot(*end, marker="x", markersize=9, markeredgewidth=2.5, color=BAD)
    axes.text(
        (start[0] + end[0]) / 2,
        (start[1] + end[1]) / 2 + 0.05,
        link.words,
        ha="center",
        va="bottom",
        fontsize=7.5,
    )
