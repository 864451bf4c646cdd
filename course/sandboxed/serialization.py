"""How values travel between a check and the process that runs a student's code: JSON and Arrow, never pickle.

A message is one JSON tree and a list of Arrow tables that the tree refers to. Both sides use this module; the side of
the check treats all that arrives as data of unknown origin: sizes are capped and tables are validated in full.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import os
import struct
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

MAX_MESSAGE_BYTES = 256 * 2**20
MAX_DEPTH = 50
MAX_VALUES = 2_000_000  # of a tree
MAX_TABLES = 1000
MAX_CELLS = 50_000_000  # of a table, those in its lists too
MAX_NULLS = 1_000_000  # in columns that hold nothing else: no byte of the message stands for them
MAX_ALIKE = 100  # keys or elements with one hash; each is compared with all others
_TAG = "$"
_NULLABLE = {
    "boolean",
    "Float32",
    "Float64",
    "string",
    *(f"{sign}Int{n}" for sign in ("", "U") for n in (8, 16, 32, 64)),
}


class WireError(ValueError):
    """A value cannot travel, or what arrived is not a message."""


def pack(value: Any) -> bytes:
    """Encode a value as one message.

    Args:
        value: None, bool, int, float, str, bytes, datetime, Timestamp, Timedelta, list, tuple, set, dict, NumPy scalar
            or array, pandas Index, Series or DataFrame, nested at will.

    Returns:
        The message, without its length.

    Raises:
        WireError: a part of the value has a type that cannot travel, or the message is too large.
    """
    tables: list[bytes] = []
    tree = json.dumps(_encode(value, tables, depth=0)).encode()
    parts = [struct.pack("<II", len(tables), len(tree)), tree]
    for table in tables:
        parts += [struct.pack("<Q", len(table)), table]
    message = b"".join(parts)
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError(
            f"a value of {len(message) / 2**20:.0f} MiB is too large; at most {MAX_MESSAGE_BYTES >> 20} MiB"
        )
    return message


def unpack(message: bytes) -> Any:
    """Decode a message made by :func:`pack`.

    Raises:
        WireError: it is not such a message.
    """
    try:
        count, size = struct.unpack_from("<II", message)
        at = 8 + size
        if count > MAX_TABLES or sum(message.count(sign, 8, at) for sign in b",[{") > MAX_VALUES:
            reason = f"it holds more than {MAX_VALUES:,} values outside of tables, or {MAX_TABLES} tables"
            raise WireError(f"what arrived is not a message of this course: {reason}")
        tree = json.loads(message[8:at])
        tables = []
        for _ in range(count):
            (length,) = struct.unpack_from("<Q", message, at)
            tables.append(message[at + 8 : at + 8 + length])
            at += 8 + length
        if len(message) != at:
            raise WireError("what arrived is not a message of this course: it is cut short, or too long")
        return _decode(tree, tables)
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"what arrived is not a message of this course: {error}") from error


def frame(message: bytes) -> bytes:
    """A packed message as it goes over a pipe: preceded by its length."""
    return struct.pack("<Q", len(message)) + message


def write(descriptor: int, message: bytes) -> None:
    """Write a packed message, preceded by its length, to a file descriptor."""
    view = memoryview(frame(message))
    while view:
        view = view[os.write(descriptor, view) :]


def receive(read) -> Any:
    """Read one value.

    Args:
        read: a function that returns exactly n bytes, or raises EOFError.
    """
    (length,) = struct.unpack("<Q", read(8))
    if length > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {length} bytes is too large; at most {MAX_MESSAGE_BYTES}")
    return unpack(read(length))


def _encode(value: Any, tables: list[bytes], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise WireError(f"a value nested more than {MAX_DEPTH} levels deep cannot leave its process")
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "value": repr(value)}
    if value is pd.NA or value is pd.NaT:
        return {_TAG: "NA" if value is pd.NA else "NaT"}
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        return _encode(value.item(), tables, depth)
    if isinstance(value, dt.datetime | np.datetime64):
        stamp = pd.Timestamp(value)
        zone = None if stamp.tz is None else str(stamp.tz)
        return {_TAG: "timestamp", "value": stamp.tz_localize(None).isoformat(), "zone": zone, "utc": _utc(stamp)}
    if isinstance(value, dt.timedelta | np.timedelta64):
        return {_TAG: "timedelta", "value": pd.Timedelta(value).as_unit("ns").value}
    if isinstance(value, dt.date):
        return {_TAG: "date", "value": value.isoformat()}
    if kind is bytes:
        return {_TAG: "bytes", "value": base64.b64encode(value).decode("ascii")}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_encode(item, tables, depth + 1) for item in value]
        if isinstance(value, list):
            return items
        return {_TAG: "tuple" if isinstance(value, tuple) else "set", "items": items}
    if isinstance(value, dict):
        if all(type(key) is str for key in value) and _TAG not in value:
            return {key: _encode(item, tables, depth + 1) for key, item in value.items()}
        pairs = [[_encode(k, tables, depth + 1), _encode(v, tables, depth + 1)] for k, v in value.items()]
        return {_TAG: "dict", "items": pairs}
    if isinstance(value, pd.DataFrame):
        return _encode_frame(value, tables, depth)
    if isinstance(value, pd.Series):
        frame = value.to_frame(name="values")
        return {
            _TAG: "series",
            "name": _encode(value.name, tables, depth + 1),
            "frame": _encode_frame(frame, tables, depth),
        }
    if isinstance(value, pd.Index):
        return {_TAG: "index", "frame": _encode_frame(pd.DataFrame(index=value), tables, depth)}
    if isinstance(value, np.ndarray):
        flat = pd.DataFrame({"values": value.ravel()})
        return {_TAG: "array", "shape": list(value.shape), "frame": _encode_frame(flat, tables, depth)}
    raise WireError(
        f"a value of type {kind.__name__} cannot leave its process; "
        "return numbers, text, lists, dictionaries, NumPy arrays or pandas objects"
    )


def _utc(stamp: pd.Timestamp) -> str | None:
    return None if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None).isoformat()


def _encode_frame(frame: pd.DataFrame, tables: list[bytes], depth: int) -> dict[str, Any]:
    index = [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]
    arrays, dtypes = [], []
    for name, column in [
        *((f"index {n}", i) for n, i in zip(frame.index.names, index, strict=True)),
        *zip(frame.columns, columns, strict=True),
    ]:
        values = column.to_series() if isinstance(column, pd.Index) else column
        try:
            arrays.append(pa.array(values, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise WireError(f"column {name!r} of type {column.dtype} cannot leave its process: {error}") from error
        dtypes.append(str(column.dtype))
    table = pa.Table.from_arrays(arrays, names=[f"c{position}" for position in range(len(arrays))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    tables.append(sink.getvalue().to_pybytes())
    return {
        _TAG: "frame",
        "table": len(tables) - 1,
        "rows": len(frame),
        "index": [_encode(name, tables, depth + 1) for name in frame.index.names],
        "columns": [_encode(name, tables, depth + 1) for name in frame.columns],
        "dtypes": dtypes,
    }


def _decode(tree: Any, tables: list[bytes]) -> Any:
    if isinstance(tree, list):
        return [_decode(item, tables) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if _TAG not in tree:
        return {key: _decode(item, tables) for key, item in tree.items()}
    tag = tree[_TAG]
    if tag == "float":
        return float(tree["value"])
    if tag == "NA":
        return pd.NA
    if tag == "NaT":
        return pd.NaT
    if tag == "timestamp":
        return _decode_timestamp(tree)
    if tag == "timedelta":
        return pd.Timedelta(int(tree["value"]), unit="ns")
    if tag == "date":
        return dt.date.fromisoformat(tree["value"])
    if tag == "bytes":
        return base64.b64decode(tree["value"], validate=True)
    if tag == "tuple":
        return tuple(_decode(item, tables) for item in tree["items"])
    if tag == "set":
        return set(_unlike([_decode(item, tables) for item in tree["items"]]))
    if tag == "dict":
        keys = _unlike([_decode(key, tables) for key, _ in tree["items"]])
        return dict(zip(keys, (_decode(item, tables) for _, item in tree["items"]), strict=True))
    if tag == "frame":
        return _decode_frame(tree, tables)
    if tag == "series":
        series = _decode_frame(tree["frame"], tables).iloc[:, 0]
        return series.rename(_decode(tree["name"], tables))
    if tag == "index":
        return _decode_frame(tree["frame"], tables).index
    if tag == "array":
        return _decode_frame(tree["frame"], tables).iloc[:, 0].to_numpy().reshape(tree["shape"])
    raise WireError(f"{tag!r} is no kind of value")


def _unlike(values: list[Any]) -> list[Any]:
    """The values, unless many of them have one hash: numbers can be chosen so."""
    if max(Counter(map(hash, values)).values(), default=0) > MAX_ALIKE:
        raise WireError(f"more than {MAX_ALIKE} keys or elements of a dictionary or set have the same hash")
    return values


def _decode_timestamp(tree: dict[str, Any]) -> pd.Timestamp:
    if tree["zone"] is None:
        return pd.Timestamp(tree["value"])
    if str(tree["zone"]).startswith("dateutil"):  # such a zone may name any file
        raise WireError(f"{tree['zone']!r} is not a time zone")
    try:
        return pd.Timestamp(tree["utc"], tz="UTC").tz_convert(tree["zone"])
    except Exception as error:
        raise WireError(f"{tree['zone']!r} is not a time zone") from error


def _decode_frame(tree: dict[str, Any], tables: list[bytes]) -> pd.DataFrame:
    table = pa.ipc.open_stream(tables[tree["table"]]).read_all()
    if table.num_rows * max(1, table.num_columns) > MAX_CELLS:
        raise WireError(f"a table of {table.num_rows} rows and {table.num_columns} columns is too large")
    if not all(map(_can_travel, table.schema.types)):
        raise WireError("a column holds something else than numbers, text, times and lists of them")
    table.validate(full=True)
    sizes = [_size(chunk) for column in table.columns for chunk in column.chunks]
    if sum(cells for cells, _ in sizes) > MAX_CELLS or sum(nulls for _, nulls in sizes) > MAX_NULLS:
        raise WireError("the lists in a table, or its columns without a value, are too long")
    names = [_decode(name, tables) for name in tree["index"]]
    series = [
        _restore(table.column(position).to_pandas(), dtype)
        for position, dtype in zip(range(table.num_columns), tree["dtypes"], strict=True)
    ]
    levels, columns = series[: len(names)], series[len(names) :]
    if len(levels) == 1:
        index = pd.Index(levels[0]).rename(names[0])  # name=None would keep the column's own name
    else:
        index = pd.MultiIndex.from_arrays(levels, names=names)
    frame = pd.DataFrame({position: column.array for position, column in enumerate(columns)}, index=index)
    frame.columns = pd.Index([_decode(name, tables) for name in tree["columns"]], tupleize_cols=False)
    return frame


_SIMPLE = (
    *(pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary),
    *(pa.types.is_timestamp, pa.types.is_duration, pa.types.is_date, pa.types.is_time),
)


def _can_travel(kind: pa.DataType) -> bool:
    """Whether a column may have a type: each of its values takes room in the message, or its length is counted."""
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind):
        return _can_travel(kind.value_type)
    return pa.types.is_null(kind) or any(is_kind(kind) for is_kind in _SIMPLE)


def _size(array: pa.Array) -> tuple[int, int]:
    """How many values an array holds, those in its lists too, and how many of them have no type: they are nothing."""
    found = 0
    while pa.types.is_list(array.type):
        found += len(array)
        array = array.values
    return found + len(array), len(array) if pa.types.is_null(array.type) else 0


def _restore(column: pd.Series, dtype: str) -> pd.Series:
    if dtype in _NULLABLE:
        return column.astype(dtype)
    return column
