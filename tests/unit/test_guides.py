"""The first pages that people read: the picture is what its script draws, and what they name is there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from course.labs import description, guides

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDES = ["README.md", "docs/students.md", "docs/instructors.md", "env_setup/index.md"]


@pytest.fixture
def draw_map():
    """docs/draw_map.py."""
    spec = importlib.util.spec_from_file_location("draw_map", REPOSITORY / "docs" / "draw_map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_its_script_draws_and_says_in_words_what_it_shows(draw_map):
    drawn = (REPOSITORY / "docs" / "map.svg").read_text(encoding="utf-8")
    labs = description.of_course(REPOSITORY)
    assert drawn == draw_map.draw(labs)
    words = {element.tag.rpartition("}")[2]: element.text for element in ElementTree.fromstring(drawn)}
    assert words["title"]
    assert words["desc"] == draw_map.words(labs)
    assert f"![{draw_map.words(labs)}](docs/map.svg)" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_pages_show_what_the_labs_say_of_themselves():
    assert guides.describe(REPOSITORY, check=True) == [], "run: make release"


@pytest.fixture
def course(tmp_path) -> Path:
    """A course with the labs' descriptions and a page of its own."""
    for lab in description.folders(REPOSITORY):
        (tmp_path / "solutions" / lab.name).mkdir(parents=True)
        shutil.copyfile(lab / description.FILE, tmp_path / "solutions" / lab.name / description.FILE)
    (tmp_path / "README.md").write_text(
        "# Mine\n\n<!-- begin overview: x -->\nold\n<!-- end overview -->\n\nThe end.\n"
    )
    return tmp_path


def test_only_what_stands_between_the_marks_is_written(course):
    assert guides.describe(course, check=True) == ["README.md"]
    assert "old" in (course / "README.md").read_text()
    assert guides.describe(course) == ["README.md"]
    text = (course / "README.md").read_text()
    assert text.startswith("# Mine\n\n<!-- begin overview: x -->\n| lab | notebook |")
    assert text.endswith("<!-- end overview -->\n\nThe end.\n")
    assert "| 03 A model that answers | [A service](labs/03_flask_api/01_a_service.ipynb) | 60 min |" in text
    assert guides.describe(course) == []


def test_a_draft_is_not_listed(course):
    file = course / "solutions" / "05_k8s" / description.FILE
    file.write_text(f"{file.read_text()}draft: true\n")
    guides.describe(course)
    assert "05_k8s" not in (course / "README.md").read_text()
    assert "04_docker" in (course / "README.md").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- begin overview -->\n", "one that ends it; one is missing"),
        ("<!-- end overview -->\n", "one that ends it; one is missing"),
        (
            "<!-- begin weather -->\n<!-- end weather -->\n",
            "no part 'weather' to write; there are overview, syllabus, picture",
        ),
    ],
)
def test_a_mark_that_means_nothing_is_named(course, text, said):
    (course / "README.md").write_text(text)
    with pytest.raises(guides.GuideError, match=f"README.md: .*{said}"):
        guides.describe(course)


def test_the_picture_has_room_for_ten_labs_and_says_when_words_do_not_fit(draw_map):
    labs = description.of_course(REPOSITORY)
    more = [*labs, *(lab.model_copy(update={"name": f"1{lab.name}"}) for lab in labs)][:10]
    drawn = ElementTree.fromstring(draw_map.draw(more))
    boxes = [element for element in drawn if element.tag.endswith("rect") and element.get("height") == "178"]
    assert len({(box.get("x"), box.get("y")) for box in boxes}) == 10
    with pytest.raises(ValueError, match="room for 1 to 10 labs; there are 11"):
        draw_map.draw([*more, labs[0]])
    with pytest.raises(
        ValueError, match=r"01_python_model/lab\.yaml, short: expected at most 2 lines of 16 characters"
    ):
        draw_map.draw([labs[0].model_copy(update={"short": "A model that is far too long for its box"})])


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_in_a_guide_exist(guide):
    from course.cli import main

    text = (REPOSITORY / guide).read_text(encoding="utf-8")
    code = re.findall(r"`([^`]+)`", text) + re.findall(r"^ {4}(.+)$", text, re.MULTILINE)
    targets = re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    verbs = {found[1] for line in code if (found := re.match(r"course ([a-z]+)\b", line))}
    makes = {found[1] for line in code if (found := re.match(r"make ([a-z]+)\b", line))}
    assert verbs <= set(main.commands)
    assert makes <= set(targets)
    assert verbs | makes


def test_the_students_guide_is_ten_lines():
    lines = (REPOSITORY / "docs" / "students.md").read_text(encoding="utf-8").splitlines()
    assert [line.partition(".")[0] for line in lines[2:]] == [str(number) for number in range(1, 11)]
