"""The small repository of lab 07 whose `make release` students write. Students get it; questions break copies of it.

Nothing in `files` is imported here: they are data, and run in a process of their own. So Python files end with .txt.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = Path(__file__).with_name("files")
PRODUCTION = json.dumps({"version": "1.1.0", "intercept": -1.2, "weights": {"hour": 0.0}})
VERSION = "1.2.0"
_ANNA = ("-c", "user.name=Anna", "-c", "user.email=anna@example.org", "-c", "commit.gpgsign=false")


def contents() -> dict[str, str]:
    """The files of the repository, by name."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(FILES.iterdir()) if path.is_file()}
    texts[".gitignore"] = texts.pop("gitignore.txt")
    return {name.removesuffix(".txt") if name.endswith(".py.txt") else name: text for name, text in texts.items()}


def index(more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the registry publishes before the release: version 1.1.0, and further tags."""
    digest = hashlib.sha256(PRODUCTION.encode()).hexdigest()
    return {"tags": {"1.1.0": digest, **(more or {})}, "production": digest}


def registry(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The files of the registry before the release."""
    before = index(more)
    return {f"blobs/{before['production']}": PRODUCTION, "index.json": json.dumps(before)}


def create(folder: Path, release: str) -> None:
    """Write the repository and its registry below a folder, and commit and tag the repository.

    Args:
        folder: gets `repository` and `registry`.
        release: the text of release.py.
    """
    files = {**contents(), "release.py": release}
    for top, inside in (("repository", files), ("registry", registry())):
        for name, text in inside.items():
            place = folder / top / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        [*_ANNA, "commit", "-qm", f"Version {VERSION}"],
        ["tag", f"v{VERSION}"],
    ):
        subprocess.run(["git", *words], cwd=folder / "repository", check=True)
