#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Reads the JSON that the program writes and compares it with what it was made from."""
import codecs
import json
import math
import subprocess
import sys

END = object()
codecs.register_error("byte", lambda e: ("\ufffd", e.start + 1))  # one U+FFFD a bad byte


def tree(text):
    """The random tree's own notation."""
    words = iter(text.split())
    plain = {"n": None, "t": True, "f": False, "s": "text", "}": END, "]": END}

    def value():
        word = next(words)
        if word in plain:
            return plain[word]
        if word[0] == "i":
            return int(word[1:])
        items = []
        while (item := value()) is not END:
            items.append(item)
        return {f"k{i}": v for i, v in enumerate(items)} if word == "{" else items

    return value()


def is_json(text):
    def no_number(name):
        raise ValueError(name)

    try:
        json.loads(text.decode("utf-8"), parse_constant=no_number)
    except ValueError:
        return False
    return True


def main():
    out = subprocess.run([sys.argv[1]], capture_output=True, check=True).stdout
    seen = {}
    for number, line in enumerate(out.split(b"\n")[:-1], 1):
        kind, given, text = line.split(b"\t")
        kind, given = kind.decode(), given.decode()
        seen[kind] = seen.get(kind, 0) + 1
        got = json.loads(text.decode("utf-8"), parse_constant=lambda c: sys.exit(f"{number}: {c}"))
        if kind == "string":
            want = bytes.fromhex(given).decode("utf-8", errors="byte")
            same = got == want
        elif kind == "integer":
            want = int(given)
            same = got == want and isinstance(got, int)
        elif kind == "double":
            want = float(given)
            same = got is None if not math.isfinite(want) else math.isclose(got, want, rel_tol=1e-9)
        elif kind == "valid":
            same = got == is_json(bytes.fromhex(given))
        else:
            want = tree(given)
            same = got == want
        if not same:
            sys.exit(f"line {number}: {kind} {given!r} was written as {text!r}")
    assert min(seen.get(k, 0) for k in ("string", "integer", "double", "tree", "valid")) >= 2000, seen


main()
