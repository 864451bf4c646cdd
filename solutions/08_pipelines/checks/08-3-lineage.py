"""Do the events say what was really read and written?"""

from typing import Any

import pandas as pd

from course.checks import Question, fail, fixture
from course.checks.privacy import lineage
from course.checks.privacy.trials import Ran, Trials, trials

question = Question("Lineage", points=3)
TABLE = pd.DataFrame({"passenger": ["k1-93ab", "k1-77fe"], "bags": [1, 2]})
START = ("lake/bookings.parquet", "lake/flights.parquet")
STEPS: list[dict[str, Any]] = [
    {"name": "protect", "reads": ["lake/bookings.parquet"], "writes": ["warehouse/bookings.parquet"]},
    {
        "name": "features",
        "reads": ["warehouse/bookings.parquet", "lake/flights.parquet"],
        "writes": ["features/flights.parquet"],
    },
    {"name": "train", "reads": ["features/flights.parquet"], "writes": ["models/v1/training.parquet"]},
]


@fixture
def pipeline() -> Trials:
    """The shipped module, called in a process of its own."""
    return trials("lineage.py")


def ran(pipeline: Trials, steps: list[dict[str, Any]], *more: str) -> Ran:
    """What came of a pipeline in a new folder, where some files are there."""
    places = ["warehouse", "features", "models/v1", "models/v2", "lake"]
    pipeline.company("company", dict.fromkeys([*START, *more], TABLE), {f"{place}/README": "" for place in places})
    return pipeline.pipeline("company", steps)


def succeeded(found: Ran, steps: list[dict[str, Any]]) -> None:
    """Fail unless all steps ran and no error came out."""
    if found.raised is not None:
        fail(f"run() raises {found.raised}", hint="read and write take paths relative to the folder")
    if [step.get("name") for step in found.opened] != [step["name"] for step in steps]:
        names = ", ".join(str(step.get("name")) for step in found.opened)
        fail("other steps ran", expected=", ".join(step["name"] for step in steps), actual=names or "none")


@question.check(points=1)
def events_name_the_files(pipeline: Trials) -> None:
    """each step starts and completes, and names the files that it read and wrote"""
    found = ran(pipeline, STEPS)
    succeeded(found, STEPS)
    lineage.agrees(found)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="note a file when it has been read or written, not before: a file that was missing was not read, and which "
    "files a step opens may differ from day to day",
)
def the_graph_is_the_real_one(pipeline: Trials) -> None:
    """in another pipeline, the graph is that of the files that were really opened"""
    steps = [
        {"name": "merge", "reads": ["lake/flights.parquet", "lake/late.parquet", "lake/bookings.parquet"],
         "if_there": ["lake/late.parquet"], "writes": ["warehouse/a.parquet", "warehouse/b.parquet"]},
        {"name": "again", "reads": ["warehouse/a.parquet", "warehouse/a.parquet", "lake/extra.parquet"],
         "if_there": ["lake/extra.parquet"], "writes": ["warehouse/a.parquet"]},
        {"name": "look only", "reads": ["warehouse/b.parquet"], "writes": []},
    ]  # fmt: skip
    found = ran(pipeline, steps, "lake/extra.parquet")
    succeeded(found, steps)
    lineage.agrees(found)
    values = [str(value) for value in TABLE["passenger"]]
    if any(value in str(event) for event in found.events for value in values):
        fail("an event holds values of a table", hint="lineage names tables, not people")


@question.check(
    points=1,
    hidden=True,
    hint="a step that raises ends with FAIL and the files that it had read; the exception reaches the caller, and no "
    "later step begins",
)
def a_failure_is_told(pipeline: Trials) -> None:
    """a step that fails says so, with what it had read, and nothing runs after it"""
    steps = [STEPS[0], {**STEPS[1], "fails": True}, STEPS[2]]
    found = ran(pipeline, steps)
    if found.raised is None or "the disk is full" not in found.raised:
        fail("the exception of the step does not reach the caller", expected="RuntimeError", actual=found.raised)
    if len(found.opened) != 2:
        fail("a step ran after the one that failed")
    lineage.agrees(found, ends="FAIL")
    if lineage.of_step(found, "train"):
        fail("there are events of a step that never began")


### END HIDDEN TESTS
