"""The packages that only one lab needs: are they installed? Used by that lab's first cell, the doctor and the tests.

`make extra LAB=06` installs what `env_setup/extras/NAME.lock` pins; a lab names its extra in `lab.yaml`.
"""

from __future__ import annotations

from pathlib import Path

import course
from course.base import locks
from course.base.errors import UserError
from course.labs.description import Description

ROOT = Path(course.__file__).resolve().parents[1]


class MissingExtra(UserError):
    """A lab's packages are not installed; the message names the command that installs them."""


def missing(lab: Description, root: Path = ROOT) -> list[str]:
    """What a lab needs and is not installed in the pinned version.

    Args:
        lab: its description.
        root: the course's folder.

    Returns:
        A phrase for each package; none where the lab has no extra, or where the course has no lock of it, as in the
        container that grades.
    """
    lock = root / "env_setup" / "extras" / f"{lab.extra}.lock"
    return locks.differences(lock)[1] if lab.extra and lock.is_file() else []


def require(lab: Description, root: Path = ROOT) -> None:
    """Do nothing where a lab's packages are installed.

    Raises:
        MissingExtra: some are not.
    """
    if wrong := missing(lab, root):
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise MissingExtra(
            f"this lab needs packages that are not installed yet ({wrong[0]}{more}). In a terminal, in the course's "
            f"folder: make extra LAB={lab.number}. Then restart the kernel and run this cell again."
        )
