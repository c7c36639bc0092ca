# SPDX-License-Identifier: LGPL-3.0-or-later
"""What is known because we did it: who used which application with whom, and the incidents."""
import contextlib
import json
import threading
import time


class Truth:
    def __init__(self):
        self.lock = threading.Lock()
        self.flows = {}      # key -> [from, to]; to is None while in use
        self.open = {}       # key -> how many use it now
        self.incidents = []
        self.began = self.ended = 0

    @contextlib.contextmanager
    def use(self, *keys):
        """While inside, these flows are in use. A key: (app, proto, client, client_port, server,
        server_port); None is any port."""
        now = time.time_ns()
        with self.lock:
            for key in keys:
                self.flows.setdefault(key, [now, now])
                self.open[key] = self.open.get(key, 0) + 1
        try:
            yield
        finally:
            now = time.time_ns() + 2_000_000_000  # what closes a connection comes after its user
            with self.lock:
                for key in keys:
                    self.flows[key][1] = max(self.flows[key][1], now)
                    self.open[key] -= 1

    @contextlib.contextmanager
    def incident(self, kind, what, hosts, app, report):
        """While inside, this incident is on."""
        entry = {"kind": kind, "began": time.time_ns(), "ended": 0, "what": what,
                 "hosts": hosts, "app": app}
        report(f"incident {kind} begins: {what}")
        try:
            yield
        finally:
            entry["ended"] = time.time_ns()
            self.incidents.append(entry)
            report(f"incident {kind} is over")

    def write(self, path, about):
        flows = []
        for key, (start, end) in sorted(self.flows.items(), key=lambda i: tuple(map(str, i[0]))):
            if self.open.get(key):
                end = self.ended
            start, end = max(start, self.began), min(end, self.ended)
            if start < end:
                app, proto, client, cport, server, sport = key
                flows.append({"app": app, "proto": proto, "client": client, "client_port": cport,
                              "server": server, "server_port": sport, "from": start, "to": end})
        # What had not ended when the recording did, ends with it.
        for incident in self.incidents:
            incident["ended"] = min(incident["ended"], self.ended)
        self.incidents = [i for i in self.incidents if i["began"] < i["ended"]]
        head = {"format": 1, "began": self.began, "ended": self.ended,
                "interval_hint": 1_000_000_000, **about}
        with open(path, "w") as f:
            f.write("{\n" + "".join(f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in head.items()))
            for name, rows, end in (("flows", flows, ","), ("incidents", self.incidents, "")):
                f.write(f' "{name}": [\n' + ",\n".join("  " + json.dumps(r) for r in rows) + f"\n ]{end}\n")
            f.write("}\n")
        return len(flows)
