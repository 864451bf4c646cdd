"""Whether one person is gone from a company's folder, and nobody else: `is_gone(found, Folder(…), email)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from course import bookings
from course.checks.core.expectations import fail, quoted
from course.checks.files import reading
from course.checks.files.tables import Tables, canonical_column
from course.checks.privacy.trials import Erased
from course.sandboxed.privacy_trials import name_of

MARK = "\x00"  # where an address stood in a note


class Folder:
    """A company's folder before an erasure.

    Args:
        tables: path → table.
        keys: of the pseudonyms in them; see `name_of`.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], keys: Sequence[str]) -> None:
        self.tables, self.keys = dict(tables), list(keys)

    def addresses(self, email: str) -> set[str]:
        """All addresses, in their plain form, of a person's bookings, including those that were corrected."""
        wanted = {bookings.plain(email)}
        raw = [table for table in self.tables.values() if "email" in table]
        theirs = {
            number for table in raw for number in table.loc[table["email"].map(bookings.plain).isin(wanted), "booking"]
        }
        return wanted | {
            bookings.plain(address) for table in raw for address in table.loc[table["booking"].isin(theirs), "email"]
        }

    def names(self, email: str) -> set[str]:
        """All pseudonyms of a person."""
        return {name_of(address, key) for address in self.addresses(email) for key in self.keys}

    def after(self, email: str) -> Folder:
        """The folder as it must be when the person is gone; notes have MARK where their address stood."""
        addresses, names = self.addresses(email), self.names(email)
        found = {}
        for place, table in self.tables.items():
            if "email" in table:
                kept = table[~table["email"].map(bookings.plain).isin(addresses)].copy()
                kept["note"] = [_without(note, addresses) for note in kept["note"]]
            else:
                kept = table[~table["passenger"].isin(names)]
            found[place] = kept
        return Folder(found, self.keys)

    def seen_by(self, email: str) -> set[str]:
        """The models whose training sets hold the person."""
        names = self.names(email)
        parts = {place: place.split("/") for place in self.tables}
        return {
            part[1]
            for place, part in parts.items()
            if part[0] == "models" and self.tables[place]["passenger"].isin(names).any()
        }


def read(erased: Erased, places: Sequence[str], tables: Tables) -> dict[str, pd.DataFrame]:
    """The tables that an erasure left; fail if one is gone."""
    found = {}
    for place in places:
        if place not in erased.files:
            fail(f"{place} is gone", hint="an erasure removes rows; a table without rows is still a table")
        found[place] = tables.read(place, erased.files[place])
    return found


def is_gone(found: Mapping[str, pd.DataFrame], before: Folder, email: str) -> None:
    """Fail if a person can still be found in a table."""
    addresses, names = before.addresses(email), before.names(email)
    for place, table in found.items():
        if "email" in table:
            left = int(table["email"].map(lambda value: bookings.plain(str(value))).isin(addresses).sum())
            if left:
                fail(f"{left} rows of {place} still have an address of the person", expected="none")
            told = sum(any(address in str(note).lower() for address in addresses) for note in table.get("note", []))
            if told:
                fail(f"{told} notes in {place} still have an address of the person", expected="none")
        elif "passenger" in table:
            left = int(table["passenger"].isin(names).sum())
            if left:
                hint = "a person has one pseudonym per purpose and key: pseudonyms_of returns all of an address"
                fail(f"{left} rows of {place} still have a pseudonym of the person", expected="none", hint=hint)


def others_are_there(found: Mapping[str, pd.DataFrame], before: Folder, email: str) -> None:
    """Fail unless all rows of other people are there as they were, but for the address in a note."""
    for place, right in before.after(email).tables.items():
        table = found[place]
        missing = [column for column in right if column not in table]
        extra = [column for column in table if column not in right]
        if missing or extra:
            fail(f"{place} has other columns than before", expected=", ".join(right), actual=", ".join(map(str, table)))
        plain = [column for column in right if column != "note"]
        wanted, there = (_rows(frame, plain) for frame in (right, table))
        own = _rows(before.tables[place], plain) - wanted
        if lost := wanted - there:
            fail(f"{place} lacks {lost.total()} rows of other people", actual=_shown(next(iter(lost))))
        if more := there - wanted - own:
            fail(f"{place} has {more.total()} rows that were not there", actual=_shown(next(iter(more))))
        if "note" in right:
            _notes_are_there(place, right, table)


def _notes_are_there(place: str, right: pd.DataFrame, table: pd.DataFrame) -> None:
    notes: dict[Any, list[str]] = {}
    for booking, version, note in zip(table["booking"], table["version"], table["note"], strict=True):
        notes.setdefault((booking, version), []).append("" if note is None else str(note)[:500])
    for booking, version, note in zip(right["booking"], right["version"], right["note"], strict=True):
        left = notes.get((booking, version), [])
        start, _, end = note.partition(MARK)
        if not any(one == note or (MARK in note and one.startswith(start) and one.endswith(end)) for one in left):
            shown = note.replace(MARK, "[…]")
            fail(f"the note of somebody else's booking in {place} has changed", expected=quoted(shown), got=left[:1])


def cards(erased: Erased) -> dict[str, dict[str, Any]]:
    """The card of each model: name → card; fail if one is gone or no JSON object."""
    found = {}
    for place in bookings.cards():
        if place not in erased.files:
            fail(f"{place} is gone")
        content = erased.files[place][: reading.MAX_DOCUMENT_BYTES + 1]
        if len(content) > reading.MAX_DOCUMENT_BYTES:
            fail(f"{place} is too large")
        card = reading.json_document(content.decode("utf-8", "replace"), place)
        if not isinstance(card, dict):
            fail(f"{place} holds no JSON object", got=card)
        found[place.split("/")[1]] = card
    return found


def _without(note: str, addresses: set[str]) -> str:
    for address in addresses:
        at = note.lower().find(address)
        if at >= 0:
            note = note[:at] + MARK + note[at + len(address) :]
    return note


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
    return Counter(zip(*(canonical_column(table[column]) for column in columns), strict=True))


def _shown(row: tuple[Any, ...]) -> str:
    return ", ".join(map(str, row))[:150]
