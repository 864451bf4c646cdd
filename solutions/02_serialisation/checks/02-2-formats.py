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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=feed_has_one_array_a_column,
    hint="ask each column's type whether it holds numbers; True and False are numbers, too",
)
def feed_knows_other_tables(formats: Formats) -> None:
    """feed() follows the columns that come: small whole numbers, truth values, other names, one row"""
    other = pd.DataFrame({"flag": [True], "small": np.array([3], "int8"), "a": [0.5]})
    arrays = formats.feed(other)
    for name in other:
        expect(str(arrays[name].dtype)).equals("float32")
        expect(float(arrays[name][0, 0])).equals(float(other[name].iloc[0]))


@question.check(
    points=1,
    hidden=True,
    hint="[None, 1] leaves the number of rows open; and is each column an input of its own, by its own name and type?",
)
def onnx_follows_the_table(formats: Formats, small: pd.DataFrame, small_late: pd.Series) -> None:
    """the ONNX model takes one row, truth values, and columns of other names"""
    table = small[NUMBERS]
    answer = formats.convert(table.head(200), small_late.head(200), table.tail(1), encode=[], scale=NUMBERS)
    expect(answer["probability"]).is_close(answer["expected"], abs=1e-5)
    other = table.rename(columns={"miles": "far"}).assign(holiday=small["minutes"] % 7 == 0)
    columns: dict[str, list[str]] = {"encode": [], "scale": ["minutes", "far", "holiday"]}
    answer = formats.convert(other.head(200), small_late.head(200), other.tail(50), **columns)
    expect(answer["probability"]).is_close(answer["expected"], abs=1e-5)
    expect(answer["inputs"]).equals(dict.fromkeys(other, "tensor(float)"))


@question.check(
    points=1,
    hidden=True,
    needs=onnx_says_the_same,
    hint="which columns are text, and what does the encoder do with a word that it has not met?",
)
def onnx_knows_text(formats: Formats, small: pd.DataFrame, small_late: pd.Series) -> None:
    """the ONNX model takes new categories, and columns of text under other names"""
    new = small.tail(40).assign(airport="XYZ")
    answer = formats.convert(small.head(200), small_late.head(200), new, **KINDS)
    expect(answer["probability"]).is_close(answer["expected"], abs=1e-5)
    other = small.rename(columns={"airport": "town"}).astype({"company": object})
    columns = {"encode": ["town", "company"], "scale": NUMBERS}
    answer = formats.convert(other.head(200), small_late.head(200), other.tail(1), **columns)
    expect(answer["probability"]).is_close(answer["expected"], abs=1e-5)
    expect({name: answer["inputs"].get(name) for name in columns["encode"]}).equals(
        dict.fromkeys(columns["encode"], "tensor(string)")
    )


@question.check(
    points=2,
    hidden=True,
    needs=an_honest_file_is_opened,
    hint="who decides what is trusted: the file, or your list? The exception names what was refused",
)
def code_is_refused(formats: Formats) -> None:
    """open_skops() refuses a file that needs code from elsewhere, and names it"""
    for file, name in {"system": "system", "subprocess": "getoutput"}.items():
        answer = formats.open_skops(file)
        expect(name in answer.get("refused", "")).is_true()


@question.check(
    points=1,
    hidden=True,
    needs=an_honest_file_is_opened,
    hint="refuse each whole name that is not in ALLOWED, also one that looks harmless or is NumPy's own",
)
def what_is_not_listed_is_refused(formats: Formats) -> None:
    """open_skops() refuses any other type, also of NumPy and scikit-learn, a pickle, and a file that was cut short"""
    for file, name in {"fraction": "Fraction", "numpy.load": "load", "sklearn helper": "resample"}.items():
        expect(name in formats.open_skops(file).get("refused", "")).is_true()
    for file in ("pickle", "cut"):
        expect("refused" in formats.open_skops(file)).is_true()


### END HIDDEN TESTS
