"""Attacks from a module that writes files: what it leaves is read as bytes, and Parquet in a process of its own."""

# ruff: noqa: E501  (the table of attacks is read line by line)
from __future__ import annotations

import pytest

QUESTION = '''
from course.checks import Question, expect
from course.checks.files.tables import Tables
from course.checks.python.writers import writer

question = Question("Tables", points=4)

@question.check(2)
def parquet():
    """the table holds the number"""
    files = writer("star.py", timeout=6).call("write", 41).files
    expect(Tables(timeout=6).read("a.parquet", files.get("a.parquet", b""))["a"].tolist()).equals([41])

@question.check(2, hidden=True)
def parquet_again():
    """the table holds another number"""
    files = writer("star.py", timeout=6).call("write", 17).files
    expect(Tables(timeout=6).read("a.parquet", files.get("a.parquet", b""))["a"].tolist()).equals([17])

'''
HONEST = "import pandas as pd\ndef write(x, folder): pd.DataFrame({'a': [x]}).to_parquet(folder / 'a.parquet')"
MODULES = {
    "a link to a secret": "import os\ndef write(x, folder): os.symlink('@TOP@/holdout.parquet', folder / 'a.parquet')",
    "a file without end": "def write(x, folder): os.truncate(open(folder / 'a.parquet', 'w').name, 1 << 30)\nimport os",
    "a small file that stands for gigabytes": "import pyarrow as pa, pyarrow.parquet as pq\n"
    "def write(x, folder):\n"
    "    column = pa.DictionaryArray.from_arrays(pa.array([0] * 90_000, pa.int32()), ['x' * 1_000_000])\n"
    "    pq.write_table(pa.table({'a': column}), folder / 'a.parquet', compression='zstd')",
    "a footer that lies": "def write(x, folder):\n"
    "    (folder / 'a.parquet').write_bytes(b'PAR1' + b'\\xff' * 5000 + b'\\x80\\x13\\x00\\x00PAR1')",
    "a reader that was patched where it does not read": "import pandas as pd, pyarrow.parquet as pq\n"
    "class Liar:\n    def __init__(self, *a, **k): pass\n    def __getattr__(self, name): return lambda *a, **k: [41, 17]\n"
    "pq.ParquetFile = Liar\nimport course.sandboxed.table_reader as r\n"
    "r.read_parquet = lambda content: {'table': pd.DataFrame({'a': [41]})}\n"
    "def write(x, folder): (folder / 'a.parquet').write_bytes(b'PAR1')",
}


@pytest.mark.parametrize("name", MODULES)
def test_hostile_tables_earn_nothing_and_end(arena, name):
    found = arena.grade([f"%%ship --no-run star.py\n{MODULES[name]}"], question=QUESTION)
    assert found.score == 0, found.shown
    assert "could not go on" not in found.shown
    assert arena.fill("@CANARY@") not in found.shown + found.printed


def test_an_honest_module_is_read_beside_them(arena):
    found = arena.grade([f"%%ship --no-run star.py\n{HONEST}"], question=QUESTION)
    assert found.score == 4, found.shown
