# SPDX-License-Identifier: LGPL-3.0-or-later
"""The wire between two hosts of the lab: it carries, delays, loses, tags, and obeys its FIFO."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from kotarelab.lab import DEFAULTS  # noqa: E402
from kotarelab.net import Net, kill  # noqa: E402

NEEDS = ["unshare", "nsenter", "ip", "ethtool", "ping", "tcpdump"]
if os.geteuid() != 0 or any(not shutil.which(n) for n in NEEDS):
    print("skipped: needs root and " + ", ".join(NEEDS))
    sys.exit(77)


def ping(host, to, count=3):
    """(answers, least round trip in ms)"""
    out = subprocess.run(host.inside(["ping", "-c", str(count), "-i", "0.2", "-W", "2", to]),
                         capture_output=True, text=True).stdout
    least = re.search(r"= ([\d.]+)/", out)
    return int(re.search(r"(\d+) received", out).group(1)), float(least.group(1)) if least else 0.0


def obeys(net, order, left, right, holds):
    """The wire reads its orders when it comes to it: a ping may be on its way before."""
    net.wire(order)
    for _ in range(20):
        answers, least = ping(left, right.v4)
        if holds(answers, least):
            return
    sys.exit(f"{order}: {answers} of 3 pings came back, the quickest in {least} ms")


def try_wire(workdir, vlan):
    os.makedirs(os.path.join(workdir, "log"))
    shutil.copy(sys.argv[1], os.path.join(workdir, "wire"))
    net = Net(workdir, {**DEFAULTS, "vlan": vlan}, 7, print)
    try:
        left, right = net.add("left", 1, False), net.add("right", 2, True)
        time.sleep(0.3)
        raw = os.path.join(workdir, "seen.pcap")
        tap = net.record(raw, "")
        for to in (right.v4, right.v6):
            assert ping(left, to)[0] == 3, f"vlan {vlan}: {to} does not answer"
        obeys(net, "delay 40", left, right, lambda n, least: n == 3 and least >= 80)
        obeys(net, "delay 0 loss 100", left, right, lambda n, least: n == 0)
        obeys(net, "loss 0", left, right, lambda n, least: n == 3)
        time.sleep(0.3)
        kill(tap, 15)
        seen = subprocess.run(["tcpdump", "-nner", raw], capture_output=True, text=True).stdout.splitlines()
        assert seen, "the tap saw nothing"
        tagged = sum(f"vlan {vlan}," in line for line in seen)
        assert tagged == (len(seen) if vlan else 0), f"vlan {vlan}: {tagged} of {len(seen)} are tagged"
    finally:
        net.down()


with tempfile.TemporaryDirectory(prefix="kotare-wire-") as folder:
    for number in (0, 42):
        try_wire(os.path.join(folder, str(number)), number)
        print(f"ok: vlan {number}")
