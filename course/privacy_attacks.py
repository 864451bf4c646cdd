"""Attacks on tables that should not lead to people, and how often each succeeds. Used by lab 08.

Each returns a share between 0 (nobody was found) and 1 (everybody was). An attacker knows the public register, the mail
addresses of people who may be among the passengers, and the code; the key is all that the attacker does not know.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")
KNOWN_KEYS = ("", "secret", "key", "salt", "pepper", "password", "changeme", "model", "insight")
SHORTEST = 6  # characters of a pseudonym that a guess must share
LONGEST_NOTE = 2000


def guess(pseudonyms: Iterable[str], addresses: Sequence[str], known_keys: Sequence[str] = KNOWN_KEYS) -> float:
    """Hash every address that somebody may have, in the usual ways, and look the pseudonyms up.

    Args:
        pseudonyms: those of the table.
        addresses: all that the attacker tries, in their plain form.
        known_keys: keys and salts that everybody tries.

    Returns:
        The share of pseudonyms that were found.
    """
    wanted = {str(one).strip().lower() for one in pseudonyms}
    lengths = {len(one) for one in wanted if len(one) >= SHORTEST}
    found: set[str] = set()
    for address in addresses:
        for code in _codes(address, known_keys):
            found.update(code[:length] for length in lengths if code[:length] in wanted)
    return len(found) / max(1, len(wanted))


def _codes(address: str, known_keys: Sequence[str]) -> Iterable[str]:
    """What the usual functions make of an address, in small letters."""
    for text in (address, address.upper()):
        data = text.encode()
        yield from (uuid.uuid5(space, text).hex for space in (uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL))
        yield str(uuid.uuid5(uuid.NAMESPACE_DNS, text))
        yield f"{zlib.crc32(data):08x}"
        yield base64.b64encode(data).decode().lower()
        yield data.hex()
    data = address.encode()
    for name in HASHES:
        digest = hashlib.new(name, data).digest()
        yield digest.hex()
        yield base64.b64encode(digest).decode().lower()
    for key in known_keys:
        for name in ("md5", "sha1", "sha256"):
            yield hashlib.new(name, key.encode() + data).hexdigest()
            yield hashlib.new(name, data + key.encode()).hexdigest()
            yield hmac.new(key.encode(), data, name).hexdigest()


def with_the_code(
    pseudonyms: Collection[str], addresses: Sequence[str], pseudonym: Callable[[str, str, str], str], purpose: str
) -> float:
    """Run the code itself on every address, with keys that the attacker makes up, and look the pseudonyms up."""
    tried = {pseudonym(address, purpose, key) for key in ("00" * 32, "ab" * 32) for address in addresses}
    return len(tried & set(pseudonyms)) / max(1, len(set(pseudonyms)))


def few(table: pd.DataFrame, columns: Sequence[str], person: str, k: int = 5) -> float:
    """The share of rows whose values in some columns fit fewer than k people; missing values fit everybody."""
    whole = table.dropna(subset=list(columns))
    if whole.empty:
        return 0.0
    crowd = whole.groupby(list(columns))[person].transform("nunique")
    return float((crowd < k).sum()) / len(table)


def link(table: pd.DataFrame, register: pd.DataFrame, columns: Sequence[str], day: pd.Timestamp) -> float:
    """Look each row's columns up in a public register: the share of rows that fit one person only.

    Args:
        table: has some of birth_date, postcode, age_band and area.
        register: name, birth_date, postcode.
        columns: those to link on.
        day: on which ages are counted.
    """
    known = register.assign(age_band=age_bands(register["birth_date"], day), area=register["postcode"].str[:3])
    counts = known.groupby(list(columns)).size()
    keys = table[list(columns)].dropna()
    if keys.empty:
        return 0.0
    index = pd.MultiIndex.from_frame(keys) if len(columns) > 1 else pd.Index(keys[columns[0]])
    return float((counts.reindex(index).to_numpy() == 1).sum()) / len(table)


def age_bands(birth: pd.Series, day: pd.Timestamp | pd.Series) -> pd.Series:
    """The decade of somebody's age on a day: "30-39"."""
    days = day if isinstance(day, pd.Series) else pd.Series(day, index=birth.index)
    before = (days.dt.month * 100 + days.dt.day) < (birth.dt.month * 100 + birth.dt.day)
    decade = (days.dt.year - birth.dt.year - before) // 10 * 10
    return decade.map(lambda start: f"{start}-{start + 9}")


def mail_in(notes: Iterable[str], addresses: Iterable[str]) -> float:
    """The share of notes in which a mail address, or the part of one before the @, can be read."""
    names = {address.partition("@")[0].lower() for address in addresses}
    return _share(notes, lambda note: bool(names & set(re.findall(r"[a-z0-9._]+", note.lower()))))


def phone_in(notes: Iterable[str], area_codes: Collection[str]) -> float:
    """The share of notes in which a phone number can be read, however it is written."""

    def has(note: str) -> bool:
        digits = re.sub(r"[^0-9]", "", note)
        places = (found.start() for found in re.finditer("55501", digits))
        return any(digits[place - 3 : place] in area_codes for place in places if place >= 3)

    return _share(notes, has)


def name_in(notes: Iterable[str], names: Collection[str]) -> float:
    """The share of notes in which a first or last name of a passenger can be read."""
    known = {name.lower() for name in names}
    return _share(notes, lambda note: bool(known & set(re.findall(r"[a-z]+", note.lower()))))


def _share(notes: Iterable[str], has: Callable[[str], bool]) -> float:
    texts = [str(note)[:LONGEST_NOTE] for note in notes]
    return sum(map(has, texts)) / max(1, len(texts))


def by_order(pseudonyms: Mapping[str, str]) -> float:
    """How much the order of pseudonyms tells of the order of addresses: the rank correlation, without its sign."""
    ordered = sorted(pseudonyms)
    place = {name: number for number, name in enumerate(sorted(pseudonyms.values()))}
    numbers = [place[pseudonyms[address]] for address in ordered]
    if len(set(numbers)) < 3:
        return 1.0
    return abs(float(np.corrcoef(numbers, range(len(numbers)))[0, 1]))


def by_position(one: Sequence[str], other: Sequence[str]) -> float:
    """Lay two tables side by side: the share of rows whose neighbour is the same person.

    Args:
        one, other: who each row of either table is about.
    """
    pairs = list(zip(one, other, strict=False))
    return sum(first == second for first, second in pairs) / max(1, len(pairs))
