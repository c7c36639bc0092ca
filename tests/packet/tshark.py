#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""tshark judges decoding, packet by packet: addresses, protocol, ports, VLANs, fragments, TCP flags
and sequence numbers, ICMP types, payload lengths, what lies in tunnels and ICMP errors.

Usage: tshark.py PRINT SAMPLE      (PRINT is the program of print.c)

Three things kt_decode() means otherwise than a tree of layers does, so meaning() puts them into
tshark's words: the key is that of the innermost packet; of an ICMP error it is the key of the packet
it quotes; the identifier of an ICMP echo stands for its ports. Everything else that differs must be
explained by a row of DIFFERENCES.
"""
import collections
import csv
import functools
import ipaddress
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from craft import *  # noqa: E402,F403

# tshark follows these and nothing above them: no heuristics, no reassembly.
PROTOCOLS = """frame eth ethertype vlan ieee8021ad llc ip ipv6 ipv6.hopopts ipv6.routing ipv6.fraghdr
    ipv6.dstopts ah hip mipv6 shim6 tcp udp sctp icmp icmpv6 igmp gre mpls pwethcw pppoes pppoed ppp chdlc
    sll null raw wlan wlan_radio radiotap wlan_aggregate data vxlan geneve gtp teredo esp""".split()

# What one occurrence of a layer carries.
LAYERS = {
    "vlan": ["vlan.id"],
    "ieee8021ad": ["ieee8021ad.id"],
    "ip": ["ip.src", "ip.dst", "ip.proto", "ip.id", "ip.flags.mf", "ip.frag_offset", "ip.len", "ip.hdr_len"],
    "ipv6": ["ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.plen"],
    "gre": ["gre.proto"],
    "ipv6.hopopts": ["ipv6.hopopts.nxt"],
    "ipv6.routing": ["ipv6.routing.nxt"],
    "ipv6.dstopts": ["ipv6.dstopts.nxt"],
    "ipv6.fraghdr": ["ipv6.fraghdr.nxt", "ipv6.fraghdr.ident", "ipv6.fraghdr.offset", "ipv6.fraghdr.more"],
    "ah": ["ah.next_header"],
    "mipv6": ["mip6.proto"],
    "hip": ["hip.proto"],
    "shim6": ["shim6.nxt"],
    "tcp": ["tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "tcp.len"],
    "udp": ["udp.srcport", "udp.dstport", "udp.length"],
    "sctp": ["sctp.srcport", "sctp.dstport"],
    "icmp": ["icmp.type", "icmp.code"],
    "icmpv6": ["icmpv6.type", "icmpv6.code"],
}
FIELDS = ["frame.number", "frame.protocols", "frame.len", "icmp.ident", "icmpv6.echo.identifier"]
FIELDS += [f for fields in LAYERS.values() for f in fields]
ICMP_ERRORS = {"icmp": (3, 4, 5, 11, 12), "icmpv6": (1, 2, 3, 4)}
EXTENSIONS = ("ipv6.hopopts", "ipv6.routing", "ipv6.dstopts", "ah", "mipv6", "hip", "shim6")


def number(text):
    return int(text, 0) if text else None


class Judge:
    """tshark with a configuration of its own."""

    def __init__(self, folder):
        self.env = dict(os.environ, WIRESHARK_CONFIG_DIR=folder, LC_ALL="C")
        known = subprocess.run(["tshark", "-G", "protocols"], env=self.env, capture_output=True, text=True,
                               check=True).stdout
        names = {line.split("\t")[2] for line in known.splitlines()}
        with open(os.path.join(folder, "disabled_protos"), "w") as f:
            f.writelines(name + "\n" for name in sorted(names - set(PROTOCOLS)))

    def read(self, path):
        """A list of layers a packet: (name, {field: text})."""
        command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,",
                   "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-d", "mpls.label==100,pwethcw"]
        command += [w for f in FIELDS for w in ("-e", f)]
        with subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as p:
            for line in p.stdout:
                columns = line.rstrip("\n").split("\t")
                self.length = int(columns[2])  # of the packet that is given now
                yield self.layers(columns)
        if p.returncode:
            sys.exit(f"tshark can not read {path}")

    @staticmethod
    def layers(columns):
        value = {f: collections.deque(c.split(",")) for f, c in zip(FIELDS, columns) if c}
        out = []
        for name in columns[1].split(":"):
            out.append((name, {f: value[f].popleft() if value.get(f) else None for f in LAYERS.get(name, ())}))
        ident = value.get("icmp.ident") or value.get("icmpv6.echo.identifier")
        return out, number(ident[0]) if ident else None


@functools.lru_cache(None)
def address(text):
    return str(ipaddress.ip_address(text)) if text else ""


def meaning(layers, ident):
    """What kt_decode() should say of a packet that tshark sees so."""
    m = dict(ip=0, src="", dst="", proto=0, sport=0, dport=0, vlan=[], tunnel=False, fragment=False,
             later=False, error=False, tcp=None, icmp=None, frag_id=None, payload_len=None)
    seen_ip = quoting = False
    for name, f in layers:
        if name in ("ip", "ipv6") and f[name + ".src"]:
            fragment = dict(fragment=False, later=False, frag_id=None)
            if name == "ip":
                offset, more = number(f["ip.frag_offset"]), f["ip.flags.mf"] in ("1", "True")
                fragment = dict(fragment=bool(offset or more), later=bool(offset), frag_id=number(f["ip.id"]))
                length = number(f["ip.len"])
                m["room"] = length - number(f["ip.hdr_len"]) if length else None
            else:
                m["room"] = None
            if quoting:
                if fragment["later"]:
                    break  # quotes no ports: nothing can be told of its flow
                before = dict(m) if not m["error"] else before  # in a quoted tunnel the error is about what is inside
                m["error"] = True
            else:
                m["tunnel"] = seen_ip
                m.update(tcp=None, icmp=None, payload_len=None, **fragment)
            seen_ip = True
            m.update(ip=4 if name == "ip" else 6, src=address(f[name + ".src"]), dst=address(f[name + ".dst"]),
                     proto=number(f["ip.proto" if name == "ip" else "ipv6.nxt"]), sport=0, dport=0)
        elif name in EXTENSIONS:
            nxt = number(next(iter(f.values())))
            m["proto"] = m["proto"] if nxt is None else nxt
        elif name == "ipv6.fraghdr":
            m["proto"] = number(f["ipv6.fraghdr.nxt"])
            offset, more = number(f["ipv6.fraghdr.offset"]), f["ipv6.fraghdr.more"] in ("1", "True")
            if not quoting:
                m.update(fragment=bool(offset or more), later=bool(offset),
                         frag_id=number(f["ipv6.fraghdr.ident"]))
            elif offset:
                m = before
                break
        elif name in ("tcp", "udp", "sctp"):
            m.update(sport=number(f[name + ".srcport"]) or 0, dport=number(f[name + ".dstport"]) or 0)
            if quoting:
                continue
            if name == "tcp" and f["tcp.flags"]:
                m["tcp"] = (number(f["tcp.flags"]) & 0xff, number(f["tcp.seq_raw"]))
                m["payload_len"] = number(f["tcp.len"])
            if name == "udp" and f["udp.length"]:
                length = number(f["udp.length"])
                room = m["room"] if m["fragment"] else None
                m["payload_len"] = (min(length, room) if room else length) - 8
                if m["fragment"] and not room:
                    m["payload_len"] = None
        elif name in ("icmp", "icmpv6") and f[name + ".type"]:
            kind = number(f[name + ".type"])
            if not quoting:
                m["icmp"] = (kind, number(f[name + ".code"]))
            if ident is not None:
                m["sport"] = m["dport"] = ident
            quoting = quoting or kind in ICMP_ERRORS[name]
        elif name in ("vlan", "ieee8021ad") and f[name + ".id"] not in (None, "0"):
            m["vlan"].append(number(f[name + ".id"]))
    m["vlan"] = (m["vlan"] + [0, 0])[:2]
    m.pop("room", None)
    if not m["fragment"]:
        m["frag_id"] = None
    if m["error"]:
        m["payload_len"] = m["tcp"] = None
    return m


def ours(path, program):
    with subprocess.Popen([program, path], stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            yield dict(c.split("=", 1) for c in line.rstrip("\n").split("\t"))
    if p.returncode:
        sys.exit(f"{path}: see above")


def said(row):
    """The same words of a line of print.c."""
    flags = row["flags"].split(",")
    pair = lambda a, b: (int(row[a]), int(row[b]))
    m = dict(ip=int(row["ip"]), src=address(row["src"]), dst=address(row["dst"]), proto=int(row["proto"]),
             sport=int(row["sport"]), dport=int(row["dport"]), vlan=[int(v) for v in row["vlan"].split(",")],
             tunnel="tunnel" in flags, fragment="fragment" in flags, later="later" in flags,
             error="icmp-error" in flags, tcp=pair("tcp_flags", "seq") if "seq" in row else None,
             icmp=tuple(map(int, row["icmp"].split(","))) if "icmp" in row else None,
             frag_id=int(row["frag_id"]) if "frag_id" in row else None, payload_len=int(row["payload_len"]))
    return m


# ---- what is explained ----

Difference = collections.namedtuple("Difference", "why when fields")
KEY = ("ip", "src", "dst", "proto", "sport", "dport", "tunnel", "vlan", "tcp", "icmp", "payload_len", "fragment",
       "later", "error", "frag_id")


def has(*names):
    """These layers one behind the other."""
    return lambda x: any(tuple(x.names[i:i + len(names)]) == names for i in range(len(x.names)))


# Every row is met by a packet made by hand; a row that none meets fails the test.
DIFFERENCES = [
    Difference("IPv4 with a source route: tshark names the route's end, the header names the next hop",
               lambda x: x.value("ip", "ip.hdr_len") > 20, ("dst",)),
    Difference("the first fragment of a TCP header: tshark tells the flags of half a header",
               lambda x: x.theirs["fragment"] and x.value("ip", "ip.len") < 40, ("tcp",)),
    Difference("a TCP header that claims to be shorter than it can be: flags and sequence number still stand "
               "where they stand", lambda x: x.names[-1] == "tcp" and x.theirs["tcp"] is None, ("tcp",)),
    Difference("a UDP length of 0 is what segmentation offload leaves: we go on by the length of the IP packet",
               lambda x: x.value("udp", "udp.length") == 0, KEY),
    Difference("so is an IPv6 length of 0: we go on by what was on the wire",
               lambda x: x.value("ipv6", "ipv6.plen") == 0, KEY),
    Difference("the first outer fragment of a tunnel: what is inside is as long as what is there",
               lambda x: x.mine["tunnel"] and x.value("ip", "ip.flags.mf"), ("payload_len",)),
    Difference("Teredo's port without a sound IPv6 header inside: a guess by port is taken back",
               lambda x: has("udp", "teredo", "ipv6")(x) and x.theirs["dst"] == "", KEY),
    Difference("ICMPv6 redirect: the packet it carries as an option is no part of an error",
               lambda x: has("icmpv6", "ipv6")(x) and x.mine["icmp"] == (137, 0), KEY),
    # not decoded here: the flow is that of the tunnel
    Difference("Ethernet in IPv6 (protocol 143)", lambda x: x.mine["proto"] == 143, KEY),
    Difference("GRE in UDP (RFC 8086)", has("udp", "gre"), KEY),
    Difference("MPLS in UDP (RFC 7510)", has("udp", "mpls"), KEY),
    Difference("GRE with WCCP or 802.11 inside",
               lambda x: x.value("gre", "gre.proto") in (0x883e, *range(0x8200, 0x8300)), KEY),
]


class Case:
    def __init__(self, layers, theirs, mine):
        self.layers, self.theirs, self.mine = layers, theirs, mine
        self.names = [n for n, _ in layers]

    def value(self, layer, field):
        """Of the first such layer."""
        f = next((f for n, f in self.layers if n == layer), {}).get(field)
        return (f in ("1", "True") if field.endswith(".mf") else int(f, 0)) if f else -1


def explained(layers, theirs, mine, field, used):
    x = Case(layers, theirs, mine)
    for d in DIFFERENCES:
        if field in d.fields and d.when(x):
            used.add(d.why)
            return True
    return False


def compare(what, judged, rows, used, limit=40):
    """Prints and counts packets with a difference that nothing explains."""
    bad = n = 0
    for (layers, ident), row in itertools.zip_longest(judged, rows, fillvalue=(None, None)):
        n += 1
        if layers is None or row is None or isinstance(row, tuple):
            sys.exit(f"{what}: packet {n} is seen by one only")
        theirs, mine = meaning(layers, ident), said(row)
        if theirs["payload_len"] is None:
            mine["payload_len"] = None
        wrong = [f for f in theirs
                 if theirs[f] != mine[f] and not explained(layers, theirs, mine, f, used)]
        if wrong:
            bad += 1
            if bad <= limit:
                name = what(n) if callable(what) else f"{what}: packet {n}"
                print(f"{name} ({':'.join(x for x, _ in layers)}):",
                      ", ".join(f"{f}: tshark {theirs[f]}, here {mine[f]}" for f in wrong))
    return bad, n


# ---- packets made by hand: every link type, tunnel and extension header that src/packet knows ----

A, B, C, D = "10.0.0.1", "10.0.0.2", "192.0.2.1", "192.0.2.2"
A6, B6, C6, D6 = "2001:db8::1", "2001:db8::2", "2001:db8:1::1", "2001:db8:1::2"


def handmade():
    """(name, link type, bytes)"""
    syn = tcp(40000, 443, SYN, seq=7, options=bytes.fromhex("020405b40402080a0000000100000000"))
    data = tcp(40000, 443, PSH | ACK, b"payload", seq=0xfffffffe)
    dns = udp(5353, 53, b"question")
    in4, in6 = ip4(A, B, TCP, data), ip6(A6, B6, UDP, dns)
    frame4, frame6 = eth(in4), eth(in6)
    plain = ((f"ip4 {name}", T_IP4, ip4(A, B, proto, body)) for name, proto, body in [
        ("tcp syn", TCP, syn), ("tcp data", TCP, data), ("udp", UDP, dns), ("sctp", SCTP, sctp(1000, 2000)),
        ("tcp every flag", TCP, tcp(1, 2, 0xff)), ("tcp fin", TCP, tcp(65535, 1, FIN | ACK)),
        ("tcp options only", TCP, tcp(5, 6, ACK, options=b"\1" * 40)),
        ("udp empty", UDP, udp(1, 2)), ("udp port 0", UDP, udp(0, 0, b"x")),
        ("igmp", IGMP, b"\x16\0\0\0\xe0\0\0\1"), ("esp", ESP, b"\0\0\0\1\0\0\0\2" + b"e" * 24),
        ("proto 253", 253, b"experiment")])
    plain6 = ((f"ip6 {name}", T_IP6, ip6(A6, B6, proto, body)) for name, proto, body in [
        ("tcp syn", TCP, syn), ("tcp data", TCP, data), ("udp", UDP, dns), ("sctp", SCTP, sctp(1000, 2000)),
        ("esp", ESP, b"\0\0\0\1\0\0\0\2" + b"e" * 24), ("none", 59, b""), ("proto 253", 253, b"experiment"),
        ("tcp every flag", TCP, tcp(1, 2, 0xff))])
    for name, kind, packet in (*plain, *plain6):  # also not by the shortest way
        yield name, ETHERNET, eth(packet)
        yield name + ", raw", RAW, packet
        yield name + ", vlan", ETHERNET, eth(vlan(77, packet, kind), T_VLAN)
        yield name + ", in a tunnel", ETHERNET, eth(ip4(C, D, GRE, gre(packet, kind)))
    yield "ip4, a length of 0", ETHERNET, eth(ip4(A, B, TCP, data, total=0))
    yield "ip4, a length of 0, vlan", ETHERNET, eth(vlan(3, ip4(A, B, TCP, data, total=0)), T_VLAN)
    yield "ip6, a length of 0", ETHERNET, eth(ip6(A6, B6, TCP, data, length=0))
    yield "ip4 options", ETHERNET, eth(ip4(A, B, TCP, data, options=b"\1" * 12))
    yield "ip4 all options", ETHERNET, eth(ip4(A, B, UDP, dns, options=b"\x94\4\0\0" + b"\1" * 36))
    yield "ip4 padded frame", ETHERNET, eth(ip4(A, B, TCP, tcp(1, 2, ACK))) + b"\0" * 6
    yield "ip4 trailer", ETHERNET, frame4 + b"trailer"
    yield "ip6 trailer", ETHERNET, frame6 + b"trailer"
    yield "ip4 df", ETHERNET, eth(ip4(A, B, TCP, data, df=True))
    yield "udp shorter than its packet", ETHERNET, eth(ip4(A, B, UDP, udp(7, 9, b"0123456789", length=12)))
    yield "arp", ETHERNET, eth(bytes.fromhex("0001080006040001020000000001") + packed(A) + b"\0" * 6 + packed(B), T_ARP)
    yield "snap", ETHERNET, snap(in4)
    yield "snap padded", ETHERNET, snap(ip4(A, B, UDP, udp(1, 2, b"x")), pad=b"\0" * 20)
    yield "llc without snap", ETHERNET, eth(b"\x42\x42\x03" + b"\0" * 43, 46)
    # fragments
    whole = udp(5000, 6000, b"f" * 64)
    yield "ip4 first fragment", ETHERNET, eth(ip4(A, B, UDP, whole[:40], ident=0x1234, more=True))
    yield "ip4 middle fragment", ETHERNET, eth(ip4(A, B, UDP, whole[40:56], ident=0x1234, frag=40, more=True))
    yield "ip4 last fragment", ETHERNET, eth(ip4(A, B, UDP, whole[56:], ident=0x1234, frag=56))
    yield "ip4 tcp first fragment", ETHERNET, eth(ip4(A, B, TCP, data + b"more8..", ident=9, more=True))
    yield "ip6 first fragment", ETHERNET, eth(ip6(A6, B6, 44, frag6(UDP, whole[:40], ident=0x12345678, more=True)))
    yield "ip6 last fragment", ETHERNET, eth(ip6(A6, B6, 44, frag6(UDP, whole[40:], ident=0x12345678, frag=40)))
    yield "ip6 atomic fragment", ETHERNET, eth(ip6(A6, B6, 44, frag6(UDP, dns, ident=3)))
    # extension headers, alone and together
    yield "ip6 hop-by-hop", ETHERNET, eth(ip6(A6, B6, 0, ext(TCP, data)))
    yield "ip6 long hop-by-hop", ETHERNET, eth(ip6(A6, B6, 0, ext(UDP, dns, 64)))
    yield "ip6 destination", ETHERNET, eth(ip6(A6, B6, 60, ext(TCP, data, 16)))
    yield "ip6 routing", ETHERNET, eth(ip6(A6, B6, 43, routing(TCP, data)))
    yield "ip6 ah", ETHERNET, eth(ip6(A6, B6, AH, ah(TCP, data)))
    yield "ip4 ah", ETHERNET, eth(ip4(A, B, AH, ah(TCP, data)))
    yield "ip4 ah around ip4", ETHERNET, eth(ip4(C, D, AH, ah(IPIP, in4)))
    yield "ip6 mobility", ETHERNET, eth(ip6(A6, B6, 135, bytes([59, 0, 0, 0, 0, 0, 0, 0])))
    yield "ip6 all of them", ETHERNET, eth(ip6(A6, B6, 0, ext(60, ext(43, routing(44, frag6(AH, ah(60, ext(
        TCP, data)), ident=4))))))
    yield "ip6 extensions, then a later fragment", ETHERNET, eth(ip6(A6, B6, 0, ext(44, frag6(
        UDP, whole[40:], ident=5, frag=40))))
    # VLANs, MPLS, PPPoE
    yield "vlan", ETHERNET, eth(vlan(100, in4), T_VLAN)
    yield "vlan 0 is a priority", ETHERNET, eth(vlan(0, in4, priority=5), T_VLAN)
    yield "vlan 4095", ETHERNET, eth(vlan(4095, in6, T_IP6), T_VLAN)
    yield "two vlans", ETHERNET, eth(vlan(100, vlan(200, in4), T_VLAN), T_VLAN)
    yield "qinq", ETHERNET, eth(vlan(100, vlan(200, in6, T_IP6), T_VLAN), T_QINQ)
    yield "three vlans", ETHERNET, eth(vlan(1, vlan(2, vlan(3, in4), T_VLAN), T_VLAN), T_QINQ)
    yield "vlan and arp", ETHERNET, eth(vlan(100, b"\0" * 28, T_ARP), T_VLAN)
    yield "mpls", ETHERNET, eth(mpls([16], in4), T_MPLS)
    yield "mpls, three labels, ip6", ETHERNET, eth(mpls([16, 17, 18], in6), T_MPLS)
    yield "mpls pseudowire", ETHERNET, eth(mpls([100], b"\0\0\0\1" + frame4), T_MPLS)
    yield "pppoe", ETHERNET, eth(pppoe(in4), T_PPPOE)
    short = pppoe(in4)[:4] + struct.pack(">H", 44) + pppoe(in4)[6:]
    yield "pppoe shorter than its packet", ETHERNET, eth(short, T_PPPOE)
    yield "vlans of old", ETHERNET, eth(vlan(100, vlan(200, in4), T_VLAN), 0x9100)
    yield "pppoe ip6", ETHERNET, eth(pppoe(in6, 0x57), T_PPPOE)
    yield "pppoe in qinq", ETHERNET, eth(vlan(7, vlan(8, pppoe(in4), T_PPPOE), T_VLAN), T_QINQ)
    yield "pppoe lcp", ETHERNET, eth(pppoe(b"\1\1\0\4", 0xc021), T_PPPOE)
    # links
    yield "null", NULL, b"\2\0\0\0" + in4
    yield "null ip6, of another system", NULL, b"\x1e\0\0\0" + in6
    yield "null, other byte order", NULL, b"\0\0\0\2" + in4
    yield "loop", LOOP, b"\0\0\0\2" + in4
    yield "loop ip6", LOOP, b"\0\0\0\x18" + in6
    for name, link in [("raw", RAW), ("raw bsd", RAW_BSD), ("raw openbsd", RAW_OPENBSD)]:
        yield name, link, in4
        yield name + " ip6", link, in6
    yield "ipv4", IPV4, in4
    yield "ipv6", IPV6, in6
    yield "ppp", PPP, ppp(in4)
    yield "ppp ip6", PPP, ppp(in6, 0x57)
    yield "ppp without address", PPP, ppp(in4, address=False)
    yield "ppp compressed protocol", PPP, b"\xff\x03\x21" + in4
    yield "ppp mpls", PPP, ppp(mpls([5], in4), 0x281)
    yield "ppp serial", PPP_SERIAL, ppp(in4)
    yield "ppp serial, cisco", PPP_SERIAL, struct.pack(">BBH", 0x0f, 0, T_IP4) + in4
    yield "ppp ether", PPP_ETHER, pppoe(in4)
    yield "chdlc", CHDLC, struct.pack(">BBH", 0x0f, 0, T_IP4) + in4
    yield "chdlc ip6", CHDLC, struct.pack(">BBH", 0x0f, 0, T_IP6) + in6
    yield "chdlc slarp", CHDLC, struct.pack(">BBH", 0x8f, 0, 0x8035) + b"\0" * 18
    yield "sll", SLL, sll(in4)
    yield "sll ip6", SLL, sll(in6, T_IP6)
    yield "sll vlan", SLL, sll(vlan(9, in4), T_VLAN)
    yield "sll2", SLL2, sll2(in4)
    yield "sll2 ip6", SLL2, sll2(in6, T_IP6)
    yield "wifi", WIFI, wifi(in4)
    yield "wifi qos", WIFI, wifi(in6, T_IP6, qos=True)
    yield "wifi four addresses", WIFI, wifi(in4, four=True)
    yield "wifi four addresses, qos, ht", WIFI, wifi(in4, four=True, qos=True, ht=True)
    yield "wifi protected", WIFI, wifi(in4, protected=True)
    yield "wifi beacon", WIFI, b"\x80\0\0\0" + b"\xff" * 18 + b"\0\0" + b"\0" * 12
    yield "radiotap", RADIOTAP, radiotap(wifi(in4))
    yield "radiotap qos", RADIOTAP, radiotap(wifi(in6, T_IP6, qos=True))
    # tunnels
    yield from ((f"tunnel {name}", ETHERNET, eth(ip4(C, D, proto, body))) for name, proto, body in [
        ("4in4", IPIP, in4), ("6in4", IP6IN, in6), ("gre", GRE, gre(in4)), ("gre ip6", GRE, gre(in6, T_IP6)),
        ("gre key", GRE, gre(in4, key=77)), ("gre key seq check", GRE, gre(in4, key=77, seq=1, check=True)),
        ("gre ethernet", GRE, gre(frame4, T_TEB)), ("gre ethernet vlan", GRE, gre(eth(vlan(5, in4), T_VLAN), T_TEB)),
        ("gre mpls", GRE, gre(mpls([3000], in4), T_MPLS)), ("gre arp", GRE, gre(b"\0" * 28, T_ARP)),
        ("pptp", GRE, pptp(ppp(in4))), ("pptp ack", GRE, pptp(ppp(in4), ack=3)),
        ("vxlan", UDP, vxlan(42, frame4)), ("vxlan ip6", UDP, vxlan(42, frame6)),
        ("vxlan vlan", UDP, vxlan(42, eth(vlan(5, in4), T_VLAN))),
        ("vxlan fragment", UDP, vxlan(1, eth(ip4(A, B, UDP, whole[40:], ident=8, frag=40)))),
        ("vxlan first fragment", UDP, vxlan(1, eth(ip4(A, B, UDP, whole[:40], ident=8, more=True)))),
        ("geneve", UDP, geneve(42, frame4)), ("geneve options", UDP, geneve(42, frame6, options=b"\1\2\3\1abcd")),
        ("geneve ip4", UDP, geneve(42, in4, T_IP4)), ("geneve ip6", UDP, geneve(42, in6, T_IP6)),
        ("gtp", UDP, gtp(in4)), ("gtp ip6", UDP, gtp(in6)), ("gtp sequence", UDP, gtp(in4, optional=b"\0\1\0")),
        ("gtp extension", UDP, gtp(in4, extension=b"\1\0\5\0")),
        ("gtp two extensions", UDP, gtp(in4, extension=b"\1\0\5\x85\1\0\5\0")),
        ("gtp echo", UDP, udp(2152, 2152, bytes.fromhex("3201000400000000") + b"\0\1\0\0")),
        ("teredo", UDP, udp(40001, 3544, in6)), ("teredo from the server", UDP, udp(3544, 40001, in6)),
        ("teredo origin", UDP, udp(40001, 3544, b"\0\0" + b"\1" * 6 + in6)),
        ("teredo authentication", UDP, udp(40001, 3544, b"\0\1\0\0" + b"\2" * 9 + in6)),
        ("teredo authentication with a name", UDP, udp(40001, 3544, b"\0\1\3\2abcde" + b"\2" * 9 + in6)),
        ("teredo authentication and origin", UDP,
         udp(40001, 3544, b"\0\1\0\0" + b"\2" * 9 + b"\0\0" + b"\1" * 6 + in6)),
        ("on vxlan's port, but none", UDP, udp(50000, 4789, b"hello, this is something else")),
        ("on teredo's port, but none", UDP, udp(50000, 3544, b"hello, this is something else")),
    ])
    yield "tunnel 4in6", ETHERNET, eth(ip6(C6, D6, IPIP, in4))
    yield "tunnel 6in6", ETHERNET, eth(ip6(C6, D6, IP6IN, in6))
    yield "tunnel gre over ip6", ETHERNET, eth(ip6(C6, D6, GRE, gre(in4)))
    yield "tunnel 6in6 behind destination options", ETHERNET, eth(ip6(C6, D6, 60, ext(IP6IN, in6)))
    yield "tunnel in a vlan", ETHERNET, eth(vlan(9, ip4(C, D, UDP, vxlan(42, eth(vlan(10, in4), T_VLAN)))), T_VLAN)
    yield "tunnel icmp", ETHERNET, eth(ip4(C, D, GRE, gre(ip4(A, B, ICMP, echo(77)))))
    nested = in4
    for i in range(1, 8):
        nested = ip4(f"10.{i}.0.1", f"10.{i}.0.2", IPIP, nested)
        if i in (2, 3, 7):
            yield f"tunnel, {i} of them nested", ETHERNET, eth(nested)
    # a tunnel's outer fragments
    long = gre(ip4(A, B, UDP, udp(1, 2, b"z" * 100)))
    yield "tunnel, first outer fragment", ETHERNET, eth(ip4(C, D, GRE, long[:64], ident=99, more=True))
    yield "tunnel, last outer fragment", ETHERNET, eth(ip4(C, D, GRE, long[64:], ident=99, frag=64))
    # ICMP
    yield "echo", ETHERNET, eth(ip4(A, B, ICMP, echo(0xbeef)))
    yield "echo reply", ETHERNET, eth(ip4(B, A, ICMP, echo(0xbeef, reply=True)))
    yield "echo6", ETHERNET, eth(ip6(A6, B6, ICMP6, echo6(0xbeef)))
    yield "echo6 reply", ETHERNET, eth(ip6(B6, A6, ICMP6, echo6(0xbeef, reply=True)))
    yield "timestamp", ETHERNET, eth(ip4(A, B, ICMP, icmp(13, 0, b"\0\5\0\1", b"\0" * 12)))
    yield "router advertisement", ETHERNET, eth(ip4(A, B, ICMP, icmp(9, 0, b"\1\2\0\x10", b"\0" * 8)))
    yield "neighbour solicitation", ETHERNET, eth(ip6(A6, B6, ICMP6, icmp(135, 0, b"\0" * 4, packed(B6))))
    for kind, name in [(3, "unreachable"), (11, "time exceeded"), (12, "parameter"), (5, "redirect"), (4, "quench")]:
        yield f"icmp {name}", ETHERNET, eth(ip4(C, A, ICMP, icmp(kind, 1, payload=ip4(A, B, UDP, dns))))
    yield "icmp about eight bytes of tcp", ETHERNET, eth(ip4(C, A, ICMP, icmp(3, 3, payload=ip4(
        A, B, TCP, data[:8], total=len(in4)))))
    yield "icmp about an echo", ETHERNET, eth(ip4(C, A, ICMP, icmp(3, 1, payload=ip4(A, B, ICMP, echo(321)))))
    yield "icmp about esp", ETHERNET, eth(ip4(C, A, ICMP, icmp(3, 1, payload=ip4(A, B, ESP, b"\0" * 16))))
    yield "icmp about options", ETHERNET, eth(ip4(C, A, ICMP, icmp(3, 1, payload=ip4(
        A, B, UDP, dns, options=b"\1" * 8))))
    yield "icmp about a later fragment", ETHERNET, eth(ip4(C, A, ICMP, icmp(11, 1, payload=ip4(
        A, B, UDP, whole[40:], ident=6, frag=40))))
    yield "icmp about a first fragment", ETHERNET, eth(ip4(C, A, ICMP, icmp(11, 1, payload=ip4(
        A, B, UDP, whole[:40], ident=6, more=True))))
    yield "icmp about a tunnel", ETHERNET, eth(ip4(C, A, ICMP, icmp(3, 1, payload=ip4(A, B, IPIP, in4))))
    yield "icmp about vxlan", ETHERNET, eth(ip4(C, A, ICMP, icmp(3, 3, payload=ip4(C, D, UDP, vxlan(42, frame4)))))
    yield "icmp in a tunnel about a tunnel", ETHERNET, eth(ip4(C, D, GRE, gre(ip4(C, A, ICMP, icmp(3, 1, payload=ip4(
        A, B, GRE, gre(in6, T_IP6, key=5)))))))
    yield "icmp in a tunnel", ETHERNET, eth(ip4(C, D, GRE, gre(ip4(B, A, ICMP, icmp(3, 3, payload=in4)))))
    yield "icmp in a vlan", ETHERNET, eth(vlan(31, ip4(B, A, ICMP, icmp(3, 3, payload=in4))), T_VLAN)
    for kind, name in [(1, "unreachable"), (2, "too big"), (3, "time exceeded"), (4, "parameter")]:
        yield f"icmp6 {name}", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(kind, 0, payload=in6)))
    yield "icmp6 about extension headers", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(1, 0, payload=ip6(
        A6, B6, 0, ext(60, ext(TCP, data)))))) 
    yield "icmp6 about a first fragment", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(1, 0, payload=ip6(
        A6, B6, 44, frag6(UDP, whole[:40], more=True)))))
    yield "icmp6 about a later fragment", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(3, 1, payload=ip6(
        A6, B6, 44, frag6(UDP, whole[40:], frag=40)))))
    yield "icmp6 about an echo", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(1, 0, payload=ip6(
        A6, B6, ICMP6, echo6(77)))))
    yield "icmp6 about a neighbour solicitation", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(1, 0, payload=ip6(
        A6, B6, ICMP6, icmp(135, 0, b"\0" * 4, packed(B6))))))
    # what DIFFERENCES explain
    yield "source route", ETHERNET, eth(ip4(A, B, TCP, data, options=b"\x83\x07\4" + packed(D) + b"\0"))
    yield "half a tcp header in a fragment", ETHERNET, eth(ip4(A, B, TCP, data[:16], more=True))
    yield "a tcp header of 8 bytes", ETHERNET, eth(ip4(A, B, TCP, data[:12] + b"\x20" + data[13:]))
    yield "vxlan, udp length 0", ETHERNET, eth(ip4(C, D, UDP, udp(9, 4789, b"\x08\0\0\0\0\0\1\0" + frame4, 0)))
    yield "icmp6 redirect", ETHERNET, eth(ip6(C6, A6, ICMP6, icmp(137, 0, payload=packed(D6) + packed(B6) + bytes(
        [4, (8 + len(in6) + 7) // 8, 0, 0, 0, 0, 0, 0]) + in6 + b"\0" * (-len(in6) % 8))))
    yield "ethernet in ip6", ETHERNET, eth(ip6(C6, D6, 143, frame4))
    yield "gre in udp", ETHERNET, eth(ip4(C, D, UDP, udp(9, 4754, gre(in4))))
    yield "mpls in udp", ETHERNET, eth(ip4(C, D, UDP, udp(9, 6635, mpls([3], in4))))
    yield "gre wccp", ETHERNET, eth(ip4(C, D, GRE, gre(b"\0\0\0\0" + in4, 0x883e)))


def check_handmade(folder, judge, program):
    packets = list(handmade())
    path = pcapng(os.path.join(folder, "handmade.pcapng"),
                  [(10**18 + i * 10**6, data, len(data), link) for i, (_, link, data) in enumerate(packets)])
    used = set()
    judged = list(judge.read(path))
    bad, n = compare(lambda i: packets[i - 1][0], judged, ours(path, program), used)
    for d in DIFFERENCES:
        if d.why not in used:
            print("no packet shows this difference any more:", d.why)
            bad += 1
    return bad + check_cuts(folder, packets, judged, program)


def check_cuts(folder, packets, judged, program):
    """Cut anywhere by a snap length, a packet says what some of its outer layers say, or less of it:
    never anything else."""
    cuts = [(i, cut) for i, (_, _, data) in enumerate(packets) for cut in range(len(data) + 1)]
    path = pcapng(os.path.join(folder, "cuts.pcapng"),
                  [(10**18, packets[i][2][:cut], len(packets[i][2]), packets[i][1]) for i, cut in cuts])
    bad, last, outer = 0, None, []
    for (i, cut), row in itertools.zip_longest(cuts, ours(path, program)):
        name, _, data = packets[i]
        if i != last:
            layers, ident = judged[i]
            outer = [meaning(layers[:k], ident) for k in range(len(layers) + 1)]
            last, good = i, True
        mine = said(row)
        whole = cut == len(data)
        fits = any(all(mine[f] == o[f] for f in ("ip", "src", "dst", "proto", "tunnel", "later", "error")) and
                   (mine["sport"], mine["dport"]) in ((o["sport"], o["dport"]), (0, 0)) and
                   mine["tcp"] in (o["tcp"], None) and mine["icmp"] in (o["icmp"], None) for o in outer)
        sound = int(row["payload"]) + int(row["payload_len"]) <= len(data)
        snapped = ("snapped" in row["flags"].split(",")) == (not whole)
        wrong = not sound or not snapped or not (fits or whole or name in EXCEPT_CUT)
        if wrong and good:
            print(f"{name}, cut at {cut} of {len(data)}: {row}")
            good, bad = False, bad + 1
    return bad


# What compare() explained of the whole packet holds for its parts.
EXCEPT_CUT = {"source route", "a tcp header of 8 bytes", "vxlan, udp length 0", "ip6, a length of 0", "icmp6 redirect",
              "gre wccp", "ethernet in ip6", "gre in udp", "mpls in udp", "tunnel on teredo's port, but none"}


def check_tunnels(folder, program):
    """Both directions of a flow in a tunnel are one flow; in another tunnel it is another."""
    there, back = ip4(A, B, TCP, tcp(1000, 2000)), ip4(B, A, TCP, tcp(2000, 1000))
    kinds = {
        "vxlan": (lambda src, dst, n, p: ip4(src, dst, UDP, vxlan(n, eth(p), 50000 + n)), True),
        "geneve": (lambda src, dst, n, p: ip4(src, dst, UDP, geneve(n, p, T_IP4, sport=50000 + n)), True),
        "gre": (lambda src, dst, n, p: ip4(src, dst, GRE, gre(p, key=n)), True),
        "gtp": (lambda src, dst, n, p: ip4(src, dst, UDP, gtp(p, n)), False),  # each side chooses a number
        "ip in ip": (lambda src, dst, n, p: ip4(src, dst, IPIP, p), False),
        "6in4": (lambda src, dst, n, p: ip4(src, dst, IP6IN, ip6(A6, B6, TCP, p[20:])), False),
        "two tunnels": (lambda src, dst, n, p: ip4(src, dst, GRE, gre(ip4("10.9.0.1", "10.9.0.2", IPIP, p), key=n)),
                        True),
    }
    packets = [(kind, numbered, eth(make(*ends, n, p)))
               for kind, (make, numbered) in kinds.items()
               for ends, n, p in [((C, D), 1, there), ((D, C), 1, back), ((C, D), 2, there), ((C, A), 1, there)]]
    path = pcapng(os.path.join(folder, "tunnels.pcapng"),
                  [(10**18, data, len(data), ETHERNET) for _, _, data in packets] +
                  [(10**18, eth(there), len(there) + 14, ETHERNET)])
    rows = list(ours(path, program))
    bad = 0
    for i in range(0, len(packets), 4):
        kind, numbered, _ = packets[i]
        a, b, other_number, other_ends = (r["tunnel"] for r in rows[i:i + 4])
        same_hash = kind == "6in4" or rows[i]["hash"] == rows[i + 1]["hash"]
        if a == "0" or not same_hash or a != b or (a != other_number) != numbered or a == other_ends:
            print(f"{kind}: there {a}, back {b}, other number {other_number}, other ends {other_ends}")
            bad += 1
    if rows[-1]["tunnel"] != "0":
        print("a packet in no tunnel has one")
        bad += 1
    return bad


# Link types, in capinfos' words, that are decoded here.
KNOWN_ENCAP = {"ether", "ieee-802-11-radiotap", "ieee-802-11", "null", "linux-sll", "linux-sll2", "rawip", "rawip4",
               "rawip6", "ppp", "chdlc"}


def check_corpus(folder, judge, program, corpus):
    """Every capture whose link type is decoded here, put together to one."""
    with open(os.path.join(corpus, "manifest-pcap.tsv"), newline="") as f:
        files = [os.path.join(corpus, r["path"]) for r in csv.DictReader(f, delimiter="\t")
                 if r["encap"] in KNOWN_ENCAP and r["path"].startswith("pcap/")]
    path = os.path.join(folder, "corpus.pcapng")
    subprocess.run(["mergecap", "-a", "-w", path, *files], check=True, stderr=subprocess.DEVNULL)
    bad, n = compare("corpus", judge.read(path), ours(path, program), set())
    if n < 100000:
        print(f"the corpus is said to have {n} packets only")
        bad += 1
    return bad


def main():
    program, sample = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(folder)
        bad = check_handmade(folder, judge, program)
        bad += check_tunnels(folder, program)
        plain = os.path.join(folder, "sample.pcap")
        with open(plain, "wb") as f:
            subprocess.run(["zstd", "-dc", sample], stdout=f, check=True)
        bad += compare("sample", judge.read(plain), ours(sample, program), set())[0]
        if os.environ.get("KOTARE_CORPUS"):
            bad += check_corpus(folder, judge, program, os.environ["KOTARE_CORPUS"])
    sys.exit(f"{bad} differences" if bad else 0)


if __name__ == "__main__":
    main()
