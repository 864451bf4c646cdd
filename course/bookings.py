"""Bookings of invented people for real flights, and the folder of a small company that keeps them. Used by lab 08.

Nobody here exists: names are drawn from two lists, mail addresses end in domains that are reserved for examples, and
phone numbers have the exchange 555-01, which is reserved for fiction. All of it follows from a seed.

A *booking* has one row per version. A later version corrects an earlier one; a correction may replace a mail address
that was mistyped, and the mistyped address belongs to nobody else.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course import flights

FIRST_NAMES = [
    *("Aldo", "Amara", "Anneke", "Bashir", "Bettina", "Cato", "Chiara", "Corin", "Dagny", "Davit", "Edda", "Eliska"),
    *("Emre", "Fadil", "Farah", "Gerrit", "Gitte", "Hakon", "Halima", "Ilse", "Imani", "Jarek", "Jelena"),
    *("Joris", "Kaori", "Katrin", "Kofi", "Lamin", "Leocadia", "Linus", "Lotte", "Maelle", "Malik", "Marit", "Matteo"),
    *("Nadja", "Nuno", "Oksana", "Olle", "Paavo", "Petra", "Quirin", "Ragnhild", "Rashid", "Renzo", "Saskia"),
    *("Severin", "Signe", "Tamsin", "Teodor", "Tove", "Ulrike", "Umar", "Valeska", "Viggo", "Wanda", "Xenia"),
    *("Yannick", "Zaida"),
]
LAST_NAMES = [
    *("Abendrot", "Adeyinka", "Alderighi", "Anquetin", "Bakkevold", "Barzani", "Belloumi", "Birkholz", "Brovari"),
    *("Castellucci", "Chukwuma", "Corvalan", "Dahlgren", "Danjuma", "Delacourt", "Demirtas", "Dobrowski", "Eikeland"),
    *("Elgammal", "Fagerholm", "Farkasova", "Ferrandiz", "Fjellstad", "Gallimard", "Gorecki", "Grunwald", "Haddouche"),
    *("Halvorsen", "Hirvonen", "Ibarretxe", "Iwasaki", "Jablonsky", "Jorgensen", "Kaltenbach", "Kamara", "Katsaros"),
    *("Kowalczyk", "Lindqvist", "Lombardini", "Maartens", "Mbeki", "Montalban", "Moravec", "Nakagawa", "Nordahl"),
    *("Obrecht", "Okonjo", "Ostrander", "Palladino", "Pettersen", "Quintanar", "Radvanyi", "Rasmussen", "Rosenbaum"),
    *("Saarinen", "Schellekens", "Sokolova", "Stavrakis", "Tchaikov", "Thorvald", "Ullmann", "Vandersteen", "Vasquez"),
    *("Wijnberg", "Winkelmann", "Yamashita", "Yilmaz", "Zachariou", "Zeller", "Zimmer"),
]
DOMAINS = ("example.org", "example.com", "example.net", "mail.example.org", "post.example.com")
AREA_CODES = ("201", "212", "347", "516", "551", "646", "718", "732", "908", "914", "917", "929", "973")
AREAS = {"100": 30, "112": 22, "104": 12, "113": 10, "070": 9, "071": 7, "103": 5, "115": 3, "088": 1.4, "117": 0.6}
TYPED = ("{0}", "{0}", "{0}", "{1}", " {0}", "{0} ", "{2}")  # plain, capitals, spaces around, a capital letter
PHONES = ("+1 {} 555 {}", "({}) 555-{}", "{}.555.{}", "{}-555-{}", "+1{}555{}", "{}555{}", "001 {} 555 {}")
NOTES = (
    "",
    "",
    "aisle seat, please",
    "two suitcases, one is 23 kg",
    "Please call {phone} if the gate changes.",
    "{name} needs a wheelchair at gate B12; contact {email}",
    "send the receipt of 1250 USD to {email}",
    "Mr {last} asked for seat 14C on {carrier} {flight}.",
    "rebooked on 2013-11-04 at 18:45, confirmed to {EMAIL}",
    "{first} has a connection at 07:15; the phone is {phone}",
    "same row as {other}, booking {other_booking}",
    "voucher of 80 USD sent to {at}; also {phone}",
    "Mail: <{email}>, mobile: {phone}. Vegetarian meal",
    "called from {phone} at 09:30 about {carrier} {flight}",
    "{LAST}/{first}: window seat, 2 bags",
)
START, END = "2013-09-01", "2013-12-01"
COLUMNS = [
    *("booking", "version", "recorded_at", "name", "email", "phone", "birth_date", "postcode"),
    *("date", "carrier", "flight", "origin", "party", "bags", "note"),
]
PERSONAL = ["name", "email", "phone", "birth_date", "postcode"]
Pseudonym = Callable[[str, str], str]  # of a mail address, for a purpose


def population(seed: int = 0, size: int = 3000) -> pd.DataFrame:
    """Return invented people: name, email (in its plain form), phone, birth_date and postcode; most never booked.

    Args:
        seed: another one, other people.
        size: how many.
    """
    rng = np.random.default_rng([seed, 1])
    first, last = (rng.choice(names, size) for names in (FIRST_NAMES, LAST_NAMES))
    days = np.clip(rng.normal(15_000, 5_800, size), 2_000, 31_500).astype(int)
    birth = pd.Timestamp("2013-11-01") - pd.to_timedelta(days, unit="D")
    weights = np.array(list(AREAS.values()))
    areas = rng.choice(list(AREAS), size, p=weights / weights.sum())
    numbers = rng.permutation(len(AREA_CODES) * 100)[np.arange(size) % (len(AREA_CODES) * 100)]
    people = {
        "name": [f"{one} {two}" for one, two in zip(first, last, strict=True)],
        "email": [_address(*both, number, rng) for number, both in enumerate(zip(first, last, strict=True))],
        "phone": [f"+1 {AREA_CODES[number // 100]} 555 01{number % 100:02}" for number in numbers],
        "birth_date": birth,
        "postcode": [f"{area}{rng.integers(1, 40):02}" for area in areas],
    }
    return pd.DataFrame(people).astype({"birth_date": "datetime64[s]"})


def register(people: pd.DataFrame) -> pd.DataFrame:
    """Return a public register of these people, as an electoral roll would be: name, birth_date, postcode; by name."""
    return people[["name", "birth_date", "postcode"]].sort_values(["name", "birth_date"]).reset_index(drop=True)


def bookings(seed: int = 0, travellers: int = 900) -> pd.DataFrame:
    """Return the bookings of some of the people of `population(seed)`, for flights of September to November 2013.

    Returns:
        COLUMNS, one row per version of a booking, by `booking` and `version`. `date` is the flight's day; date,
        carrier, flight and origin name a flight. `email` is as somebody typed it, with other capital
        letters and spaces around it.
    """
    people = population(seed)
    rng = np.random.default_rng([seed, 2])
    travelling = rng.permutation(len(people))[:travellers]
    who = np.repeat(travelling, np.minimum(rng.geometric(0.55, travellers), 7))
    rng.shuffle(who)
    plan = _flights()
    chosen = plan.iloc[rng.integers(0, len(plan), len(who))].reset_index(drop=True)
    table = people.iloc[who].reset_index(drop=True)
    table = pd.concat([table, chosen], axis=1)
    table["booking"] = [f"B{number:06}" for number in rng.choice(np.arange(100_000, 999_999), len(who), replace=False)]
    table["version"] = 1
    ahead = pd.to_timedelta(rng.integers(60 * 24, 60 * 24 * 50, len(who)), unit="min")
    table["recorded_at"] = (table["date"] - ahead).astype("datetime64[s]")
    table["party"] = 1 + rng.poisson(0.6, len(who))
    table["bags"] = rng.poisson(0.9, len(who))
    others = table["email"].to_numpy()[rng.permutation(len(table))]
    numbers = table["booking"].to_numpy()[rng.permutation(len(table))]
    table["note"] = [
        _note(row, other, booking, rng)
        for row, other, booking in zip(table.itertuples(index=False), others, numbers, strict=True)
    ]
    table["phone"] = [_phone(phone, rng) for phone in table["phone"]]
    table["email"] = [_as_typed(email, rng) for email in table["email"]]
    return _corrected(table)[COLUMNS].sort_values(["booking", "version"]).reset_index(drop=True)


def company(folder: Path, table: pd.DataFrame, pseudonym: Pseudonym) -> None:
    """Write a company's folder: raw bookings by day in the lake, and what was made of them.

    Args:
        folder: where; it may be there already.
        table: bookings, all versions.
        pseudonym: of a mail address, as typed, for a purpose ("model" or "insight").
    """
    for place, part in tables(table, pseudonym).items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(file, index=False)
    for place, card in cards().items():
        (folder / place).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def tables(table: pd.DataFrame, pseudonym: Pseudonym) -> dict[str, pd.DataFrame]:
    """Return the tables of a company's folder: path → table. Raw ones have `email`, protected ones `passenger`."""
    month = table["recorded_at"].dt.strftime("%Y-%m")
    found = {
        f"lake/bookings/{name}.parquet": part.reset_index(drop=True) for name, part in table.groupby(month, sort=True)
    }
    found["lake/bookings/copies/2013-10.parquet"] = (
        found["lake/bookings/2013-10.parquet"].iloc[::3].reset_index(drop=True)
    )
    kept = ["date", "carrier", "flight", "origin", "party", "bags"]
    for purpose, place in (("model", "warehouse/model.parquet"), ("insight", "warehouse/insight.parquet")):
        names = [pseudonym(email, purpose) for email in table["email"]]
        made = table[kept] if purpose == "model" else table[["party"]].assign(month=table["date"].dt.strftime("%Y-%m"))
        found[place] = made.assign(passenger=names).sort_values("passenger", kind="stable").reset_index(drop=True)
    features = found["warehouse/model.parquet"]
    found["features/flights.parquet"] = features.assign(heavy=features["bags"] > features["party"])
    for name, until in CUTS.items():
        known = found["features/flights.parquet"]
        found[f"models/{name}/training.parquet"] = known[known["date"] < until].reset_index(drop=True)
    return found


