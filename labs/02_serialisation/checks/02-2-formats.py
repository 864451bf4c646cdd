"""Formats without code."""

import numpy as np
import pandas as pd

from course.checks import Question, expect, fail
from course.checks.model.artifacts import Formats

question = Question("Formats without code", points=12)
formats = Formats("formats.py")
rng = np.random.default_rng(5)
small = pd.DataFrame(
    {
        "airport": rng.choice(["BOS", "LAX", "ORD"], 300),
        "minutes": rng.integers(0, 1440, 300),
        "miles": rng.uniform(80, 5000, 300),
        "company": rng.choice(["UA", "DL"], 300),
    }
)
small_late = (small["minutes"] > 700) ^ (small["airport"] == "LAX")
kinds = {"encode": ["airport", "company"], "scale": ["minutes", "miles"]}


@question.check(points=2)
def feed_has_one_array_a_column():
    """feed() gives one array a column, of shape (n, 1): numbers as float32, text as it is"""
    found = formats.feed(small.head(5))
    for name in ("minutes", "miles"):
        expect(str(found[name].dtype), f"the type of {name}").equals("float32", hint=".to_numpy(np.float32)")
        expect(found[name][:, 0]).is_close(small[name].head(5).to_numpy(np.float32), abs=1e-3)
    for name in ("airport", "company"):
        expect([str(value) for value in found[name][:, 0]], name).equals(small[name].head(5).tolist())


@question.check(points=3)
def onnx_says_the_same():
    """convert() makes an ONNX model that says the same as the pipeline, within 0.00001"""
    answer = formats.convert(small.head(200), small_late.head(200), small.tail(100), **kinds)
    furthest = float(np.abs(answer["probability"] - answer["expected"]).max())
    if furthest > 1e-5:
        fail(
            "a probability of the ONNX model differs from the pipeline's",
            expected="within 0.00001",
            actual=f"{furthest:.6f} apart",
        )


@question.check(points=1)
def an_honest_file_is_opened():
    """open_skops() opens a file that holds only a model"""
    answer = formats.open_skops("honest")
    if "refused" in answer:
        kind, _, message = answer["refused"].partition(": ")
        if kind == "NotImplementedError":
            fail("open_skops() is not written yet", hint="this is the place for your code")
        fail(f"it raises {kind}: {message}"[:300], hint="numpy.dtype is in ALLOWED; trusted= takes that list")
    expect(answer["same"], "whether the opened model predicts like the one in the file").is_true()
