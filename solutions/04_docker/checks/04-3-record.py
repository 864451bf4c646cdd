"""Which image is it?."""

import copy

from course.checks import Question, expect, fail, module

question = Question("Which image is it?", points=5)
shipped = module("record.py")
BASE = {
    "Id": "sha256:" + "b0" * 32,
    "Size": 130_000_000,
    "Config": {"Labels": None},
    "RepoDigests": ["python@sha256:" + "b1" * 32],
    "RootFS": {"Type": "layers", "Layers": ["sha256:" + two * 32 for two in ("01", "02", "03")]},
}
PUSHED = {
    "Id": "sha256:" + "c0" * 32,
    "Size": 294_512_345,
    "Config": {"Labels": {"org.opencontainers.image.revision": "77ab10e", "org.opencontainers.image.title": "x"}},
    "RepoDigests": [f"{place}/late-flights@sha256:{'d1' * 32}" for place in ("localhost:5000", "ghcr.io/late")],
    "RootFS": {"Type": "layers", "Layers": ["sha256:" + two * 32 for two in ("01", "02", "03", "0a", "0b")]},
}


def told(image=PUSHED, base=BASE):
    found = shipped.record(copy.deepcopy(image), copy.deepcopy(base))
    if not isinstance(found, dict):
        fail("record() must return a dictionary", actual=found)
    return found


def expect_part(found, name, wanted, hint=None):
    if name not in found:
        fail(f"the record lacks {name}", actual=", ".join(map(str, found)))
    expect(found[name], name).equals(wanted, hint=hint)


@question.check(points=1)
def it_says_which_and_how_large():
    """it says the id, the revision and the size"""
    found = told()
    expect_part(found, "id", PUSHED["Id"])
    expect_part(found, "revision", "77ab10e")
    expect_part(found, "bytes", 294_512_345)


@question.check(points=1)
def it_says_the_digest():
    """it says the digest, which is not the id"""
    expect_part(told(), "digest", "sha256:" + "d1" * 32, hint="it stands in RepoDigests, behind the @")


@question.check(points=1)
def it_says_what_is_above_the_base():
    """it says which layers it has above its base, and how much that is"""
    found = told()
    expect_part(found, "layers", PUSHED["RootFS"]["Layers"][3:])
    expect_part(found, "added_bytes", 164_512_345)


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=(it_says_the_digest, it_says_which_and_how_large),
    hint="without labels the engine says None, without digests an empty list or None",
)
def what_is_not_there_is_none():
    """an image that was never pushed has no digest, and one without a label no revision"""
    for digests in ([], None):
        for labels in (None, {}, {"maintainer": "nobody"}):
            found = told(PUSHED | {"RepoDigests": digests, "Config": {"Labels": labels}})
            expect_part(found, "digest", None)
            expect_part(found, "revision", None)
    found = told(PUSHED | {"RepoDigests": [f"localhost:5000/late-flights@sha256:{'e9' * 32}"]})
    expect_part(found, "digest", "sha256:" + "e9" * 32)


@question.check(
    points=1,
    hidden=True,
    needs=it_says_what_is_above_the_base,
    hint="compare the first layers of the image with those of the base, before you count",
)
def another_base_is_refused():
    """another base is refused with a ValueError"""
    expect_part(told(BASE, BASE), "layers", [])
    for layers in (
        ["sha256:" + "01" * 32, "sha256:" + "99" * 32],
        [*PUSHED["RootFS"]["Layers"], "sha256:" + "77" * 32],
    ):
        try:
            found = told(PUSHED, BASE | {"RootFS": {"Layers": layers}})
        except Exception as error:
            if "ValueError" not in str(error):
                raise
        else:
            fail("another base is taken", actual=found)


### END HIDDEN TESTS
