"""Do the functions turn tags into digests, and find the tags that moved?"""

import copy

from course.checks import Module, Question, as_list, expect, fixture, module

question = Question("From tags to digests", points=5)
A, B, C = (f"sha256:{two * 32}" for two in ("aa", "b1", "0c"))
LISTING = {
    "localhost:5000/late-flights": {"1.0": A, "1.1": B, "latest": B},
    "localhost:5000/late/flights": {"1.0": C},
    "registry.example.com/team/late-flights": {"1.0": C, "latest": A},
    "late-flights": {"stable": B},
}


@fixture
def pins() -> Module:
    """The shipped module, called in a process of its own."""
    return module("pins.py")


def expect_pin(pins: Module, reference: str, wanted: str) -> None:
    expect(pins.pin(reference, copy.deepcopy(LISTING)), f"pin({reference!r}, …)").equals(wanted)


@question.check(points=1)
def a_tag_becomes_its_digest(pins: Module) -> None:
    """a tag becomes the digest to which it leads"""
    expect_pin(pins, "localhost:5000/late-flights:1.0", f"localhost:5000/late-flights@{A}")
    expect_pin(pins, "registry.example.com/team/late-flights:1.0", f"registry.example.com/team/late-flights@{C}")


@question.check(points=1, needs=a_tag_becomes_its_digest)
def without_a_tag_it_is_latest(pins: Module) -> None:
    """without a tag it is latest, including behind a port"""
    expect_pin(pins, "registry.example.com/team/late-flights", f"registry.example.com/team/late-flights@{A}")
    expect_pin(pins, "localhost:5000/late-flights", f"localhost:5000/late-flights@{B}")


@question.check(points=1)
def what_moved_is_found(pins: Module) -> None:
    """tags that lead to other bytes are found, sorted, and no others"""
    after = copy.deepcopy(LISTING)
    after["localhost:5000/late-flights"] |= {"1.0": C, "latest": A, "2.0": A}
    after["late-flights"] = {"stable": C}
    moved = pins.moved(copy.deepcopy(LISTING), after)
    expect(as_list(moved, "moved(before, after)"), "moved(before, after)").equals(
        ["late-flights:stable", "localhost:5000/late-flights:1.0", "localhost:5000/late-flights:latest"]
    )
    expect(as_list(pins.moved(LISTING, LISTING), "moved(before, before)"), "moved(before, before)").equals([])


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=(a_tag_becomes_its_digest, without_a_tag_it_is_latest),
    hint="try a tag and a digest together, a digest that no list knows, and a tag that is not there",
)
def other_forms_of_a_name(pins: Module) -> None:
    """a digest stays, and what is not there is an error"""
    expect_pin(pins, f"localhost:5000/late-flights:1.0@{C}", f"localhost:5000/late-flights@{C}")
    expect_pin(pins, f"ghcr.io/others/model@{A}", f"ghcr.io/others/model@{A}")
    expect_pin(pins, "late-flights:stable", f"late-flights@{B}")
    expect_pin(pins, "localhost:5000/late/flights:1.0", f"localhost:5000/late/flights@{C}")
    for missing in ("localhost:5000/late-flights:3.0", "late-flights", "localhost:5000/late/flights", "nobody:1.0"):
        reply = pins.pin.reply(missing, copy.deepcopy(LISTING))
        reply.must_raise("LookupError", f"pin({missing!r})", because="that is not in the listing")


@question.check(
    points=1, hidden=True, needs=what_moved_is_found, hint="what about a tag or a repository that is new, or gone?"
)
def new_and_gone_did_not_move(pins: Module) -> None:
    """what is new or gone did not move"""
    after = {"late-flights": {"stable": B, "next": A}, "other": {"1.0": A}}
    expect(as_list(pins.moved(LISTING, after), "moved(before, after)"), "moved(before, after)").equals([])
    expect(as_list(pins.moved(after, LISTING), "moved(before, after)"), "moved(before, after)").equals([])
    after["late-flights"]["stable"] = A
    expect(as_list(pins.moved(LISTING, after), "moved(before, after)"), "moved(before, after)").equals(
        ["late-flights:stable"]
    )


### END HIDDEN TESTS
