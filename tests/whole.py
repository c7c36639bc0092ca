# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the tests of the whole program share: running it, its JSON lines, and a reader of stores that
goes by docs/store.md alone, so that it can judge what the program wrote."""
import collections
import ipaddress
import json
import os
import sqlite3
import struct
import subprocess

KINDS = ("total", "app", "category", "direction", "port", "health")
ENDS = ("active", "idle", "closed", "reset", "reused", "evicted")


def run(kotare, *words, timeout=100, **how):
    """The program to its end: returncode, stdout and stderr as bytes."""
    env = dict(os.environ, ASAN_OPTIONS="exitcode=99:" + os.environ.get("ASAN_OPTIONS", ""))
    done = subprocess.run([kotare, *map(str, words)], capture_output=True, timeout=timeout, env=env, **how)
    if done.returncode == 99 or done.returncode < 0 or b"Sanitizer" in done.stderr or b"runtime error" in done.stderr:
        raise AssertionError(f"kotare {' '.join(map(str, words))}: {done.returncode}\n"
                             f"{done.stderr.decode(errors='replace')}")
    return done


def lines(stdout):
    """The JSON lines, each with a type."""
    out = []
    for line in stdout.decode("utf-8").splitlines():
        value = json.loads(line)
        assert isinstance(value, dict) and isinstance(value.get("type"), str), line
        out.append(value)
    return out


def of_type(found, kind):
    return [x for x in found if x["type"] == kind]


# ---- stores ----

def lz4_block(data, size):
    out, at = bytearray(), 0

    def length(n):
        nonlocal at
        while n >= 15:
            more = data[at]
            at += 1
            n += more
            if more != 255:
                break
        return n

    while at < len(data):
        token = data[at]
        at += 1
        literal = length(token >> 4)
        out += data[at:at + literal]
        at += literal
        if at >= len(data):
            break
        back = data[at] | data[at + 1] << 8
        at += 2
        match = length(token & 15) + 4
        for _ in range(match):
            out.append(out[-back])
    assert len(out) == size, (len(out), size)
    return bytes(out)


def columns(blob, ints):
    """(columns of integers, columns of bytes) of a chunk."""
    form, n, rows = struct.unpack_from("<BBI", blob)
    assert form == 1
    at, numbers, plain = 6 + 8 * n, [], []
    for c in range(n):
        stored, size = struct.unpack_from("<II", blob, 6 + 8 * c)
        data = blob[at:at + stored]
        at += stored
        if c >= ints:
            plain.append(data if stored == size else lz4_block(data, size))
            continue
        value, column = (rows + 1) // 2, []
        for row in range(rows):
            width = data[row // 2] >> 4 * (row % 2) & 15
            column.append(int.from_bytes(data[value:value + width], "little"))
            value += width
        assert value == stored
        numbers.append(column)
    assert at == len(blob)
    return numbers, plain


def signed(v):
    return v >> 1 ^ -(v & 1)


def wrap(v):
    """As a 64-bit two's complement."""
    v &= 2**64 - 1
    return v - 2**64 if v >> 63 else v


def points_of(blob):
    time = stream = 0
    for row in zip(*columns(blob, 5)[0]):
        step_time, step_stream, *value = map(signed, row)
        time, stream = wrap(time + step_time), stream + step_stream
        yield time, stream, tuple(value)


FLOW = ("id first length client_port server_port vlan0 vlan1 tunnel packets_up packets_down bytes_up bytes_down "
        "payload_up payload_down rtt_us retransmits_up retransmits_down head_len_up head_len_down label accept "
        "iface name_len announcer_packet announcer_flow").split()


def flows_of(blob, labels):
    numbers, (small, addresses, heads, names) = columns(blob, len(FLOW))
    flow_id = first = at_addr = at_head = at_name = 0
    for row, values in enumerate(zip(*numbers)):
        f = dict(zip(FLOW, values))
        flow_id, first = flow_id + signed(f["id"]), wrap(first + signed(f["first"]))
        last = wrap(first + signed(f.pop("length")))
        ip, proto, flags0, flags1, end, flags, sure, head0, head1, name_kind = small[10 * row:10 * row + 10]
        f.update(id=flow_id, first=first, last=last, ip=ip, proto=proto, tcp_flags=(flags0, flags1), end=ENDS[end],
                 flags=flags, confidence=sure, name_kind=name_kind)
        size = 4 if ip == 4 else 16
        for key in ("client", "server"):
            f[key] = str(ipaddress.ip_address(addresses[at_addr:at_addr + size])) if ip else ""
            at_addr += size
        for key, n in (("head_up", head0), ("head_down", head1)):
            f[key] = heads[at_head:at_head + n].hex()
            at_head += n
        n = f.pop("name_len")
        f["name"] = names[at_name:at_name + n].decode("ascii")
        at_name += n
        f["app"], f["category"], f["rule"] = labels[f.pop("label")]
        yield f


def read_store(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    stream = {i: (KINDS[kind], name) for i, kind, name in db.execute("SELECT id, kind, name FROM stream")}
    label = {i: tuple(texts) for i, *texts in db.execute("SELECT id, app, category, rule FROM label")}
    points = collections.defaultdict(lambda: (0, 0, 0))
    for kind, first, last, rows, blob in db.execute("SELECT kind, first, last, rows, data FROM points"):
        n = 0
        for time, number, value in points_of(blob):
            assert first <= time <= last and stream[number][0] == KINDS[kind]
            key = stream[number] + (time,)
            points[key] = tuple(a + b for a, b in zip(points[key], value))
            n += 1
        assert n == rows
    gone = set(db.execute("SELECT chunk, row FROM superseded"))
    flows = []
    for chunk, rows, blob in db.execute("SELECT id, rows, data FROM flows"):
        found = list(flows_of(blob, label))
        assert len(found) == rows
        flows += [f for row, f in enumerate(found) if (chunk, row) not in gone]
    flows.sort(key=lambda f: (f["id"], f["first"]))
    events = db.execute("SELECT * FROM event ORDER BY id").fetchall()
    meta = dict(db.execute("SELECT key, value FROM meta"))
    runs = db.execute("SELECT id, began, input FROM run ORDER BY id").fetchall()
    db.close()
    return {"points": dict(points), "flows": flows, "events": events, "meta": meta, "run": runs}


def sums(points, kind):
    """{name: (bytes, packets, flows)} over all time, without streams that come to nothing."""
    total = collections.defaultdict(lambda: (0, 0, 0))
    for (k, name, _), value in points.items():
        if k == kind:
            total[name] = tuple(a + b for a, b in zip(total[name], value))
    return {name: value for name, value in total.items() if any(value)}


# ---- tests as functions ----

def main(module):
    """Runs every test_… of a module in a folder of its own; exits with the number of failures."""
    import inspect
    import sys
    import tempfile
    import time
    import traceback
    failed = 0
    for name, test in [(n, t) for n, t in module.items() if n.startswith("test_") and callable(t)]:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(*[folder][:len(inspect.signature(test).parameters)])
                result = "ok"
            except Exception:
                traceback.print_exc()
                failed += 1
                result = "FAILED"
        print(f"{name}: {result} ({time.monotonic() - began:.1f} s)", flush=True)
    sys.exit(failed)
