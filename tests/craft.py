# SPDX-License-Identifier: LGPL-3.0-or-later
"""Packets and captures made by hand, for the tests in Python: each header is a function of what it
carries, so that a packet reads from the outside in.

    eth(ip4("10.0.0.1", "10.0.0.2", 6, tcp(40000, 80, SYN)))
"""
import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ICMP, IGMP, IPIP, TCP, UDP, IP6IN, GRE, ESP, AH, ICMP6, SCTP = 1, 2, 4, 6, 17, 41, 47, 50, 51, 58, 132
T_IP4, T_ARP, T_TEB, T_VLAN, T_IP6, T_MPLS, T_PPPOE, T_QINQ = (
    0x0800, 0x0806, 0x6558, 0x8100, 0x86dd, 0x8847, 0x8864, 0x88a8)

NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, PPP_SERIAL, PPP_ETHER, RAW, CHDLC, WIFI, LOOP, SLL = (
    0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113)
RADIOTAP, IPV4, IPV6, SLL2 = 127, 228, 229, 276


def packed(addr):
    return ipaddress.ip_address(addr).packed


def checksum(data):
    data += b"\0" * (len(data) & 1)
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


# ---- link ----

def eth(body, kind=None, src="020000000001", dst="020000000002"):
    if kind is None:
        kind = T_IP6 if body[0] >> 4 == 6 else T_IP4
    return bytes.fromhex(dst + src) + struct.pack(">H", kind) + body


def snap(body, kind=T_IP4, pad=b""):
    """802.3 with a length instead of a type, then LLC and SNAP."""
    llc = bytes.fromhex("aaaa03000000") + struct.pack(">H", kind) + body
    return eth(llc + pad, len(llc))


def vlan(number, body, kind=T_IP4, priority=0):
    """What follows the Ethernet type 0x8100 or 0x88a8."""
    return struct.pack(">HH", priority << 13 | number, kind) + body


def mpls(labels, body):
    return b"".join(struct.pack(">I", label << 12 | (i == len(labels) - 1) << 8 | 64)
                    for i, label in enumerate(labels)) + body


def ppp(body, proto=0x0021, address=True):
    return (b"\xff\x03" if address else b"") + struct.pack(">H", proto) + body


def pppoe(body, proto=0x0021):
    return struct.pack(">BBHHH", 0x11, 0, 7, len(body) + 2, proto) + body


def sll(body, kind=T_IP4):
    return struct.pack(">HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1\0\0", kind) + body


def sll2(body, kind=T_IP4):
    return struct.pack(">HHIHBB8s", kind, 0, 1, 1, 0, 6, b"\2\0\0\0\0\1\0\0") + body


def wifi(body, kind=T_IP4, qos=False, four=False, ht=False, protected=False):
    control = 0x88 if qos else 0x08
    flags = (3 if four else 1) | (0x80 if ht else 0) | (0x40 if protected else 0)
    h = bytes([control, flags, 0, 0]) + b"\2\0\0\0\0\1" * 3 + b"\0\0"
    h += (b"\2\0\0\0\0\2" if four else b"") + (b"\0\0" if qos else b"") + (b"\0\0\0\0" if ht else b"")
    return h + bytes.fromhex("aaaa03000000") + struct.pack(">H", kind) + body


def radiotap(body):
    return struct.pack("<BBHI", 0, 0, 8, 0) + body


# ---- network ----

def ip4(src, dst, proto, body, ident=1, frag=0, more=False, options=b"", total=None, df=False):
    """frag: offset in bytes."""
    header = 20 + len(options)
    total = header + len(body) if total is None else total
    flags = (0x4000 if df else 0) | (0x2000 if more else 0) | frag // 8
    h = struct.pack(">BBHHHBBH4s4s", 0x40 | header // 4, 0, total, ident, flags, 64, proto, 0,
                    packed(src), packed(dst)) + options
    return h[:10] + struct.pack(">H", checksum(h)) + h[12:] + body


def ip6(src, dst, nxt, body, length=None):
    return struct.pack(">IHBB", 0x60000000, len(body) if length is None else length, nxt,
                       64) + packed(src) + packed(dst) + body


