#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The kernel puts packets on the ring they belong to: all that its program sees through, sent and
received. The rest may come to any ring, and is handed on by who reads it.

Usage: lanes.py LANES      (LANES is the program of lanes.c; needs root, for a network of its own)
"""
import collections
import os
import pathlib
import random
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from craft import *  # noqa: E402,F403

MAGIC = 0x51a0
FRAMES = collections.defaultdict(lambda: 60, plain=600)
A, B, A6, B6, C, D, C6, D6 = ("10.0.0.1", "10.0.1.1", "2001:db8::1", "2001:db8:1::1", "192.0.2.1", "192.0.2.2",
                              "2001:db8:c::1", "2001:db8:c::2")


def flows(rnd):
    """An IP packet of some flow, either way."""
    a = ("10.0.%d.%d" if rnd.random() < .5 else "2001:db8::%x:%x") % (rnd.randrange(4), rnd.randrange(1, 250))
    b = B if "." in a else B6
    if rnd.random() < .5:
        a, b = b, a
    make = ip4 if "." in a else ip6
    s, d = rnd.randrange(1024, 65536), rnd.choice((80, 443, 53, 5060))
    s, d = (s, d) if rnd.random() < .5 else (d, s)
    kind = rnd.randrange(4)
    if kind == 0:
        return make(a, b, TCP, tcp(s, d, ACK, b"x" * rnd.randrange(200)))
    if kind == 1:
        return make(a, b, UDP, udp(s, d, b"x" * rnd.randrange(200)))
    if kind == 2:
        return make(a, b, SCTP, sctp(s, d))
    return ip4(a, b, ICMP, echo(s)) if make is ip4 else ip6(a, b, ICMP6, echo6(s))


def of(ip):
    return T_IP6 if ip[0] >> 4 == 6 else T_IP4


def tag(number, ip, kind=T_VLAN):
    return eth(vlan(number, ip, of(ip)), kind)


def about(ip, router=C):
    """An ICMP error that quotes it."""
    sender = str(ipaddress.ip_address(ip[12:16] if ip[0] >> 4 == 4 else ip[8:24]))
    if ip[0] >> 4 == 4:
        return ip4(router, sender, ICMP, icmp(3, 1, payload=ip))
    return ip6(C6, sender, ICMP6, icmp(1, 4, payload=ip))


SEEN = {  # the program sees through these
    "plain": eth,
    "options": lambda ip: eth(ip4(A, B, UDP, udp(7, ip[-1] + 1000, b"x" * 20), options=b"\1" * 8)),
    "vlan": lambda ip: tag(5, ip),
    "qinq": lambda ip: eth(vlan(5, vlan(6, ip, of(ip)), T_VLAN), T_QINQ),
    "pppoe": lambda ip: eth(pppoe(ip, 0x57 if of(ip) == T_IP6 else 0x21), T_PPPOE),
    "ipip": lambda ip: eth(ip4(C, D, IP6IN if of(ip) == T_IP6 else IPIP, ip)),
    "ip in ip6": lambda ip: eth(ip6(C6, D6, IP6IN if of(ip) == T_IP6 else IPIP, ip)),
    "gre": lambda ip: eth(ip4(C, D, GRE, gre(ip, of(ip)))),
    "gre key": lambda ip: eth(ip4(C, D, GRE, gre(ip, of(ip), key=7, seq=1, check=True))),
    "gre ethernet": lambda ip: tag(5, ip4(C, D, GRE, gre(eth(ip), T_TEB, key=7))),
    "vxlan": lambda ip: eth(ip4(C, D, UDP, vxlan(5, eth(ip), sport=1000 + ip[-1]))),
    "vxlan over ip6": lambda ip: eth(ip6(C6, D6, UDP, vxlan(5, eth(ip), sport=1000 + ip[-1]))),
    "vxlan vlan": lambda ip: eth(ip4(C, D, UDP, vxlan(5, tag(9, ip), sport=1000 + ip[-1]))),
    "geneve": lambda ip: eth(ip4(C, D, UDP, geneve(5, eth(ip), options=b"abcd" * 3))),
    "geneve ip": lambda ip: eth(ip4(C, D, UDP, geneve(5, ip, of(ip)))),
    "gtp": lambda ip: eth(ip4(C, D, UDP, gtp(ip, teid=ip[-1]))),
    "gtp sequence": lambda ip: eth(ip4(C, D, UDP, gtp(ip, optional=b"\0\1\0"))),
    "gtp extension": lambda ip: eth(ip4(C, D, UDP, gtp(ip, extension=b"\1\0\5\0"))),
    "error": lambda ip: eth(about(ip)),
    "error in a vlan": lambda ip: tag(7, about(ip)),
}
ANY = {  # … and not through these
    "two tunnels": lambda ip: eth(ip4(C, D, GRE, gre(ip4(C, D, UDP, vxlan(5, eth(ip)))))),
    "error in a tunnel": lambda ip: eth(ip4(C, D, GRE, gre(about(ip), of(ip)))),
    "fragment": lambda ip: eth(ip4(A, B, UDP, udp(3, 1000 + ip[-1], b"x" * 40), more=True)),
    "extensions": lambda ip: eth(ip6(A6, B6, 0, ext(UDP, udp(3, 1000 + ip[-1], b"x" * 40)))),
    "teredo": lambda ip: eth(ip4(C, D, UDP, udp(40000, 3544, ip6(A6, B6, UDP, udp(3, 1000 + ip[-1], b"x"))))),
    "short": lambda ip: eth(ip4(A, B, TCP, b"")),
    "arp": lambda ip: eth(b"\0" * 28, T_ARP),
}


def run(lanes, rings, seed):
    rnd = random.Random(seed)
    kinds = list(SEEN) + list(ANY)
    frames = []
    for k, kind in enumerate(kinds):
        for _ in range(FRAMES[kind]):
            frames.append((SEEN.get(kind) or ANY[kind])(flows(rnd)) + struct.pack(">HH", MAGIC, k))
    rnd.shuffle(frames)
    with subprocess.Popen([lanes, "kta", str(rings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "ready\n"
        ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW) for _ in range(2)]
        for end, name in zip(ends, ("kta", "ktb")):
            end.bind((name, 0))
        for frame in frames:
            for end in ends:
                end.send(frame)
        out, _ = p.communicate("")
    assert p.returncode == 0
    seen, wrong, share = collections.Counter(), collections.Counter(), collections.Counter()
    for line in out.splitlines():
        ring, lane, sent, mark = line.split()
        if int(mark[:4], 16) != MAGIC:
            continue
        kind = kinds[int(mark[4:], 16)]
        seen[kind, sent] += 1
        wrong[kind, sent] += ring != lane
        if kind == "plain":
            share[int(ring)] += 1
    bad = 0
    for kind in kinds:
        for sent in "01":
            if seen[kind, sent] != FRAMES[kind] or (kind in SEEN and wrong[kind, sent]):
                print(f"{kind}, {'sent' if sent == '1' else 'received'}: {seen[kind, sent]} seen, {wrong[kind, sent]} on another ring")
                bad += 1
    if min(share[r] for r in range(rings)) * rings < sum(share.values()) / 2:
        print(f"the rings got {sorted(share.items())}")
        bad += 1
    print(f"{rings} rings: {sum(seen.values())} packets, {sum(wrong.values())} to be handed on")
    return bad


def main():
    if os.environ.get("KT_INSIDE") != "1":
        if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"]).returncode:
            print("skipped: needs the right to make a network of its own")
            sys.exit(77)
        os.environ["KT_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    if subprocess.run("ip link set lo up && ip link add kta type veth peer name ktb && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
                      "net.ipv6.conf.default.disable_ipv6=1; ip link set kta up arp off && ip link set ktb up arp off",
                      shell=True).returncode:
        print("skipped: no veth pair can be made here")
        sys.exit(77)
    bad = sum(run(sys.argv[1], rings, rings) for rings in (2, 3, 7))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
