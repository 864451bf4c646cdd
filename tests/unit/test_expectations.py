"""course.checks.core.expectations: what holds passes in silence, what does not says where, expected beside actual."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.checks import CheckFailed, as_dict, as_list, as_number, as_text, as_whole_number, expect, fail
from course.checks.core.expectations import MAX_SHOWN, NotGradedHere, Unmet, not_graded_here, show

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["p", "q"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def failure(call, *arguments, **options) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        call(*arguments, **options)
    return caught.value


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (1, 1.0),
        (np.int32(3), 3),
        (np.float64("nan"), None),
        (pd.NA, float("nan")),
        (np.bool_(True), True),
        ([1, 2], (1, 2)),
        ({"a": [1]}, {"a": [1]}),
        (np.array([1, 2]), np.array([1.0, 2.0])),
        ([1, 2], np.array([1, 2])),
        (pd.Series([1, 2], dtype="int8"), pd.Series([1, 2], dtype="int64")),
        (pd.Series([1, None], dtype="Int64"), pd.Series([1.0, np.nan])),
        (pd.Index(["a"]), pd.Index(["a"])),
        (FRAME.astype({"a": "float"}), FRAME),
        (pd.Timestamp("2013-07-04"), pd.Timestamp("2013-07-04")),
    ],
)
def test_equal_values_are_equal_whatever_their_types(actual, expected):
    expect(actual).equals(expected)


@pytest.mark.parametrize(
    ("actual", "expected", "where"),
    [
        (4, 3, "the result is not as expected"),
        (None, 3, "the result is not as expected"),
        (1, True, "the result is not as expected"),
        ([1, 3], [1, 2], "at position 1"),
        ([1], [1, 2], "another length"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is missing"),
        ({"a": 1, "c": 2}, {"a": 1}, "c is not expected"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "at a at b"),
        (np.array([[1, 2]]), np.array([1, 2]), "another shape"),
        (pd.Series([1, 5]), pd.Series([1, 2]), "at row 1"),
        (pd.Series([1], index=["b"]), pd.Series([1], index=["a"]), "in its index"),
        (FRAME.rename(columns={"a": "c"}), FRAME, "in its columns"),
        (FRAME.assign(b="x"), FRAME, "in column 'b' at row q"),
        (FRAME.iloc[::-1], FRAME, "in its index at position 0"),
        ({"a": 1}, FRAME, "the result is not as expected"),
        ("text", pd.Series([1]), "the result is not as expected"),
    ],
)
def test_a_difference_says_where_it_is(actual, expected, where):
    assert where in failure(expect(actual).equals, expected).reason


def test_a_difference_shows_expected_beside_actual_and_the_hint():
    error = failure(expect([1, 3], "the list").equals, [1, 2], hint="count again")
    assert (error.reason, error.expected, error.actual) == ("the list is not as expected at position 1", "2", "3")
    assert error.hint == "count again"


@given(PLAIN)
def test_every_value_equals_itself(value):
    expect(value).equals(value)


@given(st.lists(st.integers()), st.lists(st.integers()))
def test_lists_are_equal_only_when_python_says_so(one, two):
    try:
        expect(one).equals(two)
    except CheckFailed:
        assert one != two
    else:
        assert one == two


@given(PLAIN)
def test_everything_can_be_shown_in_short(value):
    assert len(show(value)) <= MAX_SHOWN


def test_long_values_are_cut():
    assert show("x" * 1000).endswith("…")
    assert "10 in all" in show(pd.Index(range(10)))
    assert show(pd.DataFrame({"a": range(100)})).count("\n") == 5
    assert show(pd.DataFrame()) == "an empty DataFrame"


def test_numbers_are_close_within_a_distance_or_a_fraction():
    expect(0.2449).is_close(0.24, abs=0.01)
    expect([100.0, float("nan")]).is_close([101.0, float("nan")], rel=0.02)
    assert "not close enough" in failure(expect(0.26).is_close, 0.24, abs=0.01).reason
    assert "at position 1" in failure(expect([1.0, 5.0]).is_close, [1.0, 2.0]).reason
    assert "another shape" in failure(expect([1.0]).is_close, [1.0, 2.0]).reason
    assert "not numeric" in failure(expect("many").is_close, 2.0).reason


@pytest.mark.parametrize("value", [2, [2, 3], pd.Series([2.5]), np.array([[2], [3]])])
def test_numbers_lie_in_a_range(value):
    expect(value).is_between(2, 3)
    expect(value).is_at_least(2)
    expect(value).is_at_most(3)


@pytest.mark.parametrize("value", [float("nan"), [2, 9], [], "x"])
def test_what_lies_outside_is_missing_or_empty_fails_every_bound(value):
    failure(expect(value).is_between, 2, 3)
    failure(expect(value).is_at_most, 3)
    if value != [2, 9]:
        failure(expect(value).is_at_least, 2)


def test_a_bound_names_itself_and_the_number_that_broke_it():
    error = failure(expect(0.58, "the AUC").is_at_least, 0.6)
    assert (error.reason, error.expected, error.actual) == ("the AUC is too low", "at least 0.6", "0.58")
    error = failure(expect([1, 9], "the rate").is_at_most, 3)
    assert (error.reason, error.expected, error.actual) == ("the rate is too high", "at most 3", "9")


def test_missing_items_are_named():
    expect("make test").contains("test")
    expect({"a": 1}).contains("a")
    assert "the text lacks run" in failure(expect("make test", "the text").contains, "test", "run").reason


def test_missing_columns_are_named():
    expect(FRAME).has_columns(["a"])
    assert "lacks the columns c, d" in failure(expect(FRAME).has_columns, ["a", "c", "d"]).reason
    assert "another type" in failure(expect([1]).has_columns, ["a"]).reason


@pytest.mark.parametrize("value", [1, "yes", None, np.bool_(False), False, [True]])
def test_only_true_is_true(value):
    assert failure(expect(value, "it").is_true).reason == "it does not hold"


def test_true_is_true_and_a_reason_can_be_given():
    expect(True).is_true()
    expect(np.bool_(True)).is_true()
    assert failure(expect(False).is_true, "no test was run").reason == "no test was run"


def test_types_are_told_in_words():
    expect("x").is_instance(str)
    error = failure(expect(1).is_instance, (str, dict))
    assert (error.expected, error.actual) == ("text or a dictionary", "a whole number: 1")


def test_a_failure_can_be_said_directly():
    error = failure(fail, "no", expected=[1], actual=math.pi, hint="look")
    assert (error.reason, error.expected, error.actual, error.hint) == ("no", "[1]", "3.14159", "look")


def test_leaving_something_to_a_person_says_why():
    with pytest.raises(NotGradedHere, match="no engine"):
        not_graded_here("no engine")


BEYOND = 10**400
WRAPPED = pd.Series([0.2])


@pytest.mark.parametrize(
    ("value", "reason", "hint"),
    [
        (BEYOND, "the rate is too large to be computed with", None),
        ("0.2x", "the rate must be a number", "write the number itself"),
        ("0.24", "the rate must be a number", "this is text"),
        ("24 %", "the rate must be a number", "this is text"),
        (None, "the rate must be a number", "without `return`"),
        (True, "the rate must be a number", None),
        (float("nan"), "the rate is nan", "missing data"),
        (WRAPPED, "the rate must be a number", ".item()"),
        ({"rate": 1}, "the rate must be a number", ".item()"),
        (np.float64("inf"), "the rate is inf", "division by zero"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_fails_and_says_what_came(value, reason, hint):
    error = failure(as_number, value, "the rate")
    assert error.reason == reason
    assert (error.hint or "").find(hint or "") >= 0
    assert (error.hint is None) == (hint is None)


@pytest.mark.parametrize("value", [3, 3.0, np.int8(3), np.float32(3)])
def test_a_number_of_any_kind_is_a_number(value):
    assert (as_number(value), as_whole_number(value)) == (3.0, 3)


def test_a_broken_number_is_not_whole():
    assert failure(as_whole_number, 2.5, "the count").actual == "2.5"
    assert as_whole_number(10**17 + 1) == 10**17 + 1


def test_lists_texts_and_dictionaries_are_taken_as_such():
    assert as_list(pd.Series([1, 2])) == as_list((1, 2)) == as_list(np.array([1, 2])) == [1, 2]
    assert as_list({"b", "a"}) == ["a", "b"]
    assert (as_text("x"), as_dict({"a": 1})) == ("x", {"a": 1})
    for take, value in ((as_list, "EWR"), (as_list, None), (as_text, 3), (as_dict, [1]), (as_list, np.zeros((2, 2)))):
        assert "must be" in failure(take, value).reason


@pytest.mark.parametrize("value", [BEYOND, "0.2x", None, {"a": 1}, [[1], [2, 3]], float("nan"), b"x", ["a", None]])
def test_no_value_makes_an_expectation_raise_anything_but_a_failure(value):
    for look in (
        lambda it: it.is_close(0.2),
        lambda it: it.is_between(0, 1),
        lambda it: it.is_at_least(0.5),
        lambda it: it.is_at_most(-1),
        lambda it: it.equals(0.2),
        lambda it: it.equals(pd.Series([1.0])),
        lambda it: it.equals({"a": [1]}),
        lambda it: it.contains("x"),
        lambda it: it.has_columns(["x"]),
        lambda it: it.is_instance(bool),
        lambda it: it.is_true(),
    ):
        with contextlib.suppress(CheckFailed):
            look(expect(value))


def test_text_where_a_number_was_meant_looks_different():
    error = failure(expect("2", "the count").equals, 2)
    assert (error.expected, error.actual) == ("2", "'2'")
    error = failure(expect("EWR ").equals, "EWR")
    assert (error.expected, error.actual) == ("'EWR'", "'EWR '")
    error = failure(expect("LGA").equals, "EWR")
    assert (error.expected, error.actual) == ("EWR", "LGA")


def test_true_is_no_number_and_three_is_a_float():
    expect(3).is_instance(float)
    expect(3.0).is_instance(int)
    assert failure(expect(True).is_instance, int).actual == "True or False: True"
    assert failure(expect(2.5).is_instance, int).actual == "a number: 2.5"


def test_what_came_is_shown_as_python_writes_it():
    def check():
        fail("no", got="2")

    assert failure(check).actual == "'2'"
    assert "digits" in failure(as_number, BEYOND).actual


@pytest.mark.parametrize("value", [[], {"a": 1}, 7, None])
def test_a_failure_shows_any_value_as_text(value):
    problem = Unmet("a title", "a reason", expected=value, actual=value)
    assert all(
        shown is None if value is None else isinstance(shown, str) for shown in (problem.expected, problem.actual)
    )
