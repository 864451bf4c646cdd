"""Do the protected tables keep what their purpose needs, and lead to nobody?"""

import base64
import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from course import bookings, privacy_attacks
from course.checks import Question, fail, fixture
from course.checks.files.tables import canonical_column
from course.checks.privacy.trials import Trials, trials

question = Question("Protect", points=8)
KEY = "5b1f0c3e9a7d42668e90d1c4b7a3f2e85b1f0c3e9a7d42668e90d1c4b7a3f2e8"
TODAY = pd.Timestamp("2013-12-01")
RETENTION = {"model": 365, "insight": 90}
COLUMNS = {
    "model": ["passenger", "date", "carrier", "flight", "origin", "party", "bags"],
    "insight": ["passenger", "month", "age_band", "area", "note"],
}
K = 5


@fixture
def protect() -> Trials:
    """The shipped module, called in a process of its own."""
    return trials("protect.py")


@functools.cache
def raw(seed: int) -> pd.DataFrame:
    """Bookings, all versions."""
    return bookings.bookings(seed, travellers=600)


def current(table: pd.DataFrame, purpose: str, today: pd.Timestamp) -> pd.DataFrame:
    """The last version of each booking that is still kept for a purpose, with the plain address."""
    last = table.sort_values("version").drop_duplicates("booking", keep="last")
    last = last[last["date"] + pd.Timedelta(days=RETENTION[purpose]) >= today]
    return last.assign(email=last["email"].map(bookings.plain))


def protected(
    protect: Trials, table: pd.DataFrame, purpose: str, today: pd.Timestamp = TODAY, key: str = KEY
) -> pd.DataFrame:
    """What protect() makes of some bookings; fail unless it has the columns of the purpose."""
    found = protect.protect(table, purpose, key, today).table
    missing = [name for name in COLUMNS[purpose] if name not in found]
    extra = [str(name) for name in found if name not in COLUMNS[purpose]]
    if missing or extra:
        what = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(extra)}, which nobody needs"
        actual = ", ".join(map(str, found))
        fail(f"the table for {purpose} {what}"[:300], expected=", ".join(COLUMNS[purpose]), actual=actual)
    return found


def rows(*columns: Iterable[Any]) -> Counter[tuple[Any, ...]]:
    """Rows, in no order."""
    return Counter(zip(*columns, strict=True))


def same_rows(what: str, found: Counter[tuple[Any, ...]], right: Counter[tuple[Any, ...]], hint: str) -> None:
    """Fail unless a table has these rows."""
    if found == right:
        return
    lost, more = right - found, found - right
    shown = next(iter(lost or more))
    fail(
        f"{what} has {lost.total()} rows too few and {more.total()} too many, such as {shown!r}"[:300],
        expected=f"{right.total():,} rows",
        actual=f"{found.total():,} rows",
        hint=hint,
    )


ROWS = "one row for each booking that is still kept: its version with the highest number"


def model_rows(protect: Trials, table: pd.DataFrame, today: pd.Timestamp) -> None:
    """Fail unless the table for the model has exactly the rows that it needs."""
    kept = current(table, "model", today)
    names = protect.pseudonyms(sorted(set(kept["email"])), "model", KEY)
    right = kept.assign(passenger=kept["email"].map(names))
    found = protected(protect, table, "model", today)
    columns = COLUMNS["model"]
    there, wanted = (rows(*(canonical_column(frame[name]) for name in columns)) for frame in (found, right))
    same_rows("the table for model", there, wanted, ROWS)


def insight_rows(protect: Trials, table: pd.DataFrame, today: pd.Timestamp) -> pd.DataFrame:
    """The table for insight; fail unless its rows are those that are kept. Pseudonyms have checks of their own."""
    found = protected(protect, table, "insight", today)
    right = rows(current(table, "insight", today)["date"].dt.strftime("%Y-%m"))
    same_rows("the table for insight", rows(canonical_column(found["month"])), right, ROWS)
    return found


@question.check(points=1)
def a_person_has_one_pseudonym(protect: Trials) -> None:
    """a person has one pseudonym, however the address was typed, and no two people share one"""
    typed = raw(0)["email"].iloc[:300].tolist()
    made = protect.pseudonyms(typed, "model", KEY)
    again = protect.pseudonyms(typed[::-1], "model", KEY)
    people: dict[str, set[str]] = {}
    for address, name in [*made.items(), *again.items()]:
        people.setdefault(bookings.plain(address), set()).add(name)
    several = next((address for address, names in people.items() if len(names) > 1), None)
    if several is not None:
        hint = (
            "capital letters and spaces around an address are typing; and the same call must give the same answer again"
        )
        fail(f"{several} has {len(people[several])} pseudonyms: {', '.join(sorted(people[several]))[:150]}", hint=hint)
    shared = len(people) - len({name for names in people.values() for name in names})
    if shared:
        fail(f"{shared} of {len(people)} people share their pseudonym with somebody else")


