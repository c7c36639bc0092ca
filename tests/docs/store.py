#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""docs/store.md against a store that the program made: its SQL runs and gives rows, its program reads
the chunks of points and finds what the summary says, its tables and columns are those of the file.

Usage: store.py KOTARE SOURCE-FOLDER
"""
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile

KOTARE, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
PAGE = (ROOT / "docs/store.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


def tables(db):
    page = {name: set(re.findall(r"`(\w+)`", columns))
            for name, columns in re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", PAGE, re.M)}
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = {row[1] for row in db.execute(f"PRAGMA table_info({name})")}
        assert name in page, f"the table {name} is not on the page"
        assert columns <= page.pop(name), f"{name} has the columns {sorted(columns)}"
    assert not page, f"there are no tables {sorted(page)}"


def statements(db):
    n = 0
    for block in blocks("sql"):
        for statement in filter(str.strip, block.split(";")):
            assert db.execute(statement).fetchall(), f"no rows: {statement}"
            n += 1
    assert n > 4


def chunks(store, summary):
    (program,) = blocks("python")
    out = subprocess.run([sys.executable, "-c", program, store], capture_output=True, text=True, check=True, timeout=100).stdout
    found = {app: int(size) for size, app in (line.split(maxsplit=1) for line in out.splitlines())}
    told = {x["name"]: x["bytes"] for x in map(json.loads, summary) if x["type"] == "application"}
    assert {app: size for app, size in found.items() if size} == told, (found, told)


with tempfile.TemporaryDirectory() as folder:
    store = f"{folder}/a.kt"
    watch = subprocess.run([KOTARE, "watch", str(ROOT / "samples/lab.pcap.zst"), "--once", "--json", "--store", store],
                           capture_output=True, text=True, check=True, timeout=100)
    db = sqlite3.connect(store)
    tables(db)
    statements(db)
    db.close()
    chunks(store, watch.stdout.splitlines())
