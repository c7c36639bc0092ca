# SPDX-License-Identifier: LGPL-3.0-or-later
"""Traffic made by hand: lists of (time in ns, frame), the same for the same seed."""
import random

from craft import *  # noqa: F403

T0 = 1700006400 * 10**9
MS = 10**6
SECOND = 10**9


def dns(number, name=b"\x05kiwis\x03org\0", answer=False):
    head = struct.pack(">HHHHHH", number & 0xffff, 0x8180 if answer else 0x0100, 1, int(answer), 0, 0)
    return head + name + b"\0\1\0\1" + (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3" if answer else b"")


HTTP = b"GET /index.html HTTP/1.1\r\nHost: www.kiwis.example\r\nUser-Agent: none\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Side:
    """One end's packets, over IPv4 or IPv6, wrapped into whatever `wrap` makes of them."""

    def __init__(self, client, server, sport, dport, wrap=None):
        self.ends, self.ports = (client, server), (sport, dport)
        self.ip = ip6 if ":" in client else ip4
        self.wrap = wrap or eth

    def frame(self, back, proto, body):
        src, dst = self.ends[::-1] if back else self.ends
        return self.wrap(self.ip(src, dst, proto, body))

    def tcp(self, back, flags, payload=b"", seq=0, ack=0):
        sport, dport = self.ports[::-1] if back else self.ports
        return self.frame(back, TCP, tcp(sport, dport, flags, payload, seq, ack))

    def udp(self, back, payload):
        sport, dport = self.ports[::-1] if back else self.ports
        return self.frame(back, UDP, udp(sport, dport, payload))


def web(side, start, step=10 * MS, isn=1000, close=True, answer=OK):
    """A request over TCP from its handshake to its end."""
    t = (start + i * step for i in range(100))
    a, b = isn, isn + 5000
    yield next(t), side.tcp(0, SYN, b"", a)
    yield next(t), side.tcp(1, SYN | ACK, b"", b, a + 1)
    yield next(t), side.tcp(0, ACK, b"", a + 1, b + 1)
    yield next(t), side.tcp(0, PSH | ACK, HTTP, a + 1, b + 1)
    yield next(t), side.tcp(1, PSH | ACK, answer, b + 1, a + 1 + len(HTTP))
    if close:
        yield next(t), side.tcp(0, FIN | ACK, b"", a + 1 + len(HTTP), b + 1 + len(answer))
        yield next(t), side.tcp(1, FIN | ACK, b"", b + 1 + len(answer), a + 2 + len(HTTP))
        yield next(t), side.tcp(0, ACK, b"", a + 2 + len(HTTP), b + 2 + len(answer))


def question(side, start, number=1, answered=True):
    yield start, side.udp(0, dns(number))
    if answered:
        yield start + 15 * MS, side.udp(1, dns(number, answer=True))


def mixed(seed=1, flows=400, seconds=40, wrap=None):
    """Web and DNS over IPv4 and IPv6, some unanswered, refused, reused or left open, and pings."""
    r = random.Random(seed)
    out = []
    for i in range(flows):
        start = T0 + r.randrange(seconds * 1000) * MS
        six = r.random() < 0.3
        client = f"2001:db8::{r.randrange(1, 30):x}" if six else f"10.0.0.{r.randrange(1, 30)}"
        server = f"2001:db8:5::{r.randrange(1, 9):x}" if six else f"192.0.2.{r.randrange(1, 9)}"
        kind = r.random()
        if kind < 0.4:
            side = Side(client, server, r.randrange(40000, 40040), r.choice((80, 80, 8080, 443)), wrap)
            out += web(side, start, r.randrange(1, 900) * MS, r.randrange(2**32), r.random() < 0.7)
        elif kind < 0.8:
            side = Side(client, server, r.randrange(40000, 60000), 53, wrap)
            out += question(side, start, i, r.random() < 0.8)
        elif kind < 0.9:  # refused, or nobody there
            side = Side(client, server, r.randrange(40000, 60000), r.randrange(1, 1024), wrap)
            out.append((start, side.tcp(0, SYN, b"", 7)))
            if r.random() < 0.5:
                out.append((start + 9 * MS, side.tcp(1, RST | ACK, b"", 0, 8)))
        elif not six:
            side = Side(client, server, 0, 0, wrap)
            for n in range(3):
                out.append((start + n * SECOND, side.frame(0, ICMP, echo(i, n))))
                out.append((start + n * SECOND + 20 * MS, side.frame(1, ICMP, echo(i, n, True))))
    out.sort(key=lambda p: p[0])
    return out


def fragments(seed=2, datagrams=150):
    """DNS answers in pieces: in order, the last piece first, the first piece missing, pieces twice,
    many under way at a time, identifiers that come again later."""
    r = random.Random(seed)
    out = []
    for i in range(datagrams):
        six = i % 3 == 0
        a, b = ("2001:db8::1", "2001:db8::2") if six else (f"10.0.0.{i % 7 + 1}", "10.0.1.1")
        whole = udp(53, 30000 + i % 20, dns(i, answer=True) + bytes(r.randrange(200, 2000)))
        cuts = [whole[k:k + 488] for k in range(0, len(whole), 488)]
        pieces = []
        for k, part in enumerate(cuts):
            more, at = k + 1 < len(cuts), k * 488
            body = ip6(a, b, 44, frag6(UDP, part, i % 40, at, more)) if six else ip4(a, b, UDP, part, i % 40, at, more)
            pieces.append(eth(body))
        order = r.randrange(5)
        if order == 1:
            pieces.reverse()
        elif order == 2:
            pieces = pieces[1:]
        elif order == 3:
            pieces += pieces[-1:]
        elif order == 4:
            r.shuffle(pieces)
        start = T0 + i * 40 * MS
        out += [(start + r.randrange(5) * 7 * MS + k, p) for k, p in enumerate(pieces)]
    out.sort(key=lambda p: p[0])
    return out


def icmp_errors(seed=3, flows=200):
    """Errors about flows that are there, that come later, and that never come; from routers on the way."""
    r = random.Random(seed)
    out = []
    for i in range(flows):
        start = T0 + i * 30 * MS
        six = i % 4 == 0
        a, b = ("2001:db8::7", f"2001:db8::{i:x}") if six else ("10.0.0.7", f"10.2.{i // 250}.{i % 250 + 1}")
        side = Side(a, b, 33000 + i, 33434 + i % 30)
        asked = side.udp(0, b"traceroute" + bytes(20))
        router = "2001:db8:99::1" if six else "10.9.9.9"
        wrong = (icmp(1, 4, payload=asked[14:]) if r.random() < 0.5 else icmp(3, 0, payload=asked[14:])) if six else (
            icmp(3, 3, payload=asked[14:42]) if r.random() < 0.5 else icmp(11, 0, payload=asked[14:]))
        told = eth(ip6(router, a, ICMP6, wrong) if six else ip4(router, a, ICMP, wrong))
        kind = r.randrange(4)
        if kind != 3:
            out.append((start, asked))
        out.append((start + (5 * MS if kind else -5 * MS), told))
        if kind == 2:
            out.append((start + 8 * MS, side.udp(1, b"here I am")))
    out.sort(key=lambda p: p[0])
    return out


def tunnels(seed=4):
    """The same flows in GRE, VXLAN, GTP, 6in4 and IP in IP, both ways and in the open."""
    out = []
    for n, wrap in enumerate([
            lambda p: eth(ip4("192.0.2.1", "192.0.2.2", GRE, gre(p, T_IP6 if p[0] >> 4 == 6 else T_IP4, key=5))),
            lambda p: eth(ip4("192.0.2.1", "192.0.2.2", UDP, vxlan(42, eth(p), 50000 + p[19] % 7))),
            lambda p: eth(ip4("192.0.2.3", "192.0.2.4", UDP, gtp(p, 1 + p[19] % 2))),
            lambda p: eth(vlan(100, ip4("192.0.2.5", "192.0.2.6", IP6IN if p[0] >> 4 == 6 else IPIP, p)), T_VLAN),
            lambda p: eth(p)]):
        out += mixed(seed, 60, 10, wrap)
    out.sort(key=lambda p: p[0])
    return out


def backwards(seed=5):
    """A clock that is set back and forth, and two days of silence."""
    r = random.Random(seed)
    out = []
    for n, (ts, frame) in enumerate(mixed(seed, 300, 30)):
        if n % 50 == 49:
            ts -= r.randrange(1, 4000) * MS
        out.append((ts + (2 * 86400 * SECOND if n > 900 else 0) + (5 * SECOND if 300 < n < 310 else 0), frame))
    return out
