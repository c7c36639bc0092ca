# SPDX-License-Identifier: LGPL-3.0-or-later
"""HTTP in its versions, TLS, DNS, NTP, SSH, FTP, TFTP, rsync, git."""
import subprocess


class Http:
    """nginx: HTTP/1.1, cleartext HTTP/2 and TLS; curl asks for pages of many sizes."""
    name, needs = "HTTP", ["nginx", "curl", "openssl"]

    def start(self, lab):
        self.web = lab.host("web")
        p = lab.ports
        lab.folder("www")
        from .lab import text
        for i, size in enumerate((300, 1500, 4000, 9000, 20000)):
            lab.write(f"www/{i}.html", text(lab.rng, size))
        lab.write("www/big.txt", text(lab.rng, 4_000_000))
        key, crt = lab.path("tls.key"), lab.path("tls.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", crt,
                        "-days", "30", "-subj", "/CN=web.lab.test",
                        "-addext", "subjectAltName=DNS:web.lab.test"], check=True,
                       stderr=subprocess.DEVNULL)
        conf = lab.write("nginx.conf", f"""
worker_processes 1; pid {lab.path('nginx.pid')}; error_log /dev/null; daemon off; user root;
events {{ worker_connections 512; }}
http {{
  access_log off; default_type text/html; root {lab.path('www')[:]};
  client_body_temp_path {lab.path('t1')}; proxy_temp_path {lab.path('t2')};
  fastcgi_temp_path {lab.path('t3')}; uwsgi_temp_path {lab.path('t4')}; scgi_temp_path {lab.path('t5')};
  server {{ listen {p['http']}; listen [::]:{p['http']}; }}
  server {{ listen {p['http2']} http2; listen [::]:{p['http2']} http2; }}
  server {{ listen {p['tls']} ssl http2; listen [::]:{p['tls']} ssl http2;
           ssl_certificate {crt}; ssl_certificate_key {key}; }}
}}""")
        lab.daemon("http", self.web, ["nginx", "-c", conf])
        lab.wait_port(self.web, p["http"])

    def drive(self, lab):
        web, p = self.web, lab.ports
        for n, client in enumerate(lab.clients(5)):
            def page(i, client=client):
                family = "46"[i % 3 == 0]
                urls = [f"http://web.lab.test:{p['http']}/{(i + k) % 5}.html" for k in range(3)]
                lab.call("http", client, ["curl", "-s", "-m", "8", "-" + family, "-o", "/dev/null"]
                         + urls, lab.keys("HTTP", "tcp", client, web, p["http"], family))
            lab.every(0.9, f"http {n}", page)
        for n, client in enumerate(lab.clients(2)):
            def h2(i, client=client):
                family = "64"[i % 2]
                lab.call("http2", client, ["curl", "-s", "-m", "8", "-" + family,
                         "--http2-prior-knowledge", "-o", "/dev/null",
                         f"http://web.lab.test:{p['http2']}/{i % 4}.html"],
                         lab.keys("HTTP/2", "tcp", client, web, p["http2"], family))
            lab.every(2.5, f"h2c {n}", h2)
        for n, client in enumerate(lab.clients(3)):
            def tls(i, client=client):
                family = "46"[i % 2]
                lab.call("tls", client, ["curl", "-sk", "-m", "8", "-" + family, "-o", "/dev/null",
                         f"https://web.lab.test:{p['tls']}/{i % 4}.html"],
                         lab.keys("TLS", "tcp", client, web, p["tls"], family))
            lab.every(2, f"tls {n}", tls)

    def early(self, lab):
        """A slow download over TLS that runs when the recording begins."""
        client = lab.clients(1)[0]
        lab.lasting(client, ["curl", "-sk", "-4", "--limit-rate", "500", "-o", "/dev/null",
                    f"https://{self.web.v4}:{lab.ports['tls']}/big.txt"],
                    lab.keys("TLS", "tcp", client, self.web, lab.ports["tls"], "4"))


