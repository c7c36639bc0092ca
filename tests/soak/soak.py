#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The long forms of the tests: minutes under load instead of seconds, with figures.

Usage: soak.py KOTARE SAMPLE SECONDS [PART…]

    recut   the sample cut again at random: any number of workers, files, formats and packings tells the same
    live    a flood between two network namespaces, by one worker and by two: what was sent is what was seen and lost
    days    a week of seconds in one store
    page    a page open on a live capture: neither the program nor the page grows
"""
import gzip
import bz2
import http.client
import json
import lzma
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import whole  # noqa: E402
from craft import eth, ip4, pcap, pcapng, udp, UDP  # noqa: E402

KOTARE, SAMPLE, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
PARTS = sys.argv[4:]
SECOND = 10**9


def say(part, text):
    print(f"{part:6} {text}", flush=True)


def rss_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s*(\d+)", f.read())[1]) // 1024


def peak_of(child):
    """The most memory of a child that is over, in MiB."""
    return os.wait4(child.pid, 0)[2].ru_maxrss // 1024


# ---- recut ----

def read_sample():
    data = subprocess.run(["zstd", "-dcq", SAMPLE], stdout=subprocess.PIPE, check=True).stdout
    magic, = struct.unpack_from("<I", data)
    unit = {0xa1b23c4d: 1, 0xa1b2c3d4: 1000}[magic]
    at, out = 24, []
    while at < len(data):
        second, part, cap, wire = struct.unpack_from("<IIII", data, at)
        out.append((second * SECOND + part * unit, data[at + 16:at + 16 + cap], wire))
        at += 16 + cap
    return out


def cut_again(packets, r):
    """A stretch of it, with losses, copies, cut packets, and some out of their order."""
    n = min(len(packets), r.randrange(500, 30000))
    at = r.randrange(len(packets) - n + 1)
    lose, copy, snap, late = (r.choice((0, 0, 0.01, 0.3)) for _ in range(4))
    length = r.choice((40, 54, 70, 96, 200))
    stretch = r.choice((1, 1, 1, 20))
    first = packets[at][0]
    out = []
    for ts, data, wire in packets[at:at + n]:
        if r.random() < lose:
            continue
        ts = (first + (ts - first) * stretch) // 1000 * 1000  # every format can tell it
        if r.random() < snap:
            data = data[:length]
        for _ in range(2 if r.random() < copy else 1):
            out.append((ts, data, wire))
    for i in range(1, len(out)):
        if r.random() < late:
            out[i - 1], out[i] = out[i], out[i - 1]
    return out


def packed(path, r):
    how = r.choice(("", "gzip", "bzip2", "xz", "zstd", "lz4"))
    if not how:
        return path
    with open(path, "rb") as f:
        data = f.read()
    inside = {"gzip": lambda: gzip.compress(data, 1), "bzip2": lambda: bz2.compress(data, 1),
              "xz": lambda: lzma.compress(data, preset=0)}.get(how)
    if not inside:
        inside = lambda: subprocess.run([how, "-qc", path], stdout=subprocess.PIPE, check=True).stdout
    small = inside()
    with open(path, "wb") as f:
        f.write(small)
    return path


def files_of(folder, packets, r):
    """The packets in one to four files of any kind."""
    cuts = sorted(r.randrange(len(packets) + 1) for _ in range(r.randrange(4)))
    out = []
    for i, (a, b) in enumerate(zip([0] + cuts, cuts + [len(packets)])):
        path = os.path.join(folder, f"part{i}")
        some = packets[a:b]
        if r.random() < 0.5:
            pcap(path, some, ns=r.random() < 0.5, order=r.choice("<>"))
        else:
            pcapng(path, [(ts, data, wire, 1) for ts, data, wire in some])
        out.append(packed(path, r))
    return out


def told(inputs, workers):
    done = whole.run(KOTARE, "watch", *inputs, "--once", "--json", "--workers", workers, timeout=600)
    if done.returncode:
        raise AssertionError(f"{inputs}: {done.stderr.decode()}")
    return done.stdout


def recut(seconds):
    packets = read_sample()
    end, rounds, total = time.monotonic() + seconds, 0, 0
    with tempfile.TemporaryDirectory(prefix="kotare-soak-") as folder:
        while time.monotonic() < end:
            r = random.Random(rounds)
            some = cut_again(packets, r)
            plain = pcap(os.path.join(folder, "plain"), some, ns=True)
            first = told([plain], 1)
            for workers in r.sample((2, 3, 4, 5, 8, 16), 2):
                if told([plain], workers) != first:
                    raise AssertionError(f"seed {rounds}: {workers} workers tell something else")
            workers = r.choice((1, 2, 3))
            # a warning of late packets names its file
            unnamed = [re.sub(rb',"warning":".*?[^\\]"', b"", text)
                       for text in (first, told(files_of(folder, some, r), workers))]
            if unnamed[0] != unnamed[1]:
                raise AssertionError(f"seed {rounds}: other files, {workers} workers tell something else")
            rounds += 1
            total += len(some)
    say("recut", f"{rounds} cuttings of {total} packets, each told the same four times")


# ---- two hosts ----

MACS = {"near": "02:00:00:00:77:01", "far": "02:00:00:00:77:02"}
NEAR, FAR = "10.77.0.1", "10.77.0.2"


def sh(*words):
    subprocess.run(words, check=True)


class Hosts:
    """near, here, and far, in a namespace that ends with this. No IPv6, all neighbours known: nothing is
    on the wire but what we send."""

    def __enter__(self):
        self.far = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo there; exec sleep 100000"],
                                    stdout=subprocess.PIPE)
        self.far.stdout.readline()
        self.inside = ["nsenter", "--net", "--target", str(self.far.pid)]
        sh("ip", "link", "add", "near", "address", MACS["near"], "type", "veth", "peer", "name", "far",
           "address", MACS["far"], "netns", str(self.far.pid))
        for name, addr, other, run in (("near", NEAR, FAR, []), ("far", FAR, NEAR, self.inside)):
            sh(*run, "ip", "link", "set", name, "addrgenmode", "none")
            sh(*run, "ip", "addr", "add", f"{addr}/24", "dev", name)
            sh(*run, "ip", "link", "set", name, "up")
        sh("ip", "neigh", "replace", FAR, "lladdr", MACS["far"], "nud", "permanent", "dev", "near")
        sh(*self.inside, "ip", "neigh", "replace", NEAR, "lladdr", MACS["near"], "nud", "permanent", "dev", "far")
        sh(*self.inside, "ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        self.far.kill()
        self.far.wait()
        subprocess.run(["ip", "link", "del", "near"], stderr=subprocess.DEVNULL)


# Sends UDP from its ports in turn until SIGTERM, as fast as it can or `rate` a second; says how many packets and bytes.
SENDER = r"""
import signal, socket, sys, time
ports, rate, size = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
on = True
def stop(*_):
    global on
    on = False
