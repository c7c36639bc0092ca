#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Whatever the number of workers, however the capture is packed or handed over: the same lines byte for
byte, and the same rows in the store.

Usage: workers.py KOTARE SAMPLE
"""
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "packet")]
import traffic  # noqa: E402
import tshark  # noqa: E402
import whole  # noqa: E402
from craft import pcap, pcapng  # noqa: E402

KOTARE, SAMPLE = sys.argv[1:3]
bad = 0


def watch(folder, inputs, workers, stdin=None, expect=0, more=()):
    store = os.path.join(folder, "store.kt")
    done = whole.run(KOTARE, "watch", *inputs, "--once", "--json", "--workers", workers, "--store", store, *more,
                     stdin=stdin)
    assert done.returncode == expect, (inputs, done.returncode, done.stderr)
    found = whole.read_store(store)
    os.unlink(store)
    return done.stdout, found, done.stderr


def first_difference(a, b):
    for x, y in zip(a.splitlines(), b.splitlines()):
        if x != y:
            return f"\n  {x.decode()}\n  {y.decode()}"
    return f"{len(a)} and {len(b)} bytes"


def same(what, first, other, but_input=False):
    global bad
    if first[0] != other[0]:
        bad += 1
        print(f"{what}: other lines: {first_difference(first[0], other[0])}")
    for part in ("points", "flows", "events", "meta"):
        x, y = first[1][part], other[1][part]
        if but_input and part == "meta":
            x, y = ({k: v for k, v in m.items() if k != "input"} for m in (x, y))
        if x != y:
            bad += 1
            print(f"{what}: other {part} in the store")
    if first[2] != other[2] and not but_input:
        bad += 1
        print(f"{what}: other sentences: {first[2]} {other[2]}")


def sound(what, found, packets=None):
    """It is not that all of them are equally empty."""
    summary = whole.of_type(whole.lines(found[0]), "summary")[0]
    assert summary["flows"] == len(found[1]["flows"]) > 0, what
    if packets is not None:
        assert summary["packets"] == packets, (what, summary)


def handmade(folder):
    """(name, inputs, packets, further options)"""
    def write(name, packets, **how):
        return pcap(os.path.join(folder, name), packets, **how)

    kinds = {"mixed": traffic.mixed(), "fragments": traffic.fragments(), "icmp errors": traffic.icmp_errors(),
             "tunnels": traffic.tunnels(), "backwards": traffic.backwards()}
    for name, packets in kinds.items():
        yield name, [write(name.replace(" ", "-") + ".pcap", packets, ns=True)], len(packets), ()
    packets = kinds["mixed"]
    yield "intervals of a minute", [write("m.pcap", packets)], len(packets), ("--interval", 60)
    yield "records of flows that go on", [write("g.pcap", packets)], len(packets), ("--active-timeout", 2)
    third = len(packets) // 3
    parts = [write(f"part{i}.pcap", packets[i * third:(i + 1) * third if i < 2 else None], order="<>"[i % 2])
             for i in range(3)]
    yield "three inputs", parts, len(packets), ()
    yield "one input three times", parts[:1] * 3, third * 3, ()
    every = [(traffic.T0 + i * 97 * traffic.MS, data, len(data), link)
             for i, (_, link, data) in enumerate(tshark.handmade())]
    yield "every header", [pcapng(os.path.join(folder, "every.pcapng"), every)], len(every), ()
    yield "the sample", [SAMPLE], None, ()


def workers(folder):
    for name, inputs, packets, more in handmade(folder):
        one = watch(folder, inputs, 1, more=more)
        sound(name, one, packets)
        for n in (2, 3, 8):
            same(f"{name}, {n} workers", one, watch(folder, inputs, n, more=more))


def packings(folder):
    packets = traffic.mixed()
    plain = pcap(os.path.join(folder, "p.pcap"), packets, ns=True)
    one = watch(folder, [plain], 1)
    for suffix, command in {"gz": ["gzip", "-k"], "zst": ["zstd", "-q"], "xz": ["xz", "-k"],
                            "bz2": ["bzip2", "-k"], "lz4": ["lz4", "-q"]}.items():
        subprocess.run(command + [plain] + [plain + ".lz4"] * (suffix == "lz4"), check=True)
        for n in (1, 3):
            same(f"{suffix}, {n} workers", one, watch(folder, [f"{plain}.{suffix}"], n), True)
            with open(f"{plain}.{suffix}", "rb") as f:
                same(f"{suffix} on standard input, {n} workers", one, watch(folder, ["-"], n, f), True)
    with open(plain, "rb") as f:
        same("standard input", one, watch(folder, ["-"], 2, f), True)
    for n in (1, 2):  # a pipe, which gives a little at a time
        with subprocess.Popen(["dd", f"if={plain}", "bs=777", "status=none"], stdout=subprocess.PIPE) as p:
            same(f"a pipe, {n} workers", one, watch(folder, ["-"], n, p.stdout), True)
    same("named by its format", one, watch(folder, ["pcapfile:" + plain], 2), True)
    same("in microseconds", watch(folder, [pcap(os.path.join(folder, "u.pcap"), packets)], 1),
         watch(folder, [pcapng(os.path.join(folder, "u.pcapng"), [(t // 1000 * 1000, d, len(d), 1) for t, d in packets])],
               3), True)


def faults(folder):
    """A fault in the middle: the same is kept, and the same is said of it."""
    packets = traffic.mixed()
    plain = pcap(os.path.join(folder, "f.pcap"), packets)
    with open(plain, "rb") as f:
        data = f.read()
    cut = os.path.join(folder, "cut.pcap")
    with open(cut, "wb") as f:
        f.write(data[:len(data) * 2 // 3])
    one = watch(folder, [cut, plain], 1, expect=2)
    sound("cut", one)
    for n in (2, 3, 8):
        same(f"cut, {n} workers", one, watch(folder, [cut, plain], n, expect=2))


with tempfile.TemporaryDirectory() as name:
    workers(name)
    packings(name)
    faults(name)
sys.exit(f"{bad} differences" if bad else 0)
