"""Can the environment of the project be made again, with every dependency pinned?"""

import re

from course.checks import Project, Question, fail, fixture, project
from course.checks.python.pins import closure, pins
from course.checks.python.repositories import tail

question = Question("An environment that can be made again", points=3)


@fixture
def shipped() -> Project:
    """The shipped project."""
    return project("late-flights.bundle")


@question.check(points=1)
def pins_what_is_declared(shipped: Project) -> None:
    """requirements.lock pins every dependency of pyproject.toml to one version"""
    pinned = pins(shipped.text("requirements.lock"), "requirements.lock")
    needed = shipped.dependencies()
    if not needed:
        fail("pyproject.toml declares no dependency", hint="which library do your functions import?")
    for need in needed:
        number = pinned.get(need.name.lower().replace("_", "-"))
        if number is None:
            fail(f"requirements.lock does not pin {need.name}", expected=f"{need.name}==…")
        if not need.specifier.contains(number, prereleases=True):
            reason = f"requirements.lock pins a version of {need.name} that pyproject.toml does not allow"
            fail(reason, expected=str(need), actual=f"{need.name}=={number}")


@question.check(points=1)
def has_a_target_for_it(shipped: Project) -> None:
    """make env would make a virtual environment from requirements.lock"""
    plan = shipped.plan("env")
    if not plan.ok:
        shipped.make_fails(plan, "env")
    if not re.search(r"venv|conda|mamba", plan.output) or "requirements.lock" not in plan.output:
        hint = "try make --dry-run env"
        fail(
            "its commands make no virtual environment, or do not use requirements.lock",
            actual=tail(plan.output) or "nothing",
            hint=hint,
        )
