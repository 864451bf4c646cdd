"""Shipped files are opened with care: nothing is followed, nothing runs, nothing takes long."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from course.base import untrusted
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.files import reading


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of shipped files."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))
    return folder


def refusal(call, *args, **kwargs) -> Unmet:
    with pytest.raises(Unmet) as caught:
        call(*args, **kwargs)
    return caught.value


# -------------------------------------------------------------------------------------------------------------- reading


def test_a_shipped_file_is_read(shipped):
    (shipped / "inner").mkdir()
    (shipped / "inner" / "a.txt").write_bytes(b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe")
    assert reading.read("inner/a.txt") == b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe"
    assert reading.text("inner/a.txt") == "grüße"


def test_a_missing_file_says_which_cell_to_run(shipped):
    error = refusal(reading.read, "project.yaml")
    assert error.title == "project.yaml is shipped"
    assert error.reason == "there is no project.yaml among the shipped files"
    assert "run the cell that ships project.yaml" in error.hint


def test_a_missing_folder_of_shipped_files_is_like_a_missing_file(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "nowhere"))
    assert "there is no a.txt" in refusal(reading.read, "a.txt").reason


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../secret", "a/../../secret", "a/.."])
def test_a_check_that_asks_for_a_path_outside_is_a_bug(shipped, name):
    with pytest.raises(ValueError, match="must be a path below"):
        reading.read(name)


def test_a_link_to_a_file_is_refused(shipped, tmp_path):
    (tmp_path / "secret").write_text("42")
    (shipped / "a.txt").symlink_to(tmp_path / "secret")
    assert "is a link, not an ordinary file" in refusal(reading.text, "a.txt").reason


def test_a_link_in_the_middle_of_the_path_is_refused(shipped, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("42")
    (shipped / "inner").symlink_to(tmp_path / "other")
    refusal(reading.text, "inner/a.txt")


def test_a_link_in_place_of_the_whole_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour" / "a.txt").write_text("42")
    (tmp_path / "shipped").symlink_to(tmp_path / "neighbour")
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))
    refusal(reading.text, "a.txt")
    refusal(reading.listing)


def test_a_link_that_leads_nowhere_is_refused(shipped):
    (shipped / "a.txt").symlink_to("nowhere")
    assert "is a link" in refusal(reading.text, "a.txt").reason


def test_a_pipe_is_refused_at_once(shipped):
    os.mkfifo(shipped / "a.txt")
    assert "is a pipe" in refusal(reading.text, "a.txt").reason  # opened, it would wait for a writer for ever


def test_a_pipe_that_takes_a_files_place_does_not_block(shipped, monkeypatch):
    os.mkfifo(shipped / "pipe")
    (shipped / "a.txt").write_text("42")
    real = os.stat

    def swap(path, **options):
        found = real(path, **options)
        if path == "a.txt" and "dir_fd" in options and not (shipped / "kept").exists():
            (shipped / "a.txt").rename(shipped / "kept")
            (shipped / "pipe").rename(shipped / "a.txt")
        return found

    monkeypatch.setattr(untrusted.os, "stat", swap)
    assert "changed while it was being read" in refusal(reading.text, "a.txt").reason


def test_a_socket_and_a_folder_are_refused(shipped, monkeypatch):
    monkeypatch.chdir(shipped)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.txt")
        assert "is a socket" in refusal(reading.text, "a.txt").reason
    (shipped / "b.txt").mkdir()
    assert "is a folder" in refusal(reading.text, "b.txt").reason


def test_a_huge_file_is_not_read(shipped):
    with (shipped / "a.txt").open("wb") as file:
        file.truncate(2**40)  # sparse: it takes no room on the disk
    error = refusal(reading.text, "a.txt")
    assert (error.expected, error.actual) == ("1.0 MiB", "1048576.0 MiB")


def test_the_size_limit_is_exact(shipped):
    (shipped / "a.txt").write_bytes(b"12345")
    assert reading.read("a.txt", max_bytes=5) == b"12345"
    assert "too large" in refusal(reading.read, "a.txt", max_bytes=4).reason


def test_bytes_that_are_no_text_say_where(shipped):
    (shipped / "a.txt").write_bytes(b"abc\xff")
    assert "not UTF-8 text" in refusal(reading.text, "a.txt").reason
    assert "at byte 3" in refusal(reading.text, "a.txt").reason


def test_a_file_that_may_not_be_read_is_refused(shipped, monkeypatch):
    (shipped / "a.txt").write_text("42")

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(untrusted.os, "open", deny)
    assert refusal(reading.text, "a.txt").reason == "a.txt cannot be opened: Permission denied"


def test_no_descriptor_is_left_open(shipped):
    (shipped / "inner").mkdir()
    (shipped / "inner" / "a.txt").write_text("42")
    os.mkfifo(shipped / "inner" / "pipe")
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        reading.read("inner/a.txt")
        refusal(reading.read, "inner/pipe")
        refusal(reading.read, "inner/none")
        refusal(reading.read, "none/none")
    assert len(os.listdir("/dev/fd")) == before


# ------------------------------------------------------------------------------------------------------------ documents


def test_a_document_is_plain_data(shipped):
    (shipped / "p.yaml").write_text("a: yes\nb: [1, 2.5]\nc: {d: null}\ne: 'yes'\n")
    assert reading.document("p.yaml") == {"a": True, "b": [1, 2.5], "c": {"d": None}, "e": "yes"}


def test_json_is_a_document_too(shipped):
    data = {"a": [1, {"b": "ü: -"}], "c": None}
    (shipped / "p.json").write_text(json.dumps(data))
    assert reading.document("p.json") == data


def test_an_alias_stands_for_what_it_names():
    source = "kept: &kept {why: known on the day, useful: yes}\na: *kept\nb: {<<: *kept, useful: no}\n"
    data = reading.parse(source, "p.yaml")
    assert data["a"] == {"why": "known on the day", "useful": True}
    assert data["b"] == {"why": "known on the day", "useful": False}


def test_aliases_are_counted_as_what_they_stand_for_so_that_no_small_file_grows():
    bomb = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
        f"{c}: &{c} [{', '.join(['*' + b] * 8)}]\n" for b, c in zip("abcdef", "bcdefg", strict=True)
    )
    error = refusal(reading.parse, bomb, "p.yaml")
    assert "line 5" in error.reason
    assert "too large or too deep, once *d is replaced by what it stands for" in error.reason
    long = f"a: &a {'x' * 2**17}\nb: [{', '.join(['*a'] * 20)}]"
    assert "too large" in refusal(reading.parse, long, "p.yaml").reason
    deep = "a0: &a0 [1]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(40))
    assert "too deep" in refusal(reading.parse, deep, "p.yaml").reason


def test_an_alias_within_what_it_names_is_refused():
    assert "*a stands within what it names" in refusal(reading.parse, "a: &a [*a]", "p.yaml").reason


def test_many_keys_that_are_numbers_are_refused_because_they_may_collide():
    keys = (2**61 - 1) * 10**30  # all of them are alike to a dictionary
    source = "\n".join(f"{keys * n}: x" for n in range(1, 2000))
    assert "more than 1000 keys are no text" in refusal(reading.parse, source, "p.yaml").reason


def test_half_a_character_becomes_a_mark(shipped):
    assert reading.parse('"a\\ud800": "b\\udfff"', "p.yaml") == {"a\ufffd": "b\ufffd"}
    (shipped / "answers.json").write_text('{"a": ["\\ud800", "\\ud83d\\ude00"]}')
    assert reading.answer("a") == ["\ufffd", "\U0001f600"]


@pytest.mark.parametrize("tag", ["!!bool maybe", "!!int ''", "!!timestamp soon", "!!float ''"])
def test_a_value_that_does_not_fit_its_tag_is_refused(tag):
    assert "not plain YAML" in refusal(reading.parse, f"a: {tag}", "p.yaml").reason


@pytest.mark.parametrize(
    "source", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "a: !mine b"]
)
def test_a_tag_is_refused(source):
    assert "tags (!name) are not allowed here" in refusal(reading.parse, source, "p.yaml").reason


@pytest.mark.timed("what such a document costs is time: minutes, where the parser goes back and forth in it")
@pytest.mark.parametrize(
    "source",
    [
        "[" * 200_000,
        "{a: " * 50_000,
        "- a\n" * 60_000,
        "".join(" " * depth + "a:\n" for depth in range(500)),
        "a: " + "1:" * 100_000 + "1",
        "a: " + "9" * 200_000,
        "&a " * 60_000,
        "%" * 200_000,
    ],
    ids=["brackets", "braces", "items", "indents", "base 60", "digits", "anchors", "directives"],
)
def test_a_document_made_to_take_long_does_not(source):
    started = time.process_time()  # the machine may be busy with other things
    with contextlib.suppress(Unmet):
        assert isinstance(reading.parse(source, "p.yaml")["a"], str)
    assert time.process_time() - started < 10


def test_a_document_may_be_a_quarter_of_a_mebibyte_and_no_more(shipped):
    (shipped / "p.yaml").write_text("#" * 2**18)
    assert reading.document("p.yaml") is None
    (shipped / "p.yaml").write_text("#" * (2**18 + 1))
    assert "too large" in refusal(reading.document, "p.yaml").reason


def test_a_key_that_appears_twice_is_refused():
    assert "line 2 (a: 2): the key 'a' appears twice" in refusal(reading.parse, "a: 1\na: 2", "p.yaml").reason
    assert "appears twice" in refusal(reading.parse, "x: {b: 1, b: 2}", "p.yaml").reason


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("question: We ask: is it late?", "line 1 (question: We ask: is it late?): there is a ': '"),
        ("a:\n\tb: 1", "line 2 (b: 1): a text cannot begin like this without quotes, and indentation is spaces"),
        ("a: @home", "a text cannot begin like this"),
        ("a: 'it's late'", "the text goes on after its closing quote"),
        ("a: [1, 2", "opened and never closed"),
        ("a: 'open", "opened and never closed"),
        ("a: 1\nb: 'open\nc: 2", "line 2 (b: 'open): a quote, bracket or brace is opened and never closed"),
        ("a: 1\nb: {x: 1\nc: 2", "line 2 (b: {x: 1): a bracket or brace is never closed"),
        ("a:\n  b:2\n  c: 3", "line 2 (b:2): there is no space behind the colon"),
        ("a:\n  c: 3\n  b:2", "line 3 (b:2): there is no space behind the colon"),
        ("- a\nb: 1", "line 2 (b: 1): this line is indented more or less"),
        ("a: 1\n---\nb: 2", "only one document"),
        ("a: 2013-13-45", "month must be in 1..12"),
        ("a: \x00", "not plain YAML"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("a: !!int ten", "not plain YAML"),
    ],
)
def test_yaml_that_cannot_be_read_says_where_and_why(source, message):
    error = refusal(reading.parse, source, "p.yaml")
    assert error.title == "p.yaml can be read"
    assert message in error.reason


# -------------------------------------------------------------------------------------------------------------- answers


def test_an_answer_is_found(shipped):
    (shipped / "answers.json").write_text('{"late_rate": 0.25, "none": null}')
    assert reading.answer("late_rate") == 0.25
    assert reading.answer("none") is None


@pytest.mark.parametrize("content", [None, "{}", "[]", '"late_rate"', "null"])
def test_an_answer_that_is_not_there_says_which_cell_to_run(shipped, content):
    if content is not None:
        (shipped / "answers.json").write_text(content)
    error = refusal(reading.answer, "late_rate")
    assert error.title == "answers['late_rate'] is shipped"
    assert error.reason == "there is no answer 'late_rate' yet"
    assert error.hint == 'set answers["late_rate"] in the cell of its exercise, and run that cell'


@pytest.mark.parametrize(
    "content",
    ["{", '{"a": NaN}', '{"a": -Infinity}', "[" * 100_000, '{"a": ' + "9" * 10_000 + "}", "[" + "[]," * 300_000 + "0]"],
    ids=["cut", "NaN", "infinity", "deep", "digits", "many"],
)
def test_answers_that_are_not_json_are_no_crash(shipped, content):
    (shipped / "answers.json").write_text(content)
    assert refusal(reading.answer, "a").reason == "answers.json is not JSON"


def test_answers_that_cannot_be_opened_say_why(shipped):
    (shipped / "answers.json").symlink_to("/etc/hostname")
    assert "answers.json is a link" in refusal(reading.answer, "a").reason
    (shipped / "answers.json").unlink()
    (shipped / "answers.json").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(reading.answer, "a").reason


def test_an_answer_is_whole_while_another_process_writes(shipped):
    """A reader sees the old file or the new one, because writers replace it."""
    from course.shipping import answers

    answers["a"] = "x"
    done = threading.Event()

    def write() -> None:
        for length in range(200):
            answers["a"] = "x" * (length * 97 % 5000)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert set(reading.answer("a")) <= {"x"}
    writer.join()


# ------------------------------------------------------------------------------------------------------------- listings


def test_a_listing_holds_paths_and_sizes_in_order(shipped):
    (shipped / "model" / "b").mkdir(parents=True)
    (shipped / "model" / "z.txt").write_text("123")
    (shipped / "model" / "b" / "a.txt").write_text("1")
    assert list(reading.listing("model").items()) == [("b/a.txt", 1), ("z.txt", 3)]


def test_a_listing_of_nothing_says_what_to_do(shipped, tmp_path):
    assert "there is no folder model" in refusal(reading.listing, "model").reason
    (shipped / "model").symlink_to(tmp_path)
    assert "there is no folder model" in refusal(reading.listing, "model").reason


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc"), os.mkfifo], ids=["link", "pipe"])
def test_a_listing_refuses_what_is_no_ordinary_file(shipped, make):
    (shipped / "model").mkdir()
    make(shipped / "model" / "odd")
    with pytest.raises(CheckFailed, match="model/odd is a"):
        reading.listing("model")


def test_a_listing_ends_at_its_limit(shipped):
    for number in range(6):
        (shipped / f"{number}.txt").touch()
    assert len(reading.listing(most=6)) == 6
    with pytest.raises(CheckFailed, match="more than 5 files"):
        reading.listing(most=5)
