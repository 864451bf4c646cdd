"""A student's module is called through its own process, and what goes wrong there is said in words that help."""

from __future__ import annotations

import textwrap

import pandas as pd
import pytest

from course.checks import module
from course.checks.core.expectations import CheckFailed, Unmet


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """Ship a file."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))

    def save(name: str, source: str) -> None:
        (folder / name).write_text(textwrap.dedent(source))

    return save


def test_a_function_gets_a_table_and_gives_one_back(ship):
    ship("features.py", "def double(table):\n    return table * 2")
    table = pd.DataFrame({"a": [1, 2]}, index=[7, 3])
    pd.testing.assert_frame_equal(module("features.py").double(table), table * 2)


def test_the_arguments_come_back_as_the_function_left_them(ship):
    ship("features.py", "def spoil(table):\n    table['b'] = 1\n    return len(table)")
    table = pd.DataFrame({"a": [1, 2]})
    result, (after,) = module("features.py").spoil.and_arguments(table)
    assert (result, list(after.columns), list(table.columns)) == (2, ["a", "b"], ["a"])


def test_a_file_that_is_not_there_is_named(ship):
    with pytest.raises(Unmet, match=r"there is no features\.py") as raised:
        module("features.py").add()
    assert raised.value.title == "features.py is shipped"


def test_a_missing_import_says_the_line_and_that_the_notebook_does_not_help(ship):
    ship("features.py", "x = 1\ny = pd.DataFrame()")
    with pytest.raises(Unmet, match="line 2: NameError") as raised:
        module("features.py").add()
    assert raised.value.title == "features.py can be imported"
    assert "only what it imports itself" in raised.value.hint


def test_a_syntax_error_says_its_line(ship):
    ship("features.py", "def add(:\n    pass")
    with pytest.raises(Unmet, match="line 1: SyntaxError"):
        module("features.py").add()


def test_an_error_in_another_shipped_file_names_that_file(ship):
    ship("helper.py", "def work():\n    raise ValueError('no')")
    ship("features.py", "import helper\ndef add():\n    return helper.work()")
    with pytest.raises(CheckFailed, match=r"helper\.py, line 2: ValueError: no"):
        module("features.py").add()


def test_a_missing_function_is_named(ship):
    ship("features.py", "def addd():\n    pass")  # codespell:ignore addd
    with pytest.raises(Unmet, match="there is no add in") as raised:
        module("features.py").add()
    assert raised.value.title == "features.py defines add()"


@pytest.mark.parametrize("name", ["pandas.py", "json.py"])
def test_a_module_with_the_name_of_a_library_is_refused(ship, name):
    ship(name, "def add():\n    return 1")
    with pytest.raises(Unmet, match="is taken"):
        module(name).add()


def test_a_shipped_pandas_does_not_shadow_the_real_one(ship):
    ship("pandas.py", "raise RuntimeError('shadowed')")
    ship("features.py", "import pandas\ndef version():\n    return pandas.__version__")
    assert module("features.py").version() == pd.__version__


def test_what_cannot_travel_is_the_fault_of_the_return_and_is_said_so(ship):
    ship("features.py", "def add():\n    return open(__file__)")
    with pytest.raises(CheckFailed, match="returned something else than expected: a value of type TextIOWrapper"):
        module("features.py").add()


def test_a_call_that_does_not_end_fails_and_the_next_one_works_again(ship):
    ship("features.py", "def loop():\n    while True: pass\ndef one():\n    return 1")
    features = module("features.py", timeout=4)
    with pytest.raises(CheckFailed, match="did not finish within 4 seconds"):
        features.loop()
    assert features.one() == 1


def test_a_module_that_ends_the_program_is_told_not_to(ship):
    ship("features.py", "import sys\nsys.exit()")
    with pytest.raises(Unmet, match="SystemExit") as raised:
        module("features.py").add()
    assert "must not end the program" in raised.value.hint


def test_an_error_with_a_hostile_message_is_still_told(ship):
    ship(
        "features.py",
        "class E(Exception):\n    def __str__(self):\n        raise RuntimeError\ndef add():\n    raise E",
    )
    with pytest.raises(CheckFailed, match=r"E: .*no message"):
        module("features.py").add()


OWN = """
    class Refused(Exception):
        pass

    class TooOld(Refused):
        pass

    class NotFound(LookupError):
        pass

    class ValueError(Exception):
        "Not Python's own."

    class Loud(type):
        @property
        def __module__(cls):
            raise KeyError("no")

    def fail(which):
        raise {"old": TooOld, "away": NotFound, "forged": ValueError, "json": json.JSONDecodeError}[which]("no", "", 0)

    def work(which):
        return [which]

    def loud():
        raise Loud("Broken", (Exception,), {})("said")

    import json
"""


@pytest.mark.parametrize(
    ("which", "family", "others"),
    [
        ("old", ("TooOld", "Refused", "Exception"), ("ValueError",)),
        ("away", ("NotFound", "LookupError"), ("KeyError", "ValueError")),
        ("forged", ("Exception",), ("ValueError", "LookupError")),
        ("json", ("JSONDecodeError", "ValueError"), ("LookupError",)),
    ],
)
def test_an_exception_counts_as_every_class_that_it_is_derived_from(ship, which, family, others):
    ship("rules.py", OWN)
    reply = module("rules.py").fail.reply(which)
    assert [name for name in family if not reply.raised(name)] == []
    assert [name for name in others if reply.raised(name)] == []
    for name in family:
        reply.must_raise(name, "fail()")


def test_what_must_raise_fails_with_what_came_instead(ship):
    ship("rules.py", OWN)
    rules = module("rules.py")
    with pytest.raises(CheckFailed, match=r"work\('x'\) raises nothing, though that is no name") as raised:
        rules.work.reply("x").must_raise("ValueError", "work('x')", because="that is no name")
    assert (raised.value.expected, raised.value.actual) == (
        "ValueError, or a class derived from it",
        "it returned ['x']",
    )
    with pytest.raises(CheckFailed, match="raises another error") as raised:
        rules.fail.reply("away").must_raise("ValueError", "fail()")
    assert raised.value.actual.startswith("NotFound: ('no', '', 0)")


def test_a_class_that_hides_its_family_is_an_exception_like_any_other(ship):
    ship("rules.py", OWN)
    reply = module("rules.py").loud.reply()
    assert (reply.error, reply.message, reply.raised("ValueError")) == ("Broken", "said", False)


def test_a_hint_is_given_for_the_family_of_an_exception(ship):
    ship("features.py", "class Mine(KeyError):\n    pass\ndef add():\n    raise Mine('dest')")
    with pytest.raises(CheckFailed, match="line 4: Mine: 'dest'") as raised:
        module("features.py").add()
    assert raised.value.hint == "is there a column or key of that name, spelled the same?"
