#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Commands, options, help, and what `count` counts.

Usage: usage.py KOTARE SAMPLE
"""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "packet")]
import traffic  # noqa: E402
import tshark  # noqa: E402
import whole  # noqa: E402
from craft import pcap, pcapng  # noqa: E402

KOTARE, SAMPLE = map(os.path.abspath, sys.argv[1:3])


def kotare(*words, **how):
    done = whole.run(KOTARE, *words, **how)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_help_and_version():
    code, out, err = kotare("--version")
    assert code == 0 and out.split()[0] == "kotare" and not err
    code, out, err = kotare("--help")
    assert code == 0 and "watch" in out and "count" in out and "Exit codes" in out and not err
    assert kotare("help") == (code, out, err)
    for command, option in (("watch", "--store"), ("count", "--json")):
        code, out, err = kotare(command, "--help")
        assert code == 0 and option in out and not err
        assert kotare(command, SAMPLE, "--help")[0] == 0  # wherever it stands
        code, out, err = kotare(command)
        assert code == 1 and not out and "no input given; try --help" in err


def test_wrong_usage():
    for words, told in [
            ((), "usage: kotare"), (("frobnicate",), 'no command "frobnicate"'),
            (("watch", "x", "--bogus"), "--bogus is no option here"),
            (("watch", "x", "--once=yes"), "--once takes no value"),
            (("watch", "x", "--store"), "--store needs a value: FILE"),
            (("watch", "x", "--workers", "two"), '--workers: "two" is not a number'),
            (("watch", "x", "--workers", "-1"), '--workers: "-1" is not a number'),
            (("watch", "x", "--workers", "99999999999999999999"), "is not a number"),
            (("watch", "x", "--workers", "0"), '--workers: "0" is not a number from 1 to 64'),
            (("watch", "x", "--workers", "65"), '--workers: "65" is not a number from 1 to 64'),
            (("watch", "x", "--interval", "0"), '--interval: "0" is not a number from 1 to 86400'),
            (("watch", "x", "--interval", "86401"), '--interval: "86401" is not a number from 1 to 86400'),
            (("watch", "x", "--active-timeout", "86401"), '--active-timeout: "86401" is not a number from 0 to 86400'),
            (("watch", "x", "--store="), "--store needs a value: FILE"),
            (("watch", "x", "--store", ""), "--store needs a value: FILE"),
            (("watch", "x", "--store=a", "--store=b"), "--store stands twice"),
            (("watch", "x", "--workers=1", "--once", "--workers", "1"), "--workers stands twice"),
            (("count", "x", "--filter=ip", "--filter=ip"), "--filter stands twice"),
            (("watch", "x", "--no-builtin-rules"), "--no-builtin-rules needs --rules PATH"),
            (("watch", "x", *["--rules=x"] * 65), "--rules can be given 64 times at most"),
            (("watch", "x", "--on"), "--on is no option here"),
            (("count", "x", "--workers", "1"), "--workers is no option here")]:
        code, out, err = kotare(*words)
        assert code == 1 and told in err and not out, (words, code, out, err)
        assert len(err.splitlines()) == 1 or words in ((), ("frobnicate",)), err


def test_options_anywhere(folder):
    """Before, between and behind the inputs, with a blank or =."""
    a = pcap(f"{folder}/a.pcap", traffic.mixed(1, 40, 5))
    b = pcap(f"{folder}/b.pcap", traffic.mixed(2, 40, 5))
    want = whole.run(KOTARE, "watch", a, b, "--once", "--json", "--interval", "2").stdout
    assert want.count(b'"summary"') == 1
    for words in [("--once", "--json", "--interval", "2", a, b), (a, "--interval=2", b, "--json", "--once"),
                  ("--json", a, "--once", b, "--interval=2", "--workers=1")]:
        assert whole.run(KOTARE, "watch", *words).stdout == want, words


RULE = """protocol: {id}
name: Own {id}
transport: tcp udp
category: test
priority: {priority}
shape anything: len > 0
accept: either anything
example: tcp 40000 > 1; up "x"; down silent
"""


def test_own_rules(folder):
    """Beside the built-in rules, in their place, and without them; from files and folders."""
    def rules_of(*words):
        done = whole.run(KOTARE, "watch", SAMPLE, "--once", "--json", *words)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return {f["rule"] for f in whole.of_type(whole.lines(done.stdout), "flow")}

    def write(path, text):
        with open(f"{folder}/{path}", "w", encoding="utf-8") as f:
            f.write(text)
        return f"{folder}/{path}"
    last = write("last.rule", RULE.format(id="rest", priority=1000))
    off = write("off.rule", "protocol: ssh\nenabled: no\n")
    os.mkdir(f"{folder}/more")
    write("more/first.rule", RULE.format(id="first", priority=0))
    plain = rules_of()
    assert "ssh" in plain and "rest" not in plain
    assert rules_of("--rules", last) == plain
    assert rules_of("--rules", last, "--rules", off) == plain - {"ssh"} | {"rest"}
    none = {"no-payload", "icmp", "not-ip"}
    assert rules_of("--rules", f"{folder}/more") - none == {"first", "ftp-data", "rtp", "tftp"}  # these were announced
    assert rules_of("--rules", last, "--no-builtin-rules") - none == {"rest"}


def test_own_rules_with_mistakes(folder):
    """File, line and reason, also of an example that comes out otherwise; nothing is read."""
    rule = f"{folder}/my.rule"
    for text, said, code in [
            (RULE.format(id="a", priority=2000), ":5: priority is a number from 0 to 1000, not '2000'", 2),
            (RULE.format(id="a", priority=10) + 'example: 1 > 2; up "y"; = ssh\n',
             ":9: the example is taken for 'a', not 'ssh'", 2),
            ("protocol: shh\nenabled: no\n", ":1: there is no built-in protocol 'shh' to switch off", 2),
            ("", ": there is no rule in it", 2), ("# one day\n", ": there is no rule in it", 2),
            (None, ": cannot open: No such file or directory", 3)]:
        if text is None:
            os.unlink(rule)
        else:
            with open(rule, "w", encoding="utf-8") as f:
                f.write(text)
        assert kotare("watch", SAMPLE, "--once", "--rules", rule) == (code, "", f"kotare: {rule}{said}\n"), text
    assert kotare("watch", SAMPLE, "--once", "--rules", folder) == (
        2, "", f"kotare: {folder}: there is no *.rule file in this folder\n")


def counted(*inputs):
    code, out, err = kotare("count", *inputs)
    plain = {name: int(n) for name, n in map(str.split, out.splitlines())}
    code_json, out, _ = kotare("count", *inputs, "--json")
    told = json.loads(out)
    assert told.pop("type") == "count" and told == plain and code == code_json
    return code, plain, err


def capinfos(path):
    """Packets, and bytes on the wire, as capinfos counts them."""
    out = subprocess.run(["capinfos", "-TMrcd", path], capture_output=True, text=True, check=True,
                         env=dict(os.environ, LC_ALL="C")).stdout
    packets, size = out.rstrip("\n").rsplit("\t", 2)[1:]
    return int(packets), int(size)


def test_count_and_capinfos(folder):
    captures = [SAMPLE]
    for name, packets in [("mixed", traffic.mixed()), ("fragments", traffic.fragments()),
                          ("tunnels", traffic.tunnels()), ("back", traffic.backwards())]:
        captures.append(pcap(f"{folder}/{name}.pcap", packets))
    captures.append(pcap(f"{folder}/snapped.pcap", [(t, d[:40], len(d)) for t, d in traffic.mixed()], order=">"))
    captures.append(pcapng(f"{folder}/links.pcapng",
                           [(t, data, len(data), link) for t, (_, link, data) in enumerate(tshark.handmade())]))
    captures.append(pcap(f"{folder}/none.pcap", []))
    total = {}
    for path in captures:
        code, c, err = counted(path)
        plain = path
        if path.endswith(".zst"):
            plain = f"{folder}/plain.pcap"
            with open(plain, "wb") as f:
                subprocess.run(["zstd", "-dc", path], stdout=f, check=True)
        assert code == 0 and not err
        assert (c["packets"], c["bytes"]) == capinfos(plain), path
        assert c["ipv4"] + c["ipv6"] + c["not_ip"] == c["packets"]
        assert c["tcp"] + c["udp"] + c["icmp"] + c["other"] + c["not_ip"] == c["packets"]
        for name, n in c.items():
            total[name] = total.get(name, 0) + n
    assert counted(*captures)[1] == total


def test_count_goes_on(folder):
    """A fault of one input: what was good is counted, the others too, and the first fault decides."""
    good = pcap(f"{folder}/good.pcap", traffic.mixed(1, 40, 5))
    n = len(traffic.mixed(1, 40, 5))
    with open(good, "rb") as f:
        data = f.read()
    cut = f"{folder}/cut.pcap"
    with open(cut, "wb") as f:
        f.write(data[:-5])
    code, c, err = counted(good, cut, f"{folder}/nothing.pcap", good)
    assert code == 2 and c["packets"] == n + n - 1 + n
    assert [line.split(": ")[1] for line in err.splitlines()] == [cut, f"{folder}/nothing.pcap"]
    code, c, err = counted(f"{folder}/nothing.pcap", cut)
    assert code == 3 and c["packets"] == n - 1


whole.main(globals())
