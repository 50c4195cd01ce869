#!/usr/bin/env python3
"""Reads a data folder's archive, results and exports with DuckDB's and pyarrow's packages.

Run:  $(tools/parquet-python.sh) tools/check-parquet.py weir-data

For each manifest it prints what the manifest says and what each package reads of
its files: rows, and of each column its type, how many rows have it, the sum of
its numbers and its least and greatest time. It exits with 1 if they differ, if a
type or a file's hash is not what the format or the manifest says, or if there is
nothing to read. With --json it prints a line of JSON for each manifest instead.

The instance may run meanwhile: files that a manifest names don't change.
DuckDB 1 gives times that are marked as UTC to the microsecond. Such a time counts
as equal if it is pyarrow's without the digits that follow, and it is told how
many have some; to be tried with duckdb==1.5.6. DuckDB 2 must give all digits, and
so must either when it reads pyarrow's table without the zone.
"""
import argparse
import collections
import hashlib
import json
import math
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

SHORT = "TIMESTAMP WITH TIME ZONE"  # has microseconds
# What DuckDB calls the types that Weir writes, and what pyarrow does.
TYPES = {
    "VARCHAR": "string",
    "DOUBLE": "double",
    "BIGINT": "int64",
    "BOOLEAN": "bool",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    SHORT: "timestamp[ns, tz=UTC]",  # DuckDB 1: to the microsecond
    "TIMESTAMPTZ_NS": "timestamp[ns, tz=UTC]",  # DuckDB 2
}
TIME = "timestamp[ns, tz=UTC]"
# The columns of docs/formats/archive.md, and the types of docs/formats/result.md.
ARCHIVE = {
    "series": "string", "metric": "string", "tags": "string", "time": TIME, "value": "double", "value_int": "int64",
    "value_bool": "bool", "value_text": "string", "quality": "uint32", "version": "uint64", "position": "uint64",
}
RESULT = {"text": "string", "time": TIME, "int": "int64", "float": "double", "bool": "bool"}
ROWS = 1 << 17  # at once

Column = collections.namedtuple("Column", "type rows sum low high")


class Sum:
    """Adds numbers exactly; what is not finite is counted apart."""

    def __init__(self):
        self.partials, self.whole, self.other = [], 0, collections.Counter()

    def add(self, values):
        finite = []
        for v in values:
            if isinstance(v, int):
                self.whole += v
            elif math.isfinite(v):
                finite.append(v)
            else:
                self.other[str(v)] += 1
        self.partials.append(math.fsum(finite))

    def text(self):
        total = math.fsum(self.partials) + self.whole if any(self.partials) else self.whole
        return " ".join([repr(total)] + [f"{n} x {v}" for v, n in sorted(self.other.items())])


def of_batches(schema, batches):
    """Gives what there is in the columns of batches: lists of values by name."""
    present, sums, times = collections.Counter(), collections.defaultdict(Sum), {}
    rows = 0
    for batch in batches:
        rows += len(next(iter(batch.values()), []))
        for name, values in batch.items():
            values = [v for v in values if v is not None]
            present[name] += len(values)
            if not values:
                continue
            if schema[name].startswith("timestamp"):
                low, high = times.get(name, (values[0], values[0]))
                times[name] = min(low, min(values)), max(high, max(values))
            elif isinstance(values[0], (int, float)):
                sums[name].add(values)
    columns = {}
    for name, kind in schema.items():
        low, high = times.get(name, ("", ""))
        columns[name] = Column(kind, present[name], sums[name].text() if name in sums else "", low, high)
    return rows, columns


def by_pyarrow(files):
    schema = {f.name: str(f.type) for f in pq.read_schema(files[0])}
    digits = 0

    def batches():
        nonlocal digits
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(ROWS):
                values = {}
                for f in batch.schema:
                    column = batch.column(f.name)
                    values[f.name] = (column.cast(pa.int64()) if pa.types.is_timestamp(f.type) else column).to_pylist()
                    if pa.types.is_timestamp(f.type):
                        digits += sum(t is not None and t % 1000 != 0 for t in values[f.name])
                yield values

    rows, columns = of_batches(schema, batches())
    return rows, columns, digits


def by_duckdb(db, source, parameters):
    """Reads what a FROM names; times come as ns since 1970."""
    described = db.execute(f"describe select * from {source}", parameters).fetchall()
    kinds = {name: kind for name, kind, *_ in described}
    wanted = ", ".join(f'epoch_ns("{n}")' if k.startswith("TIMESTAMP") else f'"{n}"' for n, k in kinds.items())
    cursor = db.execute(f"select {wanted} from {source}", parameters)
    schema = {n: TYPES.get(k, "timestamp" if k.startswith("TIMESTAMP") else k) for n, k in kinds.items()}

    def batches():
        while rows := cursor.fetchmany(ROWS):
            yield dict(zip(kinds, map(list, zip(*rows))))

    return *of_batches(schema, batches()), kinds