class Quic:
    """caddy and headless Chromium speaking HTTP/3."""
    name, needs = "QUIC", ["caddy", "chromium"]

    def start(self, lab):
        self.host = lab.host("media")
        port = lab.ports["quic"]
        key, crt = lab.path("tls.key"), lab.path("tls.crt")
        conf = lab.write("Caddyfile", f"""{{
 admin off
 auto_https off
 servers {{
  protocols h1 h2 h3
 }}
}}
https://web.lab.test:{port} {{
 tls {crt} {key}
 root * {lab.path('www')}
 file_server
}}
""")
        lab.daemon("caddy", self.host, ["caddy", "run", "--adapter", "caddyfile", "--config", conf],
                   env={"HOME": lab.folder("caddy")})
        lab.wait_port(self.host, port)
        spki = subprocess.run(f"openssl x509 -in {crt} -pubkey -noout | openssl pkey -pubin -outform der"
                              " | openssl dgst -sha256 -binary | base64", shell=True, check=True,
                              capture_output=True, text=True).stdout.strip()
        self.spki = spki

    def drive(self, lab):
        port = lab.ports["quic"]
        for n, client in enumerate(lab.clients(2)):
            def visit(i, client=client, n=n):
                family = "46"[(i + n) % 2]
                to = self.host.v4 if family == "4" else f"[{self.host.v6}]"
                data = lab.folder(f"chromium-{n}-{i}")
                lab.call("chromium", client, [
                    "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update",
                    "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
                    "--disable-features=MediaRouter,OptimizationHints,Translate",
                    f"--user-data-dir={data}", f"--ignore-certificate-errors-spki-list={self.spki}",
                    f"--origin-to-force-quic-on=web.lab.test:{port}",
                    f"--host-resolver-rules=MAP web.lab.test {to}, MAP * ~NOTFOUND",
                    "--virtual-time-budget=2000", "--dump-dom",
                    f"https://web.lab.test:{port}/{i % 4}.html"],
                    lab.keys("QUIC", "udp", client, self.host, port, family),
                    env={"HOME": data})
            lab.every(25, f"quic {n}", visit)


class Dns:
    """dnsmasq; dig, and every program here that looks up a name."""
    name, needs = "DNS", ["dnsmasq", "dig"]

    def start(self, lab):
        self.host = lab.host("infra")
        lines = [f"port={lab.ports['dns']}", "no-resolv", "no-hosts", "keep-in-foreground",
                 "user=root", "pid-file=", "local=/lab.test/", "txt-record=text.lab.test,kotare"]
        lines += [f"host-record={h.name}.lab.test,{h.v4},{h.v6}" for h in lab.net.hosts.values()]
        conf = lab.write("dnsmasq.conf", "\n".join(lines) + "\n")
        lab.daemon("dns", self.host, ["dnsmasq", "-C", conf])

    def drive(self, lab):
        port = lab.ports["dns"]
        for n, client in enumerate(lab.clients(5)):
            def ask(i, client=client):
                to = self.host.v4 if i % 2 else self.host.v6
                kind = ("A", "AAAA", "TXT", "MX")[i % 4]
                tcp = ["+tcp"] if i % 7 == 6 else []
                lab.call("dig", client, ["dig", "@" + to, "-p", port, "+time=2", "+tries=2",
                         f"{('web', 'text', 'mail', 'nobody')[i % 4]}.lab.test", kind] + tcp,
                         lab.keys("DNS", "tcp" if tcp else "udp", client, self.host, port,
                                  "46"[not i % 2]))
            lab.every(1.5, f"dns {n}", ask)
        if port == 53:  # the resolver of the C library, on behalf of curl and others
            lab.thread(lambda: self._resolver(lab))

    def _resolver(self, lab):
        from .lab import CLIENTS
        keys = [k for c in CLIENTS[:-1] for k in lab.keys("DNS", "udp", lab.host(c), self.host, 53, "4")]
        with lab.truth.use(*keys):
            lab.stopping.wait()


