"""The drawings of docs/architecture.md are what their script draws, and the house is as they show it."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drawings():
    spec = importlib.util.spec_from_file_location("draw_architecture", REPOSITORY / "docs" / "draw_architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["rooms.svg", "submission.svg"])
def test_a_drawing_is_what_its_script_draws(drawings, name):
    drawn = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    assert drawn == drawings.DRAWINGS[name](), "run: python docs/draw_architecture.py"
    words = {element.tag.rpartition("}")[2]: element.text for element in ElementTree.fromstring(drawn)}
    assert words["title"]
    assert len(words["desc"]) > 100
    assert f"]({name})" in (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_room_is_in_the_drawing_and_in_the_contract(drawings):
    rooms = {path.parent.name for path in (REPOSITORY / "course").glob("*/__init__.py")}
    modules = {path.stem for path in (REPOSITORY / "course").glob("*.py")} - {"__init__"}
    assert rooms | modules == {room for layer in drawings.layers() for room in layer}
    assert all(drawings.purpose(room) for room in rooms | modules)


def test_a_place_in_a_submissions_way_exists(drawings):
    for _, place, _, _ in drawings.STEPS:
        room = place.partition(",")[0]
        if "/" in room:
            assert list((REPOSITORY / "course").glob(f"{room}*")), place
