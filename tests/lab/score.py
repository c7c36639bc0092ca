# SPDX-License-Identifier: LGPL-3.0-or-later
"""The scorer: content with a right answer; finds a wrong label, a missed incident, false alarms."""
import json
import os
import subprocess
import sys
import tempfile

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
S = 10**9
TRUTH = {"format": 1, "began": 0, "ended": 300 * S, "interval_hint": S, "flows": [
    {"app": "DNS", "proto": "udp", "client": "10.0.0.1", "client_port": None, "server": "10.0.0.2", "server_port": 53,
     "from": 0, "to": 300 * S},
    {"app": "Scan", "proto": "tcp", "client": "fd00::1", "client_port": None, "server": "fd00:0::2", "server_port": None,
     "from": 0, "to": 300 * S}],
    "incidents": [{"kind": "surge", "began": 100 * S, "ended": 120 * S, "what": "", "hosts": [], "app": ""}]}


def flow(**changes):
    return {"type": "flow", "proto": "udp", "client": "10.0.0.1", "client_port": 4000, "server": "10.0.0.2", "server_port": 53,
            "app": "DNS", "bytes_up": 60, "bytes_down": 90, "start": str(S), "end": str(2 * S), **changes}


SCAN = flow(proto="tcp", client="fd00::1", server="fd00::2", server_port=99, app="No payload")
EVENT = {"type": "event", "id": "1", "kind": "surge", "title": "", "began": str(101 * S), "ended": None}


def alarm(n):
    return {**EVENT, "id": str(n), "began": str(200 * S)}


def score(*answer):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(TRUTH, f)
        f.flush()
        return subprocess.run([sys.executable, os.path.join(LAB, "score"), "-", f.name], text=True, capture_output=True,
                              input="".join(json.dumps(o) + "\n" for o in answer))


def expect(code, words, *answer):
    done = score(*answer)
    assert done.returncode == code and words in done.stderr, (done.stdout, done.stderr)


expect(0, "", flow(), SCAN, EVENT)
expect(0, "", flow(client="10.0.0.2", client_port=53, server="10.0.0.1", server_port=4000), SCAN, EVENT)  # turned round
expect(0, "", flow(), EVENT, alarm(2))  # one false alarm is forgiven
expect(1, "2 events are not incidents", flow(), EVENT, alarm(2), alarm(3))
expect(1, "wrong label", flow(), flow(app="NTP"), EVENT)
expect(1, "only 50.00 %", flow(), flow(app="Unknown UDP"), EVENT)
expect(1, "missed: surge at 100 s", flow())
expect(1, "missed: surge", flow(), {**EVENT, "began": str(125 * S)})  # too late
expect(1, "no flows", EVENT)
print("ok")
