"""Is the pickle that was written by hand short and plain, and does it hold the dictionary?"""

import pickletools

from course.checks import Question, expect, fail
from course.checks.files import reading
from course.checks.model import pickles

question = Question("A pickle by hand", points=6)


def instructions() -> list[tuple[str, int]]:
    """The instructions of by_hand.pickle, which is not opened."""
    data = reading.read("by_hand.pickle")
    if not data:
        fail("by_hand.pickle is empty", hint="put the bytes together in by_hand, then run the answer cell again")
    steps: list[tuple[str, int]] = []
    try:
        for opcode, _, position in pickletools.genops(data):
            steps.append((opcode.name, position or 0))
    except Exception as error:
        last = steps[-1] if steps else ("none", 0)
        fail(
            f"the disassembly ends with an error: {str(error)[:150]}",
            actual=f"the last instruction that could be read: {last[0]} at byte {last[1]}",
            hint="is the number in front of each text the number of its bytes? Does a STOP end it?",
        )
    return steps


@question.check(points=2)
def reads_to_its_end() -> None:
    """it can be disassembled to its end"""
    steps = instructions()
    size = len(reading.read("by_hand.pickle"))
    if steps[-1][1] + 1 != size:
        fail(
            "it goes on after its STOP",
            expected=f"STOP as the last of {size} bytes",
            actual=f"STOP at byte {steps[-1][1]}",
        )


@question.check(points=2)
def gives_the_dictionary() -> None:
    """opened in another process, it gives {"dest": "LAX", "late": True}"""
    expect(pickles.opened("by_hand.pickle"), "what it gives").equals({"dest": "LAX", "late": True})
