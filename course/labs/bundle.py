"""What students get, as one zip: labs, package, environment; nothing of the instructor's. Used by `course bundle`."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from course.base import atomic
from course.labs import release, source

NAME = "course-student.zip"
TOP = "course"  # the folder that the zip unpacks to
TIME = (2020, 1, 1, 0, 0, 0)  # of every file, so that equal contents give equal bytes
FOLDERS = ("labs", "course", "env_setup", "docs", ".devcontainer")
FILES = (
    "README.md",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "environment.yml",
    "CHANGELOG.md",
    "nbgrader_config.py",
    "postBuild",
)
FOR_INSTRUCTORS = ("course/grading/", "docs/teaching/")  # all else of the package and the guides is for students, too
LEFT_OUT = ("__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".DS_Store")


def bundle(root: Path, target: Path | None = None) -> Path:
    """Write the students' zip.

    Args:
        root: the course's folder.
        target: the zip; dist/course-student.zip by default.

    Returns:
        Where it is.

    Raises:
        ReleaseError: `labs/` is not what its source gives, so that the zip would be out of date.
    """
    changes = release.release(root, check=True)
    if changes:
        names = ", ".join(change.path for change in changes[:5])
        raise release.ReleaseError(f"labs/ differs from its source ({names}); first: course release")
    target = target or root / "dist" / NAME
    with atomic.replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(contents(root).items()):
            entry = zipfile.ZipInfo(f"{TOP}/{name}", TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also when made elsewhere
            mode = 0o755 if path.read_bytes()[:2] == b"#!" else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, path.read_bytes())
    return target


def contents(root: Path) -> dict[str, Path]:
    """The files of the students' zip: name in it → where it is."""
    found = {name: root / name for name in FILES if (root / name).is_file()}
    for folder in FOLDERS:
        top = root / folder
        for path in top.rglob("*") if top.is_dir() else []:
            name = path.relative_to(root).as_posix()
            generated = source.is_generated(path, top) or any(part in LEFT_OUT for part in path.parts)
            if path.is_file() and not generated and not name.startswith(FOR_INSTRUCTORS):
                found[name] = path
    return found


def fingerprint(path: Path) -> str:
    """The SHA-256 of a zip, to be published beside it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