signal.signal(signal.SIGTERM, stop)
socks = []
for i in range(ports):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 20000 + i))
    s.connect((sys.argv[1], 30000))
    socks.append(s)
data, n, began = b"k" * size, 0, time.monotonic()
while on:
    for s in socks:
        s.send(data)
    n += ports
    if rate:
        ahead = n / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
print(n)
"""
SINK = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 30000)); time.sleep(100000)"


def sender(ports, rate, size=100):
    return subprocess.Popen([sys.executable, "-c", SENDER, FAR, str(ports), str(rate), str(size)], stdout=subprocess.PIPE)


def stopped(child):
    child.send_signal(signal.SIGTERM)
    return int(child.communicate()[0])


def packet_sockets():
    with open("/proc/self/net/packet") as f:
        return len(f.readlines()) - 1


def watch_live(workers, *more):
    child = subprocess.Popen([KOTARE, "watch", "ring:near", "--json", "--filter", "udp", "--workers", str(workers), *more],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while packet_sockets() < workers:
        if child.poll() is not None:
            raise AssertionError(child.stderr.read().decode())
        time.sleep(0.05)
    time.sleep(0.5)
    return child


def flood(workers, rate, seconds):
    with Hosts() as hosts:
        sink = subprocess.Popen([*hosts.inside, sys.executable, "-c", SINK])
        ports, size = 50, 100
        child = watch_live(workers, "--once")
        source = sender(ports, rate, size)
        time.sleep(seconds / 4)
        before = rss_of(child.pid)
        time.sleep(seconds * 3 / 4)
        after = rss_of(child.pid)
        sent = stopped(source)
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        found = whole.lines(child.communicate()[0])
        sink.kill()
        sink.wait()
    summary = whole.of_type(found, "summary")[0]
    flows = whole.of_type(found, "flow")
    say("live", f"{workers} worker{'s' * (workers > 1)}, {sent} sent at {sent / seconds:.0f}/s: {summary['packets']} seen, "
        f"{summary['lost']} lost, {len(flows)} flows; {before} MiB after {seconds // 4} s, {after} MiB after {seconds} s")
    if summary["packets"] + summary["lost"] != sent:
        raise AssertionError(f"{sent} packets were sent, {summary['packets']} seen and {summary['lost']} lost")
    if len(flows) != ports:
        raise AssertionError(f"{ports} ports sent, {len(flows)} flows were seen")
    if summary["bytes"] != summary["packets"] * (14 + 28 + size):
        raise AssertionError(f"{summary['packets']} packets do not have {summary['bytes']} bytes")
    if after > before + 32:
        raise AssertionError(f"memory grew from {before} to {after} MiB")


def live(seconds):
    for workers, rate in ((1, 20000), (2, 20000), (1, 0), (2, 0)):
        flood(workers, rate, max(8, seconds // 4))


# ---- days ----

def days(seconds):
    del seconds
    count = 7 * 86400
    start = 1_700_006_400 * SECOND
    frames = [eth(ip4(f"10.0.{i >> 4}.{i & 15}", "192.0.2.53", UDP,
                      udp(40000 + i, 53, bytes([0, i, 1, 0, 0, 1]) + bytes(6) + b"\5kiwis\3org\0\0\1\0\1")))
              for i in range(200)]
    with tempfile.TemporaryDirectory(prefix="kotare-soak-") as folder:
        path, store = os.path.join(folder, "week.pcap"), os.path.join(folder, "week.kt")
        pcap(path, ((start + i * SECOND, frames[i % len(frames)]) for i in range(count)))
        began = time.monotonic()
        child = subprocess.Popen([KOTARE, "watch", path, "--once", "--json", "--store", store], stdout=subprocess.DEVNULL)
        peak = peak_of(child)
        took = time.monotonic() - began
        found = whole.read_store(store)
        size = os.path.getsize(store)
        total = [key for key in found["points"] if key[0] == "total"]
        server = subprocess.Popen([KOTARE, "watch", path, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL)
        url = None
        while not url:
            url = re.search(r"page: http://([^/]+)/", server.stderr.readline().decode())
        threading.Thread(target=server.stderr.read, daemon=True).start()

        def get(what):
            c = http.client.HTTPConnection(url[1], timeout=120)
            c.request("GET", f"/api/v1/{what}")
            return json.loads(c.getresponse().read())

        while not get("status")["done"]:
            time.sleep(0.5)
        began = time.monotonic()
        series = get("series?points=600")
        asked = time.monotonic() - began
        apps = get("applications")
        server.send_signal(signal.SIGINT)
        server.wait()
    seen = sum(v for v in series["series"][0]["values"] if v is not None)
    want = sum(len(frames[i % len(frames)]) for i in range(count))
    say("days", f"{count} seconds in {took:.1f} s, {peak} MiB at most, store of {size / 2**20:.1f} MiB; all of it in 600 points "
        f"within {asked * 1000:.0f} ms")
    if seen != want or apps["bytes"] != want:
        raise AssertionError(f"{want} bytes were in the file, {seen} are in the series, {apps['bytes']} in the sums")
    if len(total) != count:
        raise AssertionError(f"{len(total)} points in place of {count}")


# ---- page ----

def page(seconds):
    seconds = max(30, seconds)
    with Hosts() as hosts:
        sink = subprocess.Popen([*hosts.inside, sys.executable, "-c", SINK])
        child = watch_live(1, "--listen", "127.0.0.1:0")
        url = re.search(r"http://\S+", child.stderr.readline().decode())[0]
        threading.Thread(target=child.stderr.read, daemon=True).start()
        threading.Thread(target=child.stdout.read, daemon=True).start()
        source = sender(200, 5000)
        browser = subprocess.Popen(["node", str(HERE.parent / "end-to-end" / "soak.mjs"), url, str(seconds)],
                                   stdout=subprocess.PIPE, text=True)
        rss = []
        while browser.poll() is None:
            time.sleep(seconds / 40)
            rss.append(rss_of(child.pid))
        out = browser.communicate()[0]
        stopped(source)
        child.send_signal(signal.SIGINT)
        child.wait()
        sink.kill()
        sink.wait()
    if browser.returncode:
        raise AssertionError("the page: " + out)
    heap = json.loads(out)["heap"]
    half = len(rss) // 2
    say("page", f"open for {seconds} s: the program {rss[0]} MiB at the start, {rss[half]} half-way, {rss[-1]} at the end; the page's "
        f"heap {heap[0]}, {heap[len(heap) // 2]}, {heap[-1]} MiB")
    if max(rss[half:]) > rss[half] + 16:
        raise AssertionError(f"the program grew: {rss}")
    if min(heap[-3:]) > 2 * min(heap[len(heap) // 3:]) + 16:
        raise AssertionError(f"the page grew: {heap}")


def main():
    parts = {"recut": recut, "days": days, "live": live, "page": page}
    bad = 0
    for name in PARTS or parts:
        if name in ("live", "page"):
            for tool in ("unshare", "nsenter", "ip"):
                if not shutil.which(tool):
                    say(name, f"skipped: there is no {tool}")
                    break
        began = time.monotonic()
        try:
            parts[name](SECONDS // len(PARTS or parts))
        except AssertionError as e:
            say(name, f"FAILED: {e}")
            bad = 1
        say(name, f"done after {time.monotonic() - began:.0f} s")
    return bad


if __name__ == "__main__":
    sys.exit(main())
