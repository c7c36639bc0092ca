#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""What comes from outside in the middle of a run: Ctrl-C, kill -9, a disk that is full, streams that are
closed. What was seen before is kept, and a store stays readable whatever happens.

Usage: system.py KOTARE SAMPLE
"""
import array
import fcntl
import json
import os
import pathlib
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import traffic  # noqa: E402
import whole  # noqa: E402
from craft import pcap, pcap_bytes  # noqa: E402

KOTARE, SAMPLE = map(os.path.abspath, sys.argv[1:3])
PACKETS = traffic.mixed(9, 3000, 60)
HEAD = 24
PATIENCE = 60  # seconds; how long it takes is nobody's business here


class Run(subprocess.Popen):
    """The program under way. It says what it has to say into files, so that it never waits for us."""

    def __init__(self, *words, stdin=subprocess.PIPE, stdout=None):
        self.said, self.complained = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        super().__init__([KOTARE, *map(str, words)], stdin=stdin, stdout=stdout or self.said, stderr=self.complained)

    def __exit__(self, *why):
        self.kill()  # a test that failed must not wait for it
        super().__exit__(*why)
        self.said.close()
        self.complained.close()

    def end(self):
        """(standard output, standard error) once it is over."""
        if self.stdin and not self.stdin.closed:
            self.stdin.close()
        self.wait(PATIENCE)
        out = []
        for f in (self.said, self.complained):
            f.seek(0)
            out.append(f.read())
        return out


def wait_until(what, true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def reached(store):
    """The last interval that can be read there now, by another program while it is written."""
    try:
        db = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=PATIENCE)
        return db.execute("SELECT max(last) FROM points").fetchone()[0] or 0
    except sqlite3.OperationalError:  # not there yet, or without its tables
        return 0
    finally:
        if "db" in locals():
            db.close()


def packets_in(store):
    return whole.sums(whole.read_store(store)["points"], "total").get("", (0, 0, 0))[1]


def feed(process, store, upto=None):
    """Gives the packets a second of theirs at a time until some of them were committed twice."""
    data, at, n = pcap_bytes(PACKETS), HEAD, 0
    process.stdin.write(data[:HEAD])
    steps = iter(range(1, 61))

    def more():
        nonlocal at, n
        second = next(steps, None)
        while second and n < len(PACKETS) and PACKETS[n][0] < traffic.T0 + second * traffic.SECOND:
            size = 16 + len(PACKETS[n][1])
            process.stdin.write(data[at:at + size])
            at, n = at + size, n + 1
        process.stdin.flush()
        return reached(store) > traffic.T0 + traffic.SECOND
    wait_until("points in the store", more)
    return n


def consistent(store, summary=None):
    """The parts of a store agree with each other, and with the summary where there was one."""
    found = whole.read_store(store)
    size, packets, flows = whole.sums(found["points"], "total").get("", (0, 0, 0))
    for kind in ("app", "category", "direction", "port"):
        rows = [(0, 0, 0), *whole.sums(found["points"], kind).values()]
        assert tuple(map(sum, zip(*rows))) == (size, packets, flows), kind
    if summary:
        assert (summary["bytes"], summary["packets"], summary["flows"]) == (size, packets, flows)
        assert len(found["flows"]) == flows
        assert sum(f["bytes_up"] + f["bytes_down"] for f in found["flows"]) == size
    return packets


def stopped_by(folder, number, workers):
    store = f"{folder}/{number}-{workers}.kt"
    with Run("watch", "-", "--once", "--json", "--workers", workers, "--store", store) as p:
        given = feed(p, store)
        seen = packets_in(store)
        p.send_signal(number)
        out, err = p.end()
    assert p.returncode == 0 and not err, (p.returncode, err)
    summary = whole.lines(out)[-1]
    assert summary["type"] == "summary" and "warning" not in summary
    assert seen <= summary["packets"] <= given
    assert [f for f in os.listdir(folder) if f.startswith(os.path.basename(store))] == [os.path.basename(store)]
    consistent(store, summary)


def test_ctrl_c(folder):
    for number in (signal.SIGINT, signal.SIGTERM):
        for workers in (1, 3):
            stopped_by(folder, number, workers)


def test_ctrl_c_while_nothing_comes(folder):
    """Before the first byte, in the middle of a record, of packed data, and of a pipe nobody writes to."""
    data = pcap_bytes(PACKETS[:100])
    packed = subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout
    os.mkfifo(f"{folder}/pipe")
    for given, path in ((b"", "-"), (data[:-20], "-"), (packed[:len(packed) // 2], "-"), (b"", f"{folder}/pipe")):
        for workers in (1, 2):
            with Run("watch", path, "--once", "--json", "--workers", workers) as p:
                p.stdin.write(given)
                p.stdin.flush()
                time.sleep(1 if given else 0.5)
                assert p.poll() is None
                p.send_signal(signal.SIGINT)
                wait_until("the end", lambda: p.poll() is not None)
                out, err = p.end()
            assert p.returncode == 0 and not err, (given[:4], p.returncode, err)
            assert whole.lines(out)[-1]["packets"] == (99 if given == data[:-20] else 0)


def catches(process, number):
    """Has it set up its handler of this signal?"""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
        caught = next(line for line in f if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) >> (number - 1) & 1


def left_in(pipe):
    n = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, n)
    return n[0]


def test_count_is_told_to_stop(folder):
    """It tells what it has counted, of a pipe and of an interface."""
    data = pcap_bytes(PACKETS[:100])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Run("count", "-", f"{folder}/never.pcap", "--json") as p:
            p.stdin.write(data[:-20])
            p.stdin.flush()
            wait_until("all taken", lambda: left_in(p.stdin) == 0)
            time.sleep(0.5)
            p.send_signal(number)
            wait_until("the end", lambda: p.poll() is not None)
            out, err = p.end()
        assert p.returncode == 0 and not err, (number, p.returncode, err)
        assert whole.lines(out)[0]["packets"] == 99
    with Run("count", "ring:lo", "--json", stdin=None) as p:
        wait_until("the handler", lambda: p.poll() is not None or catches(p, signal.SIGINT))
        p.send_signal(signal.SIGINT)
        out, err = p.end()
    if b"CAP_NET_RAW" not in err and b"no interface" not in err:
        assert p.returncode == 0 and not err and whole.lines(out)[0]["type"] == "count", err


def test_nohup():
    """Who starts it so that it outlives the terminal is not contradicted."""
    with subprocess.Popen(["nohup", KOTARE, "watch", "-", "--once", "--json"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        wait_until("the handler", lambda: catches(p, signal.SIGINT))
        p.send_signal(signal.SIGHUP)
        out = p.communicate(pcap_bytes(PACKETS[:100]), PATIENCE)[0]
    assert p.returncode == 0 and whole.lines(out)[-1]["packets"] == 100


def test_ctrl_c_in_files(folder):
    store = f"{folder}/a.kt"
    with Run("watch", *[SAMPLE] * 200, "--once", "--json", "--store", store, "--workers", 2, stdin=None) as p:
        wait_until("points", lambda: reached(store) or p.poll() is not None)
        assert p.poll() is None
        p.send_signal(signal.SIGINT)
        out, err = p.end()
    assert p.returncode == 0 and all(b"begins before the end of" in line for line in err.splitlines())
    summary = whole.lines(out)[-1]
    size, packets, flows = whole.sums(whole.read_store(store)["points"], "total")[""]
    assert (summary["bytes"], summary["packets"], summary["flows"]) == (size, packets, flows)


def test_ctrl_c_at_the_page(folder):
    path = pcap(f"{folder}/a.pcap", PACKETS[:100])
    with Run("watch", path, "--listen", "127.0.0.1:0", stdin=None) as p:
        wait_until("the page", lambda: b"until Ctrl-C" in os.pread(p.complained.fileno(), 10000, 0))
        p.send_signal(signal.SIGINT)
        out, _ = p.end()
    assert p.returncode == 0 and b"100 packets" in out


def test_kill_9(folder):
    """The store holds what was committed, and a next run adds to it."""
    for workers in (1, 3):
        store = f"{folder}/{workers}.kt"
        with Run("watch", "-", "--once", "--json", "--workers", workers, "--store", store) as p:
            feed(p, store)
            seen = packets_in(store)
            p.kill()
            p.end()
        assert p.returncode == -signal.SIGKILL
        packets = consistent(store)
        assert packets >= seen > 0
        again = pcap(f"{folder}/more.pcap", PACKETS[:500])
        done = whole.run(KOTARE, "watch", again, "--once", "--store", store)
        assert done.returncode == 0 and not done.stderr
        assert consistent(store) == packets + 500


def test_runs_in_one_store(folder):
    """The page of a later run shows all that the store holds, and no two flows share an id."""
    store, later = f"{folder}/runs.kt", traffic.mixed(10, 500, 30)
    inputs = [pcap(f"{folder}/{i}.pcap", p) for i, p in enumerate((later, PACKETS[:500]))]
    first = whole.run(KOTARE, "watch", inputs[0], "--once", "--json", "--store", store)
    assert first.returncode == 0
    with Run("watch", inputs[1], "--json", "--listen", "127.0.0.1:0", "--store", store, stdin=None) as p:
        wait_until("the page", lambda: b"until Ctrl-C" in os.pread(p.complained.fileno(), 10000, 0))
        page = re.search(rb"http://\S+", os.pread(p.complained.fileno(), 10000, 0))[0].decode()
        status, flows = (json.load(urllib.request.urlopen(f"{page}api/v1/{what}", timeout=PATIENCE))
                         for what in ("status", "flows?limit=1000"))
        p.send_signal(signal.SIGINT)
        out, _ = p.end()
    told = [whole.lines(text) for text in (first.stdout, out)]
    summary = [whole.of_type(t, "summary")[0] for t in told]
    whole_seconds = [int(x) // 10**9 for x in (status["first"], status["last"])]
    assert whole_seconds == [f(int(s[k]) // 10**9 for s in summary) for f, k in ((min, "first"), (max, "last"))]
    assert status["earlier_runs"] == 1
    ids = [f["id"] for t in told for f in whole.of_type(t, "flow")]
    assert len(set(ids)) == len(ids) == flows["total"] and set(ids) == {f["id"] for f in flows["flows"]}
    assert [run[2] for run in whole.read_store(store)["run"]] == inputs


# ---- a disk that is full ----

def test_disk_gets_full(folder):
    """In the middle of a run: from then on no file may grow."""
    for workers in (1, 3):
        store = f"{folder}/{workers}.kt"
        with Run("watch", "-", "--once", "--json", "--workers", workers, "--store", store,
                 stdout=subprocess.PIPE) as p:
            lines = []
            thread = threading.Thread(target=lambda: lines.append(p.stdout.read()))
            thread.start()
            given = feed(p, store)
            seen = packets_in(store)
            resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (4096, 4096))
            try:
                p.stdin.write(pcap_bytes(PACKETS[given:])[HEAD:])
            except BrokenPipeError:
                pass  # it ends at once
            err = p.end()[1]
            thread.join(PATIENCE)
            out = lines[0]
        said = err.decode().splitlines()
        assert said == [f"kotare: {store}: no space left to store more; what was stored before stays readable"], said
        assert p.returncode == 4
        summary = whole.lines(out)[-1]
        assert summary["type"] == "summary" and summary["packets"] >= seen and "no space" in summary["warning"]
        assert consistent(store) >= seen > 0


def test_disk_is_full_from_the_start(folder):
    path = pcap(f"{folder}/a.pcap", PACKETS)
    want = whole.run(KOTARE, "watch", path, "--once").stdout  # what can't be kept is shown
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    for more in (("--store", f"{folder}/a.kt"), ()):
        done = subprocess.run([KOTARE, "watch", path, "--once", *more], capture_output=True, preexec_fn=limit,
                              timeout=PATIENCE, env=dict(os.environ, TMPDIR=folder))
        assert done.returncode == 4 and b"no space left to store more" in done.stderr, done
        assert done.stdout == want
        done = subprocess.run([KOTARE, "watch", path, "--once", "--json", *more], capture_output=True,
                              preexec_fn=limit, timeout=PATIENCE, env=dict(os.environ, TMPDIR=folder))
        assert done.returncode == 4 and whole.of_type(whole.lines(done.stdout), "summary")
    assert not [f for f in os.listdir(folder) if f.startswith("kotare-")], "a temporary store was left behind"


def test_disk_of_its_own(folder):
    """A real one, of 600 KiB; only root can make it."""
    script = """mount -t tmpfs -o size=600k none "$1" || exit 77
                "$2" watch "$3" --once --json --store "$1/a.kt" >"$4/out"
                echo $? >"$4/code"; cp "$1"/a.kt* "$4" """
    os.mkdir(f"{folder}/disk")
    os.mkdir(f"{folder}/kept")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", f"{folder}/disk", KOTARE, SAMPLE,
                           f"{folder}/kept"], capture_output=True, timeout=PATIENCE)
    if done.returncode == 77 or b"unshare failed" in done.stderr:
        return
    with open(f"{folder}/kept/code", encoding="ascii") as f:
        assert f.read() == "4\n", done
    assert done.stderr.decode().splitlines()[-1].endswith(
        "a.kt: no space left to store more; what was stored before stays readable"), done
    consistent(f"{folder}/kept/a.kt")


# ---- standard streams ----

def test_output_is_full(folder):
    path = pcap(f"{folder}/a.pcap", PACKETS)
    for words in (("--help",), ("--version",), ("count", path), ("count", path, "--json"), ("watch", "--help"),
                  ("watch", path, "--once"), ("watch", path, "--once", "--json")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([KOTARE, *words], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
        assert done.stderr == b"kotare: standard output: cannot write: No space left on device\n", (words, done)
        assert done.returncode == 3


def test_output_is_a_closed_pipe(folder):
    """`| head -1`: no complaint, and no work for nobody; with a store the work goes on."""
    path = pcap(f"{folder}/a.pcap", PACKETS)
    for words in ("--json", ""):
        for store in ("", f"--store {folder}/a.kt"):
            done = subprocess.run(["bash", "-c", f"'{KOTARE}' watch '{path}' --once {words} {store} | head -1; "
                                   "echo ${PIPESTATUS[0]} >&2"], capture_output=True, timeout=PATIENCE)
            assert done.stderr == b"0\n" and done.stdout.count(b"\n") == 1, done
    assert packets_in(f"{folder}/a.kt") == 2 * len(PACKETS)
    for store in ((), ("--store", f"{folder}/b.kt")):
        with Run("watch", "-", "--once", "--json", *store, stdout=subprocess.PIPE) as p:
            data = pcap_bytes(PACKETS)
            shift = 100 * traffic.SECOND
            given = 0

            def endless():
                nonlocal given
                try:
                    p.stdin.write(data)
                    for turn in range(1, 6 if store else 10**6):
                        given = turn + 1
                        p.stdin.write(pcap_bytes([(t + turn * shift, d) for t, d in PACKETS])[HEAD:])
                    p.stdin.close()
                except BrokenPipeError:
                    pass
            thread = threading.Thread(target=endless)
            thread.start()
            p.stdout.readline()
            p.stdout.close()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            assert p.end()[1] == b"" and p.returncode == 0
        if store:
            assert packets_in(f"{folder}/b.kt") == 6 * len(PACKETS) and given == 6


def test_closed_streams(folder):
    """A closed stream is never mistaken for a file that was opened in its place."""
    path = pcap(f"{folder}/a.pcap", PACKETS)
    with open(path, "rb") as f:
        before = f.read()

    def shell(text):
        return subprocess.run(["bash", "-c", text, KOTARE, path], capture_output=True, timeout=PATIENCE)
    done = shell('"$0" watch - --once --json <&-')
    assert done.returncode == 3
    assert done.stderr == b"kotare: standard input: at byte 0: cannot read: Bad file descriptor\n", done
    done = shell('"$0" watch "$1" --once --json >&-')
    assert done.returncode == 3 and b"standard output: cannot write: Bad file descriptor" in done.stderr
    want = whole.run(KOTARE, "watch", path, "--once", "--json").stdout
    for closed in ("2>&-", "<&-", "<&- 2>&-"):
        done = shell(f'"$0" watch "$1" --once --json {closed}')
        assert done.returncode == 0 and done.stdout == want, closed
    done = shell(f'"$0" watch "$1" --once --store {folder}/a.kt <&- >&- 2>&-')
    assert done.returncode == 3
    assert consistent(f"{folder}/a.kt") == len(PACKETS)
    with open(path, "rb") as f:
        assert f.read() == before


whole.main(globals())
