"""Do the functions write a model to ONNX that says the same, and open a skops file only if it is safe?"""

import numpy as np
import pandas as pd

from course.checks import Question, expect, fail, fixture
from course.checks.model.artifacts import Formats

question = Question("Formats without code", points=12)
KINDS = {"encode": ["airport", "company"], "scale": ["minutes", "miles"]}


@fixture
def formats() -> Formats:
    """The shipped module."""
    return Formats("formats.py")


@fixture
def small() -> pd.DataFrame:
    """A small table of numbers and text."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "airport": rng.choice(["BOS", "LAX", "ORD"], 300),
            "minutes": rng.integers(0, 1440, 300),
            "miles": rng.uniform(80, 5000, 300),
            "company": rng.choice(["UA", "DL"], 300),
        }
    )


@fixture
def small_late(small: pd.DataFrame) -> pd.Series:
    """What is to be learned of the small table."""
    return (small["minutes"] > 700) ^ (small["airport"] == "LAX")


NUMBERS = ["minutes", "miles"]


@question.check(points=1)
def feed_has_one_array_a_column(formats: Formats, small: pd.DataFrame) -> None:
    """feed() gives one array per column, of shape (n, 1), and numbers as float32"""
    arrays = formats.feed(small[NUMBERS].head(5))
    for name in NUMBERS:
        expect(str(arrays[name].dtype), f"the type of {name}").equals("float32", hint=".to_numpy(np.float32)")
        expect(arrays[name][:, 0]).is_close(small[name].head(5).to_numpy(np.float32), abs=1e-3)


@question.check(points=1)
def feed_keeps_text(formats: Formats, small: pd.DataFrame) -> None:
    """feed() gives text as it is"""
    arrays = formats.feed(small.head(5))
    for name in ("airport", "company"):
        expect([str(value) for value in arrays[name][:, 0]], name).equals(small[name].head(5).tolist())


@question.check(points=1)
def convert_gives_bytes(formats: Formats, small: pd.DataFrame, small_late: pd.Series) -> None:
    """convert() returns bytes"""
    table = small[NUMBERS]
    answer = formats.convert(table.head(200), small_late.head(200), table.tail(200), encode=[], scale=NUMBERS)
    if answer["type"] != "bytes":
        hint = "what is written to a file is bytes: SerializeToString() makes them of an ONNX model"
        fail("it returns something else", expected="bytes", actual=answer["type"], hint=hint)


@question.check(points=1)
def onnx_says_the_same(formats: Formats, small: pd.DataFrame, small_late: pd.Series) -> None:
    """convert() makes an ONNX model that says the same as the pipeline, within 0.00001"""
    answer = formats.convert(small.head(200), small_late.head(200), small.tail(200), **KINDS)
    furthest = float(np.abs(answer["probability"] - answer["expected"]).max())
    if furthest > 1e-5:
        fail(
            "a probability of the ONNX model differs from the pipeline's",
            expected="within 0.00001",
            actual=f"{furthest:.6f} apart",
        )


@question.check(points=1)
def probabilities_are_an_array(formats: Formats, small: pd.DataFrame, small_late: pd.Series) -> None:
    """the ONNX model gives its probabilities as an array"""
    table = small[NUMBERS]
    answer = formats.convert(table.head(200), small_late.head(200), table.tail(200), encode=[], scale=NUMBERS)
    if not answer["as_array"]:
        fail(
            "its probabilities come as a list of dictionaries",
            expected="an array of shape (n, 2)",
            hint='options={"zipmap": False}',
        )


@question.check(points=1)
def an_honest_file_is_opened(formats: Formats) -> None:
    """open_skops() opens a file that holds only a model"""
    answer = formats.open_skops("honest")
    if "refused" in answer:
        kind, _, message = answer["refused"].partition(": ")
        if kind == "NotImplementedError":
            fail("open_skops() is not written yet", hint="this is the place for your code")
        fail(f"it raises {kind}: {message}"[:300], hint="numpy.dtype is in ALLOWED; trusted= takes that list")
    expect(answer["same"], "whether the opened model predicts like the one in the file").is_true()
