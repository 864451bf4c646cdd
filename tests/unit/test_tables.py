"""Tables that somebody else wrote: Parquet and CSV are compared by meaning, and a star schema must hold together."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from course.checks import CheckFailed
from course.checks.core import processes
from course.checks.files.star_schemas import Star
from course.checks.files.tables import Tables, canonical_column, read_csv, same
from course.sandboxed import table_reader

FLIGHTS = pd.DataFrame(
    {
        "flight": ["a", "b", "c"],
        "date": pd.to_datetime(["2013-11-02", "2013-11-03", "2013-11-03"]),
        "left": pd.to_datetime(["2013-11-02 05:00-04:00", "2013-11-03 05:00-05:00", None], utc=True),
        "warned": [True, False, True],
        "cost": [10.0, None, 0.1 + 0.2],
        "name": ['He said "no", twice', "", "Zoë"],
    }
)
MODEL = """
tables:
  facts:
    key: flight
    references: {place: places.place}
    columns: {flight: {meaning: the flight}, place: {meaning: where}, cost: {meaning: how much, unit: EUR}}
  places:
    key: place
    columns: {place: {meaning: where}}
"""


@pytest.fixture
def tables(warm_workers) -> Iterator[Tables]:
    yield Tables()
    processes.end_all()


def parquet(frame: pd.DataFrame) -> bytes:
    return frame.to_parquet(index=False)


def written(text: str) -> pd.DataFrame:
    return read_csv("a.csv", text.encode())


def test_a_table_survives_both_formats(tables):
    table = tables.read("a.parquet", parquet(FLIGHTS))
    texts = read_csv("a.csv", FLIGHTS.sample(frac=1, random_state=1).to_csv(index=False).encode())
    same(table, texts, ["flight"], "a")
    same(table, texts, ["left", "name"], "a")


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("cost", ["10", "", "0.31"], "cost differs"),
        ("cost", ["10", "0", "0.3"], "cost differs"),
        ("warned", ["True", "False", "False"], "warned differs"),
        ("date", ["2013-11-02", "2013-11-03", "2013-11-04"], "date differs"),
        ("left", ["2013-11-02 05:00", "2013-11-03 10:00:00+00", ""], "left differs"),
        ("flight", ["a", "b", "d"], "is not in a.parquet"),
    ],
)
def test_a_value_that_differs_is_named(column, values, reason):
    texts = read_csv("a.csv", FLIGHTS.assign(**{column: values}).to_csv(index=False).encode())
    with pytest.raises(CheckFailed, match=reason):
        same(FLIGHTS, texts, ["flight"], "a")


def test_other_ways_to_write_the_same_are_the_same():
    text = "name,warned,cost,left,date,flight\n"
    text += '"He said ""no"", twice",t,1e1,2013-11-02T09:00:00Z,2013-11-02T00:00:00,a\n'
    text += ",0,NULL,2013-11-03 05:00:00-05,2013-11-03,b\nZoë,1,0.3,,2013-11-03 00:00:00,c\n"
    same(FLIGHTS, written(text), ["flight"], "a")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("a;b\n1;2\n", "does not separate its columns by commas"),
        ("a,b\n1,2,3\n", "row 2 of a.csv has 3 values"),
        ("a,a\n1,2\n", "two columns of the same name"),
        ('a,b\n"1,2\n', "is not CSV"),
        ("a" * (8 * 2**20 + 1), "larger than 8 MiB"),
    ],
)
def test_what_is_no_csv_is_told_so(text, reason):
    with pytest.raises(CheckFailed, match=reason):
        written(text)


def test_row_numbers_of_pandas_are_recognised():
    with pytest.raises(CheckFailed) as failure:
        same(FLIGHTS, read_csv("a.csv", FLIGHTS.to_csv().encode()), ["flight"], "a")
    assert "index=False" in failure.value.hint


def bomb(values: pa.Array) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table({"a": values}), data, compression="zstd")
    return data.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as Parquet"),
        (b"PAR1" + b"\xff" * 40 + b"\xff\xff\xff\x7fPAR1", "cannot be read as Parquet"),
        (bomb(pa.nulls(200_000)), "more than 100,000 rows"),
        (bomb(pa.DictionaryArray.from_arrays(pa.array([0] * 90_000, pa.int32()), ["x" * 100_000])), "MiB of memory"),
        (bomb(pa.array([[1]])), "lists or structures"),
    ],
)
def test_a_parquet_file_that_stands_for_too_much_is_refused(content, reason):
    assert len(content) < 10_000
    assert reason in table_reader.read_parquet(content)["problem"]


def star(tables: Tables, model: str = MODEL, **changes: pd.DataFrame) -> Star:
    frames = {
        "facts": pd.DataFrame({"flight": [1, 2, 3], "place": ["JFK", "LGA", "JFK"], "cost": [0, 10.0, None]}),
        "places": pd.DataFrame({"place": ["JFK", "LGA"]}),
    } | changes
    files = {f"{name}.parquet": parquet(frame) for name, frame in frames.items()}
    files |= {f"{name}.csv": frame.to_csv(index=False).encode() for name, frame in frames.items()}
    return Star({**files, "model.yml": model.encode()}, tables)


def judge(found: Star) -> None:
    for name, key in (("facts", "flight"), ("places", "place")):
        found.agrees(name, key)
        found.has_keys(name)
        found.is_documented(name, units=("cost",) if name == "facts" else ())
    found.refers("facts", {"place": "places"})
    found.leads("facts", "place", "places", "place")


def test_a_star_schema_holds_together(tables):
    judge(star(tables))


TWICE = pd.DataFrame({"place": ["JFK", "LGA", "JFK"]})
ORPHAN = pd.DataFrame({"place": ["JFK", None]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": MODEL.replace("key: flight", "about: x")}, "names no key of the table facts"),
        ({"model": MODEL.replace("key: flight", "key: fligt")}, "not a column of it: 'fligt'"),
        ({"model": MODEL.replace("places.place", "places")}, "does not name the key of a table"),
        ({"model": MODEL.replace("    references: {place: places.place}\n", "")}, "no reference from facts.place"),
        ({"model": MODEL.replace(", unit: EUR", "")}, "no unit of facts.cost"),
        ({"model": MODEL.replace("{meaning: the flight}", "{}")}, "no meaning of facts.flight"),
        ({"model": MODEL.replace("cost:", "price: {meaning: x}, cost:")}, "a column that facts does not have: 'price'"),
        ({"model": "tables: [facts]"}, "does not list the tables"),
        ({"model": "&a [*a]"}, "model.yml|line"),
        ({"places": TWICE}, "1 rows of places have a key that another row has, such as 'JFK'"),
        ({"places": ORPHAN}, "a row of places has no place"),
        ({"places": ORPHAN.iloc[:1]}, "1 rows of facts have a place that places.place lacks: 'LGA'"),
    ],
)
def test_a_broken_star_schema_is_told_what_is_wrong(tables, changes, reason):
    with pytest.raises(CheckFailed, match=reason):
        judge(star(tables, **changes))


def test_numbers_and_missing_values_have_one_form():
    assert canonical_column(pd.Series([1, 2])) == [1.0, 2.0]
    assert canonical_column(pd.Series([1, None], dtype="Int64")) == [1.0, None]
    assert canonical_column(pd.Series(pd.to_datetime(["2013-11-03", None]))) == ["2013-11-03", None]
