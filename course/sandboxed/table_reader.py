"""Reads Parquet files that a student's code wrote, in a worker's process that holds nothing else.

`course.checks.files.tables` asks it from the other side. A Parquet file may be a few hundred bytes that stand for
gigabytes, and what it says of its size may be wrong: so it is read in small pieces, each of which is counted, and the
worker's limits end what gets past that. Nothing that it returns is trusted.
"""

from __future__ import annotations

import io
from typing import Any

MAX_ROWS = 100_000
MAX_COLUMNS = 100
MAX_BYTES = 64 * 2**20  # of a table in memory
BATCH_ROWS = 512


def read_parquet(content: bytes) -> dict[str, Any]:
    """Read a Parquet file.

    Returns:
        {"table": a DataFrame} or {"problem": why it cannot be read, as the end of a sentence}.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(content), memory_map=False) as file:
            meta, schema = file.metadata, file.schema_arrow
            if meta.num_rows > MAX_ROWS or len(schema) > MAX_COLUMNS:
                return {"problem": f"holds more than {MAX_ROWS:,} rows or {MAX_COLUMNS} columns"}
            nested = [field.name for field in schema if pa.types.is_nested(field.type)]
            if nested:
                return {"problem": f"holds lists or structures in {nested[0]!r}; a table for people has plain values"}
            batches, size = [], 0
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                batch = _plain(batch)
                batches.append(batch)
                size += batch.nbytes
                if size > MAX_BYTES or len(batches) > MAX_ROWS // BATCH_ROWS + 1:
                    return {"problem": f"takes more than {MAX_BYTES >> 20} MiB of memory to read"}
            table = pa.Table.from_batches(batches) if batches else schema.empty_table()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        return {"problem": f"cannot be read as Parquet: {str(error)[:200] or type(error).__name__}"}
    if len(set(table.column_names)) < table.num_columns:
        return {"problem": "has two columns of the same name"}
    return {"table": table.to_pandas(timestamp_as_object=False).reset_index(drop=True)}


def _plain(batch: Any) -> Any:
    """The same rows with each value written out, where a column names its values by their place in a dictionary."""
    import pyarrow as pa

    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
