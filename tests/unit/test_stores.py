"""A model store is tried in a worker: killed, starved and raced. A right one holds; of a wrong one it is said why."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from course.checks import CheckFailed, Unmet
from course.checks.model.stores import store

KEPT = Path(__file__).parents[1] / "labs" / "02_serialisation"
RIGHT = ["right/formats_store_of_numbered_folders.yaml", "right/formats_store_in_sqlite.yaml"]


def ship(folder: Path, kept: str) -> None:
    """Ship the store of a kept submission."""
    cells = yaml.safe_load((KEPT / kept).read_text(encoding="utf-8"))["cells"]
    (folder / "store.py").write_text(cells["02-2-store-answer"].partition("\n")[2], encoding="utf-8")


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """An empty folder of shipped files."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("kept", RIGHT)
def test_a_right_store_survives_killed_writers_and_a_full_disk(shipped, kept):
    ship(shipped, kept)
    trial = store().trial()
    first, second = trial.artifact(), trial.artifact(size=40_000)
    trial.add("v1", first)
    trial.promote("v1")
    kills = 0
    for _ in trial.killed("add", "v2", second):
        kills += 1
        trial.holds("production", first)
        if "v2" in trial.names():
            break
    assert kills > 3
    trial.holds("v2", second)
    outcome = trial.full_disk("add", "v3", trial.artifact(size=50_000), room=10_000)
    assert outcome["raised"] in ("OSError", "Error")  # shutil gathers errors in one of its own
    assert trial.full_disk("add", "v3", trial.artifact(size=50_000), room=10_000, kill=True)["killed"]
    assert trial.names() == ["v1", "v2"]


@pytest.mark.parametrize("kept", RIGHT)
def test_two_writers_of_a_right_store_lose_nothing(shipped, kept):
    ship(shipped, kept)
    trial = store().trial()
    samples = {name: trial.artifact() for name in ("a1", "a2", "b1", "b2")}
    trial.at_once(*([("add", name, samples[name]) for name in samples if name[0] == side] for side in "ab"))
    assert sorted(trial.names()) == sorted(samples)
    for name, sample in samples.items():
        trial.holds(name, sample)


def test_two_writers_without_a_lock_lose_something(shipped):
    ship(shipped, "wrong/formats_store_writes_in_place.yaml")
    trial = store().trial()
    names = [f"{side}{number}" for side in "ab" for number in range(4)]
    samples = {name: trial.artifact() for name in names}
    lost = False
    try:
        trial.at_once(*([("add", name, samples[name]) for name in names if name[0] == side] for side in "ab"))
        lost = sorted(trial.names()) != names
    except CheckFailed:
        lost = True
    assert lost


def test_a_lock_that_outlives_its_owner_is_found_out(shipped):
    ship(shipped, "wrong/formats_store_leaves_its_lock_behind.yaml")
    trial = store().trial()
    sample = trial.artifact()
    with pytest.raises(CheckFailed, match="waits without end"):
        for _ in trial.killed("add", "v1", sample):
            pass


def test_what_should_be_refused_and_is_not_is_explained(shipped):
    ship(shipped, "wrong/formats_store_verifies_on_the_way_in.yaml")
    trial = store().trial()
    with pytest.raises(CheckFailed, match="raises nothing, though a file is not covered"):
        trial.refuses("add", "v1", trial.artifact(change={"more.txt": b"x"}), because="a file is not covered")


def test_changes_inside_a_store_are_made_by_content(shipped):
    ship(shipped, RIGHT[0])
    trial = store().trial()
    sample = trial.artifact()
    trial.add("v1", sample)
    trial.tamper(sample)
    trial.refuses("find", "v1", because="its model was changed")


def test_a_store_that_is_missing_or_broken_is_the_students_matter(shipped):
    with pytest.raises(Unmet, match=r"there is no store\.py"):
        store().trial().artifact()
    (shipped / "store.py").write_text("class ModelStore:\n    def __init__(self, root):\n        1 / 0\n")
    trial = store().trial()
    with pytest.raises(CheckFailed, match=r"ZeroDivisionError \(line 3\)"):
        trial.names()
    (shipped / "store.py").write_text("import nowhere\n")
    with pytest.raises(CheckFailed, match="nowhere"):
        store().trial().names()


def test_a_shipped_store_is_copied_before_it_is_opened(shipped):
    ship(shipped, RIGHT[0])
    (shipped / "store").mkdir()
    trial = store().shipped("store")
    trial.add("v1", trial.artifact())
    assert list((shipped / "store").iterdir()) == []
    with pytest.raises(Unmet, match="no folder nothing"):
        store().shipped("nothing")
