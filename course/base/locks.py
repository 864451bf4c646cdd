"""Compares what is installed with a lock file, such as requirements.lock. Used by the doctor and by labs with an extra.

Needs nothing but the standard library until a file is compared, because the doctor also runs in broken environments.
"""

from __future__ import annotations

import re
from pathlib import Path


def differences(lock: Path) -> tuple[int, list[str]]:
    """What of a lock file is missing here, or is here in another version.

    Args:
        lock: a file as `make lock` writes it: `name==version ; marker`, with hashes in the lines below each.

    Returns:
        How many packages the file wants on this machine, and a phrase for each that is not as it should be.
    """
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    count, wrong = 0, []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not re.match(r"[A-Za-z0-9]", line):
            continue
        wanted = Requirement(line.rstrip("\\ "))
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        count += 1
        try:
            installed = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            wrong.append(f"{wanted.name} is {installed}, not {str(wanted.specifier).removeprefix('==')}")
    return count, wrong
