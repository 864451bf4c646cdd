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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=what_was_added_is_found,
    hint="try names that are taken, empty, have a slash, are ../v1 or production, and SHA256SUMS that names ../x",
)
def bad_names_are_refused(shop: Stores) -> None:
    """names that are taken, lead elsewhere or are not there are refused"""
    trial, samples = stocked(shop, "v1")
    other = trial.artifact()
    for name in ("v1", "", ".", "..", "../v2", "a/b", "/tmp/v2", "production", "V2\n", "v2\n", "a" * 65):
        trial.refuses("add", name, other, because="such a name cannot be")
    trial.add("a" * 64, other)
    outside = trial.artifact(change={"SHA256SUMS": trial.lines_for("../../artifacts/" + other.name, other)})
    trial.refuses("add", "v2", outside, because="its SHA256SUMS names files outside of its folder")
    trial.holds("v1", samples["v1"])
    for name in ("v9", "../v1", "", "."):
        trial.refuses("find", name, because="there is no such model")
        trial.refuses("promote", name, because="there is no such model")
    trial.refuses("find", "production", because="nothing was promoted yet")
    expect(trial.names()).equals(["v1", "a" * 64])
    expect(trial.production()).equals(None)


@question.check(
    points=1,
    hidden=True,
    needs=one_is_in_production,
    hint="how many models were in production before the first one?",
)
def demote_is_refused_where_nothing_was_before(shop: Stores) -> None:
    """demote is refused where no other was in production before, and changes nothing then"""
    trial, _ = stocked(shop, "v1", "v2")
    trial.refuses("demote", because="nothing was promoted yet")
    trial.promote("v1")
    trial.refuses("demote", because="no other was in production before")
    expect(trial.production()).equals("v1")
    trial.promote("v2")
    trial.demote()
    trial.refuses("demote", because="no other was in production before")
    expect(trial.production()).equals("v1")


@question.check(
    points=1,
    hidden=True,
    needs=what_was_added_is_found,
    hint="verify on the way in and on the way out: by name, and before it is promoted",
)
def what_changed_in_the_store_is_refused(shop: Stores) -> None:
    """a model that was changed in the store is no longer found, nor promoted; the others are"""
    trial, samples = stocked(shop, "v1", "v2")
    trial.tamper(samples["v2"])
    trial.refuses("find", "v2", because="its model was changed")
    trial.refuses("promote", "v2", because="its model was changed")
    expect(trial.production()).equals(None)
    trial.holds("v1", samples["v1"])


@question.check(
    points=1,
    hidden=True,
    needs=one_is_in_production,
    hint="verify on the way out: as production, too",
)
def production_is_verified(shop: Stores) -> None:
    """a model that was changed is not found as production; another that was changed is no reason to refuse"""
    trial, samples = stocked(shop, "v1", "v2")
    trial.promote("v1")
    trial.promote("v2")
    trial.tamper(samples["v1"])
    trial.holds("production", samples["v2"])
    trial.refuses("find", "v1", because="its model was changed")
    trial.tamper(samples["v2"], file="card.md", content=b"# Another\n")
    trial.refuses("find", "production", because="its card was changed")


@question.check(
    points=1,
    hidden=True,
    needs=what_was_added_is_found,
    hint="imagine a kill after each line of add: what do readers see then, and can the next writer go on?",
)
def a_writer_killed_in_add_does_no_harm(shop: Stores) -> None:
    """a writer that is killed in add leaves the store as it was, or with the whole model, and blocks nobody"""
    trial, samples = stocked(shop, "v1")
    new = trial.artifact(size=40_000)
    for _ in trial.killed("add", "v2", new):
        trial.holds("v1", samples["v1"])
        if trial.names() != ["v1"]:
            break
    expect(trial.names()).equals(["v1", "v2"])
    trial.holds("v2", new)
    trial.add("v3", trial.artifact())
    expect(trial.names()).equals(["v1", "v2", "v3"])


@question.check(
    points=1,
    hidden=True,
    needs=one_is_in_production,
    hint="imagine a kill after each line of promote: what do readers see then, and can the next writer go on?",
)
def a_writer_killed_in_promote_does_no_harm(shop: Stores) -> None:
    """a writer that is killed in promote leaves the old or the new one in production, and blocks nobody"""
    trial, samples = stocked(shop, "v1", "v2")
    trial.promote("v1")
    for _ in trial.killed("promote", "v2"):
        expect(trial.names()).equals(["v1", "v2"])
        production = trial.production()
        expect(production in ("v1", "v2")).is_true()
        trial.holds(str(production), samples[str(production)])
        if production == "v2":
            break
    trial.promote("v2")
    trial.demote()
    expect([trial.production(), *trial.names()]).equals(["v1", "v1", "v2"])


@question.check(
    points=1,
    hidden=True,
    needs=what_was_added_is_found,
    hint='open(path, "w") empties a file before it writes: what if the writing fails?',
)
def a_full_disk_does_no_harm(shop: Stores) -> None:
    """when the disk is full, what was there stays there"""
    trial, samples = stocked(shop, "v1", "v2")
    large = trial.artifact(size=60_000)
    for kill in (False, True):
        for room in (0, 500, 30_000):
            trial.full_disk("add", "v3", large, room=room, kill=kill)
            expect(trial.names()).equals(["v1", "v2"])
        trial.full_disk("promote", "v2", room=0, kill=kill)
        expect(trial.names()).equals(["v1", "v2"])
    for name, sample in samples.items():
        trial.holds(name, sample)
    trial.add("v3", large)
    trial.holds("v3", large)


@question.check(
    points=1,
    hidden=True,
    needs=what_was_added_is_found,
    hint="the lock is held from reading the state to writing it; a name that was free before the lock may be taken",
)
def two_who_add_lose_nothing(shop: Stores) -> None:
    """two processes that add at the same moment lose nothing, and of two with one name, one is refused"""
    trial, samples = stocked(shop, "v1", "v2")
    new = {f"{side}{number}": trial.artifact() for side in "ab" for number in range(3)}
    writers: list[list[tuple[Any, ...]]] = [
        [("add", name, new[name]) for name in new if name[0] == side] for side in "ab"
    ]
    trial.at_once(*writers)
    expect(sorted(trial.names())).equals(sorted([*samples, *new]))
    for name, sample in {**samples, **new}.items():
        trial.holds(name, sample)
    first, second = trial.artifact(), trial.artifact()
    outcomes = trial.rivals(("add", "same", first), ("add", "same", second))
    refused = [bool(outcome.get("store_error")) for outcome in outcomes]
    expect(sorted(refused)).equals([False, True])
    expect(sum(bool(outcome) for outcome in outcomes)).equals(1)
    expect(trial.names().count("same")).equals(1)
    trial.holds("same", second if refused[0] else first)


@question.check(
    points=1,
    hidden=True,
    needs=one_is_in_production,
    hint="promote and demote read the state, too, before they write it: under the same lock",
)
def two_who_promote_lose_nothing(shop: Stores) -> None:
    """two processes that promote and add at the same moment lose nothing of each other's"""
    trial, samples = stocked(shop, "v1", "v2")
    new = trial.artifact()
    trial.at_once([("promote", "v1")], [("promote", "v2"), ("add", "v3", new)])
    expect(sorted(trial.names())).equals(["v1", "v2", "v3"])
    trial.holds("v3", new)
    last = trial.production()
    expect(last in ("v1", "v2")).is_true()
    trial.demote()
    expect({last, trial.production()}).equals({"v1", "v2"})
    trial.holds("production", samples[str(trial.production())])


### END HIDDEN TESTS
