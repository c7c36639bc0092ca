#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""One worker and N tell the same to the byte, whatever a flow is told by: its own packets, fragments,
ICMP errors, tunnels, and packets of other flows.

Usage: same.py KOTARE
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from craft import *  # noqa: E402,F403

WORKERS = (2, 3, 8)
SECOND = 10**9
T0 = 1_700_000_000 * SECOND


def watch(kotare, capture, workers):
    done = subprocess.run([kotare, "watch", capture, "--once", "--json", "--workers", str(workers)],
                          stdout=subprocess.PIPE, check=True)
    return done.stdout


class Trace:
    """Packets with their times, in seconds from the beginning; order is that of time, then of adding."""

    def __init__(self):
        self.packets = []

    def add(self, at, data):
        self.packets.append((T0 + round(at * SECOND), data))

    def write(self, path):
        return pcap(path, sorted(self.packets, key=lambda p: p[0]), ns=True)


class Talk:
    """A TCP connection: says() sends payload and keeps count."""

    def __init__(self, trace, at, a, aport, b, bport, wrap=eth):
        self.trace, self.ends, self.seq, self.wrap = trace, ((a, aport), (b, bport)), [100, 500], wrap
        self.send(at, 0, SYN)
        self.send(at + .001, 1, SYN | ACK)
        self.send(at + .002, 0, ACK)

    def send(self, at, side, flags, payload=b""):
        (a, aport), (b, bport) = self.ends[side], self.ends[not side]
        body = tcp(aport, bport, flags, payload, self.seq[side], self.seq[not side] if flags & ACK else 0)
        ip = ip4(a, b, TCP, body) if "." in a else ip6(a, b, TCP, body)
        self.trace.add(at, self.wrap(ip))
        self.seq[side] += len(payload) + bool(flags & (SYN | FIN))

    def says(self, at, side, text):
        self.send(at, side, PSH | ACK, text.encode() if isinstance(text, str) else text)

    def ends_at(self, at):
        for i, side in enumerate((1, 0)):
            self.send(at + .001 * i, side, FIN | ACK)
        self.send(at + .002, 1, ACK)


def noise(trace, seed, flows=40):
    """Other flows between the same hosts, so that order and owners matter."""
    rnd = random.Random(seed)
    for _ in range(flows):
        at, n = rnd.uniform(0, 20), rnd.randrange(1, 9)
        a, b = f"10.0.0.{rnd.randrange(1, 9)}", f"10.0.1.{rnd.randrange(1, 9)}"
        sport, dport = rnd.randrange(20000, 60000), rnd.choice((53, 80, 7000, 9999))
        for i in range(n):
            src, dst, s, d = (b, a, dport, sport) if i % 2 else (a, b, sport, dport)
            trace.add(at + i * .01, eth(ip4(src, dst, UDP, udp(s, d, rnd.randbytes(rnd.randrange(1, 200))))))


# ---- the scenes: each fills a trace and returns what must be found in it ----

def rtp(number, stamp=0):
    return struct.pack(">BBHII", 0x80, 96, number, stamp, 0xdeadbeef) + b"\x55" * 160


def by(flows, **want):
    return [f for f in flows if all(f[k] == v for k, v in want.items())]


def one(flows, **want):
    found = by(flows, **want)
    assert len(found) == 1, (want, found)
    return found[0]