class Ntp:
    """chrony as server, ntpdig as client; nobody's clock is set."""
    name, needs = "NTP", ["chronyd", "ntpdig"]

    def start(self, lab):
        self.host = lab.host("infra")
        conf = lab.write("chrony.conf", f"""local stratum 3
allow all
port {lab.ports['ntp']}
cmdport 0
bindcmdaddress /
pidfile {lab.path('chrony.pid')}
driftfile {lab.path('chrony.drift')}
""")
        lab.daemon("ntp", self.host, ["chronyd", "-x", "-d", "-u", "root", "-f", conf])

    def drive(self, lab):
        for n, client in enumerate(lab.clients(3)):
            def ask(i, client=client):
                to = self.host.v4 if i % 2 else self.host.v6
                lab.call("ntp", client, ["ntpdig", "-t", "2", to],
                         lab.keys("NTP", "udp", client, self.host, lab.ports["ntp"], "46"[not i % 2]))
            lab.every(4, f"ntp {n}", ask)


class Ssh:
    """openssh: short commands, copies, and a session that lasts."""
    name, needs = "SSH", ["sshd", "ssh", "ssh-keygen"]

    def start(self, lab):
        self.host, port = lab.host("infra"), lab.ports["ssh"]
        lab.folder("ssh")
        for key in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", lab.path("ssh", key)], check=True)
        keys = lab.path("ssh", "authorized")
        subprocess.run(["cp", lab.path("ssh", "id.pub"), keys], check=True)
        conf = lab.write("ssh/sshd_config", f"""Port {port}
HostKey {lab.path('ssh', 'host')}
AuthorizedKeysFile {keys}
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
PrintMotd no
""")
        self.host.must(["mkdir", "-p", "/run/sshd"])
        lab.daemon("ssh", self.host, ["/usr/sbin/sshd", "-D", "-f", conf])
        lab.wait_port(self.host, port)

    def command(self, lab, to, *words):
        return ["ssh", "-p", lab.ports["ssh"], "-i", lab.path("ssh", "id"), "-F", "none", "-o",
                "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"root@{to}", *words]

    def early(self, lab):
        client = lab.clients(1)[0]
        lab.lasting(client, self.command(lab, self.host.v4, "while sleep 7; do date; done"),
                    lab.keys("SSH", "tcp", client, self.host, lab.ports["ssh"], "4"))

    def drive(self, lab):
        for n, client in enumerate(lab.clients(2)):
            def session(i, client=client):
                to = self.host.v4 if i % 2 else self.host.v6
                lab.call("ssh", client, self.command(lab, to, "for i in 1 2 3; do echo $i; sleep 1; done"),
                         lab.keys("SSH", "tcp", client, self.host, lab.ports["ssh"], "46"[not i % 2]))
            lab.every(9, f"ssh {n}", session)


class Ftp:
    """vsftpd and curl; passive data connections go to a few known ports."""
    name, needs = "FTP", ["vsftpd", "curl"]

    def start(self, lab):
        self.host, port, data = lab.host("media"), lab.ports["ftp"], lab.ports["ftp_data"]
        root = lab.folder("ftp")
        from .lab import text
        lab.write("ftp/readme.txt", text(lab.rng, 700))
        subprocess.run(["chmod", "555", root], check=True)
        self.host.must(["mkdir", "-p", "/run/vsftpd/empty"])
        conf = lab.write("vsftpd.conf", f"""listen=NO
listen_ipv6=YES
listen_port={port}
anonymous_enable=YES
anon_root={root}
pasv_min_port={data}
pasv_max_port={data + 3}
background=NO
seccomp_sandbox=NO
isolate_network=NO
xferlog_enable=NO
""")
        lab.daemon("ftp", self.host, ["vsftpd", conf])
        lab.wait_port(self.host, port)

    def drive(self, lab):
        data = lab.ports["ftp_data"]
        client = lab.clients(1)[0]

        def get(i):
            family = "46"[i % 2]
            to = self.host.v4 if family == "4" else f"[{self.host.v6}]"
            keys = lab.keys("FTP Control", "tcp", client, self.host, lab.ports["ftp"], family)
            for port in range(data, data + 4):
                keys += lab.keys("FTP Data", "tcp", client, self.host, port, family)
            lab.call("ftp", client, ["curl", "-s", "-m", "10", "-o", "/dev/null",
                     f"ftp://{to}:{lab.ports['ftp']}/" + ("readme.txt" if i % 3 else "")], keys)
        lab.every(8, "ftp", get)


class Tftp:
    name, needs = "TFTP", ["in.tftpd", "curl"]

    def start(self, lab):
        self.host, data = lab.host("infra"), lab.ports["tftp_data"]
        root = lab.folder("tftp")
        from .lab import text
        lab.write("tftp/boot.cfg", text(lab.rng, 3000))
        lab.daemon("tftp", self.host, ["in.tftpd", "-L", "-4", "-u", "root", "-R", f"{data}:{data + 3}",
                   "--address", f"{self.host.v4}:{lab.ports['tftp']}", "-s", root])

    def drive(self, lab):
        client, data = lab.clients(1)[0], lab.ports["tftp_data"]

        def get(i):
            keys = lab.keys("TFTP", "udp", client, self.host, lab.ports["tftp"], "4")
            for port in range(data, data + 4):
                keys += lab.keys("TFTP", "udp", client, self.host, port, "4")
            lab.call("tftp", client, ["curl", "-s", "-m", "10", "-o", "/dev/null",
                     f"tftp://{self.host.v4}:{lab.ports['tftp']}/boot.cfg"], keys)
        lab.every(10, "tftp", get)


class Rsync:
    name, needs = "Rsync", ["rsync"]

    def start(self, lab):
        self.host = lab.host("infra")
        conf = lab.write("rsyncd.conf", f"use chroot = no\nuid = root\ngid = root\npid file = {lab.path('rsyncd.pid')}\n"
                         f"[pages]\npath = {lab.folder('www')}\nexclude = big.txt\n")
        lab.daemon("rsync", self.host, ["rsync", "--daemon", "--no-detach", "--config", conf,
                                        "--port", lab.ports["rsync"]])
        lab.wait_port(self.host, lab.ports["rsync"])

    def drive(self, lab):
        client = lab.clients(1)[0]

        def pull(i):
            to = self.host.v4 if i % 2 else f"[{self.host.v6}]"
            lab.call("rsync", client, ["rsync", "-a", f"rsync://{to}:{lab.ports['rsync']}/pages/",
                     lab.folder(f"pulled-{i}") + "/"],
                     lab.keys("Rsync", "tcp", client, self.host, lab.ports["rsync"], "46"[not i % 2]))
        lab.every(11, "rsync", pull)


class Git:
    name, needs = "Git", ["git"]

    def start(self, lab):
        self.host = lab.host("infra")
        root = lab.folder("git")
        lab.write("git/work/readme.txt", "\n".join(f"{i} kotare" for i in range(200)))
        env = {"GIT_AUTHOR_NAME": "Lab", "GIT_AUTHOR_EMAIL": "lab@lab.test", "GIT_COMMITTER_NAME": "Lab",
               "GIT_COMMITTER_EMAIL": "lab@lab.test", "PATH": "/usr/bin:/bin", "HOME": root,
               "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(f"cd {root}/work && git init -q -b main . && git add . && git commit -qm first && "
                       f"git clone -q --bare . {root}/birds.git", shell=True, check=True, env=env)
        lab.daemon("git", self.host, ["git", "-c", "safe.directory=*", "daemon", "--export-all",
                   f"--base-path={root}", f"--port={lab.ports['git']}", root], env=env)
        lab.wait_port(self.host, lab.ports["git"])

    def drive(self, lab):
        client = lab.clients(1)[0]

        def clone(i):
            to = self.host.v4 if i % 2 else f"[{self.host.v6}]"
            lab.call("git", client, ["git", "clone", "-q", f"git://{to}:{lab.ports['git']}/birds.git",
                     lab.path(f"cloned-{i}", "x")[:-2] + "/c"],
                     lab.keys("Git", "tcp", client, self.host, lab.ports["git"], "46"[not i % 2]))
        lab.every(9, "git", clone)


APPS = [Http, Quic, Dns, Ntp, Ssh, Ftp, Tftp, Rsync, Git]
