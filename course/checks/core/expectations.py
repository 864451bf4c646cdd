"""What a check says when it fails: `expect(actual).equals(...)`, `fail(...)`, `not_graded_here(...)`.

The values that arrive here come from a student's work; they are compared as data and shown in short.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
import pandas as pd

MAX_SHOWN = 300


class CheckFailed(Exception):
    """The student's work is not as it should be: a reason, what was expected, what came, and a hint."""

    def __init__(self, reason: str, *, expected: Any = None, actual: Any = None, hint: str | None = None):
        super().__init__(reason)
        self.reason, self.hint = reason, hint
        self.expected: str | None = expected if expected is None or isinstance(expected, str) else show(expected)
        self.actual: str | None = actual if actual is None or isinstance(actual, str) else show(actual)


class Unmet(CheckFailed):
    """Something that several checks need does not hold, such as that a module can be imported.

    A question shows it once, as a line of its own with the given title, and skips the checks that need it.
    """

    def __init__(self, title: str, reason: str, **details: Any):
        super().__init__(reason, **details)
        self.title = title


class NotGradedHere(Exception):
    """What the check needs is missing on this machine; a person decides.

    Attributes:
        whatever: it is missing for certain, even if the solution can be judged here; see :func:`not_graded_here`.
    """

    def __init__(self, why: str, *, whatever: bool = False) -> None:
        super().__init__(why)
        self.whatever = whatever


_NOTHING: Any = object()
_NONE = "None"  # a value that is shown as this


def fail(
    reason: str, *, expected: Any = None, actual: Any = None, got: Any = _NOTHING, hint: str | None = None
) -> NoReturn:
    """Fail the check.

    Args:
        reason: what is wrong, in a sentence that the student reads.
        expected, actual: values or text to show beside each other.
        got: instead of `actual`: a value that came, as Python writes it, so that '2' and 2 look different.
        hint: a help that does not tell the answer.
    """
    came = quoted(got) if got is not _NOTHING else None if actual is None else show(actual)
    raise CheckFailed(reason, expected=None if expected is None else show(expected), actual=came, hint=hint)


def not_graded_here(why: str, *, whatever: bool = False) -> NoReturn:
    """Leave the check to a person, because something is missing on this machine, such as a container engine.

    It must depend on the machine alone: where the same check passes for the solution on this machine, it becomes a
    failure.

    Args:
        why: what is missing.
        whatever: it is missing for certain, whatever the solution needs, and what the student asks for is allowed:
            such as an allowed base image that is not here. Then a person decides in any case.
    """
    raise NotGradedHere(why, whatever=whatever)


def expect(actual: Any, name: str | None = None) -> Expectation:
    """Begin a sentence about a value: `expect(rate, "the late rate").is_close(0.24, abs=0.01)`.

    Args:
        actual: what came.
        name: what to call it in messages.
    """
    return Expectation(actual, name)


def show(value: Any) -> str:
    """A value as a student reads it: text as it is, everything else as Python writes it, cut to one short block."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, pd.DataFrame | pd.Series) and not len(value):
        text = f"an empty {type(value).__name__}"
    elif isinstance(value, pd.DataFrame):
        text = value.head(5).to_string(max_cols=6)
    elif isinstance(value, pd.Series):
        text = value.head(5).to_string()
    elif isinstance(value, pd.Index):
        text = f"{value[:8].tolist()}" + (f" … {len(value)} in all" if len(value) > 8 else "")
    elif isinstance(value, np.generic):
        text = repr(value.item())
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, pd.Timestamp):
        text = str(value)
    else:
        text = _repr(value)
    return _short(text)


def quoted(value: Any) -> str:
    """A value as Python writes it, text in quotes; cut to one short block. See :func:`show`."""
    return _short(_repr(value)) if isinstance(value, str | bytes) else show(value)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # such as a number of more than 4,300 digits
        return f"{_article(type(value).__name__)} that cannot be written ({type(error).__name__})"


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def as_number(value: Any, name: str = "the answer", *, hint: str | None = None) -> float:
    """What a student gave, as a finite number; else the check fails and says what came instead.

    Args:
        value: what came.
        name: what to call it in messages.
        hint: a help; by default one for what came.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            fail(f"{name} is too large to be computed with", expected="a number", actual=_digits(int(value)), hint=hint)
        if math.isfinite(number):
            return number
        hint = hint or "look for missing data, or a division by zero, on the way"
        fail(f"{name} is {number}", expected="a finite number", actual=f"{number}", hint=hint)
    fail(f"{name} must be a number", expected="a number", got=value, hint=hint or _near_a_number(value))


