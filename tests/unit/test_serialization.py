"""Values travel between a check and a student's process, and hostile messages end in a WireError."""

from __future__ import annotations

import datetime as dt
import io
import json
import struct

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from course.sandboxed import serialization
from course.sandboxed.serialization import WireError

QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.dates()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=15,
)
COLUMNS = {
    "int8": pd.Series([1, -2, 3], dtype="int8"),
    "uint64": pd.Series([0, 1, 2**64 - 1], dtype="uint64"),
    "float32": pd.Series([0.5, np.nan, -np.inf], dtype="float32"),
    "bool": pd.Series([True, False, True]),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "Int64": pd.Series([1, None, 3], dtype="Int64"),
    "Float64": pd.Series([1.5, None, 3], dtype="Float64"),
    "str": pd.Series(["a", None, "ü"], dtype="str"),
    "string": pd.Series(["a", None, "ü"], dtype="string"),
    "object": pd.Series(["a", np.nan, "b"], dtype="object"),
    "category": pd.Series(["x", "y", "x"], dtype="category"),
    "datetime": pd.Series(pd.to_datetime(["2013-01-01 00:00", None, "2013-07-04 12:00"])),
    "zoned": pd.Series(
        pd.to_datetime(["2013-01-01 00:00", "2013-03-10 06:59", "2013-11-03 05:30"], utc=True)
    ).dt.tz_convert("America/New_York"),
    "timedelta": pd.Series(pd.to_timedelta(["1min", None, "3D"])),
}


def travelled(value):
    """The value as the other side gets it."""
    stream = io.BytesIO(serialization.frame(serialization.pack(value)))
    return serialization.receive(lambda count: stream.read(count))


@QUIET
@given(TREES)
def test_plain_values_arrive_as_they_were(value):
    assert travelled(value) == value


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_each_type_arrives_with_its_values(name):
    sent = COLUMNS[name].rename(name)
    pd.testing.assert_series_equal(travelled(sent), sent, check_dtype=name not in ("str", "object"))


def test_a_table_keeps_its_index_its_duplicate_columns_and_its_order():
    frame = pd.concat([COLUMNS["int8"], COLUMNS["str"], COLUMNS["int8"]], axis=1, keys=["a", "b", "a"])
    frame.index = pd.MultiIndex.from_tuples([("x", 3), ("x", 1), ("y", 2)], names=["letter", None])
    pd.testing.assert_frame_equal(travelled(frame), frame, check_dtype=False)


def test_empty_tables_arrive_with_their_columns():
    frame = pd.DataFrame({"a": pd.Series(dtype=float), "b": pd.Series(dtype="datetime64[ns]")})
    arrived = travelled(frame)
    assert list(arrived.columns) == ["a", "b"]
    assert len(arrived) == 0


@QUIET
@given(npst.arrays(st.sampled_from(["int32", "float64", "bool"]), npst.array_shapes(max_dims=3, max_side=4)))
def test_arrays_keep_their_shape_and_values(array):
    np.testing.assert_array_equal(travelled(array), array)


@QUIET
@given(
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)), st.sampled_from([None, "UTC", "America/New_York"])
)
def test_a_moment_stays_the_same_moment(moment, zone):
    stamp = pd.Timestamp(moment).tz_localize("UTC").tz_convert(zone) if zone else pd.Timestamp(moment)
    assert travelled(stamp) == stamp


@pytest.mark.parametrize(
    "value", [float("inf"), -float("inf"), b"\x80\x04.", pd.Timedelta("3h"), pd.NA, pd.NaT, {1, 2}, np.float32(2)]
)
def test_unusual_scalars_arrive(value):
    arrived = travelled(value)
    assert arrived is value or arrived == value


def test_a_function_cannot_travel_and_the_message_says_what_can():
    with pytest.raises(WireError, match="return numbers, text, lists"):
        serialization.pack({"answer": lambda: 1})


def test_a_value_that_holds_itself_cannot_travel():
    loop: list = []
    loop.append(loop)
    with pytest.raises(WireError, match="levels deep"):
        serialization.pack(loop)


@QUIET
@given(TREES, st.data())
def test_a_truncated_message_is_refused(value, data):
    message = serialization.pack(value)
    cut = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(WireError):
        serialization.unpack(message[:cut])


@QUIET
@given(st.binary(max_size=200))
def test_noise_is_refused(noise):
    with pytest.raises(WireError, match="not a message"):
        serialization.unpack(noise)


@pytest.mark.parametrize(
    "tree",
    [
        {"$": "frame"},
        {"$": "frame", "table": 7, "index": [None], "columns": [], "dtypes": []},
        {"$": "array", "shape": [10**9, 10**9], "frame": {"$": "frame"}},
        {"$": "timestamp", "value": "x", "zone": "No/Where", "utc": "2013-01-01"},
        {"$": "set", "items": [[1]]},
        {"$": "pickle", "value": "gASVAAAA"},
        {"$": ["unhashable"]},
    ],
)
def test_a_tree_that_lies_about_itself_is_refused(tree):
    text = json.dumps(tree).encode()
    with pytest.raises(WireError):
        serialization.unpack(struct.pack("<II", 0, len(text)) + text)


def test_a_huge_length_is_refused_before_it_is_read():
    stream = io.BytesIO(struct.pack("<Q", 2**62))
    with pytest.raises(WireError, match="too large"):
        serialization.receive(stream.read)


def test_deeply_nested_json_is_refused():
    text = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(WireError):
        serialization.unpack(struct.pack("<II", 0, len(text)) + text)


def _message(tree, *tables: pa.Table) -> bytes:
    """A message with any tree and tables, as no honest worker would make it."""
    text = json.dumps(tree).encode()
    parts = [struct.pack("<II", len(tables), len(text)), text]
    for table in tables:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        parts += [struct.pack("<Q", len(data)), data]
    return b"".join(parts)


def _lists_of_nothing(count: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.nulls(count))


def _run(count: int) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array([count], pa.int32()), pa.array(["x"]))


@pytest.mark.parametrize(
    "column",
    [
        _lists_of_nothing(200_000_000),
        _run(200_000_000),
        pa.nulls(40_000_000),
        pa.array([{"a": 1}]),
        pa.array(["x"], pa.string_view()),
    ],
    ids=["a list of 200 million nothings", "one run", "nothings", "structures", "views"],
)
def test_a_few_bytes_do_not_become_many_values(column):
    frame = {"$": "frame", "table": 0, "rows": 1, "index": ["i"], "columns": [], "dtypes": ["object"]}
    message = _message(frame, pa.table({"c0": column}))
    assert len(message) < 2000
    with pytest.raises(WireError):
        serialization.unpack(message)


def test_numbers_that_collide_in_a_dictionary_are_refused():
    alike = [n * (2**61 - 1) for n in range(40_000)]
    with pytest.raises(WireError, match="the same hash"):
        serialization.unpack(_message({"$": "dict", "items": [[n, 0] for n in alike]}))
    with pytest.raises(WireError, match="the same hash"):
        serialization.unpack(_message({"$": "set", "items": alike}))


def test_a_tree_of_millions_of_values_is_refused_before_it_is_built():
    with pytest.raises(WireError, match="more than 2,000,000 values"):
        serialization.unpack(_message(0)[:4] + struct.pack("<I", 3_000_000) + b"[" * 3_000_000)
