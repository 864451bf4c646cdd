"""course.checks.python.suites: a student's tests are run apart from everything, judged, and told what is the matter."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from course.checks import Mutation, Question, original, tests, variant
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.python.suites import read_report

CODE = "FACTOR = 2\n\ndef double(number):\n    return number * 2\n"
OTHER = "def double(number):\n    return number + number\n"
GOOD = "from code_under_test import double\n\ndef test_double():\n    assert double(3) == 6\n"


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))
    return folder


@pytest.fixture
def run(shipped):
    """Ship a test file and run it against some code."""

    def of(source: str, code: str = CODE, **options):
        (shipped / "test_it.py").write_text(source)
        return tests("test_it.py").run({"code_under_test.py": code}, **{"timeout": 10, **options})

    return of


@pytest.fixture
def study(shipped):
    """Ship a test file; return a question and its mutation study with one broken version."""

    def of(source: str, *, broken=("number * 2", "number * 3"), **options):
        (shipped / "test_it.py").write_text(source)
        question = Question("Tests of doubling", points=2)
        study = Mutation(question, tests("test_it.py"), {"the code": {"code_under_test.py": CODE}}, **options)
        study.accepts("another version", {"code_under_test.py": OTHER})
        points = 2 - options.get("points", 0)
        study.catches("tripling is caught", {"code_under_test.py": variant(CODE, broken)}, points=points)
        return question

    return of


def test_good_tests_pass_on_correct_code_and_fail_on_broken_code(run):
    good = run(GOOD)
    assert (good.ok, good.red, good.passed, good.names) == (True, False, 1, ("test_double",))
    bad = run(GOOD, variant(CODE, ("* 2", "* 3"))())
    assert (bad.ok, bad.red, bad.failed) == (False, True, 1)
    assert bad.failures[0]["name"] == "test_double"
    assert bad.failures[0]["line"] == 4
    assert "9 == 6" in bad.failures[0]["message"]


def test_messages_hold_no_memory_addresses(run):
    failed = run("def test_it():\n    assert object() == 1\n")
    assert "0x" not in failed.failures[0]["message"]


def test_fixtures_parameters_and_properties_work(run):
    source = """
import pytest
from hypothesis import given, strategies
from code_under_test import double

@pytest.fixture
def three():
    return 3

@pytest.mark.parametrize("more", [0, 1])
def test_fixture(three, more):
    assert double(three + more) == 6 + 2 * more

@given(strategies.integers())
def test_property(number):
    assert double(number) % 2 == 0
"""
    assert run(source).passed == 3
    assert run(source, "def double(number):\n    return number * 3\n").failed == 3


def test_a_failure_of_a_property_tells_the_example(run):
    source = (
        "from hypothesis import given, strategies\n@given(strategies.integers())\ndef test_it(n):\n    assert n < 5\n"
    )
    assert "n=" in run(source).failures[0]["message"]


def test_the_grader_gives_fixtures_and_data_and_the_students_conftest_is_not_read(run, shipped):
    (shipped / "conftest.py").write_text("raise RuntimeError('a conftest of the student')")
    (shipped / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    (shipped / "test_it.py").write_text("def test_it(rows):\n    assert len(rows) == 3\n")
    conftest = "import pytest\nfrom data import table\n\n@pytest.fixture\ndef rows():\n    return table()\n"
    data = "from tables import TABLES\n\ndef table():\n    return TABLES['a']\n"
    version = {"conftest.py": conftest, "data.py": data}
    table = pd.DataFrame({"a": [1, 2, 3]})
    assert tests("test_it.py").run(version, tables={"a": table, "not named": table}).ok
    assert tests("test_it.py").run(version, tables={"a": table.head(1)}).red


def test_no_run_sees_what_another_left_behind(run):
    source = """
import code_under_test, os, pathlib
def test_it():
    assert not pathlib.Path("left.txt").exists() and not hasattr(os, "left")
    pathlib.Path("left.txt").touch()
    os.left = True
"""
    assert run(source).ok
    assert run(source).ok


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "there is no test in the file"),
        ("def check_it():\n    assert True\n", "there is no test in the file"),
        ("import os\ndef test_it():\n    os._exit(0)\n", "the tests ended Python itself in test_it"),
        ("import os\nos._exit(0)\n", "the tests ended Python itself, before pytest was done"),
        ("import os\ndef test_it():\n    os.kill(os.getpid(), 9)\n", "the tests ended Python itself in test_it"),
        ("import pytest\ndef test_it():\n    pytest.exit('enough', 0)\n", None),
        ("import pytest\ndef test_it():\n    pytest.skip('later')\n", "every test is skipped (1)"),
        ("def test_it():\n    while True: pass\n", "the tests did not finish within 1 seconds; they were in test_it"),
        ("while True: pass\n", "the tests did not finish within 1 seconds; they were being imported"),
    ],
)
def test_tests_that_give_no_verdict_say_why(run, source, problem):
    result = run(source, timeout=1)
    assert not result.ok
    assert not result.red
    assert result.problem is not None
    if problem:
        assert result.problem.startswith(problem)


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("import pandas\n\ndef test_it(:\n", "SyntaxError", 3),
        ("x = 1\nraise NotImplementedError()\n", "NotImplementedError", 2),
        ("import nothing_of_this_name\n", "ModuleNotFoundError", 1),
        ("\n\nnumbers = undefined\n", "NameError", 3),
    ],
)
def test_a_file_that_cannot_be_imported_says_where(run, source, kind, line):
    failure = run(source).failures[0]
    assert (failure["name"], failure["kind"], failure["line"]) == (None, kind, line)


def test_a_test_that_sleeps_or_leaves_processes_ends_in_time_and_with_all_it_started(run, tmp_path):
    marker = tmp_path / "alive"
    source = f"""