def as_whole_number(value: Any, name: str = "the answer", *, hint: str | None = None) -> int:
    """What a student gave, as a whole number (3 or 3.0); see :func:`as_number`."""
    number = as_number(value, name, hint=hint)
    if number != int(number):
        fail(f"{name} must be a whole number", expected="a whole number", got=value, hint=hint)
    return int(value)


def as_text(value: Any, name: str = "the answer", *, hint: str | None = None) -> str:
    """What a student gave, as text; else the check fails and says what came instead."""
    if not isinstance(value, str):
        fail(f"{name} must be text", expected="text", got=value, hint=hint)
    return value


def as_list(value: Any, name: str = "the answer", *, hint: str | None = None) -> list[Any]:
    """What a student gave, as a list: a list, tuple, set, array, Index or Series; else the check fails."""
    if isinstance(value, np.ndarray | pd.Index | pd.Series) and np.ndim(value) == 1:
        return list(value)
    if not isinstance(value, list | tuple | set | frozenset):
        fail(f"{name} must be a list", expected="a list", got=value, hint=hint)
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else list(value)


def as_dict(value: Any, name: str = "the answer", *, hint: str | None = None) -> dict[Any, Any]:
    """What a student gave, as a dictionary; else the check fails and says what came instead."""
    if not isinstance(value, dict):
        fail(f"{name} must be a dictionary", expected="a dictionary", got=value, hint=hint)
    return value


def _digits(value: int) -> str:
    return f"a number of some {int(value.bit_length() * math.log10(2)) + 1} digits"


