# SPDX-License-Identifier: LGPL-3.0-or-later
"""Hosts: each a network, mount, name and process namespace of its own, joined by veth pairs.

A host is a shell that is process 1 of its namespaces; when it goes, everything in it goes, and
when we go, it goes. So nothing can be left behind, whatever way the recording ends.
"""
import ctypes
import os
import signal
import subprocess
import time

QUIET = [
    "net.ipv6.conf.all.accept_ra=0", "net.ipv6.conf.default.accept_ra=0",
    "net.ipv6.conf.default.dad_transmits=0", "net.ipv6.conf.all.dad_transmits=0",
    "net.ipv6.conf.default.router_solicitations=0", "net.ipv4.icmp_ratelimit=0",
    "net.ipv4.ping_group_range=0 2147483647",
]


def die_with_parent():
    """The kernel ends this process when the thread that started it is gone."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


class Host:
    """One machine of the lab."""

    def __init__(self, name, workdir):
        self.name, self.workdir = name, workdir
        self.v4 = self.v6 = self.mac = None
        boot = (f"hostname {name}; mount --make-rprivate /; mount -t tmpfs -o mode=755 none /run; "
                "mkdir /run/lock; ip link set lo up; "
                + "".join(f"sysctl -qw '{s}'; " for s in QUIET)
                + "echo up; while :; do sleep 1000; done")
        self.shell = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
             "--mount-proc", "sh", "-c", boot],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent, start_new_session=True)
        if self.shell.stdout.readline().strip() != "up":
            raise RuntimeError(f"host {name} did not come up (are you root?)")
        with open(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children") as f:
            self.pid = int(f.read().split()[0])

    def inside(self, command, user=None):
        """The command line that runs a command in this host, as another user if asked."""
        become = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-i", "-p", "--"] + become + [
            str(c) for c in command]

    def popen(self, command, user=None, log=None, env=None, **more):
        """Starts a command here; its output goes to a log file in the work folder."""
        out = open(os.path.join(self.workdir, "log", f"{self.name}-{log or os.path.basename(str(command[0]))}"), "ab")
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", out)
        more.setdefault("stderr", out)
        full = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": self.workdir, "LANG": "C.UTF-8", "TZ": "UTC", **(env or {})}
        with out:
            return subprocess.Popen(self.inside(command, user), env=full, cwd=self.workdir,
                                    start_new_session=True, **more)

    def run(self, command, timeout=30, **more):
        """Runs a command to its end; returns its exit code, or None when it took too long."""
        process = self.popen(command, **more)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill(process)
            return None

    def must(self, command, **more):
        code = self.run(command, **more)
        if code != 0:
            raise RuntimeError(f"on {self.name}: {' '.join(map(str, command))}: exit code {code}")

    def down(self):
        if self.shell.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.shell.wait()


def kill(process, how=signal.SIGKILL):
    """Ends a started command with all that it started in its session."""
    try:
        os.killpg(process.pid, how)
    except ProcessLookupError:
        pass
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


class Net:
    """Two switches, clients on the left and servers on the right, and the wire between them.

        client hosts - brl - l0=l1 [wire] m0=m1 [wire, only to take VLAN tags off] r1=r0 - brr - server hosts
                                          ^ the tap
    """
    TAP = "m0"

    def __init__(self, workdir, profile, seed, say):
        self.workdir, self.say = workdir, say
        self.net4, self.net6 = profile["net4"], profile["net6"]
        self.hosts = {}
        self.core = Host("core", workdir)
        self.macs = profile["mac"]
        vlan = profile["vlan"]
        for bridge in ("brl", "brr"):
            self.core.must(["ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0"])
            self.core.must(["sysctl", "-qw", f"net.ipv6.conf.{bridge}.disable_ipv6=1"])
            self.core.must(["ip", "link", "set", bridge, "up"])
        self._pair("l0", "l1")
        self._pair("m0", "m1")
        if vlan:
            self._pair("r0", "r1")
        self.core.must(["ip", "link", "set", "l0", "master", "brl"])
        self.core.must(["ip", "link", "set", "r0" if vlan else "m1", "master", "brr"])
        self.control = os.path.join(workdir, "wire.fifo")
        os.mkfifo(self.control)
        wire = os.path.join(workdir, "wire")
        tag = ["--vlan", vlan] if vlan else []
        self.wires = [self.core.popen([wire, "l1", "m0", "--seed", seed, "--control", self.control] + tag, log="wire-1")]
        if vlan:
            self.wires.append(self.core.popen([wire, "r1", "m1"] + tag, log="wire-2"))

    def _pair(self, a, b):
        self.core.must(["ip", "link", "add", a, "type", "veth", "peer", "name", b])
        for i in (a, b):
            self._plain(self.core, i)
            self.core.must(["sysctl", "-qw", f"net.ipv6.conf.{i}.disable_ipv6=1"])
            self.core.must(["ip", "link", "set", i, "up"])

    @staticmethod
    def _plain(host, interface):
        """Without offloads: else captures hold super-packets with unfinished checksums."""
        host.must(["ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off",
                   "tx", "off", "rx", "off"])

    def add(self, name, number, right):
        """A host with address number `number` on the left (clients) or right (servers) switch."""
        host = Host(name, self.workdir)
        outer = f"h{number}"
        # Only the core's network, not its processes: the number of the host is one of ours.
        subprocess.run(["nsenter", "-t", str(self.core.pid), "-n", "ip", "link", "add", outer,
                        "type", "veth", "peer", "name", "eth0", "netns", str(host.pid)], check=True)
        self._plain(self.core, outer)
        self.core.must(["sysctl", "-qw", f"net.ipv6.conf.{outer}.disable_ipv6=1"])
        self.core.must(["ip", "link", "set", outer, "master", "brr" if right else "brl", "up"])
        host.v4, host.v6 = f"{self.net4}{number}", f"{self.net6}{number:x}"
        host.mac = f"{self.macs}{number:02x}"
        self._plain(host, "eth0")
        host.must(["ip", "link", "set", "eth0", "address", host.mac])
        host.must(["ip", "link", "set", "eth0", "up"])
        host.must(["ip", "addr", "add", host.v4 + "/24", "dev", "eth0"])
        host.must(["ip", "addr", "add", host.v6 + "/64", "dev", "eth0", "nodad"])
        self.hosts[name] = host
        return host

    def finish(self, hosts_file, resolv):
        """Names for everybody, and nothing of the machine's own."""
        for host in self.hosts.values():
            host.must(["mount", "--bind", hosts_file, "/etc/hosts"])
            host.must(["mount", "--bind", resolv, "/etc/resolv.conf"])

    def wire(self, order):
        """Tells the wire, e.g. "delay 60 loss 2"."""
        fd = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, (order + "\n").encode())
        os.close(fd)

    def record(self, path, expression):
        tap = self.core.popen(["tcpdump", "-i", self.TAP, "-n", "-s", "0", "-B", "16384", "-U",
                               "--time-stamp-precision=nano", "-Z", "root", "-w", path] + ([expression] if expression else []),
                              log="tcpdump")
        log = os.path.join(self.workdir, "log", "core-tcpdump")
        for _ in range(100):
            with open(log) as f:
                if "listening" in f.read():
                    return tap
            time.sleep(0.05)
        raise RuntimeError("tcpdump did not start")

    def down(self):
        for wire in self.wires:
            kill(wire, signal.SIGTERM)
        for host in list(self.hosts.values()) + [self.core]:
            host.down()
