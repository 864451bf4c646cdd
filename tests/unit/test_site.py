"""The course's site: what its sources are made of, and that all that it links to and loads is there."""

from __future__ import annotations

import html
import importlib.util
import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import pytest

from course.labs import description, source

REPOSITORY = Path(__file__).resolve().parents[2]
READINGS = sorted((REPOSITORY / "site" / "readings").glob("*.md"))
DRAFTS = [path.stem for path in READINGS if description.is_draft(REPOSITORY / "solutions" / path.stem)]
LOADS = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}

READING = """# A title

Words. See [the labs](../labs/index.md).

## One

More words.

![what one sees](figures/x-one.svg)

:::{slide} A slide
figure: x-one
- a point
- a second of {{ number }}
:::
"""


@pytest.fixture(scope="module")
def pages():
    """site/pages.py."""
    spec = importlib.util.spec_from_file_location("site_pages", REPOSITORY / "site" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Page(HTMLParser):
    """What a page links to, what it loads, its ids, and its images without a text in their place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.mute = path, []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.mute.append(found.get("src"))
        self.loads += [value for name, value in attrs if (tag, name) in LOADS and value]


@pytest.fixture(scope="module")
def built(built_site: Path) -> dict[Path, Page]:
    """Every page of the built site."""
    return {path: Page(path) for path in built_site.rglob("*.html") if "_static" not in path.parts}


# ------------------------------------------------------------------------------------------------------------- sources


def test_numbers_come_from_the_script_of_the_figures(pages):
    assert "a second of 7" in pages.fill_in(READING, {"number": "7"}, "x")


@pytest.mark.parametrize("facts", [{}, {"number": "7", "other": "8"}])
def test_a_number_that_only_one_side_knows_is_refused(pages, facts):
    with pytest.raises(ValueError, match=r"not in both: (number|other)"):
        pages.fill_in(READING, facts, "x")


def test_a_deck_has_the_points_the_figure_and_the_text_as_notes(pages):
    deck = pages.deck(READING)

    assert deck.startswith("# A title\n")
    assert "## A slide\n\n- a point\n- a second" in deck
    assert "![what one sees](figures/x-one.svg)" in deck
    assert "::::{revealjs-notes}\nMore words.\n::::" in deck


def test_a_slide_with_a_figure_that_no_text_shows_is_refused(pages):
    with pytest.raises(ValueError, match="'x-two', which no text shows"):
        pages.deck(READING.replace("figure: x-one", "figure: x-two"))


def test_figures_are_the_same_bytes_each_time(pages, tmp_path):
    from matplotlib.figure import Figure

    def figures():
        figure = Figure()
        figure.subplots().plot([1, 2], label="a line")
        yield "x-one", figure

    made = []
    for name in ("first", "second"):
        assert pages.draw(figures, tmp_path / name) == {"x-one"}
        made.append((tmp_path / name / "x-one.svg").read_bytes())
    assert made[0] == made[1]


def test_links_to_pages_stay_files_come_along_and_the_rest_becomes_text(pages, tmp_path):
    text = (
        "[labs](../labs/index.md#the-map) [code](../course/shipping.py) [folder](../course/checks) "
        "[solution](../solutions/index.md) [notes](teaching/06_monitoring.md) [gone](gone.md) "
        "[out](https://www.python.org) [here](#here)"
    )
    mended = pages.mend_links(text, REPOSITORY / "docs" / "architecture.md", tmp_path)

    assert mended == (
        "[labs](../labs/index.md#the-map) [code](../course/shipping.py) folder solution notes gone "
        "[out](https://www.python.org) [here](#here)"
    )
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")] == [Path("course/shipping.py")]


@pytest.mark.parametrize("path", READINGS, ids=lambda path: path.stem)
def test_a_reading_is_a_lecture(path):
    text = path.read_text(encoding="utf-8")
    titles = re.findall(r"^(#+) (.+)$", text, re.MULTILINE)
    alts = re.findall(r"!\[([^\]]+)\]\(figures/", text)

    assert 2500 <= len(re.sub(r"^:::\{slide\}.*?^:::\n", "", text, flags=re.MULTILINE | re.DOTALL).split()) <= 4000
    assert [marks for marks, _ in titles] == ["#"] + ["##"] * (len(titles) - 1)
    assert [title for _, title in titles[-2:]] == ["Questions to think about", "Further reading"]
    assert 2 <= len(alts) <= 4
    assert all(len(alt.split()) >= 12 for alt in alts)
    assert len(re.findall(r"^:::\{slide\} ", text, re.MULTILINE)) >= len(titles) - 3
    assert path.stem[:2] in text.split("\n\n")[1], "it says to which lab it belongs"


def test_the_reading_of_a_draft_waits_until_its_lab_is_released(pages, tmp_path, monkeypatch):
    for name, draft in (("01_one", ""), ("02_two", "draft: true\n")):
        lab, reading = tmp_path / "solutions" / name, tmp_path / "readings" / f"{name}.md"
        lab.mkdir(parents=True)
        reading.parent.mkdir(exist_ok=True)
        reading.write_text(READING)
        about = (REPOSITORY / "solutions" / "01_python_model" / "lab.yaml").read_text(encoding="utf-8")
        (lab / "lab.yaml").write_text(about + draft, encoding="utf-8")
    monkeypatch.setattr(pages, "REPOSITORY", tmp_path)
    monkeypatch.setattr(pages, "HERE", tmp_path)

    assert pages.readings() == ["01_one"]


@pytest.mark.slow
def test_a_reading_that_waits_agrees_with_the_script_of_its_figures(pages, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "site")
    for name in DRAFTS:
        pages.write_reading(name, tmp_path / "readings", tmp_path / "slides")
        assert "{{" not in (tmp_path / "readings" / f"{name}.md").read_text(encoding="utf-8")


def test_each_lab_has_a_reading():
    labs = {lab.name for lab in description.of_course(REPOSITORY)}
    assert labs <= {path.stem for path in READINGS}


# ---------------------------------------------------------------------------------------------------------- built pages


@pytest.mark.slow
@pytest.mark.timeout(600)  # the site is built first
def test_every_link_and_all_that_is_loaded_is_there(built):
    broken = []
    for path, page in built.items():
        for link in page.links + page.loads:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            aim = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchor = urllib.parse.unquote(parts.fragment)
            if not aim.is_file() or (anchor and not anchor.startswith("/") and anchor not in built[aim].ids):
                broken.append(f"{path.name}: {link}")
    assert broken == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_loaded_from_another_host(built, built_site):
    elsewhere = [link for page in built.values() for link in page.loads if urllib.parse.urlsplit(link).netloc]
    styles = built_site.rglob("*.css")
    elsewhere += [
        f"{path.name}: {found}"
        for path in styles
        for found in re.findall(r"(?:url\(|@import)[\s'\"]*(?:https?:)?//[^)]*", path.read_text())
    ]
    assert elsewhere == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_image_has_a_text_in_its_place(built):
    assert {page.path.name: page.mute for page in built.values() if page.mute} == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_notebook_of_the_labs_is_there_and_no_solution(built, built_site):
    labs = REPOSITORY / "labs"
    wanted = {path.relative_to(labs).with_suffix("") for path in labs.glob("*/*.ipynb")}
    found = {path.relative_to(built_site / "labs").with_suffix("") for path in built if "labs" in path.parts}

    assert wanted
    assert found - {Path("index"), Path("glossary")} == wanted
    assert not (built_site / "solutions").exists()
    for path in (path for path in built if path.parent.parent.name == "labs"):
        assert "### BEGIN SOLUTION" not in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_hidden_check_is_in_the_site(built_site):
    text = "".join(path.read_text("utf-8", "replace") for path in built_site.rglob("*.html"))
    shown = html.unescape(re.sub(r"<[^>]+>", "", text))
    for question in REPOSITORY.glob("solutions/*/checks/*.py"):
        hidden, given = source.regions(question.read_text(encoding="utf-8"), (source.HIDDEN,))
        secret = {line.strip() for line in hidden if len(line.strip()) >= 40} - {line.strip() for line in given}
        assert [line for line in secret if line in shown] == [], question.stem


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_reading_of_a_released_lab_has_a_page_and_a_deck(built, built_site):
    drafts = {lab.name for lab in description.of_course(REPOSITORY, drafts=True) if lab.draft}
    for reading in READINGS:
        shown = reading.stem not in drafts
        assert (built_site / "readings" / f"{reading.stem}.html" in built) is shown
        assert (f"slides/{reading.stem}.html" in built[built_site / "slides.html"].links) is shown


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_has_no_page_for_instructors_alone(built):
    assert [path for path in built if "teaching" in path.parts] == []