def _near_a_number(value: Any) -> str | None:
    """A hint for what is almost a number."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            float(value.strip().rstrip("%"))
            return "this is text: a number has no quotes and no sign for its unit"
        return "write the number itself"
    if value is None:
        return "a function without `return` gives None"
    if isinstance(value, list | tuple | dict | np.ndarray | pd.Series | pd.Index | pd.DataFrame):
        return "one number is asked for, and this holds several, or one in a wrapper: .item() takes it out"
    return None


class Expectation:
    """The middle of a sentence that :func:`expect` began. Each method passes in silence or fails the check."""

    def __init__(self, actual: Any, name: str | None = None) -> None:
        self.actual = actual
        self.name = name or "the result"

    def equals(self, expected: Any, *, hint: str | None = None) -> None:
        """The value is the same, element by element; NumPy and pandas values may differ in type but not in content."""
        try:
            difference = _difference(self.actual, expected)
        except Exception:  # plain data of a form that cannot even be compared are not what was expected
            difference = "", expected, self.actual
        if difference is not None:
            where, wanted, got = difference
            self._fail(f"{self.name} is not as expected{where}", *_beside(wanted, got), hint)

    def is_close(self, expected: Any, *, abs: float = 0.0, rel: float = 1e-6, hint: str | None = None) -> None:
        """Every number is within `abs` (same unit) or `rel` (fraction) of the expected one, whichever is wider."""
        wanted = self._numbers(expected)
        got = self._numbers(self.actual)
        if got.shape != wanted.shape:
            self._fail(f"{self.name} has another shape", f"{wanted.shape}", f"{got.shape}", hint)
        near = np.isclose(got, wanted, atol=abs, rtol=rel, equal_nan=True)
        if not near.all():
            first = int(np.argmin(near.ravel()))
            where = f" at position {first}" if near.size > 1 else ""
            self._fail(
                f"{self.name} is not close enough{where}", float(wanted.ravel()[first]), float(got.ravel()[first]), hint
            )

    def is_between(self, low: float, high: float, *, hint: str | None = None) -> None:
        """Every number lies in [low, high]; a missing one does not."""
        got = self._some_numbers().ravel()
        inside = (got >= low) & (got <= high)
        if not inside.all():
            value = float(got[int(np.argmin(inside))])
            self._fail(f"{self.name} is out of range", f"{show(low)} to {show(high)}", value, hint)

    def is_at_least(self, low: float, *, hint: str | None = None) -> None:
        """Every number is `low` or more."""
        got = self._some_numbers()
        if not (got >= low).all():
            self._fail(f"{self.name} is too low", f"at least {show(low)}", _extreme(got, np.nanmin), hint)

    def is_at_most(self, high: float, *, hint: str | None = None) -> None:
        """Every number is `high` or less."""
        got = self._some_numbers()
        if not (got <= high).all():
            self._fail(f"{self.name} is too high", f"at most {show(high)}", _extreme(got, np.nanmax), hint)

    def contains(self, *items: Any, hint: str | None = None) -> None:
        """All items are in it: words in a text, elements of a list, keys of a dictionary."""
        missing = [item for item in items if not self._holds(item)]
        if missing:
            self._fail(f"{self.name} lacks {', '.join(show(item) for item in missing)}", None, self.actual, hint)

    def _holds(self, item: Any) -> bool:
        try:
            return bool(item in self.actual)
        except Exception:
            self._fail(f"{self.name} holds nothing that could be looked for", None, self.actual, None)

    def has_columns(self, columns: Iterable[str], *, hint: str | None = None) -> None:
        """It is a DataFrame that has these columns, and perhaps others."""
        self.is_instance(pd.DataFrame, hint=hint)
        missing = [column for column in columns if column not in self.actual.columns]
        if missing:
            got = ", ".join(map(str, self.actual.columns))
            self._fail(f"{self.name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", None, got, hint)

    def is_instance(self, kind: type | tuple[type, ...], *, hint: str | None = None) -> None:
        """It is of this type, or one of these; 3 counts as a float, 3.0 as an int, and True as neither."""
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not any(_is_of(self.actual, one) for one in kinds):
            wanted = " or ".join(_article(k.__name__) for k in kinds)
            got = f"{_article(type(self.actual).__name__)}: {quoted(self.actual)}"
            self._fail(f"{self.name} has another type", wanted, "None" if self.actual is None else _short(got), hint)

    def is_true(self, reason: str | None = None, *, hint: str | None = None) -> None:
        """It holds; `reason` says what is wrong when it does not."""
        if self.actual is not True and not (isinstance(self.actual, np.bool_) and bool(self.actual)):
            raise CheckFailed(reason or f"{self.name} does not hold", hint=hint)

    def _numbers(self, value: Any) -> np.ndarray:
        try:
            return np.asarray(value, dtype=float)
        except Exception:
            if isinstance(value, int):
                self._fail(f"{self.name} is too large to be computed with", "a number", _digits(value), None)
            self._fail(f"{self.name} is not numeric", "numbers", quoted(value), _near_a_number(value))

    def _some_numbers(self) -> np.ndarray:
        numbers = self._numbers(self.actual)
        if numbers.size == 0:  # of nothing, everything is true
            self._fail(f"{self.name} is empty", "numbers", self.actual, None)
        return numbers

    def _fail(self, reason: str, expected: Any, actual: Any, hint: str | None) -> NoReturn:
        fail(reason, expected=expected, actual=actual, hint=hint)


def _beside(wanted: Any, got: Any) -> tuple[Any, Any]:
    """What was expected and what came, with quotes around text where they would else look alike."""
    if got is _NONE or not (isinstance(wanted, str) or isinstance(got, str)):
        return wanted, got
    if isinstance(wanted, str) == isinstance(got, str) and show(wanted) != show(got) and not _odd(got):
        return wanted, got
    return tuple(None if part is None else quoted(part) for part in (wanted, got))  # type: ignore[return-value]


def _odd(value: Any) -> bool:
    """Text whose limits cannot be seen without quotes."""
    return isinstance(value, str) and (value != value.strip() or not value)


def _is_of(value: Any, kind: type) -> bool:
    if isinstance(value, np.generic):
        value = value.item()
    if kind in (int, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (kind is float or isinstance(value, int) or value.is_integer())
    return isinstance(value, kind)


def _article(name: str) -> str:
    known = {
        "str": "text",
        "int": "a whole number",
        "float": "a number",
        "dict": "a dictionary",
        "NoneType": "None",
        "bool": "True or False",
    }
    return known.get(name, ("an " if name[:1] in "AEIOUaeiou" else "a ") + name)


def _extreme(values: np.ndarray, choose) -> float:
    return float("nan") if np.isnan(values).all() else float(choose(values))


def _difference(actual: Any, expected: Any) -> tuple[str, Any, Any] | None:
    """Where two values differ first, as (place, expected there, actual there), or None when they are equal."""
    if isinstance(expected, pd.DataFrame):
        return _frame_difference(actual, expected)
    if isinstance(expected, pd.Series | pd.Index | np.ndarray):
        return _array_difference(actual, expected)
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected:
            if key not in actual:
                return f": {show(key)} is missing", expected[key], None
            if (inner := _difference(actual[key], expected[key])) is not None:
                return f" at {show(key)}{inner[0]}", inner[1], inner[2]
        extra = [key for key in actual if key not in expected]
        return (f": {show(extra[0])} is not expected", None, actual[extra[0]]) if extra else None
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        for position, (got, wanted) in enumerate(zip(actual, expected, strict=False)):
            if (inner := _difference(got, wanted)) is not None:
                return f" at position {position}{inner[0]}", inner[1], inner[2]
        if len(actual) != len(expected):
            return ": it has another length", len(expected), len(actual)
        return None
    if _same(actual, expected):
        return None
    return "", expected, _NONE if actual is None else actual


def _frame_difference(actual: Any, expected: pd.DataFrame) -> tuple[str, Any, Any] | None:
    if not isinstance(actual, pd.DataFrame):
        return "", "a DataFrame", _article(type(actual).__name__)
    if list(actual.columns) != list(expected.columns):
        return " in its columns", ", ".join(map(str, expected.columns)), ", ".join(map(str, actual.columns))
    if (inner := _array_difference(actual.index, expected.index)) is not None:
        return f" in its index{inner[0]}", inner[1], inner[2]
    for position, column in enumerate(expected.columns):
        inner = _array_difference(actual.iloc[:, position], expected.iloc[:, position])
        if inner is not None:
            return f" in column {column!r}{inner[0]}", inner[1], inner[2]
    return None


def _array_difference(actual: Any, expected: pd.Series | pd.Index | np.ndarray) -> tuple[str, Any, Any] | None:
    if not isinstance(actual, pd.Series | pd.Index | np.ndarray | list | tuple):
        return "", _article(type(expected).__name__), _article(type(actual).__name__)
    if isinstance(expected, np.ndarray) and np.shape(actual) != expected.shape:
        return ": it has another shape", expected.shape, np.shape(actual)
    if len(actual) != len(expected):
        return ": it has another length", len(expected), len(actual)
    labelled = isinstance(expected, pd.Series) and isinstance(actual, pd.Series)
    if labelled and (inner := _array_difference(actual.index, expected.index)) is not None:
        return f" in its index{inner[0]}", inner[1], inner[2]
    wanted = expected.ravel() if isinstance(expected, np.ndarray) else expected
    got = np.asarray(actual).ravel() if isinstance(expected, np.ndarray) else actual
    labels = expected.index if isinstance(expected, pd.Series) else range(len(wanted))
    for label, a, b in zip(labels, list(got), list(wanted), strict=True):
        if not _same(a, b):
            row = "row" if isinstance(expected, pd.Series) else "position"
            return f" at {row} {show(label)}", b, _NONE if a is None else a
    return None


def _same(actual: Any, expected: Any) -> bool:
    if _missing(expected) or _missing(actual):
        return _missing(expected) and _missing(actual)
    if isinstance(expected, bool | np.bool_) != isinstance(actual, bool | np.bool_):
        return False
    try:
        return bool(actual == expected)
    except (TypeError, ValueError):
        return False


def _missing(value: Any) -> bool:
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float | np.floating) and math.isnan(value))
    )
