"""Which safeguard was missing in each of four recorded updates?"""

from course.checks import Question, answer, fail, fixture

question = Question("Which recording is which?", points=4)
NAMES = {name.lower(): name for name in ("nothing", "readiness", "maxUnavailable", "preStop")}


@fixture
def missing() -> dict[str, str]:
    """What was said to be missing in each recording; capitals do not matter."""
    missing = answer("missing")
    if not isinstance(missing, dict):
        fail(
            'answers["missing"] must be a dictionary', expected="a, b, c and d, each with a word", actual=repr(missing)
        )
    said = {str(letter).strip().lower(): str(word).strip() for letter, word in missing.items()}
    return {letter: NAMES.get(word.lower(), word) for letter, word in said.items()}


def expect_missing(missing: dict[str, str], letter: str, right: str, reason: str, hint: str | None = None) -> None:
    """A recording is named rightly."""
    if letter not in missing:
        fail(f"nothing is said of recording {letter}", expected="a, b, c and d", actual=", ".join(sorted(missing)))
    if missing[letter] not in NAMES.values():
        fail(
            f"recording {letter} has an unknown word", expected=", ".join(NAMES.values()), actual=repr(missing[letter])
        )
    if missing[letter] != right:
        fail(reason, actual=missing[letter], hint=hint)


@question.check(points=1)
def all_safeguards(missing: dict[str, str]) -> None:
    """the recording in which nothing was missing is right"""
    if (named := sorted(letter for letter, word in missing.items() if word == "nothing")) and len(named) > 1:
        fail("nothing was missing in one recording only", actual=", ".join(named))
    hint = "lost(records) counts it: with all safeguards, how many should be lost?"
    reason = "requests were lost in the recording in which you say that nothing was missing"
    expect_missing(missing, "b", "nothing", reason, hint)
