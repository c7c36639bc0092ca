#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Bad input: one clear sentence with file, place and reason, an exit code, and what was good before the
fault is kept, shown and in the store.

Usage: faults.py KOTARE
"""
import os
import pathlib
import re
import socket
import sqlite3
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import traffic  # noqa: E402
import whole  # noqa: E402
from craft import pcap, pcap_bytes, pcapng  # noqa: E402

KOTARE = os.path.abspath(sys.argv[1])
PACKETS = traffic.mixed(7, 60, 6)
GOOD = pcap_bytes(PACKETS)
CUT_AT = len(PACKETS) * 2 // 3


def record_at(n):
    """Where in GOOD the n-th record begins."""
    return 24 + sum(16 + len(p[1]) for p in PACKETS[:n])


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def sentence(stderr, path):
    """The one sentence, which names the file."""
    said = [line for line in stderr.decode().splitlines() if line]
    assert len(said) == 1, said
    assert said[0].startswith(f"kotare: {path}: "), said
    return said[0][len(f"kotare: {path}: "):]


def check(folder, path, code, pattern, packets, name=None, **how):
    """The same by `count`, `watch` with one and with three workers: sentence, exit code, what is kept. `packets`
    None: it can't be read at all, so the sentence is all that is said."""
    for words in (("count", "--json"), ("watch", "--once", "--json", "--store", f"{folder}/s.kt"),
                  ("watch", "--once", "--json", "--store", f"{folder}/s.kt", "--workers", 3)):
        for end in ("", "-wal", "-shm"):
            if os.path.exists(f"{folder}/s.kt{end}"):
                os.unlink(f"{folder}/s.kt{end}")
        if how.get("stdin"):
            how["stdin"].seek(0)
        done = whole.run(KOTARE, words[0], path, *words[1:], **how)
        said = sentence(done.stderr, name or path)
        assert re.fullmatch(pattern, said), (said, pattern)
        assert done.returncode == code, (path, done.returncode)
        found = whole.lines(done.stdout)
        if packets is None:
            assert not found
            continue
        last = found[-1]
        assert last["packets"] == packets, (words, last, packets)
        if words[0] == "count":
            continue
        assert last["type"] == "summary" and last["warning"] == f"{name or path}: {said}"
        assert last["flows"] == len(whole.of_type(found, "flow"))
        store = whole.read_store(f"{folder}/s.kt")
        assert len(store["flows"]) == last["flows"]
        assert sum(f["packets_up"] + f["packets_down"] for f in store["flows"]) == packets
        assert whole.sums(store["points"], "total").get("", (0, 0, 0))[1] == packets


def test_truncated(folder):
    at = record_at(CUT_AT)
    for more, there in [(16 + 30, None), (16, None), (7, None), (1, None)]:
        path = write(f"{folder}/cut.pcap", GOOD[:at + more])
        check(folder, path, 2, rf"at byte {at}: the file ends inside a record: {more} bytes are there, \d+ were "
              r"announced", CUT_AT)


def test_truncated_header(folder):
    check(folder, write(f"{folder}/short.pcap", GOOD[:17]), 2,
          "at byte 0: the file ends inside its header: 17 of 24 bytes are there", None)


def test_longer_than_the_file(folder):
    """A record that announces more than the file has, and one that announces more than any packet has."""
    at = record_at(CUT_AT)
    announce = lambda n: GOOD[:at + 8] + struct.pack("<II", n, n) + GOOD[at + 16:]
    check(folder, write(f"{folder}/long.pcap", announce(1000000)), 2,
          rf"at byte {at}: the file ends inside a record: {len(GOOD) - at} bytes are there, 1000016 were announced",
          CUT_AT)
    for n in (0x1000001, 0x7fffffff, 0xffffffff):
        check(folder, write(f"{folder}/huge.pcap", announce(n)), 2,
              rf"at byte {at}: packet {CUT_AT + 1} claims {n} bytes, more than any packet has", CUT_AT)


