#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""docs/kotare.md against the program: its options, the fields of its JSON lines, its faults.

Usage: program.py KOTARE SOURCE-FOLDER
"""
import json
import pathlib
import re
import shlex
import sqlite3
import struct
import subprocess
import sys
import tempfile

KOTARE, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
SAMPLE = ROOT / "samples/lab.pcap.zst"
PAGE = (ROOT / "docs/kotare.md").read_text(encoding="utf-8")
bad = 0


def same(what, page, program):
    global bad
    if page != program:
        bad += 1
        print(f"{what}:\n  the page:    {page}\n  the program: {program}")


def run(folder, *words):
    return subprocess.run([KOTARE, *words], cwd=folder, capture_output=True, text=True, timeout=100)


def section(title):
    return PAGE.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]


def options(folder):
    for command in ("watch", "count"):
        page = re.findall(r"^\| `--([^`]+)`", section(f"kotare {command}"), re.M)
        text = run(folder, command, "--help").stdout
        same(f"options of {command}", sorted(page), sorted(re.findall(r"^  --(\S+(?: [A-Z:]+)?) ", text, re.M)))


def fields(folder):
    page, program = {}, {}
    for kind, names in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("JSON lines"), re.M):
        page.setdefault(kind, set()).update(re.findall(r"`(\w+)`", names))
    page["interim"] = page["flow"]  # as the page says
    lines = run(folder, "watch", str(SAMPLE), "--once", "--json").stdout.splitlines()
    lines += run(folder, "watch", "cut.pcap", "--once", "--json").stdout.splitlines()
    lines += run(folder, "count", "cut.pcap", "--json").stdout.splitlines()
    causes = set()
    for line in map(json.loads, lines):
        program.setdefault(line.pop("type"), set()).update(line)
        for cause in line.get("causes", []):
            causes.update(cause)
    for kind in sorted(page | program):
        same(f"fields of {kind}", sorted(page.get(kind, [])), sorted(program.get(kind, [])))
    told = re.search(r"`causes` \| objects with (.*) \|", PAGE).group(1)
    same("fields of causes", sorted(re.findall(r"`(\w+)`", told)), sorted(causes))


def files(folder):
    """What the faults on the page are about."""
    head = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    packet = struct.pack("<IIII", 1800000000, 0, 60, 60) + bytes(60)
    for name, data in {
            "empty.pcap": b"", "text.txt": b"hello world\n", "short.pcap": head[:10],
            "link.pcap": head[:20] + b"\xbd\0\0\0", "whole.pcap": head + 3 * packet,
            "cut.pcap": head + 2 * packet + packet[:40],
            "cut.pcap.zst": SAMPLE.read_bytes()[:300000],
            "my.rule": b"protocol: a\nname: A\ntransport: tcp\ncategory: test\npriority: 10\nshape x: text \"x\"\n"
                       b"accept: either x\nexample: 40000 > 7; up \"y\"; down silent\n",
            "huge.pcap": head + b"aaaabbbb" + b"\xff\xff\xff\x7f" * 2}.items():
        (folder / name).write_bytes(data)
    run(folder, "watch", "whole.pcap", "--once", "--store", "newer.kt")
    with sqlite3.connect(folder / "newer.kt") as db:
        db.execute("PRAGMA user_version = 9")


def faults(folder):
    n = 0
    for block in re.findall(r"^```fault\n(.*?)^```", PAGE, re.M | re.S):
        for command, sentence, code in re.findall(r"^\$ kotare (.*)\n(.*)\nexit (\d)$", block, re.M):
            got = run(folder, *shlex.split(command))
            last = [line for line in got.stderr.splitlines() if line.startswith("kotare")]
            same(command, (sentence, int(code)), (last[-1] if last else "", got.returncode))
            n += 1
    same("faults on the page", n > 15, True)


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    files(folder)
    options(folder)
    fields(folder)
    faults(folder)
sys.exit(bad > 0)
