"""Does the function read from an image's history what each step added, for both builders?"""

from typing import Any

from course.checks import Module, Question, expect, fail, fixture, module
from course.checks.core.expectations import NotGradedHere
from course.checks.docker import engines

question = Question("What did each step add?", points=5)
SHELL = "/bin/sh -c"


@fixture
def layers() -> Module:
    """The shipped module, called in a process of its own."""
    return module("layers.py")


def entries(*steps: tuple[str, int]) -> list[dict[str, Any]]:
    """A history, newest first, of pairs of what made a layer and its size, oldest first."""
    made = [
        {"Comment": "", "Created": 1384975800 + n, "CreatedBy": by, "Id": "<missing>", "Size": size, "Tags": None}
        for n, (by, size) in enumerate(steps)
    ]
    return made[::-1]


def steps_of(layers: Module, history: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """What steps() says: pairs of instruction and size, whatever the white space."""
    steps = layers.steps(history)
    if not isinstance(steps, list) or len(steps) != len(history):
        fail(f"steps() of {len(history)} entries must give a list of as many dictionaries", actual=steps)
    for step in steps:
        if not isinstance(step, dict) or not {"instruction", "bytes"} <= set(step):
            fail("a step must have an instruction and bytes", actual=step)
        if (
            not isinstance(step["instruction"], str)
            or isinstance(step["bytes"], bool)
            or not isinstance(step["bytes"], int)
        ):
            fail("an instruction must be a text, and bytes a whole number", actual=step)
    return [(" ".join(step["instruction"].split()), step["bytes"]) for step in steps]


def expect_steps(layers: Module, history: list[dict[str, Any]], wanted: list[tuple[str, int]]) -> None:
    """steps() says this of a history, in either order: another check sees to that. The first difference is shown."""
    found = steps_of(layers, history)
    if found[0] == wanted[-1] and found[-1] == wanted[0]:
        found.reverse()
    for place, (step, expected) in enumerate(zip(found, wanted, strict=True)):
        if step != expected:
            by = history[::-1][place]["CreatedBy"]
            fail(f"step {place} of {len(wanted)}, made by {by!r}, is told wrongly", expected=expected, actual=step)


@question.check(points=2)
def the_older_builder_is_read(layers: Module) -> None:
    """a history of the older builder is read"""
    history = entries(
        ("", 128_000_000),
        (f"{SHELL} #(nop) WORKDIR /app", 0),
        (f"{SHELL} pip install flask==3.1.0", 11_400_000),
        (f"{SHELL} #(nop)  ENV BOARD_ORIGIN=JFK", 0),
        (f"{SHELL} #(nop) COPY file:5d41402abc in . ", 2048),
    )
    wanted = [("", 128_000_000), ("WORKDIR /app", 0), ("RUN pip install flask==3.1.0", 11_400_000)]
    wanted += [("ENV BOARD_ORIGIN=JFK", 0), ("COPY file:5d41402abc in .", 2048)]
    expect_steps(layers, history, wanted)


@question.check(points=1)
def buildkit_is_read(layers: Module) -> None:
    """a history of BuildKit is read"""
    history = entries(
        ("# debian.sh --arch 'amd64' out/ 'bookworm'", 74_800_000),
        ("WORKDIR /app", 0),
        (f"RUN {SHELL} pip install flask==3.1.0 # buildkit", 11_400_000),
        ("COPY board.py . # buildkit", 2048),
        ('CMD ["gunicorn" "board:app"]', 0),
    )
    wanted = [("# debian.sh --arch 'amd64' out/ 'bookworm'", 74_800_000), ("WORKDIR /app", 0)]
    wanted += [("RUN pip install flask==3.1.0", 11_400_000), ("COPY board.py .", 2048)]
    wanted += [('CMD ["gunicorn" "board:app"]', 0)]
    expect_steps(layers, history, wanted)


@question.check(points=1)
def the_oldest_step_comes_first(layers: Module) -> None:
    """the oldest step comes first, also in the history of an image of your engine"""
    recorded = entries((f"{SHELL} #(nop) ENV A=1", 0), (f"{SHELL} true", 7), ("RUN /bin/sh -c false # buildkit", 8))
    for name, history in {"a recorded history": recorded, **history_of_an_engine()}.items():
        sizes = [size for _, size in steps_of(layers, history)]
        expect(sizes, f"the list of bytes of {name}").equals([int(entry["Size"]) for entry in reversed(history)])


def history_of_an_engine() -> dict[str, list[dict[str, Any]]]:
    """The history of the base image on the engine of this machine; nothing where none answers."""
    try:
        session = engines.engine()
        return {"python on this engine": session.api.history(session.tools_image())}
    except (NotGradedHere, *engines.TROUBLE):
        return {}
