"""A notebook reads like a chapter: headings, sections, alternative texts, links, spelling, hints that are folded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from course.labs import description, notebooks, source

REPOSITORY = Path(__file__).resolve().parents[2]
OPENING = ["What you will ship", "Objectives", "Before you start", "Time"]
CLOSING = ["Summary", "Test yourself", "Take away", "Going further"]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


@pytest.fixture
def markdown(chapter) -> list:
    return [cell for cell in notebooks.read(chapter.path).cells if cell.cell_type == "markdown"]


@pytest.fixture
def headings(markdown) -> list[tuple[int, str]]:
    return [heading for cell in markdown for heading in notebooks.headings(cell.source)]


def test_there_is_one_title_and_it_comes_first(headings):
    assert [level for level, _ in headings].count(1) == 1
    assert headings[0][0] == 1


def test_no_heading_level_is_skipped(headings):
    levels = [level for level, _ in headings]
    jumps = [headings[n + 1][1] for n in range(len(levels) - 1) if levels[n + 1] > levels[n] + 1]
    assert jumps == []


def test_the_chapter_opens_and_closes_with_its_sections_in_order(chapter, headings):
    sections = [text for level, text in headings if level == 2]
    assert sections[: len(OPENING)] == OPENING
    lab = description.find(chapter.path.parent)
    wanted = [text for text in CLOSING if text != "Test yourself" or (lab is not None and not lab.draft)]
    assert [text for text in sections if text in wanted] == wanted
    assert sections.index("Summary") > len(OPENING) - 1


def test_each_question_to_oneself_has_answers_of_which_one_is_right(markdown):
    """They need no code and no kernel: an answer is folded, and opens with why it is right or wrong."""
    for cell in markdown:
        if not cell.source.startswith("## Test yourself"):
            continue
        _, *questions = re.split(r"(?m)^\*\*\d\. ", cell.source)
        assert 3 <= len(questions) <= 5
        for question in questions:
            answers = re.findall(r"<details><summary>(.+)</summary>\n\n(.+)\n\n</details>", question)
            assert len(answers) >= 3, question
            assert [why.startswith("Right") for _, why in answers].count(True) == 1, question
            assert not [text for text, _ in answers if "`" in text], "Markdown is not read in <summary>"


def test_no_two_sections_have_the_same_title(headings):
    titles = [text for level, text in headings if level == 2]
    assert sorted({text for text in titles if titles.count(text) > 1}) == []


def test_every_picture_has_an_alternative_text(markdown):
    without = []
    for cell in markdown:
        without += [found.group(3) for found in LINK.finditer(cell.source) if found.group(1) and not found.group(2)]
        for tag in re.findall(r"<img\b[^>]*>", cell.source):
            if not re.search(r"\balt=(\"[^\"]+\"|'[^']+')", tag):
                without.append(tag)
    assert without == []


def test_every_figure_has_an_alternative_text(chapter):
    """A figure goes through course.figures.show(..., alt=...), which also makes its stored output readable aloud."""
    bare = []
    for cell in notebooks.read(chapter.path).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            html = "".join(data.get("text/html", ""))
            if any(kind.startswith("image/") for kind in data) and not re.search(r"<img[^>]*\balt=\"[^\"]{10,}", html):
                bare.append(cell.id)
    assert bare == []


def test_every_link_to_a_file_leads_somewhere(chapter, markdown):
    broken = []
    for cell in markdown:
        for found in LINK.finditer(cell.source):
            target = unquote(found.group(3))
            if re.match(r"[a-z][a-z0-9+.-]*:|#|attachment:", target):
                continue
            if not (chapter.path.parent / target.partition("#")[0]).exists():
                broken.append(target)
    assert broken == []


def test_a_link_to_the_glossary_names_one_of_its_terms(markdown):
    """Of a page's headings, JupyterLab, GitHub and the site make the same anchors where these are small letters."""
    terms = re.findall(r"(?m)^### (.+)$", (REPOSITORY / "solutions" / "glossary.md").read_text(encoding="utf-8"))
    anchors = {re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-") for term in terms}
    linked = [link for cell in markdown for link in re.findall(r"\(\.\./glossary\.md#([^)]*)\)", cell.source)]
    assert set(linked) - anchors == set()
    assert len(linked) == len(set(linked)), "a term is linked where it is used first"


def test_a_link_says_where_it_leads(markdown):
    texts = [found.group(2).strip().lower() for cell in markdown for found in LINK.finditer(cell.source)]
    assert [text for text in texts if text in ("here", "this", "link", "click here")] == []


def test_hints_are_folded(markdown):
    loose = []
    for cell in markdown:
        outside = re.sub(r"<details>.*?</details>", "", cell.source, flags=re.DOTALL)
        loose += re.findall(r"(?im)^\s*(?:\*\*|#+\s*)?hints?\b\s*[:*].*$", outside)
        if cell.source.count("<details") != cell.source.count("</details>"):
            loose.append(f"{cell.id}: <details> without its end")
        if cell.source.count("<details") != cell.source.count("<summary>"):
            loose.append(f"{cell.id}: <details> without a <summary>")
    assert loose == []


def test_a_graded_cell_follows_its_answer_and_a_text_about_it(chapter):
    """The exercise is described before its cell: in the nearest section above there is prose."""
    cells = notebooks.read(chapter.path).cells
    bare = []
    for position, cell in enumerate(cells):
        if notebooks.is_a(cell, "solution"):
            above = [other for other in cells[:position] if other.cell_type == "markdown"]
            if not above or len(above[-1].source.split()) < 8:
                bare.append(cell.id)
    assert bare == []


def test_nothing_is_left_to_do(chapter):
    left = []
    for cell in notebooks.read(chapter.path).cells:
        left += [f"{cell.id}: {word}" for word in re.findall(r"\b(?:TODO|FIXME|XXX|TBD|lorem ipsum)\b", cell.source)]
    assert left == []


def test_ids_are_unique_and_readable(chapter):
    ids = [cell.id for cell in notebooks.read(chapter.path).cells]
    assert sorted({name for name in ids if ids.count(name) > 1}) == []
    assert [name for name in ids if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)] == []
    assert [name for name in ids if re.fullmatch(r"[0-9a-f]{8}", name) and re.search(r"\d", name)] == []


