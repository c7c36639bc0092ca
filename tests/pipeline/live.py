#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Live with several rings: fragments, ICMP errors, tunnels and announced flows come out as they do when
the same packets are read from a file by one worker. Also when nothing can be dealt well: all traffic of
two hosts, in tunnels too deep for the kernel.

Usage: live.py KOTARE      (needs root, for a network of its own)
"""
import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import same  # noqa: E402
from same import *  # noqa: E402,F403


def deep(t):
    """Flows in a tunnel in a tunnel: the kernel puts them anywhere."""
    for n in range(300):
        for i in range(6):
            a, b, s, d = (B4, A4, 9000, 20000 + n) if i % 2 else (A4, B4, 20000 + n, 9000)
            ip = ip4(a, b, UDP, udp(s, d, b"x" * 100))
            t.add(n * .01 + i * .001, eth(ip4("192.0.2.1", "192.0.2.2", GRE, gre(ip4(
                "192.0.2.3", "192.0.2.4", UDP, vxlan(5, eth(ip), sport=1000 + n))))))

    def check(flows, summary):
        for n in range(300):
            f = one(flows, client_port=20000 + n)
            assert (f["packets_up"], f["packets_down"]) == (3, 3), f
    return check


def told(output):
    lines = [json.loads(line) for line in output.splitlines()]
    flows = [o for o in lines if o["type"] == "flow"]
    return flows, lines[-1]


def essence(flows, directed):
    """Where the two ways come over different rings, who was first is a matter of luck."""
    out = collections.Counter()
    for f in flows:
        ends = [(f["client"], f["client_port"], f["packets_up"], f["bytes_up"]),
                (f["server"], f["server_port"], f["packets_down"], f["bytes_down"])]
        out[(f["proto"], f["rule"], bool(f["announced_by"]), *(ends if directed else sorted(ends)))] += 1
    return out


def capture(kotare, packets, workers):
    with subprocess.Popen([kotare, "watch", "kta", "--once", "--json", "--workers", str(workers)],
                          stdout=subprocess.PIPE) as p:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
            s.bind(("ktb", 0))
            wait_for_rings(workers)
            for i, packet in enumerate(packets):
                s.send(packet)
                if i % 32 == 31:
                    time.sleep(.002)
        time.sleep(1.5)
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=60)
    assert p.returncode == 0
    return told(out)


def wait_for_rings(workers):
    for _ in range(600):  # a headline, our own socket, and theirs
        with open("/proc/net/packet", encoding="ascii") as f:
            if len(f.readlines()) >= workers + 2:
                break
        time.sleep(.05)
    time.sleep(.5)


def open_flow(kotare):
    """A flow that is still open is seen by the API soon, once, and grows; its records sum up to it."""
    talk, found = Trace(), []
    t = Talk(talk, 0, A4, 40000, B4, 2121)
    with subprocess.Popen([kotare, "watch", "kta", "--json", "--workers", "2", "--active-timeout", "2",
                           "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        url = next(line.split()[-1] for line in p.stderr if line.startswith("page: "))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
            s.bind(("ktb", 0))
            wait_for_rings(2)
            for rounds in range(3):
                t.says(0, 0, f"USER {rounds}\r\n" * 10)
                for _, packet in talk.packets:
                    s.send(packet)
                talk.packets.clear()
                sent = 3 + rounds + 1
                for _ in range(80):
                    with urllib.request.urlopen(url.rstrip("/") + "/api/v1/flows?filter=client_port%20==%2040000") as reply:
                        flows = json.load(reply)["flows"]
                    if flows and flows[0]["packets_up"] + flows[0]["packets_down"] == sent:
                        break
                    time.sleep(.1)
                found.append([(f["end_reason"], f["packets_up"] + f["packets_down"] - sent) for f in flows])
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    records = [o for o in lines if o["type"] in ("flow", "interim") and o["client_port"] == 40000]
    total = sum(o["delta"][k] for o in records for k in ("packets_up", "packets_down"))
    good = found == [[("active", 0)]] * 3 and [o["type"] for o in records] == ["interim"] * 3 + ["flow"] and total == 6
    print(f"{'ok' if good else 'FAILED'}: an open flow, {found}, {len(records)} records, {total} packets in them")
    return not good


def main():
    if os.environ.get("KT_INSIDE") != "1":
        if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"]).returncode:
            print("skipped: needs the right to make a network of its own")
            sys.exit(77)
        os.environ["KT_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    if subprocess.run("ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; "
                      "ip link add kta type veth peer name ktb && ip link set kta up arp off && ip link set ktb up arp off",
                      shell=True).returncode:
        print("skipped: no veth pair can be made here")
        sys.exit(77)
    kotare = sys.argv[1]
    failed = open_flow(kotare)
    for scene in (same.announced, same.fragments, same.errors, same.tunnels, same.tags, deep):
        t = Trace()
        check = scene(t)
        packets = [data for _, data in sorted(t.packets, key=lambda p: p[0])]
        with tempfile.TemporaryDirectory() as folder:  # as fast as they are sent
            path = pcap(f"{folder}/a.pcap", [(T0 + i * 100000, data) for i, data in enumerate(packets)], ns=True)
            want, _ = told(watch(kotare, path, 1))
        for workers in (2, 4):
            flows, summary = capture(kotare, packets, workers)
            directed = scene not in (same.tunnels, deep)
            seen, should = essence(flows, directed), essence(want, directed)
            more, less = seen - should, should - seen
            bad = more or less or summary["lost"]
            print(f"{'FAILED' if bad else 'ok'}: {scene.__name__}, {workers} rings, {len(flows)} flows, "
                  f"{summary['lost']} packets lost, {summary['lost_handover']} of them between rings")
            for what, rows in (("only live", more), ("only in the file", less)):
                for row in sorted(rows)[:4]:
                    print("   ", what, *row)
            failed += bool(bad)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
