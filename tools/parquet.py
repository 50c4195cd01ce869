#!/usr/bin/env python3
"""Finds the smallest zstd-9 Parquet of the example data, to compare blocks with.

Run:  python3 -m venv /tmp/parquet && /tmp/parquet/bin/pip install pyarrow==26.0.1
      /tmp/parquet/bin/python tools/parquet.py

Each column has the encoding that suits it best (plain, dictionary, delta
binary packed for times, byte stream split), times are milliseconds or seconds,
pages of version 1 or 2 and of several sizes; no statistics, no Arrow schema.
The figures are whole files and are those of internal/block/parquet_test.go.
"""
import csv
import datetime
import glob
import io
import itertools
import os

import pyarrow as pa
import pyarrow.parquet as pq

DATA = os.path.join(os.path.dirname(__file__), "..", "examples", "data")
LEVEL = 9


def seconds(text):
    at = datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    return int(at.replace(tzinfo=datetime.timezone.utc).timestamp())


def read(name):
    """Gives the times and the columns of values of a CSV file."""
    with open(name) as file:
        head, *rows = csv.reader(file)
    times = [seconds(row[0]) for row in rows]
    return times, {head[i]: [float(row[i]) for row in rows] for i in range(1, len(head))}


def encodings(kind):
    yield from ("PLAIN", "DICTIONARY")
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        yield "BYTE_STREAM_SPLIT"
    if not pa.types.is_floating(kind) and not pa.types.is_string(kind):
        yield "DELTA_BINARY_PACKED"


def size(table, encoding, page, version):
    out = io.BytesIO()
    pq.write_table(
        table, out, compression="zstd", compression_level=LEVEL,
        use_dictionary=[c for c, e in encoding.items() if e == "DICTIONARY"],
        column_encoding={c: e for c, e in encoding.items() if e != "DICTIONARY"} or None,
        dictionary_pagesize_limit=1 << 24, data_page_size=page, data_page_version=version,
        row_group_size=1 << 24, write_statistics=False, store_schema=False)
    return len(out.getvalue())


def smallest(tables):
    """Gives the size of the smallest file and how it was written."""
    best = None
    for table, page, version in itertools.product(tables, [1 << n for n in range(12, 18)] + [1 << 26], ["1.0", "2.0"]):
        chosen = {}
        for field in table.schema:
            part = table.select([field.name])
            chosen[field.name] = min(encodings(field.type), key=lambda e: size(part, {field.name: e}, page, version))
        found = size(table, chosen, page, version), f"{page} B pages v{version}, " + ", ".join(f"{c} {e}" for c, e in chosen.items())
        best = min(best or found, found)
    return best


def tables(times, columns):
    """Gives the same rows with times in milliseconds and in seconds."""
    for unit in (pa.array([t * 1000 for t in times], pa.timestamp("ms")), pa.array(times, pa.int64())):
        yield pa.table({"time": unit} | {c: pa.array(v) for c, v in columns.items()})


def show(name, values, found):
    print(f"{name:42} {values:7} {found[0]:7} B {found[0] / values:7.4f} B/value  {found[1]}")


def main():
    total, values = 0, 0
    every = {"series": [], "value": []}, []
    for name in sorted(glob.glob(os.path.join(DATA, "nab", "*", "*.csv"))):
        times, columns = read(name)
        found = smallest(tables(times, columns))
        show(os.path.basename(name), len(times), found)
        total, values = total + found[0], values + len(times)
        every[0]["series"] += [os.path.basename(name)] * len(times)
        every[0]["value"] += columns["value"]
        every[1].extend(times)
    show("NAB, a file a series", values, (total, ""))
    show("NAB, one file", values, smallest(tables(every[1], every[0])))
    times, columns = read(os.path.join(DATA, "ett", "ETTh1.csv"))
    show("ETTh1, a column a series", len(times) * len(columns), smallest(tables(times, columns)))


if __name__ == "__main__":
    main()