def test_corrupt_pcapng(folder):
    path = pcapng(f"{folder}/c.pcapng", [(t, d, len(d), 1) for t, d in PACKETS])
    with open(path, "rb") as f:
        data = f.read()
    at = 28 + 32 + sum(32 + (len(d) + 3) // 4 * 4 for _, d in PACKETS[:CUT_AT])
    assert data[at:at + 4] == b"\6\0\0\0"
    total = struct.unpack_from("<I", data, at + 4)[0]
    patch = lambda where, value: data[:at + where] + struct.pack("<I", value) + data[at + where + 4:]
    for broken, reason in [
            (data[:at + 40], r"the file ends inside a record: 40 bytes are there, \d+ were announced"),
            (patch(total - 4, total + 4), "the two lengths of a block differ"),
            (patch(4, 7), "a block has an impossible length"),
            (patch(8, 5), "a packet names an interface that was not described"),
            (patch(20, 100000), "a packet is longer than its block"),
            (patch(4, 0x7ffffffc), "a block is longer than any packet's")]:
        check(folder, write(f"{folder}/c.pcapng", broken), 2, rf"at byte {at}: {reason}", CUT_AT)


def test_corrupt_packed(folder):
    """What could be unpacked before the fault counts; the place is that in the packed file."""
    big = traffic.mixed(8, 3000, 30)
    data = pcap_bytes(big)
    plain = write(f"{folder}/p.pcap", data)
    for suffix, command in {"gz": ["gzip", "-k"], "zst": ["zstd", "-q"], "xz": ["xz", "-k"], "bz2": ["bzip2", "-k"],
                            "lz4": ["lz4", "-q", "-B4"]}.items():
        path = f"{plain}.{suffix}"
        subprocess.run(command + [plain] + [path] * (suffix == "lz4"), check=True)
        with open(path, "rb") as f:
            packed = f.read()
        write(path, packed[:len(packed) // 2])
        told = whole.lines(whole.run(KOTARE, "count", path, "--json").stdout)
        counted = told[0]["packets"] if told else None
        assert suffix in ("bz2", "xz") or 0 < counted < len(big), (suffix, counted)
        check(folder, path, 2, r"at packed byte \d+: the file ends inside the (gzip|zstd|xz|bzip2|lz4) data", counted)
        middle = len(packed) // 2
        write(path, packed[:middle] + bytes(b ^ 0x5a for b in packed[middle:middle + 64]) + packed[middle + 64:])
        done = whole.run(KOTARE, "count", path, "--json")
        said = sentence(done.stderr, path)
        assert done.returncode == 2 and re.match(r"at (packed|unpacked) byte \d+: ", said), said


def test_unknown_link(folder):
    check(folder, write(f"{folder}/link.pcap", GOOD[:20] + struct.pack("<I", 147) + GOOD[24:]), 2,
          r"at byte 0: packets of link type 147 \(USER0\) can't be decoded here", None)
    check(folder, write(f"{folder}/link.pcap", GOOD[:20] + struct.pack("<I", 65000) + GOOD[24:]), 2,
          "at byte 0: packets of link type 65000 can't be decoded here", None)
    packets = [(t, d, len(d), 147 if i == CUT_AT else 1) for i, (t, d) in enumerate(PACKETS)]
    path = pcapng(f"{folder}/link.pcapng", packets)
    check(folder, path, 2, r"at byte \d+: packets of link type 147 \(USER0\) can't be decoded here", CUT_AT)


def test_no_capture(folder):
    check(folder, write(f"{folder}/text.txt", b"hello, world\n"), 2,
          r"at byte 0: this is no trace format known here \(it begins 68 65 6c 6c\)", None)
    check(folder, write(f"{folder}/empty.pcap", b""), 2, "the file is empty", None)
    check(folder, f"{folder}/missing.pcap", 3, "cannot open: No such file or directory", None)
    check(folder, folder, 1, "is a directory", None)


def test_standard_input(folder):
    at = record_at(CUT_AT)
    write(f"{folder}/cut.pcap", GOOD[:at + 20])
    with open(f"{folder}/cut.pcap", "rb") as f:
        check(folder, "-", 2, rf"at byte {at}: the file ends inside a record: 20 bytes are there, \d+ were announced",
              CUT_AT, "standard input", stdin=f)
    with open(os.devnull, "rb") as f:
        check(folder, "-", 2, "the file is empty", None, "standard input", stdin=f)


def test_the_rest_goes_on(folder):
    """A fault of one input does not touch the others, before or behind; each is told, the first one's code is given."""
    later = lambda n: pcap_bytes([(t + n * 60 * traffic.SECOND, d) for t, d in PACKETS])
    cut = write(f"{folder}/cut.pcap", later(1)[:record_at(CUT_AT) + 3])
    good, last = write(f"{folder}/good.pcap", GOOD), write(f"{folder}/last.pcap", later(2))
    for n in (1, 3):
        done = whole.run(KOTARE, "watch", good, cut, f"{folder}/missing.pcap", last, "--once", "--json", "--workers", n)
        assert done.returncode == 2
        said = [line.removeprefix("kotare: ") for line in done.stderr.decode().splitlines()]
        assert said[0].startswith(f"{cut}: at byte ")
        assert said[1:] == [f"{folder}/missing.pcap: cannot open: No such file or directory"]
        summary = whole.lines(done.stdout)[-1]
        assert summary["packets"] == 2 * len(PACKETS) + CUT_AT and summary["warning"].splitlines() == said


def test_nothing_to_read(folder):
    """Then there is no summary, and no page that would stay, also over a store that holds something."""
    good, store = write(f"{folder}/good.pcap", GOOD), f"{folder}/a.kt"
    missing, empty = f"{folder}/missing.pcap", write(f"{folder}/empty.pcap", b"")
    assert whole.run(KOTARE, "watch", good, "--once", "--store", store).returncode == 0
    for more in ((), ("--store", store), ("--json",), ("--workers", 2)):
        done = whole.run(KOTARE, "watch", missing, empty, "--listen", "127.0.0.1:0", *more)
        said = [line for line in done.stderr.decode().splitlines() if line.startswith("kotare: ")]
        assert done.returncode == 3 and not done.stdout
        assert said == [f"kotare: {missing}: cannot open: No such file or directory",
                        f"kotare: {empty}: the file is empty"]
    done = whole.run(KOTARE, "watch", good, "--filter", "prot 53", "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and not done.stdout and b"the filter 'prot 53' is wrong" in done.stderr
    done = whole.run(KOTARE, "count", good, "--filter", "prot 53")
    assert done.returncode == 1 and not done.stdout
    assert sum(f["packets_up"] + f["packets_down"] for f in whole.read_store(store)["flows"]) == len(PACKETS)


# ---- time that runs backwards ----

def test_late_packets(folder):
    """Told once an input, with how many and by how much; within an interval nobody minds."""
    second = traffic.SECOND
    frame = PACKETS[0][1]
    at = lambda *times: pcap_bytes([(1800000000 * second + int(t * second), frame) for t in times])
    early, late = write(f"{folder}/early.pcap", at(0, 5, 10)), write(f"{folder}/late.pcap", at(20, 40))
    back = write(f"{folder}/back.pcap", at(50, 60, 52.5, 57, 61, 60))
    late_by = "of its packets came more than an interval late, by up to"
    for words, said in [
            ((early, late), []),
            ((late, early), [f"{early}: begins before the end of {late}: 3 {late_by} 40.0 s; "
                             "give inputs in order of time"]),
            ((early, back), [f"{back}: its time runs backwards: 2 {late_by} 7.5 s"]),
            ((back, late), [f"{back}: its time runs backwards: 2 {late_by} 7.5 s",
                            f"{late}: begins before the end of {back}: 2 {late_by} 41.0 s; "
                            "give inputs in order of time"]),
            ((back, "--interval", 10), []),
            ((back, "--interval", 7), [f"{back}: its time runs backwards: 1 {late_by} 7.5 s"])]:
        for n in (1, 2):
            done = whole.run(KOTARE, "watch", *words, "--once", "--json", "--workers", n)
            assert done.returncode == 0
            assert done.stderr.decode().splitlines() == [f"kotare: {line}" for line in said], done.stderr
            assert whole.lines(done.stdout)[-1].get("warning") == ("\n".join(said) or None)
    with open(early, "rb") as f:
        done = whole.run(KOTARE, "watch", late, "-", "--once", stdin=f)
    assert done.stderr.startswith(b"kotare: standard input: begins before the end of ")


def test_interface(folder):
    check_usage = lambda *words: whole.run(KOTARE, "watch", *words, "--once")
    done = check_usage("ring:nonesuch")
    assert done.returncode == 3 and sentence(done.stderr, "nonesuch") == "there is no interface of this name"
    done = check_usage("lo", write(f"{folder}/good.pcap", GOOD))
    assert done.returncode == 1 and "a live interface can't be joined with other inputs" in sentence(done.stderr, "lo")
    # without the right to capture: as nobody, when this is run by root
    if "lo" not in os.listdir("/sys/class/net"):
        return
    how = {}
    if os.geteuid() == 0:
        how = {"user": 65534, "group": 65534, "extra_groups": [], "env": {"TMPDIR": folder}}
        os.chmod(folder, 0o777)
    elif "cap_net_raw" in subprocess.run(["getcap", KOTARE], capture_output=True, text=True).stdout:
        return
    try:
        done = subprocess.run([KOTARE, "watch", "lo", "--once"], capture_output=True, timeout=60, **how)
    except PermissionError:
        return  # nobody may not even read the program here
    assert done.returncode == 3, done
    assert sentence(done.stderr, "lo").startswith("capturing needs the right CAP_NET_RAW (run as root")


# ---- stores ----

def watch(folder, store, *more):
    path = f"{folder}/good.pcap"
    if not os.path.exists(path):
        write(path, GOOD)
    return whole.run(KOTARE, "watch", path, "--once", "--store", store, *more)


def test_store_of_a_newer_version(folder):
    store = f"{folder}/a.kt"
    assert watch(folder, store).returncode == 0
    with sqlite3.connect(store) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = 99")
    db.close()
    with open(store, "rb") as f:
        before = f.read()
    done = watch(folder, store)
    assert done.returncode == 4 and not done.stdout
    assert sentence(done.stderr, store) == ("this store was made by a newer version of Kotare (its format is 99, this "
                                            f"program knows up to {version})")
    with open(store, "rb") as f:
        assert f.read() == before  # nothing of it was touched


def test_store_that_is_none(folder):
    text = write(f"{folder}/notes.txt", b"This is a text, and a longer one than the header of a database.\n" * 40)
    other = f"{folder}/other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE cats(name TEXT)")
        db.execute("INSERT INTO cats VALUES('Moana')")
    db.close()
    for path in (text, other):
        with open(path, "rb") as f:
            before = f.read()
        done = watch(folder, path)
        assert done.returncode == 2 and sentence(done.stderr, path) == "this is not a Kotare store"
        with open(path, "rb") as f:
            assert f.read() == before, "somebody's file was written to"


def test_store_that_cannot_be(folder):
    for path, reason, code in [(f"{folder}/no/such/folder/a.kt", "cannot open it: No such file or directory", 3),
                               (folder, "cannot open it: ", 3), ("/proc/kotare.kt", "cannot open it: ", 3)]:
        done = watch(folder, path)
        said = sentence(done.stderr, path)
        assert done.returncode == code and said.startswith(reason), (path, said, done.returncode)


def test_store_of_nobody(folder):
    """No right to write there: that is the reason, and not that nothing is there."""
    if os.geteuid() != 0:
        return
    os.mkdir(f"{folder}/closed", 0o755)
    os.chmod(folder, 0o755)
    write(f"{folder}/good.pcap", GOOD)
    mine = f"{folder}/closed/mine.kt"
    assert watch(folder, mine).returncode == 0
    for path in (f"{folder}/closed/new.kt", mine):
        try:
            done = subprocess.run([KOTARE, "watch", f"{folder}/good.pcap", "--once", "--store", path], timeout=60,
                                  capture_output=True, user=65534, group=65534, extra_groups=[])
        except PermissionError:
            return
        said = sentence(done.stderr, path)
        assert done.returncode == 3 and re.search("Permission denied|readonly", said), (said, done.returncode)


def test_store_locked(folder):
    """Another program writes to it for longer than we wait."""
    store = f"{folder}/a.kt"
    assert watch(folder, store).returncode == 0
    db = sqlite3.connect(store, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    done = watch(folder, store)
    assert done.returncode == 3, done
    assert sentence(done.stderr, store) == "cannot write to it: another program is writing to it"
    db.execute("ROLLBACK")
    db.close()
    assert watch(folder, store).returncode == 0


def test_port_in_use(folder):
    with socket.create_server(("127.0.0.1", 0)) as s:
        address = "127.0.0.1:%d" % s.getsockname()[1]
        done = whole.run(KOTARE, "watch", write(f"{folder}/good.pcap", GOOD), "--listen", address)
        assert done.returncode == 3
        assert sentence(done.stderr, f"--listen {address}") == ("can't listen there: Address already in use; try another "
                                                               "port, or --listen 127.0.0.1:0 for any")


def test_port_that_is_none(folder):
    done = whole.run(KOTARE, "watch", write(f"{folder}/good.pcap", GOOD), "--listen", "127.0.0.1:65536")
    assert done.returncode == 1 and not done.stdout
    assert sentence(done.stderr, "--listen 127.0.0.1:65536").endswith("with a port up to 65535")


whole.main(globals())
