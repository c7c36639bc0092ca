#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the program says, word for word, of a capture that is small enough to reckon by hand.

Usage: golden.py KOTARE
"""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import whole  # noqa: E402
from craft import *  # noqa: E402,F403
from traffic import HTTP, MS, OK, SECOND, T0, Side, dns, question, web  # noqa: E402

KOTARE = os.path.abspath(sys.argv[1])

# A request over TCP that takes 70 ms, a question with an answer and one without, a refused SYN, an ARP.
CAPTURE = sorted([
    *web(Side("10.0.0.1", "192.0.2.1", 40000, 80), T0),
    *question(Side("2001:db8::1", "2001:db8::53", 50000, 53), T0 + SECOND),
    *question(Side("10.0.0.1", "192.0.2.53", 50001, 53), T0 + 2 * SECOND, 2, False),
    (T0 + 3 * SECOND, Side("10.0.0.1", "192.0.2.1", 40001, 81).tcp(0, SYN)),
    (T0 + 3 * SECOND + MS, Side("10.0.0.1", "192.0.2.1", 40001, 81).tcp(1, RST | ACK)),
    (T0 + 4 * SECOND, eth(b"\0" * 46, T_ARP)),
], key=lambda p: p[0])


def at(seconds, ms=0):
    return str(T0 + seconds * SECOND + ms * MS)


TCP4, TCP_ALL = 14 + 20 + 20, 14 + 20 + 20  # an empty segment; there are no options
WEB_UP, WEB_DOWN = 5 * TCP4 + len(HTTP), 3 * TCP4 + len(OK)
ASK6, TELL6 = 14 + 40 + 8 + len(dns(1)), 14 + 40 + 8 + len(dns(1, answer=True))
ASK4 = 14 + 20 + 8 + len(dns(2))
ARP = 14 + 46
TOTAL = WEB_UP + WEB_DOWN + ASK6 + TELL6 + ASK4 + 2 * TCP4 + ARP


def flow(number, start, end, proto, client, server, app, category, rule, accept, confidence, packets, size,
         name=None, name_kind=None, rtt_us=0, end_reason="active", flags=(), heads=(b"", b"")):
    return {"type": "flow", "id": str(number), "start": start, "end": end, "proto": proto, "client": client[0],
            "client_port": client[1], "server": server[0], "server_port": server[1], "app": app,
            "category": category, "rule": rule, "accept": accept, "confidence": confidence, "name": name,
            "name_kind": name_kind, "packets_up": packets[0], "packets_down": packets[1], "bytes_up": size[0],
            "bytes_down": size[1], "bytes": sum(size), "duration": int(end) - int(start), "rtt_us": rtt_us,
            "retransmits": 0, "end_reason": end_reason, "flags": list(flags), "vlan": [], "announced_by": None,
            "evidence": {side: {"len": len(head), "hex": head[:32].hex()}
                         for side, head in zip(("up", "down"), heads)}}


def sums(kind, *rows):
    return [{"type": kind, **dict(zip(("name", "category") if kind == "application" else ("name",), names)),
             "bytes": size, "packets": packets, "flows": flows} for *names, size, packets, flows in rows]


def golden(sure):
    return [
        flow(0, at(0), at(0, 70), "tcp", ("10.0.0.1", 40000), ("192.0.2.1", 80), "HTTP", "web", "http", *sure[0],
             (5, 3), (WEB_UP, WEB_DOWN), "www.kiwis.example", "http", 20000, "closed", ("syn", "answered"),
             (HTTP, OK)),
        flow(8, at(1), at(1, 15), "udp", ("2001:db8::1", 50000), ("2001:db8::53", 53), "DNS", "services", "dns-udp",
             *sure[8], (1, 1), (ASK6, TELL6), "kiwis.org", "dns", flags=("answered",),
             heads=(dns(1), dns(1, answer=True))),
        flow(10, at(2), at(2), "udp", ("10.0.0.1", 50001), ("192.0.2.53", 53), "DNS", "services", "dns-udp",
             *sure[10], (1, 0), (ASK4, 0), "kiwis.org", "dns", heads=(dns(2), b"")),
        flow(11, at(3), at(3, 1), "tcp", ("10.0.0.1", 40001), ("192.0.2.1", 81), "No payload", "no payload",
             "no-payload", 0, 0, (1, 1), (TCP4, TCP4), end_reason="reset", flags=("syn", "answered", "refused")),
        flow(13, at(4), at(4), "proto-0", ("", 0), ("", 0), "Not IP", "other", "not-ip", 0, 0, (1, 0), (ARP, 0)),
        *sums("application", ("HTTP", "web", WEB_UP + WEB_DOWN, 8, 1), ("DNS", "services", ASK6 + TELL6 + ASK4, 3, 2),
              ("No payload", "no payload", 2 * TCP4, 2, 1), ("Not IP", "other", ARP, 1, 1)),
        *sums("category", ("web", WEB_UP + WEB_DOWN, 8, 1), ("services", ASK6 + TELL6 + ASK4, 3, 2),
              ("no payload", 2 * TCP4, 2, 1), ("other", ARP, 1, 1)),
        {"type": "summary", "packets": 14, "bytes": TOTAL, "flows": 5, "unknown_bytes": 0, "not_ip": 1,
         "malformed": 0, "lost": 0, "lost_handover": 0, "evicted": 0, "announced": 0, "announced_met": 0, "announced_forgotten": 0, "first": at(0), "last": at(4)},
    ]


def test_lines(folder):
    path = pcap(f"{folder}/golden.pcap", CAPTURE)
    done = whole.run(KOTARE, "watch", path, "--once", "--json")
    assert done.returncode == 0 and not done.stderr
    found = whole.lines(done.stdout)
    flows = whole.of_type(found, "flow")
    # which line of a rule, and how sure, is the rules' own affair; that it is said is not
    sure = {int(f["id"]): (f["accept"], f["confidence"]) for f in flows}
    assert all(sure[n][0] > 0 and 50 <= sure[n][1] <= 100 for n in (0, 8, 10)), sure
    want = golden(sure)
    for got, line in zip(found, want):
        assert got == line and list(got) == list(line), f"\n{json.dumps(got)}\n{json.dumps(line)}"
    assert len(found) == len(want)
    assert done.stdout == "".join(json.dumps(x, separators=(",", ":")) + "\n" for x in want).encode()


def test_first_and_last(folder):
    """By time, not by where they stand in the file."""
    path = pcap(f"{folder}/back.pcap", CAPTURE[::-1])
    done = whole.run(KOTARE, "watch", path, "--once", "--json")
    summary = whole.of_type(whole.lines(done.stdout), "summary")[0]
    assert (summary["first"], summary["last"]) == (at(0), at(4)), summary
    assert "runs backwards" in summary["warning"]


def test_people(folder):
    path = pcap(f"{folder}/golden.pcap", CAPTURE)
    done = whole.run(KOTARE, "watch", path, "--once")
    assert done.returncode == 0 and not done.stderr  # no bar where nobody looks
    text = done.stdout.decode()
    head = text.splitlines()
    assert head[0] == f"14 packets, {TOTAL} B, 5 flows; unknown 0.0 % of bytes", head[0]
    assert head[1] == "2023-11-15T00:00:00.000Z to 2023-11-15T00:00:04.000Z", head[1]
    rows = [line.replace(" %", "%").rsplit(maxsplit=5) for line in head if line.startswith(("HTTP ", "DNS ", "No payload ", "Not IP "))]
    share = lambda size: f"{100 * size / TOTAL:.{int(size < 0.0995 * TOTAL)}f}%"
    assert [(r[0].strip(), r[3], r[4], r[5]) for r in rows] == [
        ("HTTP", share(WEB_UP + WEB_DOWN), "8", "1"), ("DNS", share(ASK6 + TELL6 + ASK4), "3", "2"),
        ("No payload", share(2 * TCP4), "2", "1"), ("Not IP", share(ARP), "1", "1")], rows
    assert "\n0 events\n" in text


def test_store(folder):
    path = pcap(f"{folder}/golden.pcap", CAPTURE)
    store = f"{folder}/golden.kt"
    whole.run(KOTARE, "watch", path, "--once", "--store", store)
    found = whole.read_store(store)
    assert [run[2] for run in found["run"]] == [path] and found["meta"]["interval_ns"] == str(SECOND)
    points = found["points"]
    total = {ts: v for (kind, _, ts), v in points.items() if kind == "total"}
    assert total == {T0: (WEB_UP + WEB_DOWN, 8, 1), T0 + SECOND: (ASK6 + TELL6, 2, 1),
                     T0 + 2 * SECOND: (ASK4, 1, 1), T0 + 3 * SECOND: (2 * TCP4, 2, 1),
                     T0 + 4 * SECOND: (ARP, 1, 1)}, total
    for kind, want in {
            "app": {"HTTP": (WEB_UP + WEB_DOWN, 8, 1), "DNS": (ASK6 + TELL6 + ASK4, 3, 2),
                    "No payload": (2 * TCP4, 2, 1), "Not IP": (ARP, 1, 1)},
            "direction": {"up": (WEB_UP + ASK6 + ASK4 + TCP4 + ARP, 9, 5), "down": (WEB_DOWN + TELL6 + TCP4, 5, 0)},
            "port": {"tcp/80": (WEB_UP + WEB_DOWN, 8, 1), "udp/53": (ASK6 + TELL6 + ASK4, 3, 2),
                     "tcp/system": (2 * TCP4, 2, 1), "not-ip": (ARP, 1, 1)},
            "category": {"web": (WEB_UP + WEB_DOWN, 8, 1), "services": (ASK6 + TELL6 + ASK4, 3, 2),
                         "no payload": (2 * TCP4, 2, 1), "other": (ARP, 1, 1)}}.items():
        assert whole.sums(points, kind) == want, (kind, whole.sums(points, kind))
    health = {(name, (ts - T0) // SECOND): v for (kind, name, ts), v in points.items() if kind == "health"}
    assert health["rtt", 0] == (20000, 1, 1)
    assert health["refused", 3] == (1, 1, 0)
    assert health["unanswered", 2] == (1, 1, 0)
    assert health["unanswered", 4] == (1, 1, 0)  # an ARP is not answered either, as a flow
    assert health["retransmits", 0] == (0, 8, 0)
    assert [f["id"] for f in found["flows"]] == [0, 8, 10, 11, 13]
    first = found["flows"][0]
    assert bytes.fromhex(first["head_up"]) == HTTP[:32] and bytes.fromhex(first["head_down"]) == OK[:32]
    assert first["payload_up"] == first["head_len_up"] == len(HTTP)
    assert first["tcp_flags"] == (FIN | SYN | PSH | ACK, FIN | SYN | PSH | ACK)


whole.main(globals())
