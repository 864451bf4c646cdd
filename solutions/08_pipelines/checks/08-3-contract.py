"""Does the consumer's check fail when a producer breaks the contract, and only then?"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from course import data_contracts
from course.checks import Question, Unmet, document, fail, fixture
from course.checks.core.bounds import bounded

question = Question("The contract", points=3)
CONTRACT = "contract.yaml"
NOW = pd.Timestamp("2013-12-01 08:00")
Tables: TypeAlias = dict[str, pd.DataFrame]


@fixture
def contract() -> dict[str, Any]:
    """The shipped contract, in its form."""
    found = document(CONTRACT)
    wrong = data_contracts.problems(found)
    if wrong:
        raise Unmet(f"{CONTRACT} is a contract", wrong[0][:300])
    missing = [name for name in ("bookings", "flights") if name not in found["products"]]
    if missing:
        raise Unmet(
            f"{CONTRACT} is a contract",
            f"{CONTRACT} has no product {missing[0]}",
            actual=", ".join(map(str, found["products"]))[:200],
        )
    return dict(found)


def sound(seed: int, rows: int = 400) -> Tables:
    """Both products, as they were agreed."""
    rng = np.random.default_rng(seed)
    count = 900
    flights = pd.DataFrame(
        {
            "date": pd.Timestamp("2013-12-01") - pd.to_timedelta(rng.integers(0, 366, count), unit="D"),
            "carrier": rng.choice(["UA", "B6", "EV", "DL"], count),
            "flight": np.arange(1, count + 1),
            "origin": rng.choice(["EWR", "JFK", "LGA"], count),
            "distance": rng.integers(80, 4983, count),
            "late": rng.random(count) < 0.2,
        }
    )
    taken = flights.iloc[rng.integers(0, count, rows)].reset_index(drop=True)
    names = [f"{number:016x}" for number in rng.integers(1, 2**62, rows)]
    bookings = taken[["date", "carrier", "flight", "origin"]].assign(
        passenger=names, party=rng.integers(1, 10, rows), bags=rng.integers(0, 21, rows)
    )
    bookings.loc[0, ["party", "bags"]] = (1, 0)
    bookings.loc[1, ["party", "bags"]] = (9, 20)
    return {"bookings": bookings, "flights": flights}


def breaches(contract: dict[str, Any], tables: Tables, product: str, hours: float = 3.0) -> list[str]:
    """Where a product breaks its contract, made some hours ago."""
    with bounded("the contract can be applied", "the contract"):
        return data_contracts.breaches(contract, product, tables, NOW - pd.Timedelta(hours=hours), NOW)


def keeps(contract: dict[str, Any], tables: Tables, hours: float = 3.0) -> None:
    """Fail unless both products keep the contract."""
    for product in ("bookings", "flights"):
        if found := breaches(contract, tables, product, hours):
            fail(
                f"the contract rejects {product} as they were agreed: {found[0]}"[:300], actual=f"{len(found)} breaches"
            )


def catches(contract: dict[str, Any], product: str, faults: dict[str, Callable[[Tables], Tables]]) -> None:
    """Fail unless the contract notices each fault of a product."""
    for what, broken in faults.items():
        if not breaches(contract, broken(sound(5)), product):
            fail(f"the consumer does not notice when, in {product}, {what}")


def changed(product: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tables], Tables]:
    """Both products, one of them changed."""
    return lambda tables: {**tables, product: change(tables[product].copy())}


@question.check(points=1)
def sound_products_pass_and_a_renamed_column_does_not(contract: dict[str, Any]) -> None:
    """owners and terms are those agreed; sound products keep the contract, and a renamed column breaks it"""
    terms = {
        "bookings": {"team": "bookings", "purpose": "model", "retention_days": 365, "fresh_within_hours": 26},
        "flights": {"team": "operations", "purpose": "model", "retention_days": 730, "fresh_within_hours": 6},
    }
    for product, agreed in terms.items():
        found = contract["products"][product]
        there = {name: found["owner"].get(name) if name == "team" else found.get(name) for name in agreed}
        if there != agreed:
            fail(f"the terms of {product} are not those agreed", expected=agreed, actual=there)
        if "late-flights" not in found["consumers"]:
            fail(f"late-flights is not among the consumers of {product}", actual=found["consumers"])
    keeps(contract, sound(4))
    catches(
        contract,
        "bookings",
        {"bags is called luggage": changed("bookings", lambda t: t.rename(columns={"bags": "luggage"}))},
    )


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="types, bounds, codes, missing values, the number of rows, the key, and that each booking leads to a flight",
)
def broken_products_are_noticed(contract: dict[str, Any]) -> None:
    """whatever the producers break of what was agreed is noticed"""
    change = changed
    catches(
        contract,
        "bookings",
        {
            "a mail address comes along": change("bookings", lambda t: t.assign(email="a@example.org")),
            "bags became text": change("bookings", lambda t: t.assign(bags=t["bags"].astype(str))),
            "date became text": change("bookings", lambda t: t.assign(date=t["date"].astype(str))),
            "a passenger is missing": change(
                "bookings", lambda t: t.assign(passenger=t["passenger"].where(t.index != 7))
            ),
            "there are 21 bags": change("bookings", lambda t: t.assign(bags=t["bags"].where(t.index != 3, 21))),
            "there are fewer than 0 bags": change(
                "bookings", lambda t: t.assign(bags=t["bags"].where(t.index != 3, -1))
            ),
            "a party has no people": change("bookings", lambda t: t.assign(party=t["party"].where(t.index != 3, 0))),
            "a party has ten people": change("bookings", lambda t: t.assign(party=t["party"].where(t.index != 3, 10))),
            "an origin is not ours": change(
                "bookings", lambda t: t.assign(origin=t["origin"].where(t.index != 3, "BOS"))
            ),
            "only 150 rows arrive": change("bookings", lambda t: t.head(150)),
            "a booking leads to no flight": change(
                "bookings", lambda t: t.assign(flight=t["flight"].where(t.index != 3, 9999))
            ),
        },
    )
    catches(
        contract,
        "flights",
        {
            "a flight is there twice": change("flights", lambda t: pd.concat([t, t.head(1)], ignore_index=True)),
            "late became a number": change("flights", lambda t: t.assign(late=t["late"].astype(int))),
            "distance is 0": change("flights", lambda t: t.assign(distance=t["distance"].where(t.index != 3, 0))),
            "distance is gone": change("flights", lambda t: t.drop(columns="distance")),
            "an origin is not ours": change(
                "flights", lambda t: t.assign(origin=t["origin"].where(t.index != 3, "BOS"))
            ),
        },
    )


@question.check(
    points=1, hidden=True, hint="each product has its own hours and days; what lies within everything agreed must pass"
)
def late_and_old_products_are_noticed_and_sound_ones_pass(contract: dict[str, Any]) -> None:
    """late deliveries and rows that are kept too long are noticed; the pseudonym is marked; sound products pass"""
    keeps(contract, sound(61, rows=200), hours=5.9)
    keeps(contract, sound(62, rows=3000))
    for product, hours in (("bookings", 26.5), ("flights", 6.5)):
        if not breaches(contract, sound(5), product, hours):
            fail(f"the consumer does not notice that {product} are {hours} hours old")
    if breaches(contract, sound(5), "bookings", 25.5):
        fail("bookings of 25.5 hours ago are rejected, and 26 hours were agreed")
    for product, days in (("bookings", 366), ("flights", 731)):
        held = sound(5)
        held[product].loc[3, "date"] = NOW.normalize() - pd.Timedelta(days=days)
        if not any("older" in found for found in breaches(contract, held, product)):
            fail(f"the consumer does not notice that {product} hold a row of {days} days ago")
    columns = contract["products"]["bookings"]["columns"]
    marked = {name for name, rule in columns.items() if rule.get("personal", "no") not in ("no", False)}
    if marked != {"passenger"} or columns["passenger"]["personal"] != "pseudonym":
        fail("other columns are marked as personal", expected="passenger: pseudonym", actual=sorted(marked))


### END HIDDEN TESTS
