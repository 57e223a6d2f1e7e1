"""Reads a recording with the readers of others and compares every value.

Usage: recording_clients.py RECORDING VALUES.json METRICS.txt

VALUES.json holds [[column, [value, ...]], ...] as this project's reader has
them, METRICS.txt an export in OpenMetrics.
"""

import json
import sys

import duckdb
import pandas
import polars
import pyarrow.parquet
from prometheus_client.openmetrics import parser

recording, values, metrics = sys.argv[1:]
with open(values) as file:
    expected = json.load(file)
names = [name for name, _ in expected]
assert len(set(names)) == len(names), "the test's names are to differ"


def compare(reader, columns):
    assert list(columns) == names, (reader, list(columns)[:5], names[:5])
    for name, cells in expected:
        assert columns[name] == cells, (reader, name)


table = pyarrow.parquet.read_table(recording)
compare("pyarrow", table.to_pydict())
for name, field in zip(names, table.schema):
    assert b"metric_type" in field.metadata, name
    if name not in ("timestamp", "duration"):
        assert b"metric" in field.metadata, name
assert b"sampling_interval_ms" in pyarrow.parquet.read_metadata(recording).metadata

compare("polars", polars.read_parquet(recording).to_dict(as_series=False))

relation = duckdb.connect().execute("select * from read_parquet(?)", [recording])
columns = [column[0] for column in relation.description]
rows = relation.fetchall()
compare("duckdb", {name: [row[at] for row in rows] for at, name in enumerate(columns)})

# Without the nullable types, pandas makes floats of columns with gaps.
frame = pandas.read_parquet(recording, dtype_backend="pyarrow")


def plain(cell):
    if cell is None or cell is pandas.NA:
        return None
    return [int(count) for count in cell] if hasattr(cell, "__len__") else int(cell)


compare("pandas", {name: [plain(cell) for cell in frame[name]] for name in frame.columns})

with open(metrics) as file:
    families = list(parser.text_fd_to_metric_families(file))
assert families and all(family.samples for family in families), metrics
print(f"{len(names)} columns, {table.num_rows} rows, {len(families)} families")
