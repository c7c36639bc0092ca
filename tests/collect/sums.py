#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Every byte counts once: the sum over applications is the sum over categories, over directions, over
classes of ports, over flow records, is the total, and is what capinfos and tshark count.

A packet's bytes are those on the wire with its link layer, as the capture tells them (tshark's
frame.len); it counts for IP when an IP header lies anywhere in it.

Usage: sums.py KOTARE SAMPLE
"""
import concurrent.futures
import csv
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

KOTARE, SAMPLE = map(os.path.abspath, sys.argv[1:3])
NOTHING = (0, 0, 0)


def add(rows):
    return tuple(map(sum, zip(NOTHING, *rows)))


def row(x):
    return x["bytes"], x["packets"], x["flows"]


def agree(what, path, store=None, more=(), codes=(0,)):
    """Runs it and compares all sums; returns (bytes, packets) of all and of IP."""
    words = ["watch", path, "--once", "--json", *more] + (["--store", store] if store else [])
    done = whole.run(KOTARE, *words)
    assert done.returncode in codes, (what, done.returncode, done.stderr)
    found = whole.lines(done.stdout)
    if done.returncode and not found:  # nothing in it could be read
        assert done.stderr, what
        return NOTHING[:2], NOTHING[:2]
    summary = found[-1]
    total = row(summary)
    flows = whole.of_type(found, "flow")
    assert len({f["id"] for f in flows}) == len(flows), f"{what}: two flows with one id"
    deltas = {}
    for f in whole.of_type(found, "interim") + [f for f in flows if "delta" in f]:
        deltas.setdefault(f["id"], []).append(f["delta"])
    by_app = {}
    for f in flows:
        for size in ("bytes", "packets"):
            assert f[size + "_up"] >= 0 and f[size + "_down"] >= 0
            for side in ("_up", "_down"):  # what its records add sums up to the whole
                told = [d[size + side] for d in deltas.get(f["id"], [])]
                assert not told or sum(told) == f[size + side], (what, f)
        by_app.setdefault(f["app"], []).append(
            (f["bytes_up"] + f["bytes_down"], f["packets_up"] + f["packets_down"], 1))
    apps = {x["name"]: row(x) for x in whole.of_type(found, "application")}
    assert add(apps.values()) == total, (what, "applications", add(apps.values()), total)
    assert {name: add(rows) for name, rows in by_app.items()} == apps, (what, "flows")
    assert add(map(row, whole.of_type(found, "category"))) == total, (what, "categories")
    if store:
        found = whole.read_store(store)
        os.unlink(store)
        for kind in ("total", "app", "category", "direction", "port"):
            sums = whole.sums(found["points"], kind)
            assert add(sums.values()) == total, (what, kind, add(sums.values()), total)
            if kind == "app":
                assert sums == apps, (what, "points by application")
        kept = [(f["bytes_up"] + f["bytes_down"], f["packets_up"] + f["packets_down"], 1) for f in found["flows"]]
        assert add(kept) == total, (what, "stored flows")
        # no interval of any stream is negative once everything is known
        negative = [key for key, value in found["points"].items() if key[0] != "health" and min(value) < 0]
        assert not negative, (what, negative[:3])
    not_ip = apps.get("Not IP", NOTHING)
    return total[:2], (total[0] - not_ip[0], total[1] - not_ip[1])


def capinfos(paths):
    """{path: (bytes, packets)}"""
    out = subprocess.run(["capinfos", "-TMrcd", *paths], capture_output=True, text=True,
                         env=dict(os.environ, LC_ALL="C")).stdout
    found = {}
    for line in out.splitlines():
        path, packets, size = line.rsplit("\t", 2)
        found[path] = int(size), int(packets)
    return found


def ip_bytes(judge, path):
    size = packets = 0
    for layers, _ in judge.read(path):
        if any(name in ("ip", "ipv6") and f[name + ".src"] for name, f in layers):
            size += judge.length
            packets += 1
    return size, packets


def by_hand(folder):
    judge = tshark.Judge(folder)
    captures = {name: make() for name, make in [
        ("mixed", traffic.mixed), ("fragments", traffic.fragments), ("icmp", traffic.icmp_errors),
        ("tunnels", traffic.tunnels), ("backwards", traffic.backwards)]}
    paths = {name: pcap(f"{folder}/{name}.pcap", packets, ns=True) for name, packets in captures.items()}
    paths["snapped"] = pcap(f"{folder}/snapped.pcap", [(t, d[:60], len(d)) for t, d in captures["mixed"]])
    paths["every"] = pcapng(f"{folder}/every.pcapng", [(traffic.T0 + i * 50 * traffic.MS, d, len(d), link)
                                                       for i, (_, link, d) in enumerate(tshark.handmade())])
    paths["sample"] = f"{folder}/sample.pcap"
    with open(paths["sample"], "wb") as f:
        subprocess.run(["zstd", "-dc", SAMPLE], stdout=f, check=True)
    known = capinfos(paths.values())
    for name, path in paths.items():
        for more in ((), ("--workers", "3", "--interval", "10"), ("--active-timeout", "2")):
            total, ip = agree(name, path, f"{folder}/s.kt", more)
            assert total == known[path], (name, total, known[path])
        judged = ip_bytes(judge, path)
        assert ip == judged, (name, ip, judged)


def corpus(folder, root):
    """Every capture by itself against capinfos; all of them in one against tshark."""
    with open(os.path.join(root, "manifest-pcap.tsv"), newline="", encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f, delimiter="\t") if r["encap"] in tshark.KNOWN_ENCAP]
    good = [os.path.join(root, r["path"]) for r in rows if r["path"].startswith("pcap/")]
    known = capinfos(good)

    def one(path):
        total, _ = agree(path, path)
        return None if total == known[path] else f"{path}: {total}, capinfos {known[path]}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [w for w in pool.map(one, good) if w]
        hostile = [entry.path for entry in os.scandir(os.path.join(root, "pcap-hostile"))]
        list(pool.map(lambda path: agree(path, path, codes=(0, 2)), hostile))
    merged = f"{folder}/corpus.pcapng"
    subprocess.run(["mergecap", "-a", "-w", merged, *good], check=True, stderr=subprocess.DEVNULL)
    total, ip = agree("corpus", merged)
    judged = ip_bytes(tshark.Judge(folder), merged)
    if ip != judged:
        wrong.append(f"the corpus: {ip} of IP, tshark {judged}")
    assert not wrong, "\n".join(wrong)


with tempfile.TemporaryDirectory() as name:
    by_hand(name)
    if os.environ.get("KOTARE_CORPUS"):
        corpus(name, os.environ["KOTARE_CORPUS"])