def ext(nxt, body, size=8):
    """A hop-by-hop, routing or destination header full of padding."""
    return bytes([nxt, size // 8 - 1, 1, size - 4]) + b"\0" * (size - 4) + body


def routing(nxt, body):
    """A type 2 (mobile) routing header."""
    return bytes([nxt, 2, 2, 0, 0, 0, 0, 0]) + packed("2001:db8::99") + body


def frag6(nxt, body, ident=1, frag=0, more=False):
    return struct.pack(">BBHI", nxt, 0, frag | more, ident) + body


def ah(nxt, body):
    return bytes([nxt, 4, 0, 0]) + struct.pack(">II", 99, 1) + b"\xab" * 12 + body


# ---- transport ----

def tcp(sport, dport, flags=ACK, payload=b"", seq=1000, ack=0, options=b""):
    header = 20 + len(options)
    return struct.pack(">HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff,
                       header // 4 << 4, flags, 0xffff, 0, 0) + options + payload


def udp(sport, dport, payload=b"", length=None):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length,
                       0) + payload


def sctp(sport, dport, payload=b"\0\3\0\x10" + b"\0" * 12):
    return struct.pack(">HHII", sport, dport, 7, 0) + payload


def icmp(kind, code=0, rest=b"\0\0\0\0", payload=b""):
    h = struct.pack(">BBH", kind, code, 0) + rest + payload
    return h[:2] + struct.pack(">H", checksum(h)) + h[4:]


def echo(ident, number=1, reply=False, payload=b"ping"):
    return icmp(0 if reply else 8, 0, struct.pack(">HH", ident, number), payload)


def echo6(ident, number=1, reply=False, payload=b"ping"):
    return icmp(129 if reply else 128, 0, struct.pack(">HH", ident, number), payload)


# ---- tunnels ----

def gre(body, kind=T_IP4, key=None, seq=None, check=False):
    flags = (0x8000 if check else 0) | (0x2000 if key is not None else 0) | (
        0x1000 if seq is not None else 0)
    h = struct.pack(">HH", flags, kind) + (b"\0\0\0\0" if check else b"")
    h += struct.pack(">I", key) if key is not None else b""
    h += struct.pack(">I", seq) if seq is not None else b""
    return h + body


def pptp(body, call=5, seq=1, ack=None):
    h = struct.pack(">HHHH", 0x3001 | (0x80 if ack is not None else 0), 0x880b, len(body), call)
    return h + struct.pack(">I", seq) + (struct.pack(">I", ack) if ack is not None else b"") + body


def vxlan(vni, body, sport=50000):
    return udp(sport, 4789, struct.pack(">II", 0x08000000, vni << 8) + body)


def geneve(vni, body, kind=T_TEB, options=b"", sport=50000):
    return udp(sport, 6081, struct.pack(">BBHI", len(options) // 4, 0, kind, vni << 8) + options + body)


def gtp(body, teid=1, optional=b"", extension=b""):
    flags = 0x30 | (2 if optional else 0) | (4 if extension else 0)
    if extension and not optional:
        optional = b"\0\0\0"
    if optional:
        optional = optional[:3] + (b"\x85" if extension else b"\0")
    rest = optional + extension + body
    return udp(2152, 2152, struct.pack(">BBHI", flags, 0xff, len(rest), teid) + rest)


# ---- captures ----

def pcap_bytes(packets, link=ETHERNET, ns=False, order="<", snaplen=262144):
    """packets: (time in ns, bytes) or (time in ns, bytes, length on the wire)."""
    out = [struct.pack(order + "IHHiIII", 0xa1b23c4d if ns else 0xa1b2c3d4, 2, 4, 0, 0, snaplen, link)]
    for ts, data, *wire in packets:
        part = ts % 10**9 if ns else ts % 10**9 // 1000
        out.append(struct.pack(order + "IIII", ts // 10**9, part, len(data), wire[0] if wire else len(data)))
        out.append(data)
    return b"".join(out)


def pcap(path, packets, **how):
    with open(path, "wb") as f:
        f.write(pcap_bytes(packets, **how))
    return path


def pcapng(path, packets):
    """packets: (time in ns, bytes, length on the wire, link type); an interface a link type."""
    def block(kind, body):
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    links = {}
    out = [block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))]
    for _, _, _, link in packets:
        if link not in links:
            links[link] = len(links)
            out.append(block(1, struct.pack("<HHIHH4sHH", link, 0, 0, 9, 1, b"\x09\0\0\0", 0, 0)))
    for ts, data, wire, link in packets:
        out.append(block(6, struct.pack("<IIIII", links[link], ts >> 32, ts & 0xffffffff, len(data), wire) +
                         data + b"\0" * (-len(data) % 4)))
    with open(path, "wb") as f:
        f.write(b"".join(out))
    return path