import subprocess, time
def test_it():
    subprocess.Popen(["sh", "-c", "sleep 4; touch {marker}"])
    time.sleep(600)
"""
    assert run(source, timeout=0.5).timed_out
    time.sleep(4.5)
    assert not marker.exists()


def test_much_output_is_cut(run):
    result = run("def test_it():\n    for _ in range(3000): print('x' * 1000)\n    assert False\n")
    assert result.failed == 1
    assert len(result.output) <= 4000


def test_a_test_cannot_write_files_without_end(run):
    source = (
        "def test_it():\n    with open('big', 'wb') as file:\n        for _ in range(99): file.write(bytes(2**20))\n"
    )
    assert run(source).red


def test_folders_too_deep_to_remove_do_not_disturb_the_next_run(run):
    source = "import os\ndef test_it():\n    for _ in range(1500):\n        os.mkdir('d'); os.chdir('d')\n"
    assert run(source).ok
    assert run(GOOD).ok


def test_tests_that_kill_the_process_that_started_them_fail_and_the_next_run_works(run):
    source = "import os, signal\ndef test_it():\n    os.kill(os.getppid(), signal.SIGKILL)\n"
    with pytest.raises(CheckFailed, match="gave no answer"):
        run(source)
    assert run(GOOD).ok


def test_a_missing_test_file_is_an_unmet_need():
    with pytest.raises(Unmet, match=r"there is no test_none\.py"):
        tests("test_none.py").run({})


def test_a_version_cannot_replace_the_students_file(run):
    with pytest.raises(ValueError, match="cannot hold"):
        tests("test_it.py").run({"test_it.py": ""})


@pytest.mark.parametrize(
    "report",
    [
        None,
        [],
        {"events": "none"},
        {"events": [1, None, "x"], "status": 0, "output": 3},
        {"events": [{"tests": [1, 2]}, {"test": 4, "outcome": "passed"}, {"end": 0}], "status": 1, "output": ""},
        {"events": [{"test": "a", "outcome": "passed"}, {"end": 0}], "status": 0},
        {"events": [{"tests": ["a"]}, {"test": "a", "outcome": "failed", "line": True}, {"end": 0}], "status": 0},
        {"events": [{"tests": ["a"]}, {"test": "a", "outcome": "passed"}, {"end": "0"}], "status": 0},
    ],
)
def test_a_forged_or_broken_report_gives_no_verdict(report):
    result = read_report(report, 5)
    assert result.problem is not None
    assert not result.ok
    assert not result.red


# ----------------------------------------------------------------------------------------------------------- mutation


def test_tests_that_pass_on_correct_code_and_catch_the_broken_earn_the_points(study):
    result = study(GOOD).result()
    assert result.score == 2, result.to_text()


def test_tests_that_assert_nothing_earn_nothing(study):
    result = study("from code_under_test import double\n\ndef test_it():\n    double(3)\n").result()
    assert result.score == 0
    assert "it got away: your test passes on it" in result.to_text()


def test_tests_that_fail_on_correct_code_earn_nothing_and_hear_on_which(study):
    result = study(
        "import code_under_test as code\n\ndef test_it():\n    assert code.double(1) == code.FACTOR\n"
    ).result()
    assert result.score == 0
    assert "test_it (line 4) fails on another version, which keeps every promise" in result.to_text()
    assert [check.outcome for check in result.checks][-1] == "skip"


SEVERAL = """
import random
import pytest
from code_under_test import double

def test_three():
    assert double(3) == 6

@pytest.mark.parametrize("number", [1, 2])
def test_too_strict(number):
    import code_under_test
    assert code_under_test.FACTOR == 2

def test_nothing():
    double(1)

def test_minus():
    assert double(-3) == -6
