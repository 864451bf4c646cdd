"""What did each step add?."""

from course.checks import Question, fail, module

question = Question("What did each step add?", points=5)
layers = module("layers.py")
SHELL = "/bin/sh -c"


def entries(*told):
    """A history, newest first, of pairs of what made a layer and its size, oldest first."""
    made = [
        {"Comment": "", "Created": 1384975800 + n, "CreatedBy": by, "Id": "<missing>", "Size": size, "Tags": None}
        for n, (by, size) in enumerate(told)
    ]
    return made[::-1]


def told(history):
    """What steps() says: pairs of instruction and size, whatever the white space."""
    found = layers.steps(history)
    if not isinstance(found, list) or len(found) != len(history):
        fail(f"steps() of {len(history)} entries must give a list of as many dictionaries", actual=found)
    for one in found:
        if not isinstance(one, dict) or not {"instruction", "bytes"} <= set(one):
            fail("a step must have an instruction and bytes", actual=one)
        if (
            not isinstance(one["instruction"], str)
            or isinstance(one["bytes"], bool)
            or not isinstance(one["bytes"], int)
        ):
            fail("an instruction must be a text, and bytes a whole number", actual=one)
    return [(" ".join(one["instruction"].split()), one["bytes"]) for one in found]


def expect_told(history, wanted):
    """steps() says this of a history; the first difference is shown."""
    for place, (found, right) in enumerate(zip(told(history), wanted, strict=True)):
        if found != right:
            by = history[::-1][place]["CreatedBy"]
            fail(f"step {place} of {len(wanted)}, made by {by!r}, is told wrongly", expected=right, actual=found)


@question.check(points=2)
def the_older_builder_is_read():
    """a history of the older builder is read, the oldest step first"""
    history = entries(
        ("", 128_000_000),
        (f"{SHELL} #(nop) WORKDIR /app", 0),
        (f"{SHELL} pip install flask==3.1.0", 11_400_000),
        (f"{SHELL} #(nop)  ENV BOARD_ORIGIN=JFK", 0),
        (f"{SHELL} #(nop) COPY file:5d41402abc in . ", 2048),
    )
    wanted = [("", 128_000_000), ("WORKDIR /app", 0), ("RUN pip install flask==3.1.0", 11_400_000)]
    wanted += [("ENV BOARD_ORIGIN=JFK", 0), ("COPY file:5d41402abc in .", 2048)]
    expect_told(history, wanted)


@question.check(points=2)
def buildkit_is_read():
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
    expect_told(history, wanted)


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=(the_older_builder_is_read, buildkit_is_read),
    hint="only what the builder put around an instruction goes, at its beginning and its end; the same words can stand "
    "in the middle of a command, and a RUN can do without a shell",
)
def nothing_else_is_taken_off():
    """nothing but the builder's own words is taken off"""
    history = entries(
        ("RUN python3 -m compileall -q . # buildkit", 512),
        (f"RUN {SHELL} echo '# buildkit' > /etc/made && {SHELL} true # buildkit", 11),
        (f"{SHELL} echo '#(nop)' && {SHELL} ls", 0),
        ('ENTRYPOINT ["/bin/sh" "-c" "exec board"]', 0),
        (f"{SHELL} #(nop)  RUNNER=1", 0),
    )
    wanted = [("RUN python3 -m compileall -q .", 512), (f"RUN echo '# buildkit' > /etc/made && {SHELL} true", 11)]
    wanted += [
        (f"RUN echo '#(nop)' && {SHELL} ls", 0),
        ('ENTRYPOINT ["/bin/sh" "-c" "exec board"]', 0),
        ("RUNNER=1", 0),
    ]
    expect_told(history, wanted)


### END HIDDEN TESTS