@question.check(points=1)
def only_what_the_purpose_needs(protect: Trials) -> None:
    """each table has the columns of its purpose, and none holds a name, an address, a phone, a birthday or postcode"""
    people = raw(0)
    for purpose in COLUMNS:
        found = protected(protect, people, purpose)
        for column in COLUMNS[purpose]:
            if column == "note":
                continue
            there = {str(value).strip().lower() for value in canonical_column(found[column])}
            for name in bookings.PERSONAL:
                leaked = there & {str(value).strip().lower() for value in canonical_column(people[name])}
                if leaked:
                    shown = sorted(leaked)[0]
                    fail(
                        f"the column {column} for {purpose} holds a {name} of {len(leaked)} people, such as {shown}"[
                            :300
                        ]
                    )


@question.check(points=1)
def the_model_has_its_rows(protect: Trials) -> None:
    """the table for the model has the current version of each booking, and joins with the flights"""
    model_rows(protect, raw(0), TODAY)


### BEGIN HIDDEN TESTS
SEED = 8831
EARLY = pd.Timestamp("2013-11-15")  # nothing has expired: retention has a check of its own


def chosen(position: int) -> str:
    """The key with one character changed."""
    other = "0" if KEY[position] != "0" else "1"
    return KEY[:position] + other + KEY[position + 1 :]


@question.check(
    points=1,
    hidden=True,
    hint="whoever knows the code and all addresses, but not the key, must find nobody; purposes must not share "
    "pseudonyms, and a purpose that nobody agreed to is a ValueError",
)
def the_key_protects(protect: Trials) -> None:
    """without the key nobody is found, whatever else is known; purposes do not share pseudonyms"""
    addresses = bookings.population(SEED)["email"].tolist()
    travelling = addresses[::10]
    made = protect.pseudonyms(travelling, "model", KEY)
    if (share := privacy_attacks.guess(made.values(), addresses)) > 0:
        fail(f"hashing all addresses in the usual ways finds {share:.0%} of the passengers")
    for position in (0, 40, len(KEY) - 1 - KEY[::-1].index("8")):
        other = protect.pseudonyms(travelling, "model", chosen(position))
        if set(other.values()) & set(made.values()):
            fail("another key gives the same pseudonyms", actual=f"character {position} of the key was changed")
    if set(protect.pseudonyms(travelling, "insight", KEY).values()) & set(made.values()):
        fail("both purposes have the same pseudonyms")
    if problem := protect.refuses(raw(0).head(20), "advertising", KEY, TODAY):
        fail("protect() accepts the purpose 'advertising'", expected="a ValueError", actual=problem)


