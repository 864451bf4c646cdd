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


def steps_of(layers: Module, history: list[dict[str, Any]], key: str) -> list[Any]:
    """What steps() returns under one key, for each entry."""
    steps = layers.steps(history)
    if not isinstance(steps, list | tuple) or len(steps) != len(history):
        fail(f"steps() must return a list of {len(history)} dictionaries for a history of {len(history)}", actual=steps)
    for step in steps:
        if not isinstance(step, dict) or key not in step:
            fail(f"each step must have the key {key!r}", actual=step)
    return [step[key] for step in steps]


def expect_instructions(layers: Module, history: list[dict[str, Any]], wanted: list[str]) -> None:
    """steps() returns these instructions, in either order, because another check judges the order and the sizes."""
    found = []
    for instruction in steps_of(layers, history, "instruction"):
        if not isinstance(instruction, str):
            fail("an instruction must be a text", got=instruction)
        found.append(" ".join(instruction.split()))
    if found[0] == wanted[-1] and found[-1] == wanted[0]:
        found.reverse()
    for entry, instruction, expected in zip(reversed(history), found, wanted, strict=True):
        if instruction != expected:
            reason = f"the step with CreatedBy {entry['CreatedBy']!r} has another instruction"
            fail(reason, expected=repr(expected), got=instruction)


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
    wanted = ["", "WORKDIR /app", "RUN pip install flask==3.1.0", "ENV BOARD_ORIGIN=JFK", "COPY file:5d41402abc in ."]
    expect_instructions(layers, history, wanted)


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
    wanted = ["# debian.sh --arch 'amd64' out/ 'bookworm'", "WORKDIR /app", "RUN pip install flask==3.1.0"]
    wanted += ["COPY board.py .", 'CMD ["gunicorn" "board:app"]']
    expect_instructions(layers, history, wanted)


@question.check(points=1)
def the_oldest_step_comes_first(layers: Module) -> None:
    """the oldest step comes first, with the bytes that it added, including in an image of your engine"""
    recorded = entries((f"{SHELL} #(nop) ENV A=1", 0), (f"{SHELL} true", 7), ("RUN /bin/sh -c false # buildkit", 8))
    for name, history in {"a recorded history": recorded, **history_of_an_engine()}.items():
        sizes = steps_of(layers, history, "bytes")
        if any(isinstance(size, bool) or not isinstance(size, int) for size in sizes):
            fail("bytes must be whole numbers", got=sizes)
        expect(sizes, f"the list of bytes of {name}").equals([int(entry["Size"]) for entry in reversed(history)])


def history_of_an_engine() -> dict[str, list[dict[str, Any]]]:
    """The history of the base image on the engine of this machine; nothing where none answers."""
    try:
        session = engines.engine()
        return {"python on this engine": session.api.history(session.tools_image())}
    except (NotGradedHere, *engines.TROUBLE):
        return {}
