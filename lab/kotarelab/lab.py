# SPDX-License-Identifier: LGPL-3.0-or-later
"""The lab as applications see it: hosts, ports, files, and jobs that repeat until it ends."""
import os
import random
import subprocess
import threading
import time

WORDS = ("kea tui weka ruru moa kiwi kereru kakapo takahe pukeko huia toroa titi korora hoiho "
         "matuku karoro tara kotuku parera whio kahu karearea riroriro miromiro toutouwai").split()

CLIENTS = ["kea", "tui", "weka", "ruru", "moa", "visitor"]
SERVERS = ["web", "mail", "data", "media", "infra"]

DEFAULTS = {
    "seed": 1, "net4": "10.20.0.", "net6": "fd20::", "mac": "02:20:00:00:00:", "vlan": 0,
    "base": 11, "rotate": 0, "pace": 1.2, "base_delay": 2, "base_jitter": 1,
    "ports": {"http": 80, "http2": 8080, "tls": 443, "quic": 8443, "dns": 53, "ssh": 22, "ntp": 123,
              "smtp": 25, "imap": 143, "pop3": 110, "ftp": 21, "ftp_data": 40000, "redis": 6379,
              "postgresql": 5432, "mysql": 3306, "mqtt": 1883, "tftp": 69, "tftp_data": 41000,
              "snmp": 161, "ldap": 389, "syslog": 514, "iperf3": 5201, "memcached": 11211,
              "rsync": 873, "git": 9418, "irc": 6667, "sip": 5060, "rtp": 42000, "tracker": 6969,
              "bittorrent": 6881, "radius": 1812, "xmpp": 5222},
    "incidents": [
        {"kind": "surge", "at": 0.27, "length": 20},
        {"kind": "outage", "at": 0.462, "length": 30},
        {"kind": "latency", "at": 0.67, "length": 30},
        {"kind": "scan", "at": 0.885, "length": 10}],
    "outage_of": "http", "surge_rate": "4M",
}


def text(rng, size):
    """Words: a payload that looks like something and packs well."""
    lines = [" ".join(rng.choice(WORDS) for _ in range(10)) for _ in range(40)]
    out = []
    while size > 0:
        line = rng.choice(lines) + "\n"
        out.append(line[:size])
        size -= len(line)
    return "".join(out)


class Lab:
    def __init__(self, net, truth, profile, workdir, duration, say):
        self.net, self.truth, self.profile = net, truth, profile
        self.workdir, self.duration, self.say = workdir, duration, say
        self.ports = profile["ports"]
        self.rng = random.Random(profile["seed"])
        self.stopping = threading.Event()
        self.threads = []
        self.daemons = {}
        self.failed = {}

    def host(self, name):
        return self.net.hosts[name]

    def clients(self, count):
        """`count` of the ordinary clients; which ones differs between profiles."""
        names = CLIENTS[:-1]
        self.profile["rotate"] += 1
        return [self.host(names[(self.profile["rotate"] + i) % len(names)]) for i in range(count)]

    def path(self, *parts):
        path = os.path.join(self.workdir, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, content, mode=0o644):
        path = self.path(name)
        with open(path, "wb" if isinstance(content, bytes) else "w") as f:
            f.write(content)
        os.chmod(path, mode)
        return path

    def folder(self, name, user=None):
        path = self.path(name, "x")[:-2]
        if user:
            subprocess.run(["chown", "-R", f"{user}:", path], check=True)
        return path

    def daemon(self, key, host, command, **more):
        self.daemons[key] = (host, command, more, host.popen(command, log=key, **more))
        return self.daemons[key][3]

    def wait_port(self, host, port, seconds=20):
        """Until something listens on the TCP port (as /proc/net tells: no packet is sent)."""
        for _ in range(int(seconds * 10)):
            for table in ("tcp", "tcp6"):
                with open(f"/proc/{host.pid}/net/{table}") as f:
                    for line in f.readlines()[1:]:
                        field = line.split()
                        if field[3] == "0A" and int(field[1].rsplit(":", 1)[1], 16) == port:
                            return
            time.sleep(0.1)
        raise RuntimeError(f"nothing listens on {host.name} port {port}")

    def keys(self, app, proto, client, server, port, families="46"):
        return [(app, proto, getattr(client, "v" + f), None, getattr(server, "v" + f), port)
                for f in families]

    def thread(self, function):
        t = threading.Thread(target=self._guard, args=(function,), daemon=True)
        self.threads.append(t)
        t.start()

    def _guard(self, function):
        try:
            function()
        except Exception as problem:  # a job that fails is told, and the others go on
            if not self.stopping.is_set():
                self.say(f"a job failed: {problem!r}")

    def every(self, period, name, function):
        """Calls function(n) about every `period` seconds until the end."""
        rng = random.Random(f"{self.profile['seed']} {name}")

        def loop():
            n = 0
            self.stopping.wait(rng.random() * period)
            while not self.stopping.is_set():
                start = time.monotonic()
                try:
                    function(n)
                except OSError as problem:
                    if not self.stopping.is_set():
                        self.say(f"{name}: {problem}")
                n += 1
                wait = period * self.profile["pace"] * rng.uniform(0.85, 1.15)
                self.stopping.wait(max(0.05, wait - (time.monotonic() - start)))
        self.thread(loop)

    def call(self, name, client, command, keys, timeout=20, **more):
        """Runs a client program while its flows are in use; counts what went wrong."""
        with self.truth.use(*keys):
            code = client.run(command, timeout=timeout, log=name, **more)
        if code != 0 and not self.stopping.is_set():
            self.failed[name] = self.failed.get(name, 0) + 1
        return code

    def lasting(self, client, command, keys, **more):
        """Starts a client that stays until the end, its flows in use all the time."""
        process = client.popen(command, **more)

        def wait():
            with self.truth.use(*keys):
                while process.poll() is None and not self.stopping.wait(0.5):
                    pass
        self.thread(wait)
        return process
