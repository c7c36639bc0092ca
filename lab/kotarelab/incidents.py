# SPDX-License-Identifier: LGPL-3.0-or-later
"""What goes wrong on purpose, one thing at a time, with calm before and after."""
import time

from .net import kill


def surge(lab, length):
    """One client downloads far more than everybody else together."""
    client, server, port = lab.host("weka"), lab.host("media"), lab.ports["iperf3"]
    with lab.truth.incident("surge", f"{client.name} sends a big transfer to {server.name}",
                            [client.v4, server.v4], "Iperf3", lab.say):
        # The server measures one at a time: another may be under way, so try until it is free.
        end = time.monotonic() + length
        while not lab.stopping.is_set() and time.monotonic() < end - 2:
            left = int(end - time.monotonic())
            lab.call("surge", client, ["iperf3", "-c", server.v4, "-p", port, "-t", left, "-b", lab.profile["surge_rate"]],
                     lab.keys("Iperf3", "tcp", client, server, port, "4"), timeout=length + 5)
            lab.stopping.wait(0.5)


def outage(lab, length):
    """A busy daemon dies and comes back later; its clients keep trying."""
    key = lab.profile["outage_of"]
    host, command, more, process = lab.daemons[key]
    app = {"http": "HTTP", "redis": "Redis", "mqtt": "MQTT", "postgresql": "PostgreSQL", "dns": "DNS"}[key]
    with lab.truth.incident("outage", f"{command[0]} on {host.name} dies", [host.v4, host.v6], app, lab.say):
        kill(process)
        lab.stopping.wait(length)
        lab.daemons[key] = (host, command, more, host.popen(command, log=key, **more))


def latency(lab, length):
    """The wire becomes slow and loses packets."""
    delay, loss = lab.profile.get("latency_ms", 120), lab.profile.get("loss_percent", 4)
    with lab.truth.incident("latency", f"the link adds {delay} ms each way and loses {loss} % of the packets",
                            [], "", lab.say):
        lab.net.wire(f"delay {delay} jitter 10 loss {loss}")
        lab.stopping.wait(length)
        lab.net.wire(f"delay {lab.profile['base_delay']} jitter {lab.profile['base_jitter']} loss 0")


def scan(lab, length):
    """nmap knocks at many ports of every server."""
    client = lab.host("visitor")
    servers = [lab.host(n) for n in ("web", "mail", "data", "media", "infra")]
    keys = [("Scan", "tcp", client.v4, None, s.v4, None) for s in servers]
    with lab.truth.incident("scan", f"{client.name} scans all servers with nmap",
                            [client.v4] + [s.v4 for s in servers], "Scan", lab.say):
        end = time.monotonic() + length
        lab.call("nmap", client, ["nmap", "-n", "-Pn", "-sS", "--disable-arp-ping", "--top-ports", "300",
                 "--max-retries", "1", "--max-rate", "150", "--min-rate", "140"] + [s.v4 for s in servers], keys,
                 timeout=max(60, length + 30))
        lab.stopping.wait(max(0, end - time.monotonic()))


KINDS = {"surge": surge, "outage": outage, "latency": latency, "scan": scan}


def run(lab):
    """All incidents of the profile, at their fraction of the recording."""
    start = time.monotonic()
    for incident in lab.profile["incidents"]:
        at = incident["at"] * lab.duration
        lab.stopping.wait(max(0, at - (time.monotonic() - start)))
        if lab.stopping.is_set():
            return
        KINDS[incident["kind"]](lab, incident["length"])
