"""Is one person gone from every table, and nobody else?"""

import functools
import json

import pandas as pd

from course import bookings
from course.checks import Question, fail, fixture
from course.checks.files.tables import Tables, canonical_column
from course.checks.privacy.erasure import Folder, cards, is_gone, others_are_there, read
from course.checks.privacy.trials import Erased, Trials, trials
from course.sandboxed.privacy_trials import name_of

question = Question("Erase", points=4)
KEYS = {"model": "a key of the model", "insight": "a key for insight"}


@fixture
def erase() -> Trials:
    """The shipped module, called in a process of its own."""
    return trials("erase.py")


@fixture
def tables() -> Tables:
    """Reads Parquet, in another process."""
    return Tables()


@functools.cache
def company(seed: int, old: bool = False) -> Folder:
    """A company's folder; with `old`, pseudonyms until October were made with keys that were rotated since."""
    table = bookings.bookings(seed, travellers=110)
    found = bookings.tables(table, lambda email, purpose: name_of(email, KEYS[purpose]))
    if old:
        before = bookings.tables(table, lambda email, purpose: name_of(email, f"old {KEYS[purpose]}"))
        place = "models/v1/training.parquet"
        found[place] = pd.concat([before[place].iloc[::2], found[place].iloc[1::2]], ignore_index=True)
    return Folder(found, [*KEYS.values(), *(f"old {key}" for key in KEYS.values())])


def traveller(folder: Folder, *, corrected: bool = False, training: int = 3) -> str:
    """The plain address of somebody with several bookings, in some training sets; perhaps with a mistyped one."""
    raw = pd.concat(table for place, table in folder.tables.items() if place.startswith("lake/bookings/2"))
    counts = raw["email"].map(bookings.plain).value_counts()
    for address in sorted(counts.index[counts >= 2]):
        several = len(folder.addresses(address)) > 1
        if (
            several == corrected
            and not address.partition("@")[0].endswith("q")
            and len(folder.seen_by(address)) == training
        ):
            return str(address)
    raise LookupError("nobody is like that")


def erased(erase: Trials, folder: Folder, email: str, trial: str, *, again: bool = False) -> Erased:
    """What erase() leaves of a folder."""
    if not again:
        documents = {place: json.dumps(card) for place, card in bookings.cards().items()}
        erase.company(trial, folder.tables, documents)
    return erase.erase(trial, email, folder.keys)


@question.check(points=1)
def the_person_is_gone(erase: Trials, tables: Tables) -> None:
    """the person is gone from lake, warehouse, features and training sets"""
    folder = company(1)
    email = traveller(folder)
    is_gone(read(erased(erase, folder, email, "a"), list(folder.tables), tables), folder, email)


@question.check(points=1)
def nobody_else_is_touched(erase: Trials, tables: Tables) -> None:
    """all other people's rows are as they were"""
    folder = company(1)
    email = traveller(folder)
    others_are_there(read(erased(erase, folder, email, "b"), list(folder.tables), tables), folder, email)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="look up all addresses of the person's bookings, in any spelling and version, also the mistyped ones, and all "
    "pseudonyms of each; other people's notes lose the address and nothing else",
)
def every_trace_is_found(erase: Trials, tables: Tables) -> None:
    """other spellings, corrections, copies, rotated keys and other people's notes are found, and nothing else"""
    folder = company(77, old=True)
    email = traveller(folder, corrected=True)
    found = read(erased(erase, folder, f" {email.upper()} ", "c"), list(folder.tables), tables)
    is_gone(found, folder, email)
    others_are_there(found, folder, email)


@question.check(
    points=1,
    hidden=True,
    hint="saw_erased_data becomes true for models whose training set held the person, stays true, and nothing else "
    "changes; a second erasure and that of an unknown person change nothing; no record names the person",
)
def models_know_and_twice_is_once(erase: Trials, tables: Tables) -> None:
    """the models that saw the person say so; a second erasure changes nothing, and no record names the person"""
    folder = company(78)
    email = traveller(folder, training=2)
    first = erased(erase, folder, email, "d")
    says_who_saw(first, folder.seen_by(email))
    for secret in (email, *folder.names(email)):
        kept = [first.traces, *(str(card) for card in cards(first).values())]
        if any(secret in text.lower() for text in kept):
            fail("a record of the erasure names the person", hint="report how many rows were removed, and where")
    for other in (email, "nobody.at.all@example.org"):
        second = erased(erase, folder, other, "d", again=True)
        says_who_saw(second, folder.seen_by(email))
        before, after = (read(one, list(folder.tables), tables) for one in (first, second))
        for place, table in before.items():
            same = list(table) == list(after[place]) and all(
                canonical_column(table[name]) == canonical_column(after[place][name]) for name in table
            )
            if not same:
                fail(f"{place} has changed, though nobody was left to erase")


def says_who_saw(erased: Erased, right: set[str]) -> None:
    """Fail unless the cards of these models, and no others, have seen erased data."""
    original = {card["model"]: card for card in bookings.cards().values()}
    for name, card in cards(erased).items():
        wanted = {**original[name], "saw_erased_data": name in right}
        if {key: card.get(key) for key in wanted} != wanted:
            fail(f"the card of {name} says something else", expected=wanted, actual=card)


### END HIDDEN TESTS
