"""The store of objects that pipelines talk to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course import storage


def test_an_object_comes_back_and_is_listed_in_order(tmp_path):
    store = storage.FolderStore(tmp_path / "store")
    store.put("landing/2.csv", b"two")
    store.put("landing/1.csv", b"one")
    store.put("landing/1.csv", b"first")
    assert store.get("landing/1.csv") == b"first"
    assert store.list("landing/") == ["landing/1.csv", "landing/2.csv"]
    assert store.list("clean/") == []


def test_only_the_first_of_two_writers_writes(tmp_path):
    store = storage.FolderStore(tmp_path)
    assert store.put_if_absent("verdicts/1.json", b"yes")
    assert not store.put_if_absent("verdicts/1.json", b"no")
    assert store.get("verdicts/1.json") == b"yes"
    assert store.list() == ["verdicts/1.json"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../other", "a//b", "a/.hidden", "a b", 5, "/".join("a" * 9)])
def test_a_key_stays_in_the_store(tmp_path, key):
    store = storage.FolderStore(tmp_path)
    with pytest.raises(storage.BadKey, match="is not a key"):
        store.put(key, b"")
    with pytest.raises(storage.BadKey, match="is not a key"):
        store.get(key)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(storage.Missing, match=r"^the store has no object 'landing/1\.csv'$"):
        storage.FolderStore(tmp_path).get("landing/1.csv")


def test_text_is_refused_with_its_remedy(tmp_path):
    with pytest.raises(TypeError, match="encode"):
        storage.FolderStore(tmp_path).put("a", "text")


def test_a_store_that_is_down_writes_nothing_and_comes_back(tmp_path, monkeypatch):
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"unavailable": 2}))
    monkeypatch.setenv(storage.FAULTS, str(faults))
    store = storage.FolderStore(tmp_path / "store")
    for _ in range(2):
        with pytest.raises(storage.Unavailable, match="503"):
            store.put("a", b"")
    assert store.list() == []


def test_a_process_dies_before_its_second_write(tmp_path):
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"die_at_write": 2}))
    code = "from course import storage; s = storage.connect(); s.put('a', b'1'); s.get('a'); s.put('b', b'2')"
    env = {**os.environ, storage.FAULTS: str(faults), storage.STORE: str(tmp_path / "store")}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=Path.cwd(), check=False)
    assert done.returncode == storage.KILLED
    assert storage.FolderStore(tmp_path / "store").list() == ["a"]
