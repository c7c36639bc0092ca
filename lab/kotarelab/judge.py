# SPDX-License-Identifier: LGPL-3.0-or-later
"""Finding the truth about an address pair: shared by check-truth and score."""
import ipaddress
import json
import subprocess

SLACK = 3_000_000_000  # ns around a flow's use: connections close late


def canonical(address):
    return str(ipaddress.ip_address(address))


class TruthFile:
    def __init__(self, path):
        with open(path) as f:
            self.data = json.load(f)
        if self.data.get("format") != 1:
            raise SystemExit(f"{path}: format {self.data.get('format')} is not known")
        self.began, self.ended = int(self.data["began"]), int(self.data["ended"])
        self.by_pair = {}
        for number, flow in enumerate(self.data["flows"]):
            flow["number"] = number
            flow["from"], flow["to"] = int(flow["from"]), int(flow["to"])
            pair = (flow["proto"], canonical(flow["client"]), canonical(flow["server"]))
            self.by_pair.setdefault(pair, []).append(flow)

    def find(self, proto, a, aport, b, bport, when, until=None):
        """The truth of what went between a and b, whoever began; None if nobody knows. A flow that
        names its server's port goes before one that does not."""
        best = None
        until = when if until is None else until
        for client, cport, server, sport in ((a, aport, b, bport), (b, bport, a, aport)):
            for flow in self.by_pair.get((proto, client, server), ()):
                if flow["server_port"] not in (None, sport) or flow["client_port"] not in (None, cport):
                    continue
                if until < flow["from"] - SLACK or when > flow["to"] + SLACK:
                    continue
                if best is None or (best["server_port"] is None and flow["server_port"] is not None):
                    best = flow
        return best


FIELDS = ["frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.proto",
          "ipv6.nxt", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"]


def packets(capture):
    """(time, bytes, proto, src, sport, dst, dport) of every IP packet, as tshark sees it."""
    command = ["tshark", "-r", capture, "-n", "-o", "tcp.desegment_tcp_streams:FALSE",
               "--disable-protocol", "quic", "-T", "fields", "-E", "occurrence=f"]
    for field in FIELDS:
        command += ["-e", field]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
        for line in p.stdout:
            time, size, s4, d4, s6, d6, p4, p6, ts, td, us, ud = line.rstrip("\n").split("\t")
            if not s4 and not s6:
                continue
            seconds, _, part = time.partition(".")
            # The outermost header decides: an ICMP error quotes the ports of what it is about.
            proto = {"6": "tcp", "17": "udp", "1": "icmp"}.get(p4, "other") if s4 else \
                "icmp6" if p6 in ("58", "0") else "tcp" if ts else "udp" if us else "other"
            if proto not in ("tcp", "udp"):
                ts = td = us = ud = ""
            yield (int(seconds) * 10**9 + int((part + "000000000")[:9]), int(size), proto,
                   canonical(s4 or s6), int(ts or us or 0), canonical(d4 or d6), int(td or ud or 0))
