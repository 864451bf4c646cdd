"""Removes a folder in which a student's code could write."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder in which a student's code could write, however deep or closed it made it; follow no link."""
    with contextlib.suppress(RecursionError):  # rmtree ends where the stack does
        shutil.rmtree(folder, ignore_errors=True)
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]) if os.name == "posix" else ():
        if os.path.lexists(folder):
            subprocess.run([*command, "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
