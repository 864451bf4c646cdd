"""`environment.py PLACE NAME…`: make a virtual environment that holds, by links, some of the libraries installed here.

What is not named is not there: neither other libraries, nor the course itself, nor pip.
"""

import importlib.metadata
import os
import sys
import venv
from pathlib import Path


def main(place: Path, names: list[str]) -> None:
    """Make the environment, link each distribution into it, and write its commands."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    library = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for name in names:
        found = importlib.metadata.distribution(name)
        for top in tops(found):
            source, target = Path(str(found.locate_file(top))), library / top
            if source.exists() and not os.path.lexists(target):
                target.symlink_to(source)
        for entry in found.entry_points.select(group="console_scripts"):
            write_command(place / "bin", entry)


def tops(found: importlib.metadata.Distribution) -> set[str]:
    """The files and folders of a distribution at the top of site-packages; no .pth, which would lead elsewhere."""
    names = {file.parts[0] for file in found.files or () if not Path(file).is_absolute()} - {"..", "__pycache__"}
    if not names:
        names = set((found.read_text("top_level.txt") or "").split())
    return {name for name in names if not name.endswith(".pth")}


def write_command(programs: Path, entry: importlib.metadata.EntryPoint) -> None:
    """Write the program that a distribution gives, such as pytest, for this environment's Python."""
    top = entry.attr.partition(".")[0]
    lines = [f"#!{programs}/python", "import sys", f"from {entry.module} import {top}", f"sys.exit({entry.attr}())", ""]
    path = programs / entry.name
    path.write_text("\n".join(lines))
    path.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
