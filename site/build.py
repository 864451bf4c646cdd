"""Builds the course's site and its slides with Sphinx: `make site`, or `python site/build.py [FOLDER]`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # when it is loaded from elsewhere, as by the tests

from conf import revealjs_style_theme as THEME  # noqa: E402, N812
from pages import assemble  # noqa: E402


def build(target: Path) -> Path:
    """Build the site anew.

    Args:
        target: the folder to write; the site is in its folder `html`, to be put on a web server or opened from disk.

    Returns:
        The site's first page.

    Raises:
        RuntimeError: Sphinx found something wrong, such as a link to a page that is not there.
        ValueError: a reading and the script of its figures do not agree.
    """
    from sphinx.cmd.build import build_main

    assemble(target / "source")
    html = target / "html"
    shutil.rmtree(html, ignore_errors=True)
    for builder, source, place in (("html", "pages", html), ("revealjs", "slides", html / "slides")):
        options = ["-b", builder, "-c", str(HERE), "-d", str(target / "doctrees" / builder), "-W", "--keep-going", "-q"]
        if build_main([*options, str(target / "source" / source), str(place)]):
            raise RuntimeError(f"Sphinx could not build the {source}; what is wrong stands above")
    for theme in (html / "slides" / "_static" / "revealjs" / "dist" / "theme").glob("*.css"):
        if theme.stem != THEME:  # some of them load fonts from another host
            theme.unlink()
    return html / "index.html"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    page = build(Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "build" / "site").resolve())
    print(f"the site is at {page}")
