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


def cut(src, dst, proto, body, ident, size=64, link=eth):
    """The frames of a datagram in parts."""
    n = -(-len(body) // size)
    parts = [(i * size, body[i * size:(i + 1) * size], i + 1 < n) for i in range(n)]
    if "." in src:
        return [link(ip4(src, dst, proto, part, ident=ident, frag=at, more=more)) for at, part, more in parts]
    return [link(ip6(src, dst, 44, frag6(proto, part, ident=ident, frag=at, more=more))) for at, part, more in parts]


A4, B4, A6, B6 = "10.0.0.1", "10.0.1.1", "2001:db8::1", "2001:db8:1::1"


def fragments(t):
    """Later fragments follow their first one, whatever lies between; without it they are a flow of
    their own. Identifications overlap: other hosts, another protocol, the same again much later."""
    rnd = random.Random(3)
    for n in range(120):
        a, b = (A6, B6) if n % 3 == 0 else (A4, B4)
        a = a[:-1] + str(n % 9 + 1)
        sport, dport, at = 30000 + n, 9000 + n, n * .1
        for k in range(5):  # five datagrams each, both ways, under identifications that others use, too
            body = udp(sport, dport, rnd.randbytes(rnd.randrange(130, 180)))
            back = udp(dport, sport, rnd.randbytes(rnd.randrange(130, 180)))
            for i, f in enumerate(cut(a, b, UDP, body, ident=n // 9 * 5 + k + 1)):
                t.add(at + k + i * .01, f)
            for i, f in enumerate(cut(b, a, UDP, back, ident=n // 9 * 5 + k + 1)):
                t.add(at + k + .5 + i * .01, f)
    for n in range(20):  # the first part comes last; then it is of no use any more
        for i, f in enumerate(reversed(cut(A4, B4, UDP, udp(40000 + n, 7777, rnd.randbytes(150)), ident=50000 + n))):
            t.add(n + i * .01, f)
    for n in range(10):  # … or half a minute before
        first, *rest = cut(A4, B4, UDP, udp(41000 + n, 7778, rnd.randbytes(150)), ident=51000 + n)
        t.add(n, first)
        for i, f in enumerate(rest):
            t.add(n + 31 + i, f)

    def check(flows, summary):
        for n in range(120):
            f = one(flows, server_port=9000 + n)
            assert (f["packets_up"], f["packets_down"]) == (15, 15), f
        assert all(f["packets_up"] == 1 for f in by(flows, server_port=7777) + by(flows, server_port=7778))
        lost = [f for f in by(flows, server_port=0, proto="udp", server=B4) if f["client"] == A4]
        assert sum(f["packets_up"] for f in lost) == 20 * 2 + 10 * 2, lost
    return check


def errors(t):
    """ICMP errors belong to the flow that they quote, whoever sends them, also where the quote is short,
    behind extension headers, and in tunnels."""
    quotes = 0
    for n in range(100):
        six, at = n % 2, n * .1
        a, b, router = (A6, B6, "2001:db8:ffff::1") if six else (A4, B4, "192.0.2.1")
        ask = udp(30000 + n, 9000 + n, b"?" * (10 + n))
        packet = ip6(a, b, 60, ext(UDP, ask)) if six and n % 3 == 0 else (ip6 if six else ip4)(a, b, UDP, ask)
        wrap = (lambda ip: eth(ip4("198.51.100.1", "198.51.100.2", GRE, gre(ip, T_IP6 if six else T_IP4)))) if n % 5 == 0 else (
            lambda ip: eth(vlan(7, ip, T_IP6 if six else T_IP4), T_VLAN)) if n % 5 == 1 else eth
        t.add(at, wrap(packet))
        quote = packet if n % 4 else packet[:-(len(ask) - 8)]  # as little as the standard asks for
        error = ip6(router, a, ICMP6, icmp(1, 4, payload=quote)) if six else ip4(router, a, ICMP, icmp(3, 3, payload=quote))
        t.add(at + .02, wrap(error))
        quotes += 1
    for n in range(10):  # so short that no flow can be told
        packet = ip4(A4, B4, UDP, udp(40000 + n, 7777, b"?" * 20))
        t.add(n, eth(packet))
        t.add(n + .1, eth(ip4(f"192.0.2.{n + 10}", A4, ICMP, icmp(3, 3, payload=packet[:23]))))
    for n in range(20):  # a router between the ends of a tunnel quotes its packet
        inner = ip4(A4, B4, UDP, udp(42000 + n, 7778, b"!" * 30))
        outer = ip4("198.51.100.1", "198.51.100.2", *((UDP, vxlan(5, eth(inner))) if n % 2 else (GRE, gre(inner))))
        t.add(n, eth(outer))
        t.add(n + .1, eth(ip4("192.0.2.2", "198.51.100.1", ICMP, icmp(3, 1, payload=outer))))

    def check(flows, summary):
        for n in range(100):
            f = one(flows, server_port=9000 + n)
            assert (f["packets_up"], f["packets_down"]) == (1, 1), f
        assert all(f["packets_down"] == 0 for f in by(flows, server_port=7777))
        assert len(by(flows, rule="icmp")) == 10
        for n in range(20):
            f = one(flows, client_port=42000 + n, server_port=7778)
            assert (f["packets_up"], f["packets_down"]) == (1, 1), f
    return check


def tunnels(t):
    """Packets in tunnels by the innermost key, and the tunnel's identity: both ways are one flow, also
    where the outer ports differ; the same addresses in another tunnel are another flow."""
    def outer(kind, n, back, ip):
        C, D = ("198.51.100.1", "198.51.100.2")[::-1 if back else 1]
        C6, D6 = ("2001:db8:c::1", "2001:db8:c::2")[::-1 if back else 1]
        t4 = T_IP6 if ip[0] >> 4 == 6 else T_IP4
        sport = 50000 + n + 1000 * back
        return {
            "gre": lambda: ip4(C, D, GRE, gre(ip, t4, key=n % 3)),
            "gre6": lambda: ip6(C6, D6, GRE, gre(ip, t4)),
            "ipip": lambda: ip4(C, D, IP6IN if t4 == T_IP6 else IPIP, ip),
            "vxlan": lambda: ip4(C, D, UDP, vxlan(n % 3, eth(ip), sport=sport)),
            "geneve": lambda: ip6(C6, D6, UDP, geneve(n % 3, eth(ip), sport=sport)),
            "gtp": lambda: ip4(C, D, UDP, gtp(ip, teid=back + 1)),
            "teredo": lambda: ip4(C, D, UDP, udp(3544 if back else 40000, 40000 if back else 3544, ip)) if t4 == T_IP6 else
                      ip4(C, D, UDP, gtp(ip)),
            "nested": lambda: ip4(C, D, GRE, gre(ip4(C, D, UDP, vxlan(4, eth(vlan(9, ip, t4), T_VLAN), sport=sport)))),
        }[kind]()

    kinds = ["gre", "gre6", "ipip", "vxlan", "geneve", "gtp", "teredo", "nested"]
    for k, kind in enumerate(kinds):
        for n in range(24):
            a, b = (A6, B6) if n % 2 else (A4, B4)
            make = ip6 if n % 2 else ip4
            for i in range(6):
                back = i % 2
                body = udp(9000 + k, 30000 + n, b"=" * 110) if back else udp(30000 + n, 9000 + k, b"=" * 110)
                whole = outer(kind, n, back, make(b, a, UDP, body) if back else make(a, b, UDP, body))
                link = (lambda ip: eth(vlan(n % 4 + 1, ip, T_IP6 if ip[0] >> 4 == 6 else T_IP4), T_VLAN)) if n % 4 == 0 else eth
                at = n * .3 + i * .02
                if i >= 4:  # the tunnel's own packets in parts
                    src = str(ipaddress.ip_address(whole[12:16] if whole[0] >> 4 == 4 else whole[8:24]))
                    dst = str(ipaddress.ip_address(whole[16:20] if whole[0] >> 4 == 4 else whole[24:40]))
                    proto, load = (whole[9], whole[20:]) if whole[0] >> 4 == 4 else (whole[6], whole[40:])
                    for j, f in enumerate(cut(src, dst, proto, load, 1000 + n * 8 + k, 128, link)):
                        t.add(at + j * .001, f)
                else:
                    t.add(at, link(whole))
    # the same inner flow in two networks, and outside of both
    for n in range(10):
        ip = ip4(A4, B4, UDP, udp(43000 + n, 7779, b"same"))
        for i, f in enumerate((eth(ip), eth(outer("vxlan", 0, 0, ip)), eth(outer("vxlan", 1, 0, ip)))):
            t.add(n + .01 * i, f)

    def check(flows, summary):
        for k, kind in enumerate(kinds):
            for n in range(24):
                f = one(flows, server_port=9000 + k, client_port=30000 + n)
                assert f["packets_up"] == f["packets_down"] and 2 + 2 <= f["packets_up"] <= 2 + 3, (kind, f)
        assert len(by(flows, server_port=7779)) == 30
        assert not by(flows, server_port=0), by(flows, server_port=0)[:2]
    return check


def long_flows(t):
    """Flows that go on for longer than the active time-out have records on the way."""
    rnd = random.Random(4)
    sent = {}
    for n in range(60):
        at, step, ports = rnd.uniform(0, 5), rnd.choice((.5, 20, 70, 110)), (30000 + n, 9000 + n)
        packets = sent[ports] = [0, 0, 0, 0]
        while at < 1000:
            back = rnd.random() < .3
            frame = eth(ip4(B4, A4, UDP, udp(*ports[::-1], rnd.randbytes(rnd.randrange(1, 99)))) if back else
                        ip4(A4, B4, UDP, udp(*ports, rnd.randbytes(rnd.randrange(1, 99)))))
            if not any(packets) and back:
                continue  # the client begins
            t.add(at, frame)
            packets[back] += 1
            packets[2 + back] += len(frame)
            at += step

    def check(flows, summary, interims):
        names = ("packets_up", "packets_down", "bytes_up", "bytes_down")
        for ports, want in sent.items():
            f = one(flows, client_port=ports[0], server_port=ports[1])
            parts = by(interims, id=f["id"]) + [f]
            assert [f[n] for n in names] == want, (f, want)
            assert [sum(p["delta"][n] for p in parts) for n in names] == want, parts
            assert len(parts) == 4, parts  # after 300, 600 and 900 s
            assert all(a["end"] < b["end"] for a, b in zip(parts, parts[1:])), parts
    return check


def tags(t):
    """VLANs: each has its flows, and all of a flow's packets go to one worker."""
    for n in range(200):
        for i in range(4):
            a, b, s, d = (B4, A4, 53, 30000 + n % 50) if i % 2 else (A4, B4, 30000 + n % 50, 53)
            ip = ip4(a, b, UDP, udp(s, d, b"\0\1\1\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1"))
            kind = n // 50
            t.add(n * .05 + i * .01, [lambda: eth(ip), lambda: eth(vlan(5, ip), T_VLAN), lambda: eth(vlan(6, ip), T_VLAN),
                                      lambda: eth(vlan(5, vlan(6, ip), T_VLAN), T_QINQ)][kind]())

    def check(flows, summary):
        for n in range(50):
            found = by(flows, client_port=30000 + n, server_port=53)
            assert len(found) == 4 and all(f["packets_up"] == f["packets_down"] == 2 for f in found), found
    return check


SCENES = [announced, announced_flood, fragments, errors, tunnels, long_flows, tags]


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
            check(flows, lines[-1], *([[o for o in lines if o["type"] == "interim"]] if scene == long_flows else []))
        except AssertionError as e:
            bad += f" {e!r} in line {e.__traceback__.tb_next.tb_lineno}"
        print(f"{'FAILED' if bad else 'ok'}: {scene.__name__}, {len(t.packets)} packets, {len(flows)} flows{bad and ': ' + bad}")
        failed += bool(bad)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
