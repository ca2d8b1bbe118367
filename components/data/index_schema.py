"""The schema of index.parquet: one row a sample, in storage order. Versioned with the record."""

import pyarrow as pa

RECORD_VERSION = 1
ROW_GROUP = 100_000
BOX = pa.struct(
    [
        ("category", pa.int32()),  # position in vocabulary.json
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        ("flags", pa.uint8()),
        ("weight", pa.float32()),
    ]
)
SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("offset", pa.int64()),  # of the picture's bytes in the shard
        ("size", pa.int32()),
        ("sha256", pa.binary(32)),
        ("key", pa.string()),
        ("source_name", pa.string()),
        ("source_id", pa.string()),  # COCO ids exceed int32
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("boxes", pa.list_(BOX)),
        ("present", pa.list_(pa.int32())),
        ("absent", pa.list_(pa.int32())),
        ("supervision", pa.uint8()),
    ]
)
