"""What does Helm make of this chart and these values?"""

from typing import Any

from course.checks import Question, answers_in, fail, fixture
from course.checks.kubernetes.resource_files import quantity

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
        value = rendered.get(key)
        if value != wanted and str(value) != str(wanted):
            hint = {
                "name": "two names and a hyphen",
                "replicas": "which file comes later?",
                "image": "what does --set do?",
            }[key]
            fail(f"the output of Helm has another {key}", got=value, hint=hint)
