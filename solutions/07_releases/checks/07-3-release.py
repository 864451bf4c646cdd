"""Does the shipped release.py release a sound repository, and publish nothing of a broken one?"""

import hashlib

from course.checks import Question
from course.checks.python import releases
from course.model_repository import VERSION, contents

question = Question("make release", points=7)
FILES = contents()
TEST = "    def test_it_is_a_probability"
FAILING = f"    def test_that_fails(self):\n        self.fail('on purpose')\n\n{TEST}"
WORSE = '{"version": "1.2.0", "intercept": 1.5, "weights": {"hour": 0.01, "thousand_miles": 0.0}}\n'


def with_sum(model: str) -> dict[str, str]:
    """A model, and the checksum that fits."""
    return {"model.json": model, "SHA256SUMS": f"{hashlib.sha256(model.encode()).hexdigest()}  model.json\n"}


@question.check(points=1)
def a_sound_repository_is_released() -> None:
    """a sound repository is released: tag and production are the digest of what is stored"""
    releases.release().must_publish(VERSION)


@question.check(points=1)
def tests_and_quality_must_hold() -> None:
    """a test that fails, or a model worse than the one in production, publishes nothing"""
    failing = {"test_late.py": FILES["test_late.py"].replace(TEST, FAILING)}
    releases.release(failing).must_publish_nothing("test", "a test fails")
    releases.release(with_sum(WORSE)).must_publish_nothing("quality", "the model is worse than the one in production")


### BEGIN HIDDEN TESTS
@question.check(
    points=1, hidden=True, hint="what lies in the tree that must not, and what does requirements.txt allow?"
)
def secrets_and_loose_dependencies_stop_it() -> None:
    """a secret in the tree, or a dependency that is not pinned, publishes nothing"""
    secret = {"notes.txt": "key: AKIA" + "IOSFODNN7EXAMPLE\n"}
    releases.release(secret).must_publish_nothing("scan", "a committed file holds an access key")
    loose = {"requirements.txt": "numpy>=2.3\nscikit-learn==1.7.2\n"}
    releases.release(loose).must_publish_nothing("pins", "numpy is not pinned")


@question.check(points=1, hidden=True, hint="is what you release what was committed, and what was signed off?")
def checksum_and_tree_must_fit() -> None:
    """a wrong checksum, or a file that is not committed, publishes nothing"""
    wrong = {"model.json": FILES["model.json"].replace("-2.", "-3.")}
    releases.release(wrong).must_publish_nothing("checksum", "model.json is not what SHA256SUMS says")
    dirty = "echo '# later' >> late.py"
    releases.release(then=dirty).must_publish_nothing("tree", "late.py was changed and not committed")


@question.check(
    points=1, hidden=True, hint="to which commit does the tag point, and has the registry this version already?"
)
def a_version_is_released_once() -> None:
    """a git tag on another commit, or a version that the registry has already, publishes nothing"""
    moved = "git commit --quiet --allow-empty -m Later"
    releases.release(then=moved).must_publish_nothing("tag", f"v{VERSION} is not the newest commit")
    run = releases.release(published={VERSION: "0" * 64})
    run.must_publish_nothing("version", f"{VERSION} is published already, with other contents", {VERSION: "0" * 64})


@question.check(points=1, hidden=True, hint="what does canary.py return, and what if it says wait?")
def the_canary_decides() -> None:
    """a canary that fails, or that waits, publishes nothing"""
    for status, word in ((1, "roll back"), (2, "wait")):
        canary = {"canary.py": f"import sys\nprint('{word}')\nsys.exit({status})\n"}
        releases.release(canary).must_publish_nothing("canary", f"canary.py ends with {status}: {word}")


@question.check(
    points=1, hidden=True, hint="read back what you pushed: the network may break with an error, or without one"
)
def a_push_that_fails_halfway_is_noticed() -> None:
    """a push that breaks, or stores half of the artifact, publishes nothing"""
    write = "write_bytes(data)"
    half = "write_bytes(data[: len(data) // 2])"
    quiet = {"registry.py": FILES["registry.py"].replace(write, half)}
    releases.release(quiet).must_publish_nothing("push", "the registry stored half of the artifact")
    loud = {"registry.py": FILES["registry.py"].replace(write, half + "\n        raise OSError('the network is gone')")}
    releases.release(loud).must_publish_nothing("push", "the registry raises OSError in the middle")


### END HIDDEN TESTS