@question.check(
    points=1,
    hidden=True,
    hint="the order, the length and the first characters of a pseudonym say nothing; nor do the order of rows, what is "
    "printed or logged, or files that are left behind",
)
def nothing_else_leaks(protect: Trials) -> None:
    """neither the shape of pseudonyms, nor the order of rows, nor what is printed leads to anybody"""
    table = raw(SEED).assign(plain=raw(SEED)["email"].map(bookings.plain)).sort_values("plain", kind="stable")
    addresses = sorted(set(table.pop("plain")))
    made = {purpose: protect.pseudonyms(addresses, purpose, KEY) for purpose in COLUMNS}
    model = made["model"]
    if len({len(name) for name in model.values()}) > 1:
        fail("pseudonyms have different lengths")
    if (rank := privacy_attacks.by_order(model)) > 0.2:
        fail(f"the order of pseudonyms follows the order of addresses (correlation {rank:.2f})")
    start = common(list(model.values()))
    alike = [(a, b) for a, b in itertools.pairwise(addresses) if a[:6] == b[:6]]
    twins = sum(model[a][start : start + 4] == model[b][start : start + 4] for a, b in alike)
    if twins > max(2, len(alike) // 20):
        fail(f"{twins} of {len(alike)} pairs of alike addresses have alike pseudonyms")
    found = {}
    for purpose in COLUMNS:
        result = protect.protect(table, purpose, KEY, TODAY)
        who = {name: address for address, name in made[purpose].items()}
        found[purpose] = [who.get(str(name), "") for name in result.table.get("passenger", [])]
        secrets = {KEY, base64.b64encode(bytes.fromhex(KEY)).decode(), base64.b64encode(KEY.encode()).decode()}
        if any(secret in result.traces for secret in secrets):
            fail("the key is printed, logged or left in a file")
        text = result.traces.lower()
        if any(address in text for address in addresses[::7]):
            fail("addresses are printed, logged or left in a file")
        positions = pd.Series([addresses.index(one) if one else -1 for one in found[purpose]])
        follows = abs(positions.corr(pd.Series(range(len(positions))))) if len(positions) > 2 else 1.0
        if not follows < 0.3:
            fail(f"the rows for {purpose} are in the order of those that came in (correlation {follows:.2f})")
    if (share := privacy_attacks.by_position(found["model"], found["insight"])) > 0.1:
        fail(f"side by side, {share:.0%} of the rows of both tables are about the same person")


def common(names: Sequence[str]) -> int:
    """The length of what all names begin with, such as "k1:"."""
    low, high = min(names), max(names)
    return next(
        (number for number, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )


WORDS = re.compile(
    r"\b[A-Z0-9]{2} \d{1,4}\b(?=\.|$)|\b14C\b|\bB12\b|\b2013-11-04\b|\b\d\d:\d\d\b|\b\d{2,4} USD\b|\b23 kg\b|\bB\d{6}\b"
    r"|wheelchair|Vegetarian meal|receipt|2 bags"
)


@question.check(
    points=1,
    hidden=True,
    hint="mail addresses (also with (at)), phone numbers in all forms of the exercise, and the passenger's own first "
    "and last name, whatever the case, leave the note; flight numbers, times, dates, sums and booking numbers stay",
)
def notes_are_clean(protect: Trials) -> None:
    """no address, phone or name can be read in a note, and what the note was written for still can"""
    table = raw(SEED)
    found = insight_rows(protect, table, EARLY)
    notes = ["" if value is None else str(value) for value in canonical_column(found["note"])]
    addresses = bookings.population(SEED)["email"]
    shares = {
        "a mail address": privacy_attacks.mail_in(notes, addresses),
        "a phone number": privacy_attacks.phone_in(notes, bookings.AREA_CODES),
        "a name": privacy_attacks.name_in(notes, [*bookings.FIRST_NAMES, *bookings.LAST_NAMES]),
    }
    for what, share in shares.items():
        if share > 0.005:
            fail(f"{what} can be read in {share:.1%} of the notes")
    before = Counter(word for note in current(table, "insight", EARLY)["note"] for word in WORDS.findall(note))
    after = Counter(word for note in notes for word in WORDS.findall(note[:500]))
    lost = before - after
    if lost.total() > before.total() * 0.02:
        word, count = lost.most_common(1)[0]
        fail(
            f"notes lost {lost.total():,} of {before.total():,} words that say nothing of a person, such as {word!r}",
            got=count,
        )


@question.check(
    points=1,
    hidden=True,
    hint=f"count different passengers, not rows, with the same age_band and area; where they are fewer than {K}, both "
    "are missing; everywhere else they are there, and true on the day of the flight",
)
def nobody_stands_alone(protect: Trials) -> None:
    """age_band and area fit at least five passengers, are true, and are there wherever they may be"""
    table = raw(SEED)
    found = insight_rows(protect, table, EARLY)
    kept = current(table, "insight", EARLY)
    bands = privacy_attacks.age_bands(kept["birth_date"], kept["date"])
    kept = kept.assign(age_band=bands, area=kept["postcode"].str[:3])
    crowd = kept.groupby(["age_band", "area"])["email"].transform("nunique")
    possible = int((crowd >= K).sum())
    parts = ["month", "age_band", "area"]
    true = kept.assign(month=kept["date"].dt.strftime("%Y-%m"))
    whole = found.dropna(subset=["age_band", "area"])
    for half in ("age_band", "area"):
        if len(found.dropna(subset=[half])) != len(whole):
            fail(f"some rows have {half} alone, where both or neither are there")
    strange = rows(*(canonical_column(whole[name]) for name in parts)) - rows(
        *(canonical_column(true[name]) for name in parts)
    )
    if strange:
        fail(f"{strange.total()} rows have another age_band or area", got=next(iter(strange)))
    if (share := privacy_attacks.few(found, ["age_band", "area"], "passenger", K)) > 0:
        fail(f"{share:.1%} of the rows have an age_band and an area that fit fewer than {K} passengers")
    if len(whole) < 0.9 * possible:
        fail("too much is missing", expected=f"about {possible:,} rows with both", actual=f"{len(whole):,}")


@question.check(
    points=1,
    hidden=True,
    hint="a row is kept through the last day of its retention, counted from the flight's day, and gone the day after, "
    "whichever day today is",
)
def retention_holds_on_any_day(protect: Trials) -> None:
    """on any day, exactly what may still be kept is there"""
    for today in ("2014-09-14", "2014-10-30", "2014-12-02"):
        found = protected(protect, raw(SEED), "model", pd.Timestamp(today))
        pair = (found, current(raw(SEED), "model", pd.Timestamp(today)))
        there, right = (rows(*(canonical_column(part[name]) for name in COLUMNS["model"][1:])) for part in pair)
        same_rows("the table for model", there, right, ROWS)
    for today in ("2013-09-20", "2014-01-09", "2014-02-20"):
        insight_rows(protect, raw(SEED), pd.Timestamp(today))


### END HIDDEN TESTS
