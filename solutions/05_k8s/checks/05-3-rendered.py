"""What a chart makes of its values."""

from course.checks import Question, answer, expect, fail

question = Question("What a chart makes of its values", points=2)


def rendered() -> dict:
    """What was said to come out."""
    found = answer("rendered")
    if not isinstance(found, dict):
        fail('answers["rendered"] is no dictionary', actual=found)
    return found


@question.check(points=1)
def later_values_win():
    """name, replicas and image are those of this release"""
    for key, wanted in (
        ("name", "autumn-late-flights"),
        ("replicas", 3),
        ("image", "localhost:5001/late-flights:2.0.1"),
    ):
        if str(rendered().get(key)) != str(wanted):
            hint = {
                "name": "two names and a hyphen",
                "replicas": "which file comes later?",
                "image": "what does --set do?",
            }[key]
            fail(f"Helm makes another {key}", actual=rendered().get(key, "nothing"), hint=hint)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    needs=later_values_win,
    hint="what happens to keys of a dictionary that the later file does not name?",
)
def dictionaries_are_merged():
    """what the later file does not name keeps its value"""
    wanted = {"memory request": "160Mi", "memory limit": "768Mi", "WEB_TIMEOUT": "30"}
    expect({key: str(rendered().get(key)) for key in wanted}).equals(wanted)


### END HIDDEN TESTS
