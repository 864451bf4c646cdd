"""Does the store keep models whole through mistakes, kills, full disks and several writers?"""

from typing import Any

from course.checks import Question, expect, fail, fixture
from course.checks.model.stores import Sample, Stores, Trial, store

question = Question("The model store", points=16)


@fixture
def shop() -> Stores:
    """The shipped module of the store."""
    return store("store.py")


def stocked(shop: Stores, *names: str) -> tuple[Trial, dict[str, Sample]]:
    """A new store that holds models of these names, and the artifacts that they are."""
    trial = shop.trial()
    samples = {name: trial.artifact() for name in names}
    for name, sample in samples.items():
        trial.add(name, sample)
    return trial, samples


@question.check(points=1)
def what_was_added_is_found(shop: Stores) -> None:
    """an added model is found under its name, with every file unchanged"""
    trial, samples = stocked(shop, "v1", "v2")
    for name, sample in samples.items():
        trial.holds(name, sample)


@question.check(points=1, needs=what_was_added_is_found)
def names_come_in_order(shop: Stores) -> None:
    """names come in the order in which they were added"""
    trial, _ = stocked(shop, "v2", "baseline", "v10", "a")
    expect(trial.names(), "names()").equals(["v2", "baseline", "v10", "a"])


@question.check(points=1, needs=what_was_added_is_found)
def one_is_in_production(shop: Stores) -> None:
    """what is promoted is found as production, until another is promoted"""
    trial, samples = stocked(shop, "v1", "v2")
    for name in ("v1", "v2"):
        trial.promote(name)
        expect(trial.production(), "production()").equals(name)
        trial.holds("production", samples[name])


@question.check(points=1, needs=one_is_in_production)
def demote_goes_back(shop: Stores) -> None:
    """demote goes back to the model before; what is in production already is not promoted again"""
    trial, _ = stocked(shop, "v1", "v2", "v3")
    trial.promote("v1")
    trial.promote("v3")
    trial.promote("v3")
    trial.demote()
    expect(trial.production(), "production() after v1, v3, v3 and one demotion").equals("v1")


@question.check(points=2, needs=what_was_added_is_found)
def what_is_not_whole_is_refused(shop: Stores) -> None:
    """an artifact that is not what its checksums say is refused, and nothing of it stays"""
    trial, _ = stocked(shop, "v1")
    broken: dict[str, dict[str, bytes | None]] = {
        "model.joblib was changed": {"model.joblib": b"other"},
        "metrics.json is missing": {"metrics.json": None},
        "notes.txt is not covered by SHA256SUMS": {"notes.txt": b"hello"},
        "there is no SHA256SUMS": {"SHA256SUMS": None},
    }
    for reason, change in broken.items():
        trial.refuses("add", "v2", trial.artifact(change=change), because=reason)
        expect(trial.names(), f"names() after add() was refused because {reason}").equals(["v1"])
    trial.add("v2", trial.artifact())


@question.check(points=1, needs=what_was_added_is_found)
def it_holds_ordinary_files(shop: Stores) -> None:
    """the store's folder holds ordinary files and folders, and no links (a rule of this course)"""
    trial, _ = stocked(shop, "v1", "v2")
    trial.promoted("v1", "v2")
    if links := trial.links():
        fail(
            f"{links[0]!r} in the store's folder is a link",
            expected="ordinary files and folders",
            hint="links are lost when work is handed in, so the shelf could not be judged: write a name into a file",
        )
