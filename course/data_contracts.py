"""What a data contract promises, and where a table breaks it: `breaches(contract, product, …)`. Used by lab 08.

A contract is a dictionary, as YAML gives it:

    products:
      bookings:
        owner: {team: bookings, contact: bookings@example.org}
        consumers: [late-flights]
        purpose: model
        retention_days: 365
        fresh_within_hours: 26
        rows_at_least: 100
        key: [booking]
        references: {flights: [date, carrier]}          # the columns that lead to a row of another product
        columns:
          origin: {type: text, one_of: [EWR, JFK]}
          bags: {type: whole number, min: 0, max: 9}
          passenger: {type: text, personal: pseudonym}
          gate: {type: text, optional: true}            # values may be missing
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api import types

TYPES = {
    "text": lambda column: types.is_string_dtype(column) or types.is_object_dtype(column),
    "date": types.is_datetime64_any_dtype,
    "whole number": types.is_integer_dtype,
    "number": lambda column: types.is_numeric_dtype(column) and not types.is_bool_dtype(column),
    "truth": types.is_bool_dtype,
}
PERSONAL = ("no", "pseudonym", "yes")
MANDATORY = ("owner", "consumers", "purpose", "retention_days", "fresh_within_hours", "columns")


def problems(contract: Any) -> list[str]:
    """Return what is wrong with a contract itself; nothing if it can be used."""
    products = contract.get("products") if isinstance(contract, dict) else None
    if not isinstance(products, dict) or not products:
        return ["a contract must have products: {name: …}"]
    found = []
    for name, product in products.items():
        if not isinstance(product, dict):
            found.append(f"{name} must be a mapping")
            continue
        found += [f"{name} has no {key}" for key in MANDATORY if key not in product]
        owner = product.get("owner")
        if not isinstance(owner, dict) or not all(owner.get(key) for key in ("team", "contact")):
            found.append(f"{name}: owner must have a team and a contact")
        consumers = product.get("consumers")
        if not isinstance(consumers, list) or not consumers:
            found.append(f"{name}: consumers must be a list with at least one name")
        for key in ("retention_days", "fresh_within_hours"):
            if key in product and not _positive(product[key]):
                found.append(f"{name}: {key} must be a positive number, got {product[key]!r}")
        if "rows_at_least" in product and not _positive(product["rows_at_least"]):
            found.append(f"{name}: rows_at_least must be a positive number, got {product['rows_at_least']!r}")
        found += _column_problems(str(name), product, products)
    return found


def _column_problems(name: str, product: Mapping[str, Any], products: Mapping[str, Any]) -> list[str]:
    columns = product.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(rule, dict) for rule in columns.values()):
        return [f"{name}: columns must map each column to its rules, such as {{type: text}}"]
    found = []
    for column, rule in columns.items():
        if rule.get("type") not in TYPES:
            found.append(f"{name}.{column}: type must be one of {', '.join(TYPES)}, got {rule.get('type')!r}")
        if rule.get("personal", "no") not in (*PERSONAL, False, True):
            found.append(f"{name}.{column}: personal must be one of {', '.join(PERSONAL)}, got {rule['personal']!r}")
        if "one_of" in rule and not isinstance(rule["one_of"], list):
            found.append(f"{name}.{column}: one_of must be a list")
        if any(bound in rule and not _number(rule[bound]) for bound in ("min", "max")):
            found.append(f"{name}.{column}: min and max must be numbers")
    key = product.get("key", [])
    if not isinstance(key, list) or any(part not in columns for part in key):
        found.append(f"{name}: key must be a list of its columns")
    references = product.get("references", {})
    if not isinstance(references, dict):
        return [*found, f"{name}: references must map a product to a list of columns"]
    for other, by in references.items():
        known = isinstance(products.get(other), dict) and isinstance(products[other].get("columns"), dict)
        theirs = products[other]["columns"] if known else {}
        if not isinstance(by, list) or not by or any(part not in columns or part not in theirs for part in by):
            found.append(f"{name}: references to {other} must list columns that both products have")
    return found


def breaches(
    contract: Mapping[str, Any],
    product: str,
    tables: Mapping[str, pd.DataFrame],
    made_at: pd.Timestamp,
    now: pd.Timestamp,
) -> list[str]:
    """Return where a product breaks its contract; nothing if it keeps it.

    Args:
        contract: one without `problems`.
        product: the name of the product that the consumer has received.
        tables: product → its table.
        made_at: when the product was made.
        now: when the consumer looks; days of retention are counted back from it, by the column `date`.
    """
    terms, table = contract["products"][product], tables[product]
    columns = terms["columns"]
    found = [f"the column {name} is missing" for name in columns if name not in table]
    found += [f"the column {name} was never promised" for name in table if name not in columns]
    for name, rule in columns.items():
        if name in table:
            found += _values(name, table[name], rule)
    if len(table) < terms.get("rows_at_least", 0):
        found.append(f"{len(table):,} rows, where {terms['rows_at_least']:,} were promised")
    if now - made_at > pd.Timedelta(hours=terms["fresh_within_hours"]):
        found.append(f"made at {made_at:%d %B, %H:%M}, which is too long ago")
    if "date" in table and types.is_datetime64_any_dtype(table["date"]):
        old = int((table["date"] < now.normalize() - pd.Timedelta(days=terms["retention_days"])).sum())
        found += [f"{old:,} rows are older than {terms['retention_days']} days"] * bool(old)
    key = [name for name in terms.get("key", []) if name in table]
    twice = int(table.duplicated(key).sum()) if key else 0
    found += [f"{twice:,} rows have the key of another row"] * bool(twice)
    for other, by in terms.get("references", {}).items():
        if other in tables and all(name in table and name in tables[other] for name in by):
            there = set(tables[other][by].itertuples(index=False, name=None))
            lost = sum(row not in there for row in table[by].itertuples(index=False, name=None))
            found += [f"{lost:,} rows lead to no row of {other}"] * bool(lost)
    return found


def _values(name: str, column: pd.Series, rule: Mapping[str, Any]) -> list[str]:
    """Where the values of one column break its rules."""
    if not TYPES[rule["type"]](column):
        return [f"{name} must be {rule['type']}, and is {column.dtype}"]
    found = []
    missing = int(column.isna().sum())
    if missing and rule.get("optional") is not True:
        found.append(f"{name} is missing in {missing:,} rows")
    there = column.dropna()
    if "one_of" in rule and not there.isin(rule["one_of"]).all():
        found.append(f"{name} has values that are not among those agreed")
    if types.is_numeric_dtype(there):
        if "min" in rule and (there < rule["min"]).any():
            found.append(f"{name} is below {rule['min']}")
        if "max" in rule and (there > rule["max"]).any():
            found.append(f"{name} is above {rule['max']}")
    return found


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0
