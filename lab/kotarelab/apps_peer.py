# SPDX-License-Identifier: LGPL-3.0-or-later
"""Peers: BitTorrent between aria2 clients, calls between sipp agents."""
import hashlib
import os
import subprocess


class BitTorrent:
    """aria2 seeds on the right, aria2 downloads on the left, again and again; opentracker over UDP."""
    name, needs = "BitTorrent", ["aria2c", "opentracker", "mktorrent"]

    def start(self, lab):
        self.host, tracker = lab.host("media"), lab.ports["tracker"]
        from .lab import text
        folder = lab.folder("torrent")
        lab.write("torrent/birds.txt", text(lab.rng, 9_000))
        self.file = lab.path("birds.torrent")
        subprocess.run(["mktorrent", "-l", "15", "-d", "-a", f"udp://{self.host.v4}:{tracker}/announce", "-o", self.file,
                        os.path.join(folder, "birds.txt")], check=True, stdout=subprocess.DEVNULL)
        with open(self.file, "rb") as f:  # the tracker serves only what its list names
            torrent = f.read()
        info = hashlib.sha1(torrent[torrent.index(b"4:info") + 6:-1]).hexdigest()
        lab.write("torrent/white", info + "\n")
        lab.daemon("opentracker", self.host, ["opentracker", "-i", self.host.v4, "-p", tracker, "-P", tracker,
                                              "-d", folder, "-u", "nobody", "-w", "white"])
        lab.daemon("seeder", self.host, self.aria(folder, lab.ports["bittorrent"]) + ["--seed-ratio=0.0", "--check-integrity=true",
                   f"--listen-port={lab.ports['bittorrent']}", self.file])

    @staticmethod
    def aria(folder, dht):
        return ["aria2c", "--no-conf", "-q", "-d", folder, "--enable-dht=true", f"--dht-listen-port={dht}", f"--dht-file-path={folder}/dht.dat", "--enable-dht6=false",
                "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--disable-ipv6=true",
                "--bt-require-crypto=false", "--bt-min-crypto-level=plain", "--bt-tracker-interval=15"]

    def drive(self, lab):
        client, p = lab.clients(1)[0], lab.ports

        def fetch(i):
            keys = lab.keys("BitTorrent", "udp", client, self.host, p["tracker"], "4")
            keys += lab.keys("BitTorrent", "tcp", client, self.host, p["bittorrent"], "4")
            keys += lab.keys("BitTorrent", "udp", client, self.host, p["bittorrent"], "4")
            # The seeder may call the one who fetches, too.
            for proto in ("tcp", "udp"):
                keys += lab.keys("BitTorrent", proto, self.host, client, p["bittorrent"] + 9, "4")
            lab.call("bittorrent", client, self.aria(lab.folder(f"fetched-{i}"), p["bittorrent"] + 9) + [
                "--seed-time=0", f"--listen-port={p['bittorrent'] + 9}", "--bt-stop-timeout=18", self.file], keys, timeout=25)
        lab.every(30, "bittorrent", fetch)


class Sip:
    """sipp calls sipp and plays a tone of G.711: SIP and RTP."""
    name, needs = "SIP", ["sipp"]

    def start(self, lab):
        self.host = lab.host("media")
        # Two tones in mu-law, half a second of each, over and over.
        tone = bytes(0xff - (i * 37 // (9 if i // 4000 % 2 else 5)) % 64 for i in range(16000))
        self.tone = lab.write("tone.ulaw", tone)
        media = lab.ports["rtp"]
        lab.daemon("sip", self.host, ["sipp", "-sf", lab.write("uas.xml", UAS), "-i", self.host.v4, "-p", lab.ports["sip"],
                   "-mi", self.host.v4, "-mp", media, "-rtp_echo", "-nostdin", "-trace_err", "-error_file", lab.path("uas.err")],
                   env={"TERM": "dumb"})

    def drive(self, lab):
        client, p = lab.clients(1)[0], lab.ports

        def call(i):
            keys = lab.keys("SIP", "udp", client, self.host, p["sip"], "4")
            keys += lab.keys("RTP", "udp", client, self.host, p["rtp"], "4")
            lab.call("sipp", client, ["sipp", "-sf", lab.write("uac.xml", UAC % self.tone), "-i", client.v4, "-p", p["sip"], "-mi", client.v4,
                     "-mp", p["rtp"] + 1000, "-m", "1", "-nostdin", "-trace_err", "-error_file", lab.path("uac.err"),
                     f"{self.host.v4}:{p['sip']}"], keys, timeout=25, env={"TERM": "dumb"})
        lab.every(20, "sip", call)


SDP = """v=0
      o=lab 1 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
"""
HEAD = """      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: kea <sip:kea@[local_ip]:[local_port]>;tag=[pid]lab[call_number]
      To: lab <sip:lab@[remote_ip]:[remote_port]>%s
      Call-ID: [call_id]
      CSeq: %s
      Contact: sip:kea@[local_ip]:[local_port]
      Max-Forwards: 70
"""
UAC = ("""<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
      INVITE sip:lab@[remote_ip]:[remote_port] SIP/2.0
""" + HEAD.replace("%s", "", 1).replace("%s", "1 INVITE") + """      Content-Type: application/sdp
      Content-Length: [len]

      """ + SDP + """  ]]></send>
  <recv response="180" optional="true"/>
  <recv response="200" rtd="true"/>
  <send><![CDATA[
      ACK sip:lab@[remote_ip]:[remote_port] SIP/2.0
""" + HEAD.replace("%s", "[peer_tag_param]", 1).replace("%s", "1 ACK") + """      Content-Length: 0

  ]]></send>
  <nop><action><exec rtp_stream="%s,-1,0,PCMU/8000"/></action></nop>
  <pause milliseconds="5000"/>
  <nop><action><exec rtp_stream="pause"/></action></nop>
  <send retrans="500"><![CDATA[
      BYE sip:lab@[remote_ip]:[remote_port] SIP/2.0
""" + HEAD.replace("%s", "[peer_tag_param]", 1).replace("%s", "2 BYE") + """      Content-Length: 0

  ]]></send>
  <recv response="200"/>
</scenario>
""")
UAS = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="called">
  <recv request="INVITE"/>
  <send><![CDATA[
      SIP/2.0 180 Ringing
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]lab[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port]>
      Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]lab[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port]>
      Content-Type: application/sdp
      Content-Length: [len]

      """ + SDP + """  ]]></send>
  <recv request="ACK"/>
  <recv request="BYE"/>
  <send><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

  ]]></send>
</scenario>
"""

APPS = [BitTorrent, Sip]