"""


def test_a_test_that_fails_on_correct_code_is_set_aside_and_the_others_are_judged(study):
    text = study(SEVERAL, points=1).result().to_text()
    assert "1 of 2 points" in text
    assert "test_too_strict[1] (line 12) fails on another version, which keeps every promise (and 1 more)" in text
    assert "the other tests are judged without test_too_strict" in text
    assert "✓ tripling is caught" in text


def test_many_tests_that_fail_on_correct_code_are_not_sorted_out_for_their_author(study):
    guesses = "\n".join(f"def test_{n}():\n    assert double(1) == {n}" for n in range(9))
    result = study(f"from code_under_test import double\n{guesses}\n", points=1).result()
    assert result.score == 0
    assert "of 9 test functions, 8 fail there" in result.to_text()


def test_tests_that_pass_everywhere_earn_nothing_for_passing_on_correct_code(study):
    text = "from code_under_test import double\n\ndef test_it():\n    assert double(0) == 0\n"
    result = study(text, points=1).result()
    assert result.score == 0
    assert "they pass on every broken version as well" in result.to_text()


def test_tests_that_never_use_the_code_are_told_so(study):
    result = study("import code_under_test\n\ndef test_it():\n    assert 2 * 3 == 6\n").result()
    assert result.score == 0
    assert "no test uses the code that it is to test" in result.to_text()


def test_flaky_tests_are_told_so(study, tmp_path):
    source = f"""
from pathlib import Path
from code_under_test import double
def test_it():
    runs = Path({str(tmp_path / "runs")!r})
    runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
    assert len(runs.read_text()) < double(1)
"""
    text = study(source, points=1).result().to_text()
    assert "test_it (line 7) passes and fails on the same code" in text
    assert "a test must give the same answer every time" in text
    assert "0 of 2 points" in text


@pytest.mark.parametrize("way", ["renamed", "handed to exec"])
def test_a_copy_of_the_code_is_no_test_of_it(study, way):
    code = """def treble(number):
    \"\"\"Three times the number.\"\"\"
    doubled = number * 2 if number else 0
    return [value + doubled for value in (number, -number)][0] + sum(range(3)) - 3
"""
    copy = code.replace("number", "n").replace("treble", "mine").replace("doubled", "d")
    copy = f"exec({copy!r})\n" if way == "handed to exec" else copy
    source = f"import code_under_test\n{copy}\ndef test_it():\n    assert code_under_test.double(2) == 4\n"
    text = study(source, given={"given/code.py": code}).result().to_text()
    assert "the tests repeat code that they are to test (a rule of this course)" in text
    assert "given/code.py: treble" in text


def test_tests_that_hang_are_told_which_before_any_variant_is_tried(study):
    result = study("def test_slow():\n    while True: pass\n", timeout=1).result()
    assert result.score == 0
    assert "the tests did not finish within 1 seconds; they were in test_slow" in result.to_text()


def test_a_broken_version_on_which_tests_do_not_end_is_caught(study):
    source = "from code_under_test import double\n\ndef test_it():\n    while double(1) != 2: pass\n"
    assert study(source, timeout=1).result().score == 2


def test_blank_tests_are_told_kindly(study):
    text = study('"""Tests."""\n\n# YOUR CODE HERE\nraise NotImplementedError()\n').result().to_text()
    assert "the file cannot be imported: line 4: NotImplementedError" in text
    assert "hint: this is the place for your tests" in text


def test_several_versions_of_one_check_must_all_be_caught(shipped):
    (shipped / "test_it.py").write_text(GOOD)
    question = Question("Tests of doubling", points=1)
    mutation = Mutation(question, tests("test_it.py"), {"the code": {"code_under_test.py": CODE}})
    broken = [variant(CODE, ("* 2", "* 3")), variant(CODE, ("number * 2", "6"))]
    mutation.catches("no doubling is caught", [{"code_under_test.py": code} for code in broken], points=1)
    result = question.result()
    assert result.score == 0
    assert "1 of 2 variants got away" in result.to_text()


def test_a_hidden_variant_tells_its_title_and_hint_only(shipped):
    (shipped / "test_it.py").write_text("from code_under_test import double\n\ndef test_it():\n    double(1)\n")
    question = Question("Tests of doubling", points=1)
    mutation = Mutation(question, tests("test_it.py"), {"the code": {"code_under_test.py": CODE}})
    mutation.catches("no doubling is caught", {"code_under_test.py": OTHER}, points=1, hidden=True, hint="try 3")
    record = question.result().checks[1].to_dict()
    assert record["hint"] == "try 3"
    assert not {"reason", "expected", "actual"} & set(record)


def test_a_variant_whose_passage_is_gone_is_the_graders_fault(study):
    result = study(GOOD, broken=("not in the code", "x")).result()
    assert result.needs_person


def test_a_given_file_that_was_changed_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    import hashlib

    digest = hashlib.sha256(CODE.encode()).hexdigest()
    assert original("code.py", digest=digest[:12])() == CODE
    (tmp_path / "code.py").write_text(OTHER)
    with pytest.raises(Unmet, match="was changed"):
        original("code.py", digest=digest[:12])()
    os.remove(tmp_path / "code.py")
    with pytest.raises(Unmet, match="is missing"):
        original("code.py", digest=digest[:12])()
    with pytest.raises(ValueError, match="eight digits"):
        original("code.py", digest="")


@pytest.mark.parametrize("change", [("absent", "x"), ("n", "m"), ("return", "return")])
def test_a_variant_changes_one_passage_and_really_changes_it(change):
    with pytest.raises(ValueError, match="it must occur once"):
        variant(CODE, change)()
