"""The first pages that people read: the picture is what its script draws, and what they name is there."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDES = ["README.md", "docs/students.md", "docs/instructors.md", "env_setup/index.md"]


def test_the_picture_is_what_its_script_draws_and_says_in_words_what_it_shows():
    place = REPOSITORY / "docs" / "draw_map.py"
    spec = importlib.util.spec_from_file_location("draw_map", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = (REPOSITORY / "docs" / "map.svg").read_text(encoding="utf-8")
    assert drawn == module.draw()
    words = {element.tag.rpartition("}")[2]: element.text for element in ElementTree.fromstring(drawn)}
    assert words["title"]
    assert len(words["desc"]) > 100
    assert re.search(r"!\[.{40,}\]\(docs/map\.svg\)", (REPOSITORY / "README.md").read_text(encoding="utf-8"))


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