def announced(t):
    """FTP, SIP and TFTP: flows that carry nothing to know them by are known, and by whom."""
    rnd = random.Random(1)
    transfers = 60
    for n in range(transfers):
        at, six = n * .25, n % 3 == 2
        a, b = ("2001:db8::1", "2001:db8::2") if six else (f"10.0.0.{n % 7 + 1}", "10.0.1.1")
        port = 40000 + n
        c = Talk(t, at, a, 30000 + n, b, 2121)
        c.says(at + .01, 1, "220 ready\r\n")
        c.says(at + .02, 0, "USER me\r\n")
        if n % 4 == 3:  # active: the server opens
            if six:
                c.says(at + .03, 0, f"EPRT |2|{a}|{port}|\r\n")
            else:
                c.says(at + .03, 0, f"PORT {a.replace('.', ',')},{port >> 8},{port & 255}\r\n")
            d = Talk(t, at + .05, b, 20000 + n, a, port)
            d.says(at + .06, 0, rnd.randbytes(300))
        else:
            c.says(at + .03, 0, "EPSV\r\n" if six else "PASV\r\n")
            c.says(at + .04, 1, f"229 Extended Passive Mode (|||{port}|)\r\n" if six else
                   f"227 Passive ({b.replace('.', ',')},{port >> 8},{port & 255}).\r\n")
            d = Talk(t, at + .05, a, 20000 + n, b, port)
            d.says(at + .06, 1, rnd.randbytes(300))
        d.ends_at(at + .07)
    for n in range(30):  # calls through a proxy; the media go directly
        at, a, b = n * .5, f"10.0.0.{n % 5 + 1}", f"10.0.1.{n % 5 + 1}"
        for side, (host, port) in enumerate(((a, 50001 + 2 * n), (b, 51001 + 2 * n))):
            text = (("SIP/2.0 200 OK" if side else "INVITE sip:x@example.org SIP/2.0") +
                    f"\r\nCall-ID: {n}\r\n\r\nv=0\r\nc=IN IP4 {host}\r\nm=audio {port} RTP/AVP 96\r\n")
            t.add(at + .1 * side, eth(ip4(host, "10.0.9.9", UDP, udp(5060, 5060, text.encode()))))
        for i in range(20):
            t.add(at + .2 + .02 * i, eth(ip4(a, b, UDP, udp(50001 + 2 * n, 51001 + 2 * n, rtp(i, 160 * i)))))
    for n in range(10):  # a file that is not there
        at, port = n * 1.1, 45000 + n
        t.add(at, eth(ip4("10.0.0.1", "10.0.1.3", UDP, udp(port, 69, b"\0\1nothing\0octet\0"))))
        t.add(at + .1, eth(ip4("10.0.1.3", "10.0.0.1", UDP, udp(33000 + n, port, b"\0\5\0\1no such file\0"))))

    def check(flows, summary):
        data = by(flows, rule="ftp-data")
        assert len(data) == transfers
        control = {f["id"]: f for f in by(flows, rule="ftp-control")}
        for f in data:
            c = control[f["announced_by"]["flow"]]
            port = f["server_port"]
            assert c["client_port"] == 30000 + port - 40000, (c, f)
            assert int(c["id"]) < int(f["announced_by"]["packet"]) < int(f["id"])
        media = by(flows, rule="rtp")
        assert len(media) == 30 and all(f["announced_by"] for f in media), len(media)
        assert {f["client_port"] for f in media} == {50001 + 2 * n for n in range(30)}
        assert len(by(flows, rule="tftp")) == 20 and not by(flows, rule="unknown-tcp")
        assert summary["announced_met"] >= transfers + 30 + 10 and summary["announced_forgotten"] == 0
    return check


def announced_flood(t):
    """More announcements than the table holds, before those that count: what is forgotten is the same."""
    rnd = random.Random(2)
    for n in range(30000):
        port = rnd.randrange(1024, 65536)
        host = f"10.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(1, 255)}"
        text = f"PORT {host.replace('.', ',')},{port >> 8},{port & 255}\r\n".encode()
        t.add(n * .0005, eth(ip4(host, "10.0.9.9", TCP, tcp(30000, 21, PSH | ACK, text))))
        if n % 3 == 0:
            t.add(n * .0005 + rnd.uniform(.01, 10), eth(ip4("10.0.9.9", host, TCP, tcp(20, port, SYN))))

    def check(flows, summary):
        assert summary["announced_forgotten"] > 5000, summary
        assert 1000 < len(by(flows, rule="ftp-data")) < 10000
    return check


SCENES = [announced, announced_flood]


def main():
    kotare = sys.argv[1]
    failed = 0
    for scene in SCENES:
        t = Trace()
        check = scene(t)
        noise(t, scene.__name__)
        with tempfile.TemporaryDirectory() as folder:
            capture = t.write(f"{folder}/{scene.__name__}.pcap")
            alone = watch(kotare, capture, 1)
            same = [n for n in WORKERS if watch(kotare, capture, n) == alone]
        lines = [json.loads(line) for line in alone.splitlines()]
        flows = [o for o in lines if o["type"] == "flow"]
        bad = "" if same == list(WORKERS) else f"only {same} workers tell the same as one"
        try:
            check(flows, lines[-1])
        except AssertionError as e:
            bad += f" {e!r} in line {e.__traceback__.tb_next.tb_lineno}"
        print(f"{'FAILED' if bad else 'ok'}: {scene.__name__}, {len(t.packets)} packets, {len(flows)} flows{bad and ': ' + bad}")
        failed += bool(bad)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