CUTS = {"v1": "2013-10-01", "v2": "2013-11-01", "v3": "2013-12-01"}


def cards() -> dict[str, dict[str, object]]:
    """Return the card of each model in a company's folder: path → card."""
    return {
        f"models/{name}/card.json": {
            "model": name,
            "trained_on": f"models/{name}/training.parquet",
            "saw_erased_data": False,
        }
        for name in CUTS
    }


def plain(email: str) -> str:
    """Return the one form of a mail address in this course: without spaces around it, in small letters."""
    return email.strip().lower()


@functools.cache
def _flights() -> pd.DataFrame:
    """Every ninth flight of the three months: date, carrier, flight, origin."""
    planned = flights.history(flights.TODAY, since=pd.Timestamp(START, tz=flights.ZONE))
    table = planned[["planned_departure", "carrier", "flight", "origin"]].iloc[::9].reset_index(drop=True)
    date = table["planned_departure"].dt.tz_localize(None).dt.normalize().astype("datetime64[s]")
    table = table.assign(date=date).drop(columns="planned_departure")
    return table.astype({"carrier": object, "origin": object})


def _address(first: str, last: str, number: int, rng: np.random.Generator) -> str:
    """A mail address that nobody else has: the number makes it so."""
    first, last = first.lower(), last.lower()
    start = (f"{first}.{last}", f"{first[0]}{last}", f"{last}.{first}", f"{first}_{last}")[rng.integers(4)]
    return f"{start}{number}@{DOMAINS[rng.integers(len(DOMAINS))]}"


