"""Assembles the sources of the site: what the repository already has, the readings with their figures, and slides.

Imports nothing of the course but what the figures need, and what the labs say of themselves. Used by build.py.
The reading of a lab that is a draft is left out.

The folder it writes has the places of the repository (labs/, docs/, env_setup/), so that links between those pages
hold. A link to a file of the repository that is no page becomes a download; one that leads elsewhere in it becomes
plain text. Nothing of solutions/ is read.

A reading is Markdown with three things of our own:

- `{{ name }}` stands for a number that the script of its figures found (the function `facts`);
- `![text](figures/name.svg)` shows a figure that this script drew (the function `figures`);
- `:::{slide} Title` … `:::` holds the points of a slide. Readers see it as a box that sums up; the lecturer gets a
  slide, with the figure that a line `figure: name` asks for, and the text of the section as notes.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.labs import description

REPOSITORY = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
PAGES = ("labs", "docs", "env_setup")  # folders whose pages are taken over
FOR_INSTRUCTORS = "docs/teaching/"  # students read the site, too

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_SLIDE = re.compile(r"^:::\{slide\} (?P<title>.+)\n(?P<body>(?:.*\n)*?):::\n", re.MULTILINE)
_FIGURE = re.compile(r"!\[(?P<alt>[^\]]+)\]\(figures/(?P<name>[\w-]+)\.svg\)")
_PAGE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
_FACT = re.compile(r"\{\{ *(\w+) *\}\}")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def assemble(target: Path) -> list[str]:
    """Write the sources of the site and of its slides.

    Args:
        target: the folder to write; what it held before is removed. It gets `pages` and `slides`.

    Returns:
        The names of the readings, in order.

    Raises:
        ValueError: a reading names a figure or a number that its script does not make, or a figure is not shown.
    """
    shutil.rmtree(target, ignore_errors=True)
    pages, decks = target / "pages", target / "slides"
    for folder in PAGES:
        take_over(folder, pages)
    names = readings()
    for name in names:
        write_reading(name, pages / "readings", decks)
    write_indexes(pages, decks, names)
    return names


def readings() -> list[str]:
    """The names of the readings, in order. That of a draft waits until its lab is released."""
    drafts = {lab.name for lab in description.of_course(REPOSITORY, drafts=True) if lab.draft}
    return sorted({path.stem for path in (HERE / "readings").glob("*.md")} - drafts)


def take_over(folder: str, pages: Path) -> None:
    """Copy the pages below a folder of the repository, and the files that they link to."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", folder],
        cwd=REPOSITORY, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if name.startswith(FOR_INSTRUCTORS):
            continue
        if source.suffix not in (".md", ".ipynb") or "given" in source.parts or not source.is_file():
            continue
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".md":
            text = mend_links(text, source, pages)
        else:
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                if cell["cell_type"] == "markdown":
                    mended = mend_links("".join(cell["source"]), source, pages)
                    cell["source"] = mended.splitlines(keepends=True)
            text = json.dumps(notebook)
        place = pages / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def mend_links(text: str, source: Path, pages: Path) -> str:
    """Keep links between pages; copy other linked files; make plain text of the rest.

    Args:
        text: Markdown.
        source: the file in the repository that it comes from.
        pages: where the sources of the site are written.
    """

    def mend(found: re.Match[str]) -> str:
        mark, label, link, _ = found.groups()
        aim = (source.parent / link).resolve()
        if not aim.is_relative_to(REPOSITORY) or not aim.is_file():
            return label
        inside = aim.relative_to(REPOSITORY)
        if inside.as_posix().startswith(("solutions/", FOR_INSTRUCTORS)):
            return label
        if aim.suffix not in (".md", ".ipynb") or "given" in inside.parts:
            (pages / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(aim, pages / inside)
        elif inside.parts[0] not in PAGES:
            return label
        return found.group() if mark or link else label

    return _LINK.sub(mend, text)


def write_reading(name: str, readings: Path, decks: Path) -> None:
    """Draw the figures of a reading, and write it as a page and as a deck of slides.

    Raises:
        ValueError: it names a figure or a number that its script does not make, or does not show one that it makes.
    """
    script: dict[str, Any] = runpy.run_path(str(HERE / "figures" / f"{name}.py"))
    text = fill_in((HERE / "readings" / f"{name}.md").read_text(encoding="utf-8"), script["facts"](), name)
    drawn = draw(script["figures"], readings / "figures")
    if odd := {found["name"] for found in _FIGURE.finditer(text)} ^ drawn:
        raise ValueError(f"{name}: figures that are shown or drawn, and not both: {', '.join(sorted(odd))}")
    (readings / f"{name}.md").write_text(_SLIDE.sub(_box, text), encoding="utf-8")
    shutil.copytree(readings / "figures", decks / "figures", dirs_exist_ok=True)
    (decks / f"{name}.md").write_text(deck(text), encoding="utf-8")


def fill_in(text: str, facts: dict[str, str], name: str) -> str:
    """Put the numbers of `facts` into a reading.

    Raises:
        ValueError: the reading asks for one that is not there, or one of them is never asked for.
    """
    wanted = set(_FACT.findall(text))
    if odd := wanted ^ facts.keys():
        raise ValueError(f"{name}: in the reading or in facts(), and not in both: {', '.join(sorted(odd))}")
    return _FACT.sub(lambda found: facts[found.group(1)], text)


def draw(figures: Callable[[], Any], folder: Path) -> set[str]:
    """Write figures as SVG, the same bytes each time.

    Args:
        figures: gives pairs of a name and a Matplotlib figure.
        folder: where the files go.

    Returns:
        The names.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    names = set()
    style = {"svg.hashsalt": "course", "font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        for name, figure in figures():
            figure.savefig(
                folder / f"{name}.svg", bbox_inches="tight", facecolor="white", metadata={"Date": None, "Creator": None}
            )
            pyplot.close(figure)
            names.add(name)
    return names


def deck(text: str) -> str:
    """Make the Markdown of a deck of slides from a reading whose numbers are filled in."""
    figures = {found["name"]: found for found in _FIGURE.finditer(text)}
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    parts = [f"# {title.group(1)}\n\nLate Flights: the lecture\n"]
    for section in _SECTION.split(text)[2::2]:
        notes = _PAGE_LINK.sub(r"\1", _FIGURE.sub("", _SLIDE.sub("", section))).strip()
        for found in _SLIDE.finditer(section):
            points, figure = _points(found["body"])
            parts.append(f"## {found['title']}\n\n{points}\n")
            if figure:
                if figure not in figures:
                    raise ValueError(f"slide {found['title']!r} asks for the figure {figure!r}, which no text shows")
                parts.append(f"![{figures[figure]['alt']}](figures/{figure}.svg)\n")
            if notes:
                parts.append(f"::::{{revealjs-notes}}\n{re.sub(r'^#+ ', '', notes, flags=re.MULTILINE)}\n::::\n")
                notes = ""
    return "\n".join(parts)


def _points(body: str) -> tuple[str, str]:
    figure = re.search(r"^figure: (\S+)\n", body, re.MULTILINE)
    return re.sub(r"^figure: .*\n", "", body, flags=re.MULTILINE).strip(), figure.group(1) if figure else ""


def _box(found: re.Match[str]) -> str:
    return f":::{{admonition}} In short: {found['title']}\n:class: tip\n\n{_points(found['body'])[0]}\n:::\n"


def write_indexes(pages: Path, decks: Path, names: list[str]) -> None:
    """Write the pages that hold the others together."""
    shutil.copyfile(HERE / "index.md", pages / "index.md")
    shutil.copyfile(REPOSITORY / "docs" / "map.svg", pages / "docs" / "map.svg")
    for lab in description.of_course(REPOSITORY):
        caption = f":hidden:\n:caption: {lab.number} {lab.title}\n"
        _append(pages / "labs" / "index.md", _tree([f"{lab.name}/{notebook}" for notebook in lab.notebooks], caption))
    _append(pages / "env_setup" / "index.md", _tree(["hello", "cluster"]))
    guides = sorted(path.stem for path in (pages / "docs").glob("*.md"))
    (pages / "docs" / "index.md").write_text(
        f"# Guides\n\nFor those who run the course, write for it, or want to know how it works.\n\n{_tree(guides, '')}",
        encoding="utf-8",
    )
    (pages / "readings" / "index.md").write_text(
        "# Readings\n\nThe theory beside the labs: a chapter for each, as long as a lecture. Read it before the lab or "
        f"after it. The figures are drawn by code, most from the course's own data.\n\n{_tree(names, '')}",
        encoding="utf-8",
    )
    titles = {name: re.search(r"^# (.+)$", (decks / f"{name}.md").read_text(), re.MULTILINE).group(1) for name in names}
    decks_list = "\n".join(f'<li><a href="slides/{name}.html">{title}</a></li>' for name, title in titles.items())
    (pages / "slides.md").write_text(
        "# Slides\n\nFor the lecturer: a deck for each reading, made from its text and its figures. Arrow keys move; "
        "the key S opens the speaker's view, with the text of the reading as notes; the key ? lists the others.\n\n"
        f"```{{raw}} html\n<ol>\n{decks_list}\n</ol>\n```\n",
        encoding="utf-8",
    )
    (decks / "index.md").write_text(f"# Slides\n\n{_tree(names, '')}", encoding="utf-8")


def _append(page: Path, text: str) -> None:
    page.write_text(f"{page.read_text(encoding='utf-8')}\n{text}", encoding="utf-8")


def _tree(names: Any, hidden: str = ":hidden:\n") -> str:
    entries = "\n".join(names)
    return f"```{{toctree}}\n:maxdepth: 1\n{hidden}\n{entries}\n```\n"
