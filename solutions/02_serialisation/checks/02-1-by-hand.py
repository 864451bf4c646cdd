"""A pickle by hand."""

import pickletools

from course.checks import Question, expect, fail
from course.checks.files import reading
from course.checks.model import pickles

question = Question("A pickle by hand", points=6)


def instructions() -> list:
    """The instructions of by_hand.pickle, which is not opened."""
    data = reading.read("by_hand.pickle")
    if not data:
        fail("by_hand.pickle is empty", hint="put the bytes together in by_hand, then run the answer cell again")
    found = []
    try:
        for opcode, _, position in pickletools.genops(data):
            found.append((opcode.name, position))
    except Exception as error:
        last = found[-1] if found else ("none", 0)
        fail(
            f"the disassembly ends with an error: {str(error)[:150]}",
            actual=f"the last instruction that could be read: {last[0]} at byte {last[1]}",
            hint="is the number in front of each text the number of its bytes? Does a STOP end it?",
        )
    return found


@question.check(points=2)
def reads_to_its_end():
    """it can be disassembled to its end"""
    found = instructions()
    size = len(reading.read("by_hand.pickle"))
    if found[-1][1] + 1 != size:
        fail(
            "it goes on after its STOP",
            expected=f"STOP as the last of {size} bytes",
            actual=f"STOP at byte {found[-1][1]}",
        )


@question.check(points=2, needs=reads_to_its_end)
def gives_the_dictionary():
    """opened in another process, it gives {"dest": "LAX", "late": True}"""
    expect(pickles.opened("by_hand.pickle"), "what it gives").equals({"dest": "LAX", "late": True})


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    needs=gives_the_dictionary,
    hint="at most 30 bytes: neither FRAME nor MEMOIZE is needed, and nothing has to be called",
)
def is_short_and_only_data():
    """it is short, and holds nothing but data"""
    expect(len(reading.read("by_hand.pickle"))).is_at_most(30)
    calls = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
    expect(sorted(calls & {name for name, _ in instructions()})).equals([])


### END HIDDEN TESTS