def _as_typed(email: str, rng: np.random.Generator) -> str:
    return TYPED[rng.integers(len(TYPED))].format(email, email.upper(), email.capitalize())


def _phone(phone: str, rng: np.random.Generator) -> str:
    _, area, _, last = phone.split()
    return PHONES[rng.integers(len(PHONES))].format(area, last)


def _note(row: Any, other: str, booking: str, rng: np.random.Generator) -> str:
    first, last = row.name.split()
    return NOTES[rng.integers(len(NOTES))].format(
        **{
            "name": row.name,
            "first": first,
            "last": last,
            "LAST": last.upper(),
            "other": other,
            "other_booking": booking,
        },
        **{"email": row.email, "EMAIL": row.email.upper(), "at": row.email.replace("@", " (at) ")},
        **{"phone": _phone(row.phone, rng), "carrier": row.carrier, "flight": row.flight},
    )


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The bookings and their corrections: a twelfth gets another version; of these, half had a mistyped address."""
    later = table.iloc[::12].copy()
    later["version"] = 2
    later["recorded_at"] = later["recorded_at"] + pd.Timedelta("9h")
    later["bags"] = later["bags"] + 1
    mistyped = later.index[::2]
    table = table.copy()
    table.loc[mistyped, "email"] = [email.strip().replace("@", "q@") for email in table.loc[mistyped, "email"]]
    return pd.concat([table, later], ignore_index=True)
