"""Wheels for images that are built without a package index: `collect(requirements)` → the files for the folder wheels/.

They are downloaded once, into the course's cache; from then on no network is needed. No code of a package runs: only
wheels are downloaded, and only names and versions are read from a student's file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

from course.checks.core.expectations import CheckFailed, not_graded_here
from course.checks.python import pins

MAX_BYTES = 512 << 20
_PLATFORMS = {
    "amd64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
}


def folder() -> Path:
    """Where wheels are kept, one folder for each set of requirements."""
    return Path(os.environ.get("COURSE_CACHE") or platformdirs.user_cache_path("course")) / "wheels"


def collect(
    requirements: str,
    *,
    lock: str | None = None,
    python: str = "3.11",
    architecture: str = "amd64",
    seconds: float = 300,
) -> dict[str, bytes]:
    """The wheels that a requirements file needs, including their dependencies.

    Args:
        requirements: the text of the student's file; each line pins one version.
        lock: the text of a lock file, whose versions hold for packages that `requirements` does not name.
        python: the version of Python in the image.
        architecture: of the image: "amd64" or "arm64", as the engine calls it.
        seconds: how long downloading them may take.

    Returns:
        The contents of the files, by name.

    Raises:
        CheckFailed: the file pins no versions, or names packages that there are not.
        NotGradedHere: they are not in the cache, and no package index answers.
    """
    wanted = [f"{name}=={version}" for name, version in sorted(pins.pins(requirements, "requirements.txt").items())]
    named = {line.partition("==")[0] for line in wanted}
    also = [f"{name}=={version}" for name, version in _locked(lock or "") if name not in named]
    text = "\n".join([python, architecture, *wanted, "", *also])
    kept = folder() / hashlib.sha256(text.encode()).hexdigest()[:32]
    if not kept.is_dir():
        _fetch(kept, wanted, also, python, architecture, seconds)
    files = sorted(kept.glob("*.whl"))
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise CheckFailed(f"requirements.txt needs more than {MAX_BYTES >> 20} MiB of packages")
    return {file.name: file.read_bytes() for file in files}


def _locked(lock: str) -> list[tuple[str, str]]:
    """The plain lines of a lock: those that hold only on some systems are left out."""
    return re.findall(r"^([A-Za-z0-9][\w.-]*)==([\w.!+-]+)[ \t]*(?:\\)?$", lock, re.MULTILINE)


def _fetch(kept: Path, wanted: list[str], also: list[str], python: str, architecture: str, seconds: float) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".new-"))
    try:
        (new / "constraints").write_text("\n".join(also) + "\n")
        platforms = [word for name in _PLATFORMS[architecture] for word in ("--platform", name)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--no-cache-dir"]
        command += ["--python-version", python, "--implementation", "cp", *platforms, "--dest", str(new / "wheels")]
        command += ["--constraint", str(new / "constraints"), "--disable-pip-version-check", *wanted]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=new)
        except subprocess.TimeoutExpired:
            not_graded_here("the packages that the image needs could not be fetched in time")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            if match := re.search(r"No matching distribution found for ([\w.-]+==[\w.!+-]+)", done.stderr):
                if "from versions: none" not in done.stderr:
                    raise CheckFailed(
                        f"requirements.txt asks for {match.group(1)}, which does not exist for Python {python}"
                    )
            elif any("conflicting" in line or "ResolutionImpossible" in line for line in said):
                raise CheckFailed("requirements.txt asks for versions that do not go together", actual=said[-1][:300])
            not_graded_here("the packages that the image needs are not in the cache, and no package index answers")
        os.replace(new / "wheels", kept)
    except OSError:
        if not kept.is_dir():  # else another grader was faster
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
