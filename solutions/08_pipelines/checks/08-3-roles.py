"""Does each role see what it needs, and nothing more?"""

from collections import Counter
from typing import Any

import pandas as pd

from course import bookings
from course.checks import Question, fail, fixture, text
from course.checks.files.tables import canonical_column
from course.checks.privacy.trials import Trials, trials

question = Question("Views by role", points=2)
COLUMNS = {
    "analyst": ["month", "carrier", "origin", "bookings", "passengers"],
    "support": ["booking", "name", "email", "phone", "date", "carrier", "flight", "note"],
}
K = 5


@fixture
def base() -> Trials:
    """DuckDB, in a process of its own."""
    return trials()


def small(seed: int) -> pd.DataFrame:
    """Bookings of some people."""
    return bookings.bookings(seed, travellers=250)


def seen(base: Trials, table: pd.DataFrame, today: str) -> dict[str, pd.DataFrame]:
    """What each role sees; fail unless the views have the columns that they should have."""
    first = {"bookings": small(3).head(5), "today": pd.DataFrame({"day": [pd.Timestamp("2013-10-01")]})}
    later = {"bookings": table, "today": pd.DataFrame({"day": [pd.Timestamp(today)]})}
    found = base.views(text("roles.sql"), list(COLUMNS), first, later)
    for role, columns in COLUMNS.items():
        if sorted(map(str, found[role])) != sorted(columns):
            fail(
                f"the view {role} has other columns",
                expected=", ".join(columns),
                actual=", ".join(map(str, found[role])),
            )
    return found


def rows(table: pd.DataFrame, role: str) -> Counter[tuple[Any, ...]]:
    """The rows of a view, in no order."""
    return Counter(zip(*(canonical_column(table[name]) for name in COLUMNS[role]), strict=True))


def right(table: pd.DataFrame, today: str) -> dict[str, pd.DataFrame]:
    """What each role should see."""
    last = table.sort_values("version").drop_duplicates("booking", keep="last")
    groups = last.assign(month=last["date"].dt.strftime("%Y-%m"), email=last["email"].map(bookings.plain))
    counted = groups.groupby(["month", "carrier", "origin"]).agg(
        bookings=("booking", "size"), passengers=("email", "nunique")
    )
    recent = last[last["date"] >= pd.Timestamp(today) - pd.Timedelta(days=7)]
    return {"analyst": counted[counted["passengers"] >= K].reset_index(), "support": recent}


def agrees(base: Trials, table: pd.DataFrame, today: str) -> None:
    """Fail unless the views show exactly that."""
    found, wanted = seen(base, table, today), right(table, today)
    for role in COLUMNS:
        there, expected = rows(found[role], role), rows(wanted[role], role)
        if more := there - expected:
            fail(f"{role} sees {more.total()} rows that it should not see", actual=str(next(iter(more)))[:200])
        if lost := expected - there:
            fail(f"{role} does not see {lost.total()} rows that it needs", expected=str(next(iter(lost)))[:200])


@question.check(points=1)
def the_views_show_what_the_roles_need(base: Trials) -> None:
    """analyst and support see the columns and rows of the exercise"""
    agrees(base, small(3), "2013-11-20")


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="the views look at the tables as they are when somebody reads them: the last version of a booking, people "
    "however they typed their address, groups of five different people, and the day in the table today",
)
def other_people_on_another_day(base: Trials) -> None:
    """on another day, with other people, too"""
    table = small(4242)
    crowd = table.head(6).assign(carrier="ZZ", origin="JFK", date=pd.Timestamp("2013-10-10"), version=1)
    crowd["booking"] = [f"Z{number}" for number in range(6)]
    crowd["email"] = [
        "a@example.org",
        "A@example.org ",
        "b@example.org",
        "c@example.org",
        "d@example.org",
        " D@EXAMPLE.org",
    ]
    agrees(base, pd.concat([table, crowd], ignore_index=True), "2013-10-10")


### END HIDDEN TESTS