def test_a_notebook_is_in_normal_form(chapter):
    assert notebooks.difference(chapter.path) == [], f"run: course normalise {chapter.path}"


def test_names_of_labs_and_notebooks_are_numbers_and_words(lab):
    names = [path.stem for path in lab.notebooks]
    assert [name for name in names if not re.fullmatch(r"\d\d_[a-z0-9_]+", name)] == []
    numbers = [int(name[:2]) for name in names]
    if description.is_draft(lab.folder):  # its notebooks may be written in any order
        assert numbers == sorted(set(numbers))
    else:
        assert numbers == list(range(1, len(names) + 1))


def test_the_first_code_cell_loads_the_shipping_magics(chapter):
    code = [cell for cell in notebooks.read(chapter.path).cells if cell.cell_type == "code"]
    assert "%load_ext course.shipping" in code[0].source.splitlines()


def test_shipped_python_is_linted(chapter, tmp_path):
    """ruff passes over cells with a magic: here their code is looked at without it."""
    for number, cell in enumerate(notebooks.read(chapter.path).cells):
        name = notebooks.shipped_name(cell.source) if cell.cell_type == "code" else None
        if name and name.endswith(".py"):
            place = tmp_path / name if not (tmp_path / name).exists() else tmp_path / f"cell{number}" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(cell.source.lstrip().partition("\n")[2] + "\n", encoding="utf-8")
    config = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(config / "pyproject.toml")]
    # which imports are the student's own packages, to be sorted after others, cannot be seen from one cell
    command += ["--ignore", "E402,E501,I001,N999", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_spelling(chapter, tmp_path):
    text = "\n\n".join(cell.source for cell in notebooks.read(chapter.path).cells)
    (tmp_path / "notebook.txt").write_text(text, encoding="utf-8")
    config = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(config / "pyproject.toml"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_source_file_beside_the_notebooks_is_text(lab):
    reference = lab.folder / description.REFERENCE  # what a notebook shipped: models, too
    for path in source.given_files(lab.folder):
        if reference in path.parents:
            continue
        path.read_text(encoding="utf-8")
