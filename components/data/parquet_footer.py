"""What the footer of a Parquet file says of its columns before any of it is unpacked."""

from collections.abc import Collection, Iterator

import pyarrow.parquet as pq

PREFIXES = "DELTA_BYTE_ARRAY"  # says of a text how it begins as the one before: unpacks without end


def chunks_of(about: pq.FileMetaData, columns: Collection[str]) -> Iterator[pq.ColumnChunkMetaData]:
    """Yield the chunks of these columns, lists and what they hold included, group after group."""
    for i in range(about.num_row_groups):
        group = about.row_group(i)
        chunks = (group.column(k) for k in range(group.num_columns))
        yield from (c for c in chunks if c.path_in_schema.partition(".")[0] in columns)


def unpacks_without_end(chunk: pq.ColumnChunkMetaData) -> bool:
    """Say whether the size that the footer gives for a chunk of text is no bound on it."""
    return PREFIXES in chunk.encodings
