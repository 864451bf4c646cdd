"""What does Helm make of this chart and these values?"""

from typing import Any

from course.checks import Question, answers_in, expect, fail, fixture

question = Question("What a chart makes of its values", points=2)


@fixture
def rendered() -> dict[str, Any]:
    """What was said to come out."""
    return answers_in("rendered")


@question.check(points=1)
def later_values_win(rendered: dict[str, Any]) -> None:
    """name, replicas and image are those of this release"""
    for key, wanted in (
        ("name", "autumn-late-flights"),
        ("replicas", 3),
        ("image", "localhost:5001/late-flights:2.0.1"),
    ):
        if str(rendered.get(key)) != str(wanted):
            hint = {
                "name": "two names and a hyphen",
                "replicas": "which file comes later?",
                "image": "what does --set do?",
            }[key]
            fail(f"Helm makes another {key}", actual=rendered.get(key, "nothing"), hint=hint)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="what happens to keys of a dictionary that the later file does not name?",
)
def dictionaries_are_merged(rendered: dict[str, Any]) -> None:
    """what the later file does not name keeps its value"""
    wanted = {"memory request": "160Mi", "memory limit": "768Mi", "WEB_TIMEOUT": "30"}
    expect({key: str(rendered.get(key)) for key in wanted}).equals(wanted)


### END HIDDEN TESTS
