#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""docs/api.md against the program: the fields of every reply, the defaults and bounds of queries.

Usage: api.py KOTARE SOURCE-FOLDER
"""
import json
import pathlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

KOTARE, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")

PATHS = {"status", "applications", "series", "flows", "fields", "rules", "events"}


def ask(url, path):
    try:
        with urllib.request.urlopen(f"{url}api/v1/{path}", timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as reply:
        return reply.code, json.load(reply)


def keys(value):
    """All names of fields in a reply, however deep."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set()


def told(path):
    """The names in the table of fields of a path: its first column, and what objects hold."""
    section = PAGE.split(f"\n## /{path}\n", 1)[1].split("\n## ", 1)[0]
    names = set()
    for first, second in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section.split("| field | value |", 1)[1], re.M):
        names.update(re.findall(r"`(\w+)`", first))
        if "objects with `" in second or first == "`evidence`":
            names.update(re.findall(r"`(\w+)`", second))
    return names


def check(url):
    for path in PATHS:
        status, reply = ask(url, path)
        assert status == 200, (path, reply)
        assert keys(reply) == told(path), (path, keys(reply) ^ told(path))
    assert len(ask(url, "flows")[1]["flows"]) == 100
    for field in ask(url, "fields")[1]["fields"]:  # what can be sorted by, and only that
        assert ask(url, f"flows?limit=1&sort={field['name']}")[0] == (200 if field["sorts"] else 400), field
    assert ask(url, "series")[1]["kind"] == "total" and ask(url, "series")[1]["unit"] == "bytes"
    for wrong in ("flows?limit=1001", "flows?sort=port", "flows?filter=byts", "flows?offset=250000", "series?points=5001",
                  "series?top=1001", "series?kind=x", "series?metric=x", "flows?order=x", "events?from=2&to=1"):
        status, reply = ask(url, wrong)
        assert (status, reply["code"], keys(reply)) == (400, "invalid", {"code", "error"}), (wrong, reply)
    assert ask(url, "nothing")[1]["code"] == "not-found"


def shape(example, reply, where):
    """An example has the names and types of the reply; lists in it may be shorter."""
    if isinstance(example, dict):
        assert isinstance(reply, dict) and set(example) == set(reply), (where, example, reply)
        for key in example:
            shape(example[key], reply[key], f"{where}.{key}")
    elif isinstance(example, list):
        assert isinstance(reply, list) and len(example) <= len(reply), (where, example, reply)
        for pair in zip(example, reply):
            shape(*pair, where)
    elif example is not None and reply is not None:
        assert isinstance(example, (int, float)) == isinstance(reply, (int, float)), (where, example, reply)


def examples(url):
    good = re.findall(r"^    GET /api/v1/(\S+)\n\n```json\n(.*?)```$", PAGE, re.M | re.S)
    wrong = re.findall(r"^    GET /api/v1/(\S+) -> (\d+)\n    (.*)$", PAGE, re.M)
    assert {path.split("?")[0] for path, _ in good} == PATHS
    for path, text in good:
        status, reply = ask(url, path)
        assert status == 200, (path, reply)
        shape(json.loads(text), reply, path)
    assert len(wrong) >= 7
    for path, status, text in wrong:
        assert ask(url, path) == (int(status), json.loads(text)), (path, ask(url, path))


program = subprocess.Popen([KOTARE, "watch", str(ROOT / "samples/lab.pcap.zst"), "--listen", "127.0.0.1:0"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
try:
    url = None
    for line in program.stderr:
        if line.startswith("page: "):
            url = line.split()[1]
        if line.startswith("the page stays"):
            break
    check(url)
    examples(url)
finally:
    program.send_signal(signal.SIGINT)
    code = program.wait(60)
sys.exit(code)
