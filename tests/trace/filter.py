#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Filters over a file let through what tcpdump lets through: "filter.py KOTARE ROOT"."""
import json
import subprocess
import sys

KOTARE, ROOT = sys.argv[1], sys.argv[2]
SAMPLE = ROOT + "/samples/lab.pcap.zst"
FILTERS = ["", "tcp", "udp port 53", "ip6 and not icmp6", "host 10.20.0.17", "tcp[tcpflags] & tcp-syn != 0", "greater 1000",
           "arp", "host 192.0.2.1"]


def run(*command, **options):
    return subprocess.run(command, capture_output=True, **options)


capture = run("zstd", "-dcq", SAMPLE, check=True).stdout
for text in FILTERS:
    theirs = run("tcpdump", "-r", "-", "--count", text, input=capture, check=True).stdout
    ours = json.loads(run(KOTARE, "count", "--json", *(["--filter", text] if text else []), SAMPLE, check=True).stdout)
    assert ours["packets"] == int(theirs.split()[0]), (text, ours, theirs)

assert 0 < int(run("tcpdump", "-r", "-", "--count", "udp port 53", input=capture, check=True).stdout.split()[0])

flows = [json.loads(line) for line in run(KOTARE, "watch", "--once", "--json", "--filter", "udp port 53", SAMPLE, check=True)
         .stdout.splitlines()]
assert {f["server_port"] for f in flows if f["type"] == "flow"} == {53}

wrong = run(KOTARE, "count", "--filter", "prot 53", SAMPLE, text=True)
assert wrong.returncode == 1 and "the filter 'prot 53' is wrong" in wrong.stderr, wrong