def without_zone(files):
    """Gives the times as pyarrow reads them, with their digits and no zone."""
    table = pa.concat_tables(pq.read_table(f, partitioning=None) for f in files)
    for i, f in enumerate(table.schema):
        if pa.types.is_timestamp(f.type):
            table = table.set_column(i, f.name, table.column(i).cast(pa.timestamp("ns")))
    return table.select([f.name for f in table.schema if pa.types.is_timestamp(f.type)])


def of_manifest(folder, path, root):
    """Gives a manifest's rows, its files, and the types of its columns, None where it says none."""
    m = json.loads(path.read_text())
    if folder == "exports":
        file = {"name": str(path.parent.relative_to(root) / m["file"]), "bytes": m["bytes"], "sha256": m["sha256"]}
        return m, [file], dict.fromkeys(m["columns"])
    types = ARCHIVE if folder == "archive" else {c["name"]: RESULT[c["type"]] for c in m["columns"]}
    return m, m["files"], types


def unequal(arrow, duck, exact, kinds):
    """Names the columns that are not read equally."""
    wrong = []
    if list(arrow) != list(duck):
        wrong.append(f"columns {list(duck)} and {list(arrow)}")
    for name, a in arrow.items():
        if name not in duck:
            continue
        expected = a
        if kinds[name] == SHORT and a.rows:
            expected = a._replace(low=a.low // 1000 * 1000, high=a.high // 1000 * 1000)
        if duck[name] != expected:
            wrong.append(name)
        if name in exact and exact[name][1:] != a[1:]:
            wrong.append(name + " without the zone")
    return wrong


def check(folder, path, root, say):
    """Compares the files of a manifest; gives what was read, and what is wrong."""
    manifest, named, types = of_manifest(folder, path, root)
    files = [str(root / f["name"]) for f in named]
    wrong = [f"hash of {f['name']}" for f, file in zip(named, files)
             if hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest() != f["sha256"]]
    title = f"{folder} {path.parent.relative_to(root)}"
    say(f"\n{title}: {len(files)} files, {sum(f['bytes'] for f in named):,} bytes")
    found = {"what": title, "files": len(files), "rows": 0, "columns": {}, "wrong": wrong}
    if not files:
        wrong += ["rows"] * (manifest["rows"] != 0)
        return found
    rows, arrow, digits = by_pyarrow(files)
    with duckdb.connect() as db:
        duck_rows, duck, kinds = by_duckdb(db, "read_parquet(?, hive_partitioning = false)", [files])
        db.register("exact", without_zone(files))
        exact_rows, exact, _ = by_duckdb(db, "exact", [])
    found["rows"] = rows
    found["columns"] = {name: {"type": c.type, "rows": c.rows, "sum": c.sum} for name, c in arrow.items()}

    if not rows == duck_rows == exact_rows == manifest["rows"]:
        wrong.append("rows")
    if list(arrow) != list(types):
        wrong.append(f"columns {list(arrow)}; the format says {list(types)}")
    wrong += [f"type of {name}" for name, a in arrow.items() if types.get(name) not in (None, a.type)]
    wrong += unequal(arrow, duck, exact, kinds)
    if "min_time" in manifest and (arrow["time"].low, arrow["time"].high) != (manifest["min_time"], manifest["max_time"]):
        wrong.append("the manifest's times")

    say(f"  {'':14} {'duckdb':44} pyarrow")
    say(f"  {'rows':14} {duck_rows:<44,} {rows:,}   manifest {manifest['rows']:,}")
    for name in (n for n in arrow if n in duck):
        a, d = arrow[name], duck[name]
        say(f"  {name:14} {kinds[name]:44} {a.type}")
        for what, left, right in (("not null", d.rows, a.rows), ("sum", d.sum, a.sum), ("least", d.low, a.low), ("greatest", d.high, a.high)):
            if left == right == "" or what == "not null" and left == right == rows:
                continue
            say(f"    {what:12} {left!s:44} {right}")
    if digits and SHORT in kinds.values():
        say(f"  {digits:,} times have digits below the microsecond, which this DuckDB drops")
    say("  " + ("DIFFERENT: " + ", ".join(wrong) if wrong else "equal"))
    return found


# Where manifests are, below each folder.
PLACES = {
    "archive": "week=*/rev=*/manifest-*.json",
    "results": "*/*/*/rev=*/*/manifest.json",
    "exports": "**/*.manifest.json",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="the data folder")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each manifest")
    args = parser.parse_args()
    say = (lambda _: None) if args.json else print
    say(f"duckdb {duckdb.__version__}, pyarrow {pa.__version__}")
    equal = []
    for folder, pattern in PLACES.items():
        root = args.data / folder
        for path in sorted(root.glob(pattern)):
            if folder == "exports" and json.loads(path.read_text())["format"] != "parquet":
                continue
            found = check(folder, path, root, say)
            equal.append(not found["wrong"])
            if args.json:
                print(json.dumps(found))
    say(f"\ncheck-parquet: {sum(equal)} of {len(equal)} are equal in both")
    sys.exit(0 if equal and all(equal) else 1)


if __name__ == "__main__":
    main()
