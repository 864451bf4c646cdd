"""Figures and numbers of the reading on images: what is in one, what a change costs, digests of the same content."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from packaging.requirements import Requirement
from served import ARTIFACT, BLUE, ORANGE

SERVICE = ("flask", "gunicorn", "jsonschema", "onnxruntime", "pandas", "rfc3339-validator")


def facts() -> dict[str, str]:
    """The numbers that the text gives."""
    sizes = _packages()
    early, late, same = _digests()
    model, code = _small()
    return {
        "packages": f"{len(sizes)}",
        "total_mb": f"{sum(sizes.values()) / 1e6:.0f}",
        "largest": max(sizes, key=sizes.get),
        "largest_mb": f"{max(sizes.values()) / 1e6:.0f}",
        "model_kb": f"{model / 1e3:.0f}",
        "features_bytes": f"{code:,}",
        "digest_early": early,
        "digest_late": late,
        "digest_same": same,
        "bits_short": f"{len(early) * 4}",
    }


def figures() -> Iterator[tuple[str, Figure]]:
    """The figures, by name."""
    yield "04-packages", _plot_packages(_packages())
    yield "04-order", _plot_order()


@functools.cache
def _packages() -> dict[str, int]:
    """Bytes of the packages that the service of lab 03 needs, as they are installed here, by name."""
    found: dict[str, int] = {}
    todo = list(SERVICE)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another system, or another Python
            continue
        paths = [Path(package.locate_file(file)) for file in package.files or []]
        found[name] = sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())
        wanted = map(Requirement, package.requires or [])
        todo += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def _small() -> tuple[int, int]:
    """Bytes of the whole artifact, and of the one file in it that is code."""
    return sum(path.stat().st_size for path in ARTIFACT.iterdir()), (ARTIFACT / "features.py").stat().st_size


def _digests() -> tuple[str, str, str]:
    """Short digests of the same files, packed at two times, and packed with the time taken out."""

    def packed(when: int) -> str:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in sorted(ARTIFACT.iterdir()):
                data = path.read_bytes()
                entry = tarfile.TarInfo(path.name)
                entry.size, entry.mtime = len(data), when
                archive.addfile(entry, io.BytesIO(data))
        return hashlib.sha256(buffer.getvalue()).hexdigest()[:12]

    return packed(1_385_856_000), packed(1_385_856_001), packed(0)


def _plot_packages(sizes: dict[str, int]) -> Figure:
    largest = sorted(sizes, key=sizes.get)[-9:]
    rest = sum(size for name, size in sizes.items() if name not in largest)
    rows = {f"{len(sizes) - len(largest)} others": rest, **{name: sizes[name] for name in largest}}
    figure, axis = plt.subplots(figsize=(7, 3.6))
    bars = axis.barh(list(rows), [size / 1e6 for size in rows.values()], color=BLUE)
    axis.bar_label(bars, [f"{size / 1e6:.1f}" for size in rows.values()], padding=4)
    axis.margins(x=0.12)
    axis.set_xlabel("megabytes, as installed on the machine that drew this")
    return figure


def _plot_order() -> Figure:
    """Bytes that are made anew after one line of features.py was changed, for two orders of the same instructions."""
    model, _ = _small()
    rows = {
        "all files first,\nthen install": sum(_packages().values()) + model,
        "install first,\nthen the files": model,
    }
    figure, axis = plt.subplots(figsize=(7, 1.9))
    bars = axis.barh(list(rows), [size / 1e6 for size in rows.values()], color=[ORANGE, BLUE], hatch=["//", ""])
    axis.bar_label(bars, [f"{size / 1e6:,.2f}" for size in rows.values()], padding=4)
    axis.set_xscale("log")
    axis.set_xlim(0.01, 5_000)
    axis.set_xlabel("megabytes made anew after one line of code changed (each step of the scale is ten times)")
    return figure
